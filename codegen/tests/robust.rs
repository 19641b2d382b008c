//! Whatever is read, the answer is a spec or a message: no panic, no endless loop, no exhausted stack.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fmt::Write as _, fs, path::Path};

use libvirt_client_codegen::{Error, print, read_str};

fn originals() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "x"))
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    assert_eq!(files.len(), 6);
    files
}

/// A message must be readable, and its place must be in the text.
fn check(text: &str) {
    match read_str("a.x", text) {
        Ok(spec) => _ = print::summary(&spec),
        Err(Error::Definition(diagnostic)) => {
            let lines = text.split('\n').count();
            assert!((diagnostic.location.line as usize) <= lines, "{diagnostic}");
            let line = text.split('\n').nth(diagnostic.location.line as usize - 1).unwrap();
            assert_eq!(diagnostic.line, line.strip_suffix('\r').unwrap_or(line), "{diagnostic}");
            assert!((diagnostic.location.column as usize) <= line.chars().count() + 1, "{diagnostic}");
            assert!(diagnostic.to_string().lines().count() >= 5);
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn mutated_definitions_are_read_or_explained() {
    const BITS: &[&str] = &[
        "{",
        "}",
        "<",
        ">",
        "[",
        "]",
        "(",
        ")",
        ";",
        ":",
        ",",
        "=",
        "*",
        "/*",
        "*/",
        "//",
        "%",
        "#",
        "\\\n",
        "\n",
        "-",
        "0x",
        "08",
        "é",
        "\0",
        "\r",
        "$",
        "\"",
        "union",
        "switch",
        "case",
        "default",
        "void",
        "struct",
        "enum",
        "typedef",
        "const",
        "unsigned",
        "string",
        "opaque",
        "int",
        "TRUE",
        "99999999999",
        "-1",
        "remote_domain",
        "REMOTE_STRING_MAX",
    ];
    let files = originals();
    arbtest::arbtest(|random| {
        // Pieces of a file are enough, and leave time for many: the first lines of the remote protocol are all kinds.
        let (_, text) = &files[random.choose_index(files.len())?];
        let lines: Vec<&str> = text.lines().collect();
        let from = random.choose_index(lines.len())?;
        let mut text = lines[from..(from + 60).min(lines.len())].join("\n");
        for _ in 0..random.int_in_range(1..=8)? {
            let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let mut cut = [*random.choose(&boundaries)?, *random.choose(&boundaries)?];
            cut.sort_unstable();
            let [start, end] = cut;
            let end = if random.ratio(9, 10)? {
                end.min(text[start..].find('\n').map_or(end, |at| start + at))
            } else {
                end
            };
            let piece = text[start..end].to_owned();
            match random.int_in_range(0..=3)? {
                0 => text.replace_range(start..end, ""),
                1 => text.insert_str(start, &piece),
                2 => text.insert_str(start, random.choose(BITS)?),
                _ => text.truncate(end),
            }
        }
        check(&text);
        Ok(())
    })
    .budget_ms(4_000);
}

#[test]
fn arbitrary_text_is_explained() {
    arbtest::arbtest(|random| {
        check(&random.arbitrary::<String>()?);
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn whole_files_cut_anywhere_are_explained() {
    for (_, text) in originals() {
        let step = (text.len() / 60).max(1);
        for end in (0..text.len()).step_by(step).filter(|end| text.is_char_boundary(*end)) {
            check(&text[..end]);
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, what) in [
        ("struct { ", "struct s { "),
        ("enum { A, B } a; struct { ", "struct s { "),
        ("union switch (int a) { case 1: ", "struct s { "),
        ("union switch (union switch (", "union u switch ("),
    ] {
        let text = format!("{what}{}", open.repeat(20_000));
        let error = read_str("a.x", &text).unwrap_err().to_string();
        assert_eq!(error.lines().next(), Some("error: bodies are nested more than 32 deep"), "{open}");
    }
    let nested = |depth: usize| {
        format!("struct s {{ {} int a; {} }};", "struct { ".repeat(depth), "} x; ".repeat(depth))
    };
    assert!(read_str("a.x", &nested(32)).is_ok());
    assert!(read_str("a.x", &nested(33)).is_err());
}

/// Each takes a fraction of a second if the time is proportional to the size, and far longer or the stack if it is not.
#[test]
fn long_files_lines_and_chains_are_read() {
    const N: usize = 20_000;
    let mut chains = [String::new(), String::new(), String::new(), String::new()];
    for n in 0..N {
        write!(chains[0], "const C{n} = C{}; ", n + 1).unwrap();
        write!(chains[1], "struct s{n} {{ s{} x; }}; ", n + 1).unwrap();
        write!(chains[2], "typedef t{} *t{n}; ", n + 1).unwrap();
        write!(chains[3], "E{n}, ").unwrap();
    }
    let [constants, structs, typedefs, enumerators] = chains;
    for text in [
        format!("{constants} const C{N} = 1;"),
        format!("{structs} struct s{N} {{ int a; }};"),
        format!("{typedefs} typedef int t{N};"),
        format!("enum e {{ {enumerators} }};"),
        format!("{} const A = 1;", "/**/\n ".repeat(N)),
        format!("{} const A = 1;", "%\n".repeat(N)),
        format!("/* {} */ const A = 1;", "@a: b\n".repeat(N)),
    ] {
        assert!(read_str("a.x", &text).is_ok(), "{}", &text[..100]);
    }
    for (text, expected) in [
        (format!("{constants} const C{N} = C0;"), "error: the value of `C0` rests on itself"),
        (format!("{structs} struct s{N} {{ s0 a; }};"), "error: `s0` contains itself"),
        (format!("{typedefs} typedef t0 t{N};"), "error: `t0` is defined by itself"),
        (format!("{constants} const C{N} = D;"), "error: unknown constant `D`"),
    ] {
        let error = read_str("a.x", &text).unwrap_err().to_string();
        assert_eq!(error.lines().next(), Some(expected));
    }
}
