//! What transfers between volumes and files have in common.

use std::{fmt, io, sync::Arc};

use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// How many bytes were transferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Transferred {
    /// Bytes that went over the connection.
    pub data: u64,
    /// Bytes in holes, which did not.
    pub holes: u64,
}

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are done, holes among them.
    pub bytes: u64,
    /// Bytes of these that are in holes.
    pub holes: u64,
    /// Bytes there are in all, where that is known.
    pub total: Option<u64>,
}

/// Who is told how far a transfer has come.
#[derive(Default)]
pub(super) struct Listener(Option<Box<dyn FnMut(Progress) + Send>>);

impl Listener {
    pub(super) fn new(listener: impl FnMut(Progress) + Send + 'static) -> Self {
        Self(Some(Box::new(listener)))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn tell(&mut self, transferred: Transferred, total: Option<u64>) {
        let Transferred { data, holes } = transferred;
        if let Some(listener) = &mut self.0 {
            listener(Progress { bytes: data + holes, holes, total });
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_there() { "Listener" } else { "None" })
    }
}

/// How many pieces may be on their way between the connection and the file.
pub(super) const PIECES_BETWEEN: usize = 4;

/// Waits for what works on a file in a thread of its own.
pub(super) async fn ended<T>(working: JoinHandle<Result<T>>) -> Result<T> {
    working.await.unwrap_or_else(|error| Err(failed("work on", io::Error::other(error))))
}

/// Says what went wrong with the file of this program.
pub(super) fn failed(doing: &'static str, error: io::Error) -> Error {
    Error::File { doing, source: Arc::new(error) }
}
