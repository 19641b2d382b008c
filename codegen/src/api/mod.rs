//! `api.toml`: what each procedure is in the typed API, with its words, units and types, as it stands in the file.
//!
//! One table for each procedure, `[remote.DOMAIN_GET_INFO]`. `protocol/README.md` says what the keys mean. Whether
//! the entries fit the procedures is decided by [`check`](Api::check), which knows these.

mod check;
mod read;

use std::collections::BTreeMap;

use crate::error::{Diagnostic, Source, Span};

pub(crate) use check::{BOOL, COUNTER, described, is_flags};

/// What `api.toml` says.
#[derive(Debug)]
pub struct Api {
    source: Source,
    pub(crate) entries: Vec<Entry>,
}

/// What it says about one procedure.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The module of the program: `remote`, `qemu`.
    pub(crate) program: String,
    /// The name without the program's prefix: `DOMAIN_GET_INFO`.
    pub(crate) procedure: String,
    pub(crate) becomes: Becomes,
    /// One sentence with a verb first, without its full stop; there for methods and events.
    pub(crate) summary: String,
    /// The C function.
    pub(crate) c: Option<String>,
    /// The libvirt version that first had it.
    pub(crate) since: Option<String>,
    /// The C name of the type of `flags`.
    pub(crate) flags: Option<Text>,
    /// Fields and arguments that are values of an enum, with its C name, or `bool`.
    pub(crate) enums: BTreeMap<String, Text>,
    /// The units of fields and arguments.
    pub(crate) units: BTreeMap<String, Text>,
    /// Better names of fields and arguments.
    pub(crate) names: BTreeMap<String, Text>,
    /// The code of the error that says that there is nothing to return, which is normal.
    pub(crate) none: Option<Text>,
    /// The struct that its typed parameters are, by its path in the crate: `params::MemoryParameters`.
    pub(crate) params: Option<Text>,
    /// Whether repeating it after a lost connection does no harm.
    pub(crate) repeat_is_safe: bool,
    /// Where the name stands.
    at: Place,
}

/// What a procedure becomes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// `Domain::info`
    Method { object: String, name: String },
    /// `DomainEvent::Lifecycle`
    Event(String),
    /// Nothing that users call, for a reason.
    Internal(String),
    /// Less than what another procedure does, by its name in the same program.
    Superseded(Text),
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    at: Place,
}

/// The place does not make a value another.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

/// A range of bytes in the file.
type Place = std::ops::Range<usize>;

impl Api {
    /// Starts a message about a place in the file.
    fn error(&self, at: &Place, message: impl Into<String>) -> Diagnostic {
        error(&self.source, at, message)
    }

    /// Starts a message about an entry.
    pub(crate) fn entry_problem(&self, entry: &Entry, message: impl Into<String>) -> Diagnostic {
        self.error(&entry.at, message)
    }
}

fn error(source: &Source, at: &Place, message: impl Into<String>) -> Diagnostic {
    source.error(Span { start: at.start, end: at.end.max(at.start) }, message)
}
