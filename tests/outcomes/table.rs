//! What each driver made of each procedure, as notes and as Markdown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use libvirt_client::ledger::{self, Becomes, Entry};

use crate::notes::{Note, Outcome, PART};

/// The lines of the README between which the table stands.
const BEGIN: &str = "<!-- outcomes: written by tests/run --table -->";
const END: &str = "<!-- end of outcomes -->";
/// The columns that come first; others follow by name.
const DRIVERS: [&str; 3] = ["test", "qemu", "lxc"];

/// The outcomes of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Of libvirt.
    pub(crate) version: String,
    pub(crate) notes: BTreeSet<Note>,
}

impl Table {
    /// Reads what the live tests noted.
    pub(crate) fn from_notes(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let version =
            first.strip_prefix("libvirt ").ok_or("the first line does not name libvirt's version")?;
        if version.ends_with(PART) {
            return Err("only some of the live tests ran; run them all".to_owned());
        }
        let notes = lines.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { version: version.to_owned(), notes })
    }

    /// Reads what [`replaced`] wrote.
    pub(crate) fn from_markdown(readme: &str) -> Result<Self, String> {
        let (_, table, _) = parts(readme)?;
        let mut found = Self::default();
        let mut drivers: Vec<&str> = Vec::new();
        for line in table.lines() {
            if let Some(version) = line.strip_prefix("With libvirt ") {
                found.version = version.split([':', ' ']).next().unwrap_or_default().to_owned();
            }
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [procedure, _, outcomes @ .., _] = cells.as_slice() else { continue };
            if *procedure == "procedure" {
                drivers = outcomes.to_vec();
                continue;
            }
            for (driver, outcome) in drivers.iter().zip(outcomes) {
                if !outcome.is_empty() && !outcome.starts_with("---") {
                    found.notes.insert(Note {
                        procedure: (*procedure).to_owned(),
                        driver: (*driver).to_owned(),
                        outcome: (*outcome).into(),
                    });
                }
            }
        }
        match found.version.is_empty() {
            true => Err("the table names no version of libvirt".to_owned()),
            false => Ok(found),
        }
    }

    /// Returns what is answered here and is not in `now`, and what else is different.
    pub(crate) fn compare(&self, now: &Self) -> (Vec<String>, Vec<String>) {
        let (then, now) = (self.best(), now.best());
        let (mut lost, mut different) = (Vec::new(), Vec::new());
        let drivers = self.drivers();
        let keys: BTreeSet<_> = then.keys().chain(now.keys()).collect();
        for key in keys {
            let (was, is) = (then.get(key), now.get(key));
            // A driver that could not be opened has no column.
            if was == is || !is_awaited(key.0) || !drivers.contains(&key.1) {
                continue;
            }
            let text =
                |outcome: Option<&&Outcome>| outcome.map_or("not called".to_owned(), ToString::to_string);
            let line = format!("{} on {}: was {}, is {}", key.0, key.1, text(was), text(is));
            match was {
                Some(Outcome::Ok) => lost.push(line),
                _ => different.push(line),
            }
        }
        (lost, different)
    }

    /// Returns the procedures that some driver answered.
    pub(crate) fn answered(&self) -> BTreeSet<&str> {
        self.notes
            .iter()
            .filter(|note| note.outcome == Outcome::Ok)
            .map(|note| note.procedure.as_str())
            .collect()
    }

    /// Returns the kinds of events that came, as users see them.
    pub(crate) fn kinds_of_events(&self) -> BTreeSet<&str> {
        let came = |entry: &&Entry| {
            self.notes.iter().any(|note| note.procedure == entry.name && note.outcome == Outcome::Event)
        };
        let kind = |entry: &Entry| match entry.becomes {
            Becomes::Event(kind) => Some(kind),
            _ => None,
        };
        ledger::entries().filter(came).filter_map(kind).collect()
    }

    /// Returns the best outcome of each procedure with each driver.
    fn best(&self) -> BTreeMap<(&str, &str), &Outcome> {
        let mut best = BTreeMap::new();
        for note in &self.notes {
            let outcome =
                best.entry((note.procedure.as_str(), note.driver.as_str())).or_insert(&note.outcome);
            *outcome = (*outcome).min(&note.outcome);
        }
        best
    }

    /// Returns the drivers that let themselves be opened.
    fn drivers(&self) -> Vec<&str> {
        let opened =
            |note: &&Note| note.outcome == Outcome::Ok && note.procedure.ends_with("_PROC_CONNECT_OPEN");
        let all: BTreeSet<&str> = self.notes.iter().filter(opened).map(|note| note.driver.as_str()).collect();
        let first = DRIVERS.iter().copied().filter(|driver| all.contains(driver));
        first.chain(all.iter().copied().filter(|driver| !DRIVERS.contains(driver))).collect()
    }
}

/// Tells whether tests wait for a procedure's reply. Registrations are cancelled when they are dropped, which may be
/// when the test ends.
fn is_awaited(procedure: &str) -> bool {
    !procedure.contains("_DEREGISTER_") && !procedure.contains("_UNREGISTER_")
}

/// Writes the table into the README's text.
pub(crate) fn replaced(readme: &str, table: &Table) -> String {
    let (before, _, after) = parts(readme).unwrap_or_else(|error| panic!("tests/README.md: {error}"));
    format!("{before}{BEGIN}\n{}{END}{after}", markdown(table))
}

fn parts(readme: &str) -> Result<(&str, &str, &str), String> {
    let missing = |line: &str| format!("the line {line:?} is missing");
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (table, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    Ok((before, table, after))
}

fn markdown(table: &Table) -> String {
    let (best, answered, kinds) = (table.best(), table.answered(), table.kinds_of_events());
    let mut programs: Vec<(u32, &str)> = Vec::new();
    for entry in ledger::entries() {
        let prefix = entry.name.split("_PROC_").next().unwrap_or_default();
        if programs.last().is_none_or(|(number, _)| *number != entry.program.number) {
            programs.push((entry.program.number, prefix));
        }
    }
    let mut text = format!(
        "\nWith libvirt {}: {} procedures are answered; kinds of events that come: {} ({}).\n",
        table.version,
        answered.len(),
        kinds.len(),
        kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
    );
    for (program, prefix) in programs {
        let entries = || ledger::entries().filter(|entry| entry.program.number == program);
        let has_any = |driver: &&str| entries().any(|entry| best.contains_key(&(entry.name, *driver)));
        let drivers: Vec<&str> = table.drivers().into_iter().filter(has_any).collect();
        let ok = entries().filter(|entry| answered.contains(entry.name)).count();
        let _ = writeln!(text, "\n`{prefix}`: {ok} of {} are answered.\n", entries().count());
        let _ = writeln!(text, "| procedure | number | {} in Rust |", cells(drivers.iter().copied()));
        let _ = writeln!(text, "|---|---|{}---|", "---|".repeat(drivers.len()));
        for entry in entries() {
            let outcome =
                |driver: &&str| best.get(&(entry.name, *driver)).map_or(String::new(), ToString::to_string);
            let outcomes = cells(drivers.iter().map(outcome));
            let becomes = becomes(entry);
            let _ = writeln!(text, "| {} | {} | {outcomes} {becomes} |", entry.name, entry.number);
        }
    }
    text + "\n"
}

fn cells<T: AsRef<str>>(cells: impl Iterator<Item = T>) -> String {
    cells.map(|cell| format!("{} |", cell.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Says what has become of a procedure, and so why some are not called.
fn becomes(entry: &Entry) -> String {
    match entry.becomes {
        Becomes::Method(method) => format!("`{method}`"),
        Becomes::Later { method, with } => format!("later, with {with}: `{method}`"),
        Becomes::Event(kind) => format!("event `{kind}`"),
        Becomes::Internal(reason) => format!("internal: {reason}"),
        Becomes::Superseded(by) => format!("superseded by {by}"),
        _ => "raw call".to_owned(),
    }
}

#[test]
fn a_table_is_read_as_it_was_written() {
    let notes = "libvirt 9.0.0\n\
                 test\tREMOTE_PROC_CONNECT_OPEN\tok\n\
                 test\tREMOTE_PROC_DOMAIN_GET_INFO\tok\n\
                 test\tREMOTE_PROC_DOMAIN_GET_INFO\t42 NO_DOMAIN\n\
                 qemu\tREMOTE_PROC_DOMAIN_GET_INFO\t42 NO_DOMAIN\n\
                 qemu\tREMOTE_PROC_DOMAIN_EVENT_CALLBACK_REBOOT\tevent\n\
                 qemu\tREMOTE_PROC_CONNECT_OPEN\tok\n\
                 bhyve\tREMOTE_PROC_CONNECT_OPEN\t5 NO_CONNECT\n\
                 admin\tADMIN_PROC_CONNECT_OPEN\tok\n";
    let table = Table::from_notes(notes).unwrap();
    let readme = format!("# Tests\n{BEGIN}\nold\n{END}\nmore\n");
    let written = replaced(&readme, &table);
    assert!(written.starts_with("# Tests\n") && written.ends_with("\nmore\n"), "{written}");
    let read = Table::from_markdown(&written).unwrap();
    assert_eq!(read.version, "9.0.0");
    let lines: Vec<String> = read.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "admin\tADMIN_PROC_CONNECT_OPEN\tok",
            "qemu\tREMOTE_PROC_CONNECT_OPEN\tok",
            "test\tREMOTE_PROC_CONNECT_OPEN\tok",
            "qemu\tREMOTE_PROC_DOMAIN_EVENT_CALLBACK_REBOOT\tevent",
            "qemu\tREMOTE_PROC_DOMAIN_GET_INFO\t42 NO_DOMAIN",
            "test\tREMOTE_PROC_DOMAIN_GET_INFO\tok",
        ]
    );
    assert_eq!(read.compare(&table), (vec![], vec![]));
}

#[test]
fn what_is_no_longer_answered_is_lost_and_the_rest_is_different() {
    let opened = "libvirt 9.0.0\ntest\tREMOTE_PROC_CONNECT_OPEN\tok\n";
    let table = |notes: &str| Table::from_notes(&format!("{opened}{notes}")).unwrap();
    let then = table(
        "test\tA\tok\ntest\tA_DEREGISTER_ANY\tok\ntest\tB\tevent\ntest\tC\tok\ntest\tD\t3 NO_SUPPORT\n",
    );
    let now = table("test\tA\t55 OPERATION_INVALID\ntest\tC\tok\ntest\tD\tok\n");
    let (lost, different) = then.compare(&now);
    assert_eq!(lost, ["A on test: was ok, is 55 OPERATION_INVALID"]);
    assert_eq!(different, ["B on test: was event, is not called", "D on test: was 3 NO_SUPPORT, is ok",]);
}
