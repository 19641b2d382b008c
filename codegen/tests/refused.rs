//! Definitions that are right as such and cannot become Rust: each is refused with a message that says why.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests stop at what they did not expect"
)]

use std::{fs, path::PathBuf};

use libvirt_client_codegen::{
    emit::{self, Tables},
    generate, read_directory,
};

const PROGRAM: &str = "const SAMPLE_PROGRAM = 1;\nconst SAMPLE_PROTOCOL_VERSION = 1;\n";

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("refused").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What is said about definitions, without the directory.
fn refusal(name: &str, text: &str) -> String {
    let directory = directory(name);
    fs::write(directory.join("sample_protocol.x"), text).unwrap();
    let (spec, _) = read_directory(&directory).unwrap();
    let problem = emit::protocols(&spec, &Tables::default(), None).unwrap_err();
    problem.to_string().replace(&format!("{}/", directory.display()), "")
}

#[test]
fn two_types_of_one_name() {
    assert_eq!(
        refusal(
            "types",
            "struct sample_ab { int x; };\nstruct sample_a_b { int x; };\nstruct sample_aB { int x; };"
        ),
        "sample_protocol.x:3:8: sample_aB and sample_a_b (sample_protocol.x:2) would both be called AB in module sample; \
         give one of them another name in codegen/src/overrides.rs"
    );
}

#[test]
fn a_type_with_the_name_of_empty_arguments() {
    let text = format!(
        "{PROGRAM}struct sample_pingArgs {{ int x; }};\nenum sample_procedure {{ SAMPLE_PROC_PING = 1 }};\n"
    );
    assert_eq!(
        refusal("arguments", &text),
        "sample_protocol.x:4:25: the empty arguments of SAMPLE_PROC_PING and sample_pingArgs (sample_protocol.x:3) \
         would both be called PingArgs in module sample; give one of them another name in codegen/src/overrides.rs"
    );
}

#[test]
fn two_constants_of_one_name() {
    let message = refusal("constants", "const SAMPLE_MAX = 1;\nconst VIR_SAMPLE_MAX = 1;\n");
    assert!(message.contains("VIR_SAMPLE_MAX and SAMPLE_MAX"), "{message}");
}

#[test]
fn two_fields_of_one_name() {
    assert_eq!(
        refusal("fields", "struct sample_a { int maxMem; int max_mem; };"),
        "sample_protocol.x:1:8: max_mem and maxMem (sample_protocol.x:1) would both be called max_mem in sample_a; \
         give one of them another name in codegen/src/overrides.rs"
    );
}

#[test]
fn arguments_of_no_procedure() {
    let text = format!(
        "{PROGRAM}struct sample_pong_args {{ int x; }};\nenum sample_procedure {{ SAMPLE_PROC_PING = 1 }};\n"
    );
    assert_eq!(
        refusal("orphan", &text),
        "sample_protocol.x:3:8: sample_pong_args belongs to no procedure: none of SAMPLE_PROC_* has its name"
    );
}

#[test]
fn an_event_with_arguments() {
    let text = format!(
        "{PROGRAM}struct sample_ping_args {{ int x; }};\nstruct sample_ping_msg {{ int x; }};\n\
         enum sample_procedure {{ SAMPLE_PROC_PING = 1 }};\n"
    );
    assert_eq!(
        refusal("both", &text),
        "sample_protocol.x:5:25: SAMPLE_PROC_PING has sample_ping_msg, which makes it an event, \
         and sample_ping_args or sample_ping_ret, which make it a call"
    );
}

#[test]
fn procedures_without_a_program() {
    assert_eq!(
        refusal("program", "enum sample_procedure { SAMPLE_PROC_PING = 1 };"),
        "sample_protocol.x:1:25: SAMPLE_PROC_PING needs the constants SAMPLE_PROGRAM and SAMPLE_PROTOCOL_VERSION \
         in the same file"
    );
}

fn annotated(annotations: &str) -> String {
    format!("{PROGRAM}enum sample_procedure {{\n/**\n{annotations} */\nSAMPLE_PROC_PING = 1\n}};\n")
}

#[test]
fn annotations_that_contradict_themselves() {
    let message = refusal("streams", &annotated(" * @readstream: 1\n * @writestream: 1\n"));
    assert!(message.contains("SAMPLE_PROC_PING has both @readstream and @writestream"), "{message}");
}

#[test]
fn a_sparse_flag_without_a_value() {
    let message = refusal("sparse", &annotated(" * @readstream: 1\n * @sparseflag: SAMPLE_SPARSE\n"));
    assert!(
        message.ends_with(
            "@sparseflag of SAMPLE_PROC_PING is SAMPLE_SPARSE, which enums.tsv lacks; add it there"
        )
    );
}

#[test]
fn a_set_of_definitions_that_lacks_a_protocol() {
    let directory = directory("lacking");
    fs::write(directory.join("remote_protocol.x"), "const REMOTE_MAX = 1;").unwrap();
    let error = generate(&directory, &directory, &directory).unwrap_err().to_string();
    assert!(error.contains("has no virnetprotocol.x, which module net is written from"), "{error}");
}

#[test]
fn unchanged_files_are_left_alone_and_the_files_read_are_told() {
    let protocol = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol"));
    let out = directory("out");
    let read = generate(&protocol, &out, &out).unwrap();
    for name in ["remote_protocol.x", "virkeepaliveprotocol.x", "enums.tsv", "names.tsv"] {
        assert!(read.contains(&protocol.join(name)), "{name} in {read:?}");
    }
    let written = |name: &str| fs::metadata(out.join(name)).unwrap().modified().unwrap();
    let (remote, fields) = (written("remote.rs"), written("fields.rs"));
    fs::write(out.join("fields.rs"), "something else").unwrap();
    generate(&protocol, &out, &out).unwrap();
    assert_eq!(written("remote.rs"), remote);
    assert!(written("fields.rs") > fields);
    assert!(
        fs::read_to_string(out.join("fields.rs"))
            .unwrap()
            .contains("pub const DOMAIN_BLKIO_WEIGHT: &str = \"weight\";")
    );
}
