//! What has become of each procedure of the protocol: a method, an event, something that is done behind the scenes,
//! or nothing, because another does the same and more. Nothing is left out, which a test sees to.
//!
#![doc = include_str!(concat!(env!("OUT_DIR"), "/ledger.md"))]

use crate::protocol::{ProcedureInfo, Program, admin, lxc, qemu, remote};

/// What has become of one procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Entry {
    /// The program that it belongs to.
    pub program: Program,
    /// Its number there.
    pub number: i32,
    /// Its name in the definition, as in `REMOTE_PROC_DOMAIN_GET_INFO`.
    pub name: &'static str,
    /// What has become of it.
    pub becomes: Becomes,
    /// Whether calling it a second time does no harm, if nobody knows what became of the first.
    pub repeat_is_safe: bool,
}

/// What can become of a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Becomes {
    /// A method: `Domain::info`.
    Method(&'static str),
    /// A method that is not there yet.
    Later {
        /// Which one.
        method: &'static str,
        /// What it comes with.
        with: &'static str,
    },
    /// A kind of event.
    Event(&'static str),
    /// Something that is done behind the scenes, for this reason.
    Internal(&'static str),
    /// Nothing, since this other procedure of the program does all that it does.
    Superseded(&'static str),
    /// Nothing but a raw call: the crate was built with definitions that are newer than its list of methods.
    RawCall,
}

/// Returns what has become of all procedures, by program and number.
pub fn entries() -> impl ExactSizeIterator<Item = &'static Entry> {
    ENTRIES.iter()
}

/// Returns what has become of one procedure.
#[must_use]
pub fn entry(procedure: &ProcedureInfo) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.number == procedure.number && entry.program == procedure.program)
}

include!(concat!(env!("OUT_DIR"), "/ledger.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_procedure_is_left_out() {
        let programs: [(&[ProcedureInfo], usize); 4] =
            [(remote::PROCEDURES, 456), (qemu::PROCEDURES, 7), (lxc::PROCEDURES, 1), (admin::PROCEDURES, 19)];
        for (procedures, count) in programs {
            assert_eq!(procedures.len(), count);
            for procedure in procedures {
                let found: Vec<&Entry> = entries().filter(|entry| entry.name == procedure.name).collect();
                assert!(
                    matches!(found.as_slice(), [entry] if entry.program == procedure.program
                        && entry.number == procedure.number && entry.becomes != Becomes::RawCall),
                    "{}: {found:?}",
                    procedure.name
                );
            }
        }
        assert_eq!(entries().len(), 456 + 7 + 1 + 19);
    }

    #[test]
    fn what_supersedes_is_a_method() {
        for entry in entries() {
            let Becomes::Superseded(by) = entry.becomes else { continue };
            let successor = entries()
                .find(|other| other.program == entry.program && other.name.ends_with(&format!("_PROC_{by}")));
            let becomes = successor.map(|successor| successor.becomes);
            assert!(matches!(becomes, Some(Becomes::Method(_))), "{} by {by}: {becomes:?}", entry.name);
        }
    }
}
