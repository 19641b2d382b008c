//! The file in which the live tests note what became of each call, and from which the table of outcomes is made.

use std::{fmt, path::PathBuf, str::FromStr};

/// The notes of the last run of the live tests.
pub(crate) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("outcomes.tsv")
}

/// What is added to the first line, which names libvirt's version, when only some tests ran.
pub(crate) const PART: &str = ", a part of the tests";

/// What a driver made of a procedure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Note {
    /// The name in the definition, as in `REMOTE_PROC_DOMAIN_GET_INFO`.
    pub(crate) procedure: String,
    /// The driver, as in `test:///default`; `admin` for a daemon's administration.
    pub(crate) driver: String,
    pub(crate) outcome: Outcome,
}

/// The better ones come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// The call was answered.
    Ok,
    /// The event came.
    Event,
    /// The call was refused, with this code.
    Refused(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Event => "event",
            Self::Refused(code) => code,
        })
    }
}

impl From<&str> for Outcome {
    fn from(text: &str) -> Self {
        match text {
            "ok" => Self::Ok,
            "event" => Self::Event,
            code => Self::Refused(code.to_owned()),
        }
    }
}

/// A line of the file.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { procedure, driver, outcome } = self;
        write!(f, "{driver}\t{procedure}\t{outcome}")
    }
}

impl FromStr for Note {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(driver), Some(procedure), Some(outcome), None) => Ok(Self {
                procedure: procedure.to_owned(),
                driver: driver.to_owned(),
                outcome: outcome.into(),
            }),
            _ => Err(format!("{line:?} is no note")),
        }
    }
}
