//! What can go wrong, by whose doing it is.

use std::{fmt, io, sync::Arc, time::Duration};

include!(concat!(env!("OUT_DIR"), "/error_codes.rs"));

/// Why something could not be done.
///
/// Ask it ([`code`](Self::code), [`is_not_found`](Self::is_not_found), [`close_reason`](Self::close_reason))
/// rather than matching its text. Errors are cheap to clone, since one of them may have to be handed to every
/// caller that waits on a connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The daemon carried out the call's dispatch and answered with an error.
    #[error("{0}")]
    Remote(Arc<RemoteError>),

    /// The connection ended before the answer came.
    #[error("the connection is closed: {0}")]
    Closed(CloseReason),

    /// The deadline passed.
    #[error("{what} {}", match waiting {
        Waiting::ForTurn => format!(
            "was not sent within {after:?}: as many calls as the daemon takes at once were waiting for answers"
        ),
        Waiting::ForAnswer => format!("had no answer within {after:?}; the daemon may still carry it out"),
        Waiting::ForConnection => format!(
            "was not done within {after:?}: is a libvirt daemon on the other side, and is it able to answer?"
        ),
    })]
    Timeout {
        /// The procedure, or what else was being done.
        what: &'static str,
        /// The deadline.
        after: Duration,
        /// What was being waited for when it passed.
        waiting: Waiting,
    },

    /// The daemon could not be reached.
    #[error("cannot connect to {address}: {hint}")]
    Connect {
        /// Where: a socket's path, a host and port.
        address: String,
        /// What happened, and what to do about it.
        hint: String,
        /// The operating system's error.
        #[source]
        source: Arc<io::Error>,
    },

    /// The URI does not say where to connect to.
    #[error("invalid connection URI {uri:?}: {reason}")]
    Uri {
        /// The URI as it was given.
        uri: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },

    /// The daemon asks for an authentication that cannot be given.
    #[error("cannot authenticate: {0}")]
    Auth(String),

    /// A value does not fit into the protocol; nothing was sent.
    #[error("cannot send {what}: {cause}")]
    Encode {
        /// The procedure that was to be called.
        what: &'static str,
        /// Which field, and its limit.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// The daemon's answer is not what the protocol says. The connection goes on where frames are intact.
    #[error("cannot understand the daemon's answer to {what}: {cause}")]
    Decode {
        /// The procedure that was called.
        what: &'static str,
        /// What is wrong with the answer, and where.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// What was asked for is not possible here, or not with these arguments; nothing was sent.
    #[error("{0}")]
    Unsupported(String),
}

/// What was being waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// The call's turn: the daemon has never seen it.
    ForTurn,
    /// The answer: the daemon may still carry the call out.
    ForAnswer,
    /// The connection, while it was being opened.
    ForConnection,
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the daemon's error, if this is one.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteError> {
        match self {
            Self::Remote(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the code of the daemon's error, if this is one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.remote().map(|error| error.code)
    }

    /// Returns why the connection ended, if that is the error.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match self {
            Self::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Tells whether the object that was asked for does not exist: a domain, network, pool, volume, ….
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code().is_some_and(|code| NOT_FOUND.contains(&code))
    }

    /// Tells whether a deadline passed, ours or one that the daemon keeps.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. }) || self.code() == Some(ErrorCode::OPERATION_TIMEOUT)
    }

    /// Tells whether the daemon or the hypervisor lacks what was asked for.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported(_))
            || self.code().is_some_and(|code| {
                [ErrorCode::NO_SUPPORT, ErrorCode::OPERATION_UNSUPPORTED, ErrorCode::CONFIG_UNSUPPORTED]
                    .contains(&code)
            })
    }
}

const NOT_FOUND: [ErrorCode; 14] = [
    ErrorCode::NO_DOMAIN,
    ErrorCode::NO_NETWORK,
    ErrorCode::NO_STORAGE_POOL,
    ErrorCode::NO_STORAGE_VOL,
    ErrorCode::NO_NODE_DEVICE,
    ErrorCode::NO_INTERFACE,
    ErrorCode::NO_NWFILTER,
    ErrorCode::NO_NWFILTER_BINDING,
    ErrorCode::NO_SECRET,
    ErrorCode::NO_DOMAIN_SNAPSHOT,
    ErrorCode::NO_DOMAIN_CHECKPOINT,
    ErrorCode::NO_NETWORK_PORT,
    ErrorCode::NO_SERVER,
    ErrorCode::NO_CLIENT,
];

/// All that the daemon says about an error (`virNetMessageError`; C: `virError`).
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// The object that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.as_deref().unwrap_or("the daemon gave no message");
        write!(f, "{message} ({}, code {} from {})", self.procedure, self.code, self.domain)
    }
}

impl std::error::Error for RemoteError {}

impl From<RemoteError> for Error {
    fn from(error: RemoteError) -> Self {
        Self::Remote(Arc::new(error))
    }
}

/// Why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    Client,
    /// The daemon closed it: it was stopped, or it cut us off.
    Eof,
    /// Reading or writing failed.
    Io(Arc<io::Error>),
    /// The daemon sent nothing, not even answers to our pings.
    Keepalive {
        /// How long nothing came.
        silence: Duration,
    },
    /// The daemon sent something that the protocol does not allow, after which frames cannot be told apart or
    /// trusted.
    Protocol(Arc<dyn std::error::Error + Send + Sync>),
    /// The runtime that the connection's task ran on was shut down.
    Runtime,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("closed by this client"),
            Self::Eof => f.write_str("closed by the daemon"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Keepalive { silence } => write!(f, "the daemon was silent for {silence:?}"),
            Self::Protocol(error) => write!(f, "the daemon broke the protocol: {error}"),
            Self::Runtime => f.write_str("the runtime that it ran on was shut down"),
        }
    }
}
