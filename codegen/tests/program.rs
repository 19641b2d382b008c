//! The program, and reading directories.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use libvirt_client_codegen::{Error, read_directory};

const PROTOCOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol");

/// Makes a directory with files of its own for a test.
fn directory(test: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn files_come_after_those_they_build_on() {
    let directory = directory(
        "order",
        &[
            ("a.x", b"struct a { b x; };"),
            ("b.x", b"typedef int b[C];"),
            ("c.x", b"const C = 1; const D = E;"),
            ("d.x", b"const E = C;"),
            ("below/e.x", b"this is not read"),
            ("README", b"nor this"),
        ],
    );
    let (spec, paths) = read_directory(&directory).unwrap();
    let names: Vec<_> = spec.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
    assert_eq!(names, ["d", "c", "b", "a"], "c and d build on each other");
    assert_eq!(paths, ["a.x", "b.x", "c.x", "d.x"].map(|name| directory.join(name)));
}

#[test]
fn a_source_tree_is_searched() {
    let directory = directory(
        "tree",
        &[
            ("meson.build", b""),
            ("src/rpc/net.x", b"const A = 1;"),
            ("src/remote/remote.x", b"const B = A;"),
            (".git/old.x", b"nonsense"),
        ],
    );
    let (spec, paths) = read_directory(&directory).unwrap();
    let names: Vec<_> = spec.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
    assert_eq!(names, ["net", "remote"]);
    assert_eq!(paths, ["src/remote/remote.x", "src/rpc/net.x"].map(|name| directory.join(name)));
}

#[test]
fn a_file_may_define_what_is_predefined() {
    let directory =
        directory("own", &[("a.x", b"const VIR_UUID_BUFLEN = 3; typedef opaque u[VIR_UUID_BUFLEN];")]);
    let (spec, _) = read_directory(&directory).unwrap();
    let found = format!("{:?}", spec.find("u").unwrap().kind);
    assert_eq!(found, r#"Typedef(OpaqueFixed(Name("VIR_UUID_BUFLEN", 3)))"#);
}

#[test]
fn what_cannot_be_read_is_told() {
    let missing = read_directory(Path::new("/does/not/exist")).unwrap_err();
    assert!(matches!(missing, Error::Read { .. }), "{missing:?}");
    assert!(missing.to_string().starts_with("error: cannot read /does/not/exist: "), "{missing}");

    let empty = directory("empty", &[("below/README", b"")]);
    let error = read_directory(&empty).unwrap_err();
    assert!(matches!(error, Error::NoDefinitions { .. }), "{error:?}");
    let first = format!("error: no .x file in {} nor in a directory below it", empty.display());
    assert_eq!(error.to_string().lines().next(), Some(first.as_str()));

    let bytes = directory("bytes", &[("a.x", b"const A = 1;\n/* \xff */")]);
    let error = read_directory(&bytes).unwrap_err();
    assert_eq!(error.to_string().lines().next(), Some("error: the file is not UTF-8 text"));
    assert_eq!(error.location().map(|place| (place.line, place.column)), Some((2, 4)));

    let twice = directory("twice", &[("a.x", b"const A = 1;"), ("b.x", b"const A = 1;")]);
    let error = read_directory(&twice).unwrap_err();
    let place = error.location().unwrap();
    assert_eq!((place.file.as_path(), place.line, place.column), (twice.join("b.x").as_path(), 1, 7));
    assert!(
        error.to_string().ends_with(&format!("= note: first defined at {}:1:7", twice.join("a.x").display()))
    );
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_libvirt-client-codegen")).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn check_counts_definitions() {
    let (code, out, err) = run(&["check"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["protocol", "structs", "enums", "unions", "typedefs", "consts", "procedures", "events"]
    );
    assert!(rows.iter().any(|row| row[..] == ["qemu_protocol", "12", "1", "0", "0", "2", "7", "1"]), "{out}");
    assert_eq!(run(&["check", PROTOCOL]).1, out);

    let wrong = directory("wrong", &[("a.x", b"const A = 1\n")]);
    let (code, out, err) = run(&["check", wrong.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("error: expected `;` after `1`, found end of file\n --> "), "{err}");

    let (code, _, err) = run(&["check", "/does/not/exist"]);
    assert_eq!(code, Some(1));
    assert!(err.starts_with("error: cannot read /does/not/exist: "), "{err}");
    assert!(
        err.ends_with("= help: name a directory with .x files, such as libvirt's source tree\n"),
        "{err}"
    );
}

#[test]
fn facts_are_printed_line_by_line() {
    let (code, out, err) = run(&["facts", PROTOCOL]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let position =
        |line: &str| out.lines().position(|found| found == line).unwrap_or_else(|| panic!("{line}"));
    assert!(position("# remote_protocol") < position("# qemu_protocol"));
    position("typedef remote_uuid = opaque[VIR_UUID_BUFLEN]");
    position("struct remote_nonnull_domain .1 uuid: remote_uuid");
    position("const REMOTE_PROGRAM = 0x20008086");
    position("enum remote_procedure REMOTE_PROC_DOMAIN_GET_INFO = 16 @generate:both @acl:domain:read");
}

#[test]
fn show_knows_procedures_and_definitions() {
    let (code, out, err) = run(&["show", "REMOTE_PROC_DOMAIN_GET_STATE"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let expected = "enum remote_procedure {\n    /* @generate: none @priority: high @acl: domain:read */\n    \
                    REMOTE_PROC_DOMAIN_GET_STATE = 212\n};\n\n\
                    struct remote_domain_get_state_args {\n    remote_nonnull_domain dom;\n    unsigned int flags;\n};\n\n\
                    struct remote_domain_get_state_ret {\n    int state;\n    int reason;\n};\n";
    assert!(out.starts_with(expected), "{out}");

    let (_, out, _) = run(&["show", "--protocol", PROTOCOL, "remote_string"]);
    assert!(out.starts_with("typedef remote_nonnull_string *remote_string;\n"), "{out}");

    let (code, out, err) = run(&["show", "REMOTE_PROC_DOMAIN_GET_STATS"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.starts_with("error: no definition or procedure is called `REMOTE_PROC_DOMAIN_GET_STATS` in "),
        "{err}"
    );
    assert!(err.ends_with("= help: did you mean `REMOTE_PROC_DOMAIN_GET_STATE`?\n"), "{err}");
}

#[test]
fn wrong_arguments_are_told_with_the_usage() {
    for (arguments, message) in [
        (&[][..], "error: expected a command, found nothing"),
        (&["chekc"], "error: expected check, facts or show, found `chekc`"),
        (&["show"], "error: expected the name of a procedure or definition, found nothing"),
        (&["show", "x", "--protocol"], "error: expected a directory after --protocol, found nothing"),
        (&["check", "a", "b"], "error: cannot make sense of `a b` after `check`"),
        (&["facts", "--json"], "error: cannot make sense of `--json` after `facts`"),
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(err.lines().next(), Some(message));
        assert!(err.contains("Usage: libvirt-client-codegen check [DIR]"), "{err}");
    }
    assert_eq!(run(&["--help"]).0, Some(0));
}
