//! Why a domain was not migrated: in which phase, on which side, and where that leaves it.

use std::{fmt, sync::Arc};

use super::Error;

/// Why a domain could not be migrated, and where it is now. It comes in [`Error::Migrate`], which answers all questions as
/// the [`cause`](Self::cause) does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrateError {
    /// The domain's name on the source.
    pub domain: String,
    /// What was being done.
    pub phase: MigratePhase,
    /// Whose doing it was.
    pub side: MigrateSide,
    /// What went wrong.
    pub cause: Error,
    /// What else went wrong afterwards, when both sides were told to give up.
    pub also: Vec<MigrateFault>,
    /// Where the domain is now.
    pub whereabouts: MigrateWhereabouts,
}

/// One thing that went wrong in a migration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrateFault {
    /// What was being done.
    pub phase: MigratePhase,
    /// Whose doing it was.
    pub side: MigrateSide,
    /// What went wrong.
    pub error: Error,
}

/// A phase of a migration, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum MigratePhase {
    /// Both sides are asked what they are able to do.
    Check,
    /// The source says what the destination has to know, and protects the domain from changes.
    Begin,
    /// The destination starts a hypervisor that waits for the domain.
    Prepare,
    /// The source sends the domain, and stops it in the end.
    Perform,
    /// The destination lets the domain run, or throws away what has come of it.
    Finish,
    /// The source removes the domain, or lets it run on.
    Confirm,
}

/// One of the two sides of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum MigrateSide {
    /// Where the domain comes from.
    Source,
    /// Where it is to go.
    Destination,
}

/// Where a domain is after a migration that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum MigrateWhereabouts {
    /// On the source, as it was.
    Source,
    /// On the destination. The source may have it still, paused.
    Destination,
    /// Stopped half way, with a part of its memory on each side, since post-copy was interrupted. It can be
    /// [resumed](crate::MigrateOptions::resume_post_copy).
    PostCopy,
    /// Nobody could be asked. Look at both sides before it is started or resumed on one of them.
    Unknown,
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, phase, side, cause, also, whereabouts } = self;
        write!(f, "cannot migrate {domain} ({phase}, on the {side}): {cause}")?;
        for MigrateFault { phase, side, error } in also {
            write!(f, "; then ({phase}, on the {side}): {error}")?;
        }
        write!(f, "; {whereabouts}")
    }
}

impl std::error::Error for MigrateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(Arc::new(error))
    }
}

impl fmt::Display for MigratePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Check => "check",
            Self::Begin => "begin",
            Self::Prepare => "prepare",
            Self::Perform => "perform",
            Self::Finish => "finish",
            Self::Confirm => "confirm",
        })
    }
}

impl fmt::Display for MigrateSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

impl fmt::Display for MigrateWhereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "the domain is on the source, as before",
            Self::Destination => "the domain is on the destination, and the source may have it still, paused",
            Self::PostCopy => {
                "the domain is stopped with a part of its memory on each side: resume the migration to bring it back"
            }
            Self::Unknown => {
                "where the domain is, is not known: look at both sides before it is started or resumed on one"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorCode, ErrorDomain, ErrorLevel, RemoteError};

    fn refusal(procedure: &'static str, code: ErrorCode, message: &str) -> Error {
        let mut error = RemoteError::new(procedure, code, ErrorDomain::QEMU, ErrorLevel::ERROR);
        error.message = Some(message.to_owned());
        error.into()
    }

    #[test]
    fn a_failed_migration_says_where_and_answers_as_its_cause() {
        let exists = "operation failed: domain 'web' already exists with uuid 1";
        let confirm = Error::Cancelled("no".to_owned());
        let error = Error::from(MigrateError {
            domain: "web".to_owned(),
            phase: MigratePhase::Prepare,
            side: MigrateSide::Destination,
            cause: refusal("PREPARE", ErrorCode::OPERATION_FAILED, exists),
            also: vec![MigrateFault {
                phase: MigratePhase::Confirm,
                side: MigrateSide::Source,
                error: confirm,
            }],
            whereabouts: MigrateWhereabouts::Source,
        });
        assert_eq!(
            error.to_string(),
            "cannot migrate web (prepare, on the destination): operation failed: domain 'web' already exists with \
             uuid 1 (PREPARE, code 9 OPERATION_FAILED from qemu); then (confirm, on the source): no; \
             the domain is on the source, as before"
        );
        assert_eq!(error.code(), Some(ErrorCode::OPERATION_FAILED));
        assert!(error.is_already_exists() && !error.is_cancelled());
        assert!(std::error::Error::source(&error).is_some());
    }
}
