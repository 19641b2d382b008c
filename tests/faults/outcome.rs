//! What became of a phase.

use std::{fmt, io};

use libvirt_client::{CloseReason, Error};

/// What became of a phase, as far as a user's program would tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The answer that the daemon gave.
    Right,
    /// The answer that came, which is not what the daemon gave: nobody can tell.
    Altered,
    /// The daemon's own error.
    Refused,
    /// An answer that does not decode.
    Unreadable,
    /// The end of the connection between two frames.
    Closed,
    /// The end of the connection within a frame.
    Cut,
    /// The end of the connection, since the daemon was silent.
    Silent,
    /// The end of the connection, since the daemon did what it must not.
    Protocol,
    /// A deadline.
    Timeout,
    /// No connection was made.
    Unconnected,
    /// No connection was made, and what is on the other side is none that one could be made to.
    NoDaemon,
    /// An authentication that nobody knows.
    Auth,
    /// What was asked for is not possible with this daemon.
    Unsupported,
    /// The call was on its way when the connection was lost.
    Interrupted,
    /// Anything else.
    Other,
}

impl Outcome {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Remote(_) => Self::Refused,
            Error::Decode { .. } => Self::Unreadable,
            Error::Timeout { .. } => Self::Timeout,
            Error::Auth(_) => Self::Auth,
            Error::Unsupported(_) => Self::Unsupported,
            Error::Connect { source, .. } if source.kind() == io::ErrorKind::InvalidData => Self::NoDaemon,
            Error::Connect { .. } => Self::Unconnected,
            Error::Closed(reason) => Self::ended(reason),
            Error::Interrupted { .. } => Self::Interrupted,
            _ => Self::Other,
        }
    }

    pub(crate) fn ended(reason: &CloseReason) -> Self {
        match reason {
            CloseReason::Eof => Self::Closed,
            CloseReason::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Cut,
            CloseReason::Keepalive { .. } => Self::Silent,
            CloseReason::Protocol(_) => Self::Protocol,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Right => "right",
            Self::Altered => "altered",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Closed => "closed",
            Self::Cut => "cut",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Unconnected => "no connection",
            Self::NoDaemon => "no daemon",
            Self::Auth => "auth",
            Self::Unsupported => "unsupported",
            Self::Interrupted => "interrupted",
            Self::Other => "other",
        })
    }
}
