//! Makes the table in tests/README.md out of what the live tests noted, and holds the last run against it.
//!
//! `tests/run --table` writes the table. Any other run compares: what the table says is answered must have been answered
//! again, if the libvirt is of the same version.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics fails")]

#[path = "../support/notes.rs"]
mod notes;
mod table;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
};

use libvirt_client::ledger::{self, Becomes};

use notes::Outcome;
use table::Table;

/// Set to write the table instead of comparing with it.
const WRITE: &str = "LIBVIRT_TEST_TABLE";

/// How many procedures some driver answered, and how many kinds of events came, at least; libvirt's own client gets
/// answers to 374 procedures of the three drivers on such a machine.
const ANSWERED: usize = 385;
const KINDS_OF_EVENTS: usize = 31;

#[test]
fn the_table_in_the_readme_holds() {
    let now = last_run();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    if env::var_os(WRITE).is_some() {
        fs::write(&path, table::replaced(&readme, &now)).unwrap();
        report(&format!("{} has the outcomes of this run", path.display()));
        return;
    }
    let written = Table::from_markdown(&readme).unwrap_or_else(|error| panic!("tests/README.md: {error}"));
    let (lost, different) = written.compare(&now);
    if written.version != now.version {
        report(&format!(
            "the table in tests/README.md is of libvirt {}, this run of {}",
            written.version, now.version
        ));
        report(&[lost, different].concat().join("\n"));
        return;
    }
    if !different.is_empty() {
        report("the table in tests/README.md is old; tests/run --table writes it anew");
        report(&different.join("\n"));
    }
    assert!(
        lost.is_empty(),
        "tests/README.md says that these are answered, and in the last run of all live tests they were not:\n{}\n\
         If that is right, tests/run --table writes the table anew",
        lost.join("\n")
    );
}

#[test]
fn as_much_is_answered_as_ever() {
    let now = last_run();
    let answered = now.answered();
    let (procedures, events) = (answered.len(), now.kinds_of_events());
    assert!(procedures >= ANSWERED, "{procedures} procedures were answered");
    assert!(events.len() >= KINDS_OF_EVENTS, "{} kinds of events came: {events:?}", events.len());
}

#[test]
fn every_method_is_called() {
    let now = last_run();
    let called: BTreeSet<&str> = now.notes.iter().map(|note| note.procedure.as_str()).collect();
    let mut not_called = Vec::new();
    for entry in ledger::entries() {
        if matches!(entry.becomes, Becomes::Method(_)) && !called.contains(entry.name) {
            not_called.push(entry.name);
        }
    }
    assert!(not_called.is_empty(), "no live test calls {not_called:?}");
}

#[test]
fn every_noted_procedure_is_in_the_ledger() {
    let known: BTreeSet<&str> = ledger::entries().map(|entry| entry.name).collect();
    for note in &last_run().notes {
        assert!(known.contains(note.procedure.as_str()), "{note}");
        let entry = ledger::entries().find(|entry| entry.name == note.procedure).unwrap();
        let is_event = matches!(entry.becomes, Becomes::Event(_));
        assert_eq!(is_event, note.outcome == Outcome::Event, "{note}: {:?}", entry.becomes);
    }
}

/// Says something that is seen although the test passes.
fn report(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn last_run() -> Table {
    let path = notes::path();
    let read = fs::read_to_string(&path);
    let text = read.unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}; run the live tests first: cargo test --features live-tests --test live",
            path.display()
        )
    });
    Table::from_notes(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
