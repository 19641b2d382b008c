//! Errors as those of the standard library, for the traits of byte streams, and back.

use std::io;

use super::{CloseReason, Error};

impl From<Error> for io::Error {
    /// Keeps the error as the source of the other: [`Error::from_io`] finds it there.
    fn from(error: Error) -> Self {
        Self::new(kind(&error), error)
    }
}

impl Error {
    /// Returns the error of this crate that an error of the standard library was made of, as those are that reading from a
    /// stream and writing to it gives.
    ///
    /// ```
    /// use libvirt_client::Error;
    ///
    /// let error = std::io::Error::from(Error::Unsupported("no holes here".to_owned()));
    /// assert!(Error::from_io(&error).is_some_and(Error::is_unsupported));
    /// assert!(Error::from_io(&std::io::Error::other("another")).is_none());
    /// ```
    #[must_use]
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

fn kind(error: &Error) -> io::ErrorKind {
    match error {
        Error::Closed(CloseReason::Io(cause)) => cause.kind(),
        Error::Closed(_) => io::ErrorKind::ConnectionAborted,
        Error::Connect { source, .. } | Error::File { source, .. } => source.kind(),
        _ if error.is_timeout() => io::ErrorKind::TimedOut,
        _ if error.is_not_found() => io::ErrorKind::NotFound,
        _ if error.is_already_exists() => io::ErrorKind::AlreadyExists,
        _ if error.is_auth() || error.is_read_only() => io::ErrorKind::PermissionDenied,
        _ if error.is_unsupported() => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::Other,
    }
}
