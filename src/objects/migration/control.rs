//! What a migration's task and those who wait for it tell each other.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::MigrateProgress;
use crate::{
    error::{CloseReason, Error, ErrorCode, MigratePhase, Result, Waiting},
    objects::{
        Domain,
        enums::{DomainJobOperation, DomainJobType},
    },
};

/// How long after one attempt to stop a job the next one follows, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a migration is cancelled.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// The program asked for it.
    Asked,
    /// Nobody waits for it any more.
    Dropped,
    /// It has taken as long as it may.
    TookTooLong(Duration),
    /// There is nobody left who could take the domain over.
    DestinationIsGone(CloseReason),
}

impl Why {
    /// Says it as an error, where no daemon has said one.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Asked => Error::Cancelled("the migration was cancelled".to_owned()),
            Self::Dropped => {
                Error::Cancelled("the migration was cancelled, since nobody waited for it".to_owned())
            }
            Self::TookTooLong(after) => {
                Error::Timeout { what: "migrating the domain", after, waiting: Waiting::ForEnd }
            }
            Self::DestinationIsGone(reason) => Error::Closed(reason),
        }
    }
}

/// Asks a migration's task to give up. The first reason counts.
#[derive(Clone, Debug)]
pub(super) struct Cancel {
    why: Arc<watch::Sender<Option<Why>>>,
    /// Whether it was switched to post-copy. A hypervisor that is told to stop while it does so may lose the domain.
    in_post_copy: Arc<AtomicBool>,
}

impl Cancel {
    pub(super) fn new() -> Self {
        Self { why: Arc::new(watch::Sender::new(None)), in_post_copy: Arc::default() }
    }

    pub(super) fn request(&self, why: Why) {
        self.why.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(why);
            is_first
        });
    }

    pub(super) fn reason(&self) -> Option<Why> {
        self.why.borrow().clone()
    }

    /// Waits until somebody asks for it, and returns why.
    pub(super) async fn requested(&self) -> Why {
        let mut why = self.why.subscribe();
        let known = why.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match known {
            Some(why) => why,
            // The sender lives as long as this does.
            None => pending().await,
        }
    }

    /// Switches to post-copy, unless the migration is being cancelled, which it cannot be any longer after this.
    pub(super) async fn start_post_copy(&self, source: &Domain) -> Result<()> {
        // In this order: either this sees the reason, or whoever stops the job sees this.
        let before = self.in_post_copy.swap(true, Ordering::SeqCst);
        if let Some(why) = self.reason() {
            self.in_post_copy.store(before, Ordering::SeqCst);
            return Err(why.error());
        }
        let started = source.migrate_start_post_copy().await;
        // Any other error leaves open whether the source does it, and an earlier attempt may have made it.
        if !before && matches!(started, Err(Error::Remote(_) | Error::Encode { .. })) {
            self.in_post_copy.store(false, Ordering::SeqCst);
        }
        started
    }
}

/// What the task has of it: whom to tell, and whether to go on.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) cancel: Cancel,
    pub(super) progress: watch::Sender<MigrateProgress>,
    /// Whether anybody wants to know how far it is.
    pub(super) is_watched: Arc<AtomicBool>,
    pub(super) settings: Settings,
    begun: Instant,
}

/// How a migration is looked after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// How often the source is asked how far it is.
    pub(super) interval: Duration,
    /// How long it may take.
    pub(super) timeout: Option<Duration>,
    /// Whether it goes over to post-copy once all memory has been sent once.
    pub(super) post_copy_after_first_pass: bool,
}

impl Control {
    pub(super) fn new(
        cancel: Cancel,
        progress: watch::Sender<MigrateProgress>,
        is_watched: Arc<AtomicBool>,
        settings: Settings,
    ) -> Self {
        Self { cancel, progress, is_watched, settings, begun: Instant::now() }
    }

    pub(super) fn enter(&self, phase: MigratePhase) {
        tracing::debug!(%phase, "migrating");
        self.progress.send_modify(|progress| {
            progress.phase = phase;
            progress.elapsed = self.begun.elapsed();
        });
    }

    /// Runs all of a migration, which is cancelled when it takes too long.
    pub(super) async fn limited<T>(&self, migration: impl Future<Output = T>) -> T {
        let Some(after) = self.settings.timeout else { return migration.await };
        let limit = async {
            tokio::time::sleep(after).await;
            self.cancel.request(Why::TookTooLong(after));
            pending().await
        };
        beside(migration, limit).await
    }

    /// Runs what sends the domain: tells how far it is, and stops the source's job when it is cancelled.
    pub(super) async fn watched<T>(&self, source: &Domain, sending: impl Future<Output = T>) -> T {
        beside(beside(sending, self.report(source)), self.abort_when_cancelled(source)).await
    }

    async fn report(&self, source: &Domain) -> Never {
        let mut switches = self.settings.post_copy_after_first_pass;
        loop {
            tokio::time::sleep(self.settings.interval).await;
            if !switches && !self.is_watched.load(Ordering::Relaxed) {
                continue;
            }
            // Daemons older than libvirt 1.0.3 do not know the question; between two jobs there is no answer.
            let Ok(job) = source.job_stats().await else { continue };
            if job.kind == DomainJobType::NONE {
                continue;
            }
            // The second pass is over what the guest has changed meanwhile.
            if switches && job.stats.memory_iteration.is_some_and(|pass| pass > 1) {
                switches = self.cancel.start_post_copy(source).await.is_err();
            }
            self.progress.send_modify(|progress| {
                progress.elapsed = self.begun.elapsed();
                progress.stats = job.stats;
            });
        }
    }

    /// Stops the job again and again until the call that it belongs to ends: the first time, it may not have begun yet.
    async fn abort_when_cancelled(&self, source: &Domain) -> Never {
        self.cancel.requested().await;
        let mut pause = FIRST_PAUSE;
        loop {
            if !self.cancel.in_post_copy.load(Ordering::SeqCst) && !is_busy_otherwise(source).await {
                match source.abort_job().await {
                    Ok(()) => pause = LONGEST_PAUSE,
                    Err(error) => tracing::debug!(%error, "the migration does not stop yet"),
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says what stopped the migration: where it was us, the daemon's “aborted” is not the reason.
    pub(super) fn reason_of(&self, error: Error) -> Error {
        match self.cancel.reason() {
            Some(why @ (Why::TookTooLong(_) | Why::DestinationIsGone(_)))
                if error.code() == Some(ErrorCode::OPERATION_ABORTED) =>
            {
                why.error()
            }
            _ => error,
        }
    }
}

/// Tells whether the domain's job is another one, such as a backup, for whose end the migration waits: not ours to stop.
async fn is_busy_otherwise(source: &Domain) -> bool {
    let ours = [DomainJobOperation::UNKNOWN, DomainJobOperation::MIGRATION_OUT];
    let job = source.job_stats().await;
    job.is_ok_and(|job| job.stats.operation.is_some_and(|operation| !ours.contains(&operation)))
}

/// The type that has no value.
pub(super) enum Never {}

/// Waits for a future, and polls another one meanwhile.
pub(super) async fn beside<T>(main: impl Future<Output = T>, other: impl Future<Output = Never>) -> T {
    let (mut main, mut other) = (pin!(main), pin!(other));
    poll_fn(|cx| {
        if let Poll::Ready(value) = main.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        match other.as_mut().poll(cx) {
            Poll::Ready(never) => match never {},
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
