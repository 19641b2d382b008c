//! What the daemon says about an error.

use std::{fmt, sync::Arc};

use super::{Error, ErrorCode, ErrorDomain, ErrorLevel};

/// All that the daemon says about an error (`virNetMessageError`; C: `virError`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RemoteError {
    /// The procedure that was called, as in `REMOTE_PROC_DOMAIN_GET_INFO`.
    pub procedure: &'static str,
    /// What kind of error it is.
    pub code: ErrorCode,
    /// Which part of libvirt raised it.
    pub domain: ErrorDomain,
    /// How grave it is.
    pub level: ErrorLevel,
    /// The message, in the daemon's language. Some errors have none.
    pub message: Option<String>,
    /// The domain that it is about.
    pub about_domain: Option<ErrorObject>,
    /// The network that it is about.
    pub about_network: Option<ErrorObject>,
    /// Further texts, most often the message before formatting and its arguments.
    pub strings: [Option<String>; 3],
    /// Further numbers: an `errno`, for system errors.
    pub numbers: [i32; 2],
    /// If the error is that the daemon does not know the procedure: the libvirt version that first has it, where that is
    /// known.
    pub since: Option<&'static str>,
}

/// The object that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ErrorObject {
    /// Its name.
    pub name: String,
    /// Its UUID, as sixteen bytes.
    pub uuid: [u8; 16],
    /// The number of a running domain.
    pub id: Option<i32>,
}

impl RemoteError {
    /// Makes an error out of the fields that name it; the others are empty.
    #[must_use]
    pub fn new(procedure: &'static str, code: ErrorCode, domain: ErrorDomain, level: ErrorLevel) -> Self {
        Self {
            procedure,
            code,
            domain,
            level,
            message: None,
            about_domain: None,
            about_network: None,
            strings: [None, None, None],
            numbers: [0; 2],
            since: None,
        }
    }

    /// Tells whether its words say so, where its code does not.
    pub(super) fn says_already_exists(&self) -> bool {
        let said = self.message.as_deref().map(without_names).unwrap_or_default();
        SAID_TO_EXIST.iter().any(|(code, words)| *code == self.code && said.contains(words))
    }
}

/// What daemons say, under a code that tells nothing, when something exists already; without the names in it.
const SAID_TO_EXIST: [(ErrorCode, &str); 5] = [
    // Domains, snapshots, networks, pools, filters, the simulated hypervisor's volumes.
    (ErrorCode::OPERATION_FAILED, " already exists"),
    (ErrorCode::OPERATION_FAILED, " is already defined with uuid"),
    // The new name of a domain.
    (ErrorCode::OPERATION_INVALID, " already exists"),
    // Secrets.
    (ErrorCode::INTERNAL_ERROR, " already defined for use with "),
    // The copy of a volume.
    (ErrorCode::INTERNAL_ERROR, "storage volume name  already in use"),
];

/// Leaves out what is quoted, from the first mark to the last: users choose the names of objects.
fn without_names(message: &str) -> String {
    match (message.split_once('\''), message.rsplit_once('\'')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => message.to_owned(),
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.as_deref().unwrap_or("the daemon gave no message");
        f.write_str(message)?;
        if let Some(since) = self.since {
            write!(f, "; the daemon does not know this procedure, which libvirt has since {since}")?;
        }
        if let Some(advice) = advice(self.code) {
            write!(f, "; {advice}")?;
        }
        write!(f, " ({}, code {} from {})", self.procedure, self.code, self.domain)
    }
}

/// Says what helps where the daemon's message does not.
fn advice(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::AUTH_UNAVAILABLE => Some(
            "polkit wants to ask for a password and finds no agent to do so in this session: run pkttyagent, or let this user in \
             by a polkit rule or as a member of the group libvirt",
        ),
        ErrorCode::AUTH_CANCELLED => Some("nobody answered polkit's question for a password"),
        ErrorCode::ACCESS_DENIED => {
            Some("the daemon's access control (access_drivers in its libvirtd.conf) forbids it to this user")
        }
        _ => None,
    }
}

impl std::error::Error for RemoteError {}

impl From<RemoteError> for Error {
    fn from(error: RemoteError) -> Self {
        Self::Remote(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procedure_that_the_daemon_lacks_is_told_with_its_version() {
        let mut error = RemoteError::new("X", ErrorCode::NO_SUPPORT, ErrorDomain::RPC, ErrorLevel::ERROR);
        error.message = Some("unknown procedure: 450".to_owned());
        assert_eq!(error.to_string(), "unknown procedure: 450 (X, code 3 NO_SUPPORT from rpc)");
        error.since = Some("9.7.0");
        let said = error.to_string();
        assert!(said.contains("does not know this procedure, which libvirt has since 9.7.0"), "{said}");
    }
}
