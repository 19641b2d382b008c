//! What the files in `protocol/` state, as counts and fingerprints: an accidental edit is seen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path};

use libvirt_client_codegen::{
    print::{Counts, facts},
    read_directory,
};
use sha2::{Digest, Sha256};

/// Name; structs, enums, unions, typedefs, consts, procedures, events; SHA-256 of the facts, each line with its end.
#[rustfmt::skip]
const STATED: &[(&str, [usize; 7], &str)] = &[
    ("admin_protocol", [30, 1, 1, 2, 8, 19, 0],
        "7bb56ad2b0951c42c2a735831eff2c4401c4a29b55756d1370dab6c1f15c643f"),
    ("remote_protocol", [704, 2, 1, 12, 73, 456, 55],
        "3034d0027bbd64e114055825c792d35fd49a1c300d01e1944b2933c2ed7128e2"),
    ("lxc_protocol", [1, 1, 0, 0, 2, 1, 0],
        "e879924a2f3bcb5193a020bb4cb49573dd44c3d22794f2073d0350656b651a13"),
    ("qemu_protocol", [12, 1, 0, 0, 2, 7, 1],
        "913e7e091f0c0a13b4c0334befa5de28efb4e04b0b34f97b995507213cb0a43f"),
    ("virkeepaliveprotocol", [0, 1, 0, 0, 2, 2, 0],
        "59b19d420414f401b134cf6a734541d16ef1d521bf939136bbf367d6fa0d79f3"),
    ("virnetprotocol", [5, 2, 0, 5, 9, 0, 0],
        "a475a065af5bd10070017e013f7baf2fdf2c013f8bc3d6cfb4a482db38822e00"),
];

/// Name; lines; SHA-256 of these, each with its end. Lines of comment do not count.
#[rustfmt::skip]
const TABLES: &[(&str, usize, &str)] = &[
    ("enums.tsv", 1070, "3a9969b556f5d7ebf1058f35621401308fbb2405a0dc77641d6407a0e5010dbc"),
    ("names.tsv", 255, "b423df7ef4eb34c56ac9cb8f733c60d40083d12e60c88c93155c65189c4aba7f"),
];

#[test]
fn the_protocol_files_state_what_they_did() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol");
    let (spec, _) = read_directory(&directory).unwrap_or_else(|error| panic!("{error}"));
    let mut found = String::new();
    for protocol in &spec.protocols {
        let Counts { structs, enums, unions, typedefs, consts, procedures, events, .. } =
            Counts::of(protocol);
        let counts = [structs, enums, unions, typedefs, consts, procedures, events];
        let hash = fingerprint(facts(protocol).iter().map(String::as_str));
        found += &format!("    ({:?}, {counts:?},\n        {hash:?}),\n", protocol.name);
    }
    let stated: String = STATED
        .iter()
        .map(|(name, counts, hash)| format!("    ({name:?}, {counts:?},\n        {hash:?}),\n"))
        .collect();
    assert!(
        found == stated,
        "protocol/*.x no longer state what codegen/tests/protocol.rs says.\n\
         If the change is not meant, take it back. If it is, as in a move to a newer libvirt (protocol/README.md), check\n\
         it with `cargo run -p libvirt-client-codegen -- facts` before and after and `diff`, then put this table there:\n\n\
         {found}"
    );
}

#[test]
fn the_tables_of_the_public_api_state_what_they_did() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol");
    let mut found = String::new();
    for name in ["enums.tsv", "names.tsv"] {
        let text = fs::read_to_string(directory.join(name)).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let hash = fingerprint(lines.iter().copied());
        found += &format!("    ({name:?}, {}, {hash:?}),\n", lines.len());
    }
    let stated: String =
        TABLES.iter().map(|(name, lines, hash)| format!("    ({name:?}, {lines}, {hash:?}),\n")).collect();
    assert!(
        found == stated,
        "protocol/*.tsv no longer state what codegen/tests/protocol.rs says.\n\
         If the change is not meant, take it back. If it is, put this table there:\n\n{found}"
    );
}

fn fingerprint<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    format!("{:x}", hash.finalize())
}
