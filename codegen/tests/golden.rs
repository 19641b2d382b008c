//! What sample definitions become, compared with the text in `tests/golden`, which the main crate's tests compile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests stop at what they did not expect"
)]

use std::{fs, path::Path};

use libvirt_client_codegen::{
    Api,
    emit::{self, Tables},
    read_directory,
};

/// Set to anything, this makes the tests write the text that they would compare with.
const UPDATE: &str = "UPDATE_GOLDEN";

const ENUMS: &str = "\
libvirt\tvirSampleState\tVIR_SAMPLE_RUNNING\t1\t0.0.1
libvirt\tvirSampleState\tVIR_SAMPLE_LAST\t3\t0.9.10
libvirt\tvirSampleState\tVIR_SAMPLE_NOSTATE\t0\t0.0.1
libvirt\tvirSampleState\tVIR_SAMPLE_SHUT_OFF\t2\t
libvirt\tvirSampleState\tVIR_SAMPLE_UNKNOWN\t-1\t1.2.3
libvirt\tvirSampleState\tVIR_SAMPLE_ACTIVE\t1\t1.2.3
libvirt\tvirSampleReadFlagValues\tSAMPLE_READ_NOTHING\t0\t1.0.0
libvirt\tvirSampleReadFlagValues\tSAMPLE_READ_SPARSE\t8\t1.0.0
libvirt\tvirSampleReadFlagValues\tSAMPLE_READ_HIGHEST\t2147483648\t9.0.0
libvirt\tvirSampleReadFlagValues\tSAMPLE_READ_BOTH\t2147483656\t
libvirt\tvirErrorNumber\tVIR_ERR_OK\t0\t0.1.0
libvirt\tvirErrorNumber\tVIR_ERR_NO_DOMAIN\t42\t0.1.0
libvirt\tvirErrorNumber\tVIR_WAR_NO_DOMAIN\t43\t0.1.0
libvirt\tvirErrorDomain\tVIR_FROM_NONE\t0\t0.1.0
libvirt\tvirErrorDomain\tVIR_FROM_QEMU\t10\t0.1.0
libvirt\tvirErrorLevel\tVIR_ERR_NONE\t0\t0.1.0
libvirt\tvirErrorLevel\tVIR_ERR_ERROR\t2\t0.1.0
libvirt\tvirConnectCloseReason\tVIR_CONNECT_CLOSE_REASON_EOF\t1\t0.10.0
libvirt\tvirConnectCloseReason\tVIR_CONNECT_CLOSE_REASON_CLIENT\t3\t0.10.0
";

const NAMES: &str = "\
libvirt\tVIR_SAMPLE_WEIGHT\tweight
libvirt\tVIR_SAMPLE_BLOCK_READ\tblock.<num>.rd
";

const API: &str = "\
[sample.THING_READ3]
method = \"Thing::read\"
summary = \"Reads it\"
since = \"1.2.3\"
repeat = \"safe\"
";

fn tables() -> Tables {
    let mut tables = Tables::default();
    tables.add_enums(Path::new("enums.tsv"), ENUMS).unwrap();
    tables.add_names(Path::new("names.tsv"), NAMES).unwrap();
    tables
}

fn api() -> Api {
    Api::read(Path::new("api.toml"), API).unwrap()
}

fn golden() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

#[track_caller]
fn compare(name: &str, text: &str) {
    let path = golden().join(name);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, expected, text)) = first_difference(&expected, text) {
        panic!(
            "{}:{number}: expected\n  {expected}\nand the generator wrote\n  {text}\n\
             if this is right, run the test with {UPDATE}=1 and look at the difference",
            path.display()
        );
    }
}

fn first_difference<'a>(expected: &'a str, text: &'a str) -> Option<(usize, &'a str, &'a str)> {
    let mut expected_lines = expected.lines();
    let mut lines = text.lines();
    (1..).find_map(|number| match (expected_lines.next(), lines.next()) {
        (None, None) => Some(None),
        (expected, text) if expected == text => None,
        (expected, text) => Some(Some((number, expected.unwrap_or("the end"), text.unwrap_or("the end")))),
    })?
}

#[test]
fn protocols_become_modules() {
    let (spec, _) = read_directory(golden()).unwrap();
    let files = emit::protocols(&spec, &tables(), Some(&api())).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["sample.rs", "other.rs", "visit.rs"]);
    for file in files {
        compare(&file.name, &file.text);
    }
}

#[test]
fn tables_become_enums_flags_and_names() {
    for file in emit::api(&tables()).unwrap() {
        compare(&file.name, &file.text);
    }
}

#[test]
fn one_definition_is_shown_as_it_stands_in_its_module() {
    let (spec, _) = read_directory(golden()).unwrap();
    let (tables, api) = (tables(), api());
    let show = |name: &str| emit::show(&spec, &tables, Some(&api), name).unwrap();
    let module = emit::protocols(&spec, &tables, Some(&api)).unwrap().swap_remove(0).text;
    for name in ["sample_point", "sample_value", "SAMPLE_LIST_MAX", "sample_string", "sample_color"] {
        let text = show(name).unwrap();
        assert!(module.contains(&text), "{name}:\n{text}");
    }
    let lookup = show("SAMPLE_PROC_THING_LOOKUP").unwrap();
    for part in [
        "name: \"SAMPLE_PROC_THING_LOOKUP\"",
        "pub struct ThingLookupArgs {",
        "pub struct ThingLookupRet {",
        "impl Call for ThingLookupArgs {",
    ] {
        assert!(lookup.contains(part), "{part} in\n{lookup}");
    }
    assert!(show("SAMPLE_PROC_PING").unwrap().contains("pub struct PingArgs;"));
    assert!(show("SAMPLE_PROC_THING_MOVED").unwrap().contains("impl EventMessage for ThingMovedMsg"));
    assert_eq!(show("sample_nothing"), None);
}
