//! What the documentation of methods has to say: the procedure on the wire, libvirt's C function, since when there is
//! one, and what permission it needs.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::{fs, path::Path};

use libvirt_client::protocol::{ProcedureInfo, admin, lxc, qemu, remote};

/// Methods that users call, with where they are: those that are generated, and those written by hand.
fn sources() -> Vec<(String, String)> {
    let generated = ["objects.rs", "admin_objects.rs"].map(|name| Path::new(env!("OUT_DIR")).join(name));
    let by_hand = [
        "by_hand.rs",
        "files.rs",
        "guest/addresses.rs",
        "guest/agent.rs",
        "guest/exec.rs",
        "guest/files.rs",
        "guest/freeze.rs",
        "qmp.rs",
        "streams/open.rs",
    ]
    .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/objects").join(name));
    let read = |path: &Path| (path.display().to_string(), fs::read_to_string(path).unwrap());
    generated.iter().chain(&by_hand).map(|path| read(path)).collect()
}

/// Returns the documentation of each public method, in one line, with the method's name.
fn methods(text: &str) -> Vec<(String, String)> {
    let (mut found, mut documentation) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(said) = line.strip_prefix("///") {
            documentation.push_str(said);
        } else if let Some(rest) = line
            .strip_prefix("pub async fn ")
            .or_else(|| line.strip_prefix("pub fn ").filter(|_| line.contains("collections::")))
        {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.push((name.to_owned(), std::mem::take(&mut documentation)));
        } else if !line.starts_with("#[") {
            documentation.clear();
        }
    }
    found
}

fn procedure(name: &str) -> Option<&'static ProcedureInfo> {
    let all = [remote::PROCEDURES, qemu::PROCEDURES, lxc::PROCEDURES, admin::PROCEDURES];
    all.into_iter().flatten().find(|procedure| procedure.name == name)
}

/// Returns what a method's documentation lacks.
fn lacks(documentation: &str) -> Vec<&'static str> {
    // A variant of another method, which says the rest.
    if documentation.trim_start().starts_with("Does what [`") && !documentation.contains("_PROC_") {
        return Vec::new();
    }
    let quoted = documentation.split('`');
    let called: Vec<_> = quoted.filter(|word| word.contains("_PROC_")).filter_map(procedure).collect();
    let needs = called.iter().any(|procedure| procedure.acl.iter().any(|permission| *permission != "none"));
    [
        ("the procedure", !called.is_empty()),
        ("the C function", documentation.contains("C: `vir")),
        ("since when", documentation.contains("since libvirt ")),
        ("the permission", !needs || documentation.contains("Needs `")),
        ("errors", documentation.contains("# Errors")),
    ]
    .into_iter()
    .filter_map(|(what, is_there)| (!is_there).then_some(what))
    .collect()
}

#[test]
fn every_method_says_what_it_stands_for() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (file, text) in sources() {
        for (name, documentation) in methods(&text) {
            seen += 1;
            let lacks = lacks(&documentation);
            if !lacks.is_empty() {
                wrong.push(format!("{file}: {name} lacks {}", lacks.join(", ")));
            }
        }
    }
    assert!(seen > 450, "only {seen} methods found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_missing_is_noticed() {
    let text = "/// Returns a thing.\n///\n/// Calls `REMOTE_PROC_DOMAIN_GET_INFO` (16).\n#[must_use]\npub async fn info(&self) -> X {\n\
                }\npub async fn bare(&self) {}\n/// Does what [`info`](Self::info) does, with flags.\npub async fn info_with() {}";
    let lacking: Vec<_> = methods(text).into_iter().map(|(name, said)| (name, lacks(&said))).collect();
    let of_info = vec!["the C function", "since when", "the permission", "errors"];
    let of_bare = vec!["the procedure", "the C function", "since when", "errors"];
    assert_eq!(
        lacking,
        [("info".to_owned(), of_info), ("bare".to_owned(), of_bare), ("info_with".to_owned(), Vec::new())]
    );
}
