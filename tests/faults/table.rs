//! The cells that were run, for people and for programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::Duration,
};

use crate::outcome::Outcome;

/// The lines of the README between which the tables stand.
const BEGIN: &str = "<!-- faults: written by tests/run --table -->";
const END: &str = "<!-- end of faults -->";
/// How the names of the phases begin that have a table of their own.
const SUPERVISED: &str = "supervised";

/// What a run showed.
#[derive(Default)]
pub(crate) struct Table {
    cells: Vec<Entry>,
}

/// A cell that was run.
pub(crate) struct Entry {
    /// What went wrong, in which phase, and what else tells cells of one fault and one phase apart: the frame, the place in it.
    pub(crate) row: [String; 3],
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// What the client got, or was told.
    pub(crate) said: String,
    /// What is not as it should be.
    pub(crate) wrong: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, cell: Entry) {
        self.cells.push(cell);
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Writes all cells to a file, one a line, and returns where that is.
    pub(crate) fn write(&self) -> PathBuf {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults.tsv");
        let mut text = String::from("fault\tphase\tplace\toutcome\tmilliseconds\tsaid\twrong\n");
        for Entry { row: [fault, phase, place], outcome, took, said, wrong } in &self.cells {
            let milliseconds = took.as_secs_f64() * 1000.0;
            let said: String =
                said.chars().take(200).map(|char| if char.is_control() { ' ' } else { char }).collect();
            let wrong = wrong.join("; ").replace(char::is_control, " ");
            let _ =
                writeln!(text, "{fault}\t{phase}\t{place}\t{outcome}\t{milliseconds:.1}\t{said}\t{wrong}");
        }
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Counts cells by outcome, and names the slowest.
    pub(crate) fn summary(&self) -> String {
        let mut counts = BTreeMap::<Outcome, (usize, Duration)>::new();
        for cell in &self.cells {
            let (count, slowest) = counts.entry(cell.outcome).or_default();
            *count += 1;
            *slowest = cell.took.max(*slowest);
        }
        let mut text = format!("{} cells\n", self.cells.len());
        for (outcome, (count, slowest)) in counts {
            let _ = writeln!(text, "{count:5} {outcome:14} at most {:.0} ms", slowest.as_secs_f64() * 1000.0);
        }
        text
    }

    /// Returns what is wrong, a cell a line.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let wrong = self.cells.iter().filter(|cell| !cell.wrong.is_empty());
        wrong
            .map(|cell| {
                let Entry { row: [fault, phase, place], outcome, took, said, wrong } = cell;
                let said: String = said.chars().take(300).collect();
                format!("{fault}, {phase}, {place}: {outcome} after {took:?} ({said}): {}", wrong.join("; "))
            })
            .collect()
    }

    /// Returns a table with a row for each fault, and a column for each phase: which outcomes its cells had. Supervised
    /// connections have a table of their own.
    pub(crate) fn markdown(&self) -> String {
        [false, true].map(|supervised| self.markdown_of(supervised)).join("\n")
    }

    fn markdown_of(&self, supervised: bool) -> String {
        let mut phases = Vec::<&str>::new();
        let mut rows = Vec::<&str>::new();
        let mut cells = BTreeMap::<(&str, &str), BTreeSet<Outcome>>::new();
        let chosen = self.cells.iter().filter(|cell| cell.row[1].starts_with(SUPERVISED) == supervised);
        for Entry { row: [fault, phase, _], outcome, .. } in chosen {
            if !phases.contains(&phase.as_str()) {
                phases.push(phase);
            }
            if !rows.contains(&fault.as_str()) {
                rows.push(fault);
            }
            cells.entry((fault, phase)).or_default().insert(*outcome);
        }
        let mut text = format!("| fault | {} |\n|---|{}\n", phases.join(" | "), "---|".repeat(phases.len()));
        for fault in rows {
            let _ = write!(text, "| {fault} |");
            for phase in &phases {
                let outcomes = cells.get(&(fault, *phase)).into_iter().flatten();
                let _ =
                    write!(text, " {} |", outcomes.map(Outcome::to_string).collect::<Vec<_>>().join(", "));
            }
            text.push('\n');
        }
        text
    }

    /// Writes the tables into tests/README.md.
    pub(crate) fn publish(&self) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/README.md");
        let readme = fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).expect("tests/README.md has a place for the table");
        let (_, after) = rest.split_once(END).expect("tests/README.md has a place for the table");
        fs::write(&path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown())).unwrap();
    }
}
