//! A migration before it begins, and while it goes on.

use std::{
    fmt,
    future::{Future, IntoFuture, pending},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::{oneshot, watch};
use tracing::{Instrument, Span};

use super::{
    control::{Cancel, Control, Settings, Why},
    managed::{Failed, failed},
};
use crate::{
    error::{
        CloseReason, Error, MigrateFault, MigratePhase, MigrateSide, MigrateWhereabouts, Result, Waiting,
    },
    objects::{Domain, stats::JobStats},
    rpc::expecting,
};

/// How often the source is asked how far it is, unless it is said otherwise.
const INTERVAL: Duration = Duration::from_millis(500);

type Outcome<T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send>>;

/// How far a migration is.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MigrateProgress {
    /// What is being done.
    pub phase: MigratePhase,
    /// How long it has taken in all.
    pub elapsed: Duration,
    /// What the source has told of its job: nothing at first. It goes on being the last that was told.
    pub stats: JobStats,
}

impl MigrateProgress {
    /// Returns the part of memory and disks that has been sent, from 0 to 1, if the source has told of it. What the guest
    /// changes meanwhile is sent again, so this may go back.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let total = self.stats.data_total.filter(|total| *total > 0)?;
        let left = self.stats.data_remaining.unwrap_or(0).min(total);
        #[allow(clippy::cast_precision_loss, reason = "nobody sees a part of 2^-52")]
        Some((total - left) as f64 / total as f64)
    }
}

/// A migration that has been described and not been begun. Awaiting it begins it, and returns what it comes to: the domain
/// on the destination, or nothing where this client does not talk to the destination.
///
/// ```no_run
/// # async fn example(web: libvirt_client::Domain, there: libvirt_client::Connection) -> libvirt_client::Result<()> {
/// use std::time::Duration;
/// use libvirt_client::MigrateOptions;
///
/// let moved = web
///     .migrate_to(&there, MigrateOptions::live().persist_destination().undefine_source())
///     .timeout(Duration::from_secs(600))
///     .on_progress(|progress| println!("{} {:?}", progress.phase, progress.fraction()))
///     .await?;
/// assert!(moved.is_active().await?);
/// # Ok(())
/// # }
/// ```
#[must_use = "a migration does nothing until it is awaited or started"]
pub struct Migration<T = Domain> {
    domain: Domain,
    settings: Settings,
    on_progress: Option<OnProgress>,
    run: Box<dyn FnOnce(Arc<Control>) -> Outcome<T> + Send>,
}

type OnProgress = Box<dyn FnMut(&MigrateProgress) + Send>;

impl<T: Send + 'static> Migration<T> {
    /// Describes a migration of `domain`.
    pub(super) fn new<F>(domain: Domain, run: impl FnOnce(Arc<Control>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        Self {
            domain,
            settings: Settings { interval: INTERVAL, timeout: None, post_copy_after_first_pass: false },
            on_progress: None,
            run: Box::new(|control| Box::pin(run(control))),
        }
    }

    /// Limits how long it may take in all. Then it is cancelled, and its error [`is_timeout`](Error::is_timeout). There is
    /// no limit unless stated; the connections' own deadlines for calls are not for it.
    ///
    /// A daemon that does not answer before the domain is being sent is not waited for more than 5 s longer. What it was
    /// asked to begin is called off when it does.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.timeout = timeout.into();
        self
    }

    /// Sets who is told how far it is: at the beginning of each phase, and while the domain is sent as often as
    /// [`progress_every`](Self::progress_every) says. It is called in the task that waits for the migration.
    pub fn on_progress(mut self, told: impl FnMut(&MigrateProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(told));
        self
    }

    /// Sets how often the source is asked how far it is; every 500 ms unless stated. It is not asked where nobody wants to
    /// know.
    pub fn progress_every(mut self, interval: Duration) -> Self {
        self.settings.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Switches to post-copy once all memory has been sent once, if the options have
    /// [`post_copy`](crate::MigrateOptions::post_copy). It is noticed as often as
    /// [`progress_every`](Self::progress_every) says.
    pub fn post_copy_after_first_pass(mut self) -> Self {
        self.settings.post_copy_after_first_pass = true;
        self
    }

    /// Begins it, on a task of its own, and returns what it can be watched and cancelled by.
    pub fn start(self) -> RunningMigration<T> {
        let Self { domain, settings, on_progress, run } = self;
        let cancel = Cancel::new();
        let (telling, progress) = watch::channel(MigrateProgress {
            phase: MigratePhase::Check,
            elapsed: Duration::ZERO,
            stats: JobStats::default(),
        });
        let is_watched = Arc::new(AtomicBool::new(on_progress.is_some()));
        let control = Arc::new(Control::new(cancel.clone(), telling, is_watched.clone(), settings));
        let (done, outcome) = oneshot::channel();
        let span = tracing::info_span!("migration", domain = domain.name());
        let task = async move {
            // Of all errors, whoever waits is told the one that stopped it, and hooks of what a success has left behind.
            let result =
                expecting(|error| !is_left_behind(error), control.limited(run(control.clone()))).await;
            if let Err(error) = &result {
                tracing::debug!(%error, "not migrated");
            }
            drop(control);
            let _ = done.send(result);
        };
        domain.connection.client().runtime().spawn(task.instrument(span).instrument(Span::current()));
        let told = on_progress.map(|told| (told, MigrateUpdates::new(progress.clone())));
        let given_up = Box::pin(given_up(cancel.clone(), progress.clone()));
        RunningMigration {
            domain,
            cancel,
            progress,
            is_watched,
            told,
            outcome,
            given_up,
            ends_with_this: true,
        }
    }
}

/// How long a migration that is cancelled before it sends the domain waits for a daemon that does not answer.
const GRACE: Duration = Duration::from_secs(5);

/// Waits until a migration has been cancelled for so long and still waits for a daemon's answer, without which nothing goes
/// on. Returns where it stands, and why.
async fn given_up(cancel: Cancel, progress: watch::Receiver<MigrateProgress>) -> (MigratePhase, Why) {
    let why = cancel.requested().await;
    tokio::time::sleep(GRACE).await;
    let is_early = |phase| matches!(phase, MigratePhase::Check | MigratePhase::Begin | MigratePhase::Prepare);
    // Nobody enters a later phase any more.
    let phase = progress.borrow().phase;
    if is_early(phase) { (phase, why) } else { pending().await }
}

/// Says that a migration was cancelled, and that it is not over yet.
fn not_called_off(domain: &Domain, phase: MigratePhase, why: Why) -> Failed {
    let side = match phase {
        MigratePhase::Prepare => MigrateSide::Destination,
        _ => MigrateSide::Source,
    };
    let mut failed = failed(domain, phase, side, why.error());
    let error = Error::Timeout { what: "calling it off", after: GRACE, waiting: Waiting::ForAnswer };
    failed.also.push(MigrateFault { phase, side, error });
    failed
}

/// Tells whether an error is about what a migration that succeeded has left on the source.
fn is_left_behind(error: &Error) -> bool {
    error.migration().is_some_and(|why| why.whereabouts == MigrateWhereabouts::Destination)
}

impl<T: Send + 'static> IntoFuture for Migration<T> {
    type Output = Result<T>;
    type IntoFuture = RunningMigration<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<T> fmt::Debug for Migration<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration").field("domain", &self.domain).field("settings", &self.settings).finish()
    }
}

/// A migration that goes on. Awaiting it returns what it comes to.
///
/// It runs on a task of its own, which brings it to an end that leaves the domain on one side, whatever becomes of this
/// handle: dropping the handle cancels the migration as [`cancel`](Self::cancel) does, and nobody hears of its end. Only when
/// the runtime is shut down does nobody tell the daemons, which then see both connections end and clean up for themselves.
///
/// ```no_run
/// # async fn example(web: libvirt_client::Domain, there: libvirt_client::Connection) -> libvirt_client::Result<()> {
/// use libvirt_client::MigrateOptions;
///
/// let mut migration = web.migrate_to(&there, MigrateOptions::live()).start();
/// let moved = tokio::select! {
///     moved = &mut migration => moved?,
///     _ = tokio::signal::ctrl_c() => {
///         migration.cancel();
///         migration.await? // the error says that it was cancelled, unless it was too late for that
///     }
/// };
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it cancels the migration"]
pub struct RunningMigration<T = Domain> {
    domain: Domain,
    cancel: Cancel,
    progress: watch::Receiver<MigrateProgress>,
    is_watched: Arc<AtomicBool>,
    told: Option<(OnProgress, MigrateUpdates)>,
    outcome: oneshot::Receiver<Result<T, Failed>>,
    given_up: Pin<Box<dyn Future<Output = (MigratePhase, Why)> + Send>>,
    /// Whether dropping this cancels it.
    ends_with_this: bool,
}

impl<T> RunningMigration<T> {
    /// Asks for the migration to be given up: the source stops sending and lets the domain run on, and the destination throws
    /// away what has come. Await the migration to learn what became of that: an error that
    /// [`is_cancelled`](Error::is_cancelled) or, where it was too late, success. In post-copy it is too late: the domain
    /// runs on the destination already.
    pub fn cancel(&self) {
        self.cancel.request(Why::Asked);
    }

    /// Lets it go on without anybody waiting for it.
    pub fn detach(mut self) {
        self.ends_with_this = false;
    }

    /// Switches to post-copy, if the options have [`post_copy`](crate::MigrateOptions::post_copy): the domain stops at the
    /// source, runs on at the destination, and fetches the memory that is not there yet. From then on it needs both sides,
    /// and the migration cannot be cancelled.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_MIGRATE_START_POST_COPY` (364), C: `virDomainMigrateStartPostCopy`, since libvirt 1.3.3.
    /// Needs `domain:migrate`.
    ///
    /// # Errors
    /// What the source refuses it with, as it does before it has begun to send the domain.
    pub async fn start_post_copy(&self) -> Result<()> {
        self.cancel.start_post_copy(&self.domain).await
    }

    /// Returns how far it is, as a stream, which ends when the migration does. A reader that is slow misses what has
    /// been overtaken.
    pub fn progress(&self) -> MigrateUpdates {
        self.is_watched.store(true, Ordering::Relaxed);
        MigrateUpdates::new(self.progress.clone())
    }

    /// Tells whoever is to be told.
    fn tell(&mut self, cx: &mut Context<'_>) {
        let Some((told, updates)) = &mut self.told else { return };
        while let Poll::Ready(Some(progress)) = Pin::new(&mut *updates).poll_next(cx) {
            told(&progress);
        }
    }
}

impl<T> Future for RunningMigration<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.tell(cx);
        let outcome = match pin!(&mut self.outcome).poll(cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                let (phase, why) = ready!(self.given_up.as_mut().poll(cx));
                Ok(Err(not_called_off(&self.domain, phase, why)))
            }
        };
        // What was said between the two.
        self.tell(cx);
        self.ends_with_this = false;
        let result = match outcome {
            Ok(result) => result.map_err(|failed| Error::from(*failed)),
            Err(_) => Err(Error::Closed(CloseReason::Runtime)),
        };
        Poll::Ready(self.domain.connection.client().observed(result))
    }
}

impl<T> Drop for RunningMigration<T> {
    fn drop(&mut self) {
        if self.ends_with_this {
            self.cancel.request(Why::Dropped);
        }
    }
}

impl<T> fmt::Debug for RunningMigration<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningMigration")
            .field("domain", &self.domain)
            .field("progress", &*self.progress.borrow())
            .finish()
    }
}

/// How far a migration is, time and again, until it ends.
#[must_use = "a stream does nothing until it is read"]
pub struct MigrateUpdates {
    next: Pin<Box<dyn Future<Output = Option<Update>> + Send>>,
}

type Update = (MigrateProgress, watch::Receiver<MigrateProgress>);

impl MigrateUpdates {
    fn new(mut progress: watch::Receiver<MigrateProgress>) -> Self {
        // What is known now comes first.
        progress.mark_changed();
        Self { next: Box::pin(next(progress)) }
    }

    /// Waits for news, and returns them; `None` when the migration has ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<MigrateProgress> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

async fn next(mut progress: watch::Receiver<MigrateProgress>) -> Option<Update> {
    progress.changed().await.ok()?;
    let latest = progress.borrow_and_update().clone();
    Some((latest, progress))
}

impl Stream for MigrateUpdates {
    type Item = MigrateProgress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.next.as_mut().poll(cx)) {
            Some((latest, progress)) => {
                self.next = Box::pin(next(progress));
                Poll::Ready(Some(latest))
            }
            None => {
                self.next = Box::pin(std::future::ready(None));
                Poll::Ready(None)
            }
        }
    }
}

impl fmt::Debug for MigrateUpdates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MigrateUpdates")
    }
}
