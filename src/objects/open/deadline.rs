//! The time that opening a connection may take.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Result, phase};

/// One deadline for all that has to be done, which names what it has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// How long after the start it is.
    after: Duration,
    /// When that is. No clock goes as far as some durations.
    at: Option<Instant>,
    /// How long the daemon may be silent, where there is no deadline.
    patience: Option<Duration>,
}

impl Deadline {
    /// Starts to count.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        let at = timeout.and_then(|after| Instant::now().checked_add(after));
        Self { after: timeout.unwrap_or_default(), at, patience: None }
    }

    /// Sets how long the daemon may be silent before it answers to what any living one does at once.
    pub(super) fn with_patience(self, patience: Option<Duration>) -> Self {
        Self { patience, ..self }
    }

    /// Does `doing` until the deadline. The error names what was waited for: `what`, unless a part of it has a name.
    pub(super) fn limit<T: Send>(
        self,
        what: &'static str,
        doing: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        // In a box: each layer around a future takes its room once more.
        let doing = Box::pin(doing);
        async move {
            match self.at {
                Some(at) => phase::until(at, self.after, what, doing).await,
                None => doing.await,
            }
        }
    }

    /// The same, for one answer that any living daemon gives at once: without a deadline, one that is silent for as long as
    /// there is patience is given up all the same.
    pub(super) fn limit_silence<T: Send>(
        self,
        what: &'static str,
        doing: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        let limit = if self.at.is_some() { self } else { Self::new(self.patience) };
        limit.limit(what, doing)
    }
}
