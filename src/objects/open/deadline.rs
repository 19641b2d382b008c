//! The time that opening a connection may take.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result, Waiting};

/// One deadline for all that has to be done, which names what it has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// How long after the start it is.
    after: Duration,
    /// When that is. No clock goes as far as some durations.
    at: Option<Instant>,
}

impl Deadline {
    /// Starts to count.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        let at = timeout.and_then(|after| Instant::now().checked_add(after));
        Self { after: timeout.unwrap_or_default(), at }
    }

    /// Does `doing` until the deadline.
    pub(super) async fn limit<T>(
        self,
        what: &'static str,
        doing: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(at) = self.at else { return doing.await };
        match timeout_at(at, doing).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { what, after: self.after, waiting: Waiting::ForConnection }),
        }
    }
}
