//! The recordings, and what is said about comparing them.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use libvirt_client::testing::Recording;

/// Returns the directory of the recordings in the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings")
}

/// Returns the directory of the recordings to compare with: the repository's, unless `RECORDINGS` names another.
pub(crate) fn directory() -> PathBuf {
    std::env::var_os("RECORDINGS").map_or_else(repository, PathBuf::from)
}

/// Returns all recordings to compare with, and their files' names.
pub(crate) fn all() -> &'static [(String, Recording)] {
    static ALL: OnceLock<Vec<(String, Recording)>> = OnceLock::new();
    ALL.get_or_init(|| read(&directory()))
}

/// Reads the recordings of a directory, in the order of their files' names.
pub(crate) fn read(directory: &Path) -> Vec<(String, Recording)> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".rec")).collect();
    names.sort();
    let load = |name: String| {
        let recording = Recording::load(directory.join(&name)).unwrap_or_else(|error| panic!("{error}"));
        (name, recording)
    };
    names.into_iter().map(load).collect()
}

/// What was compared, and what differed.
#[derive(Debug)]
pub(crate) struct Report {
    what: &'static str,
    counts: Vec<(&'static str, usize)>,
    differences: Vec<String>,
}

impl Report {
    pub(crate) fn new(what: &'static str, counted: &[&'static str]) -> Self {
        Self { what, counts: counted.iter().map(|&name| (name, 0)).collect(), differences: Vec::new() }
    }

    pub(crate) fn count(&mut self, name: &str, more: usize) {
        let (_, count) = self.counts.iter_mut().find(|(known, _)| *known == name).unwrap();
        *count += more;
    }

    pub(crate) fn difference(&mut self, recording: &str, frame: usize, what: impl fmt::Display) {
        self.differences.push(format!("{recording}, frame {}: {what}", frame + 1));
    }

    pub(crate) fn assert_no_differences(&self) {
        let shown: Vec<_> = self.differences.iter().take(20).map(String::as_str).collect();
        assert!(self.differences.is_empty(), "{} differences\n{}", self.differences.len(), shown.join("\n"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what)?;
        for (name, count) in &self.counts {
            write!(f, " {count} {name},")?;
        }
        write!(f, " {} differences", self.differences.len())
    }
}
