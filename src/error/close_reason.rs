//! Why a connection ended.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{ConnectCloseReason, Error};

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
    /// The daemon gave signs of life, and no answer to the question that a supervised connection asks it from time to time.
    Unresponsive {
        /// How long it had for the answer.
        after: Duration,
    },
    /// A supervised connection was not restored within the time that its policy allows for it, or never will be.
    GivenUp {
        /// How long it was tried.
        after: Duration,
        /// What became of the last attempt.
        error: Arc<Error>,
    },
    /// The daemon said that its own connection to the hypervisor has ended, as a proxy does whose daemon behind it has gone,
    /// and why so. It answers to nothing that needs the hypervisor any more, so the connection was ended.
    Announced(ConnectCloseReason),
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
            Self::Unresponsive { after } => {
                write!(f, "the daemon lives, but did not answer within {after:?}")
            }
            Self::GivenUp { after, error } => write!(f, "given up after {after:?}: {error}"),
            Self::Announced(reason) => {
                write!(f, "the daemon says that its own connection to the hypervisor has ended: {reason}")
            }
            Self::Runtime => f.write_str("the runtime that it ran on was shut down"),
        }
    }
}
