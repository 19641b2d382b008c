//! Connections that are opened again when they are lost.
//!
//! ```no_run
//! # async fn example() -> libvirt_client::Result<()> {
//! use libvirt_client::{Connection, Event, supervision::Policy};
//!
//! let connection = Connection::open("qemu+tls://host/system").await?.supervised(Policy::default())?;
//! let mut events = connection.events().all_domain_events().subscribe().await?;
//! while let Some(event) = events.next().await {
//!     match event? {
//!         // The daemon was restarted, the network failed: it is back, and everything is to be looked at again.
//!         Event::Gap { since } => println!("unobserved since {since:?}: {} domains", connection.domains().await?.len()),
//!         event => println!("{event:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What goes on, and what does not
//!
//! * **The connection and all objects that come from it** go on working. Opening it again does what the first opening did:
//!   the way to the daemon, authentication (whoever was asked for credentials is asked again), keepalive.
//! * **Calls** that are made while the connection is down wait for it, as long as [`Policy::wait`] says and their own deadline
//!   allows. One that was on its way is made again if it was not sent whole, or if [`ledger`](crate::ledger) says of its procedure
//!   that repeating it is safe: three times at most if it was begun, as it may be what the daemon dies of. All others fail with
//!   [`Error::Interrupted`], which says whether the daemon may have carried them out.
//! * **Events** are registered for again, and each stream gets one [`Event::Gap`](crate::Event::Gap) at the place where
//!   some may be missing. Calls go on only once all events are registered for, so what is asked after the gap is up to date. A
//!   registration that is refused then, or that four connections in a row end with, is told as an error behind the gap; the
//!   stream goes on with the others, and it is tried again the next time.
//! * **Data streams, migrations and their like** belong to the connection that they were begun on, and fail with it.
//! * What belonged to the daemon's side of the connection is gone with it: domains that were started to be destroyed with it
//!   (`AUTODESTROY`), the agent's response timeout, the test driver's domains.
//!
//! [`Supervision`] says how it stands, and ends it. It also ends when the last handle of the connection is dropped, with
//! [`Connection::close`], and if [`Policy::give_up_after`] says so; everyone who waits then gets [`Error::Closed`].

mod backoff;
mod supervisor;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::{Semaphore, watch};
use tracing::Instrument;

use self::supervisor::Task;
use super::{
    connection::{Builder, Connection, Found},
    ledger,
};
use crate::{
    error::{CloseReason, Error, Result},
    protocol::ProcedureInfo,
    rpc::{Client, Patience, Supervisor},
};

/// How a connection is to be kept up.
///
/// ```
/// use std::time::Duration;
/// use libvirt_client::supervision::Policy;
///
/// let patient = Policy::default().max_delay(Duration::from_secs(60)).wait(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[must_use = "a policy does nothing until a connection is supervised by it"]
pub struct Policy {
    first_delay: Duration,
    max_delay: Duration,
    give_up_after: Option<Duration>,
    wait: Duration,
    health_check: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(skip))]
    openings: Option<OpeningLimit>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(1),
            give_up_after: None,
            wait: Duration::from_secs(30),
            health_check: None,
            openings: None,
        }
    }
}

impl Policy {
    /// Sets how long after a loss the first attempt is made; 100 ms unless stated. After each that fails, it is twice as long,
    /// up to [`max_delay`](Self::max_delay). Up to a quarter of the time, more or less, is left to chance, so that the clients
    /// of a daemon that was restarted do not all come at once.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Sets how long to wait at most between two attempts; one second unless stated, so that a daemon that is back is noticed
    /// within two. Many daemons, or such as are reached over SSH, may be given more.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets how long the connection may be down before it is given up for good; unless stated, it never is.
    pub fn give_up_after(mut self, outage: impl Into<Option<Duration>>) -> Self {
        self.give_up_after = outage.into();
        self
    }

    /// Sets how long a call waits for a connection that is down; 30 seconds unless stated.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets how often the daemon is asked whether it still answers calls, and how long it has for that; never unless stated, as
    /// keepalive notices daemons that are dead, and networks. This notices those that live and do nothing, since all their
    /// ordinary worker threads are stuck ([`Connection::ping`]): the connection then ends with
    /// [`CloseReason::Unresponsive`], and is opened again. Many slow calls keep workers busy for good reason, so leave it
    /// minutes rather than seconds. While data of a stream waits for its reader, nothing follows from a missing answer.
    pub fn health_check(mut self, every: impl Into<Option<Duration>>) -> Self {
        self.health_check = every.into();
        self
    }

    /// Sets a limit to how many connections are opened at once, which others share.
    pub fn openings(mut self, limit: OpeningLimit) -> Self {
        self.openings = Some(limit);
        self
    }
}

/// How many connections may be opened at once; all clones are one limit. An opening that takes longer than two seconds no
/// longer counts, so that hosts which do not answer do not hold up others.
#[derive(Clone)]
pub struct OpeningLimit(Arc<Semaphore>);

impl OpeningLimit {
    /// Makes a limit; 0 is taken for 1.
    #[must_use]
    pub fn new(openings: usize) -> Self {
        Self(Arc::new(Semaphore::new(openings.clamp(1, Semaphore::MAX_PERMITS))))
    }
}

impl fmt::Debug for OpeningLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningLimit").field("free", &self.0.available_permits()).finish()
    }
}

/// How a supervised connection stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkState {
    /// It is being opened for the first time.
    Connecting,
    /// It is there.
    #[non_exhaustive]
    Up {
        /// Since when.
        since: SystemTime,
    },
    /// It is not there, and is being opened again.
    #[non_exhaustive]
    Down {
        /// Since when; something may have been heard of the daemon for the last time before that.
        since: SystemTime,
        /// How many attempts have failed since then.
        attempts: u32,
        /// Why the last one failed, or why the connection was lost.
        error: Error,
        /// When the next attempt is made, or was begun.
        next: SystemTime,
    },
    /// It has ended for good.
    Ended(CloseReason),
}

impl LinkState {
    /// Tells whether calls are carried out at once.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// Who keeps a connection up: see [`Connection::supervised`]. It does not keep it alive: the connection ends when the last
/// handle of it is dropped.
#[derive(Clone, Debug)]
pub struct Supervision {
    supervisor: Arc<Supervisor>,
    state: watch::Receiver<LinkState>,
}

impl Supervision {
    /// Returns another handle, which knows how the connection stands now.
    pub(super) fn seen(&self) -> Self {
        let mut seen = self.clone();
        seen.state.mark_unchanged();
        seen
    }

    /// Returns how the connection stands.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Waits until it stands otherwise than when this handle was made or this was last called, and returns how; at once if it
    /// has ended. Keep one handle for it: a new one knows what has been.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) -> LinkState {
        // If there is nobody to change it, it has ended.
        let _ = self.state.changed().await;
        self.state.borrow_and_update().clone()
    }

    /// Waits until the connection is there.
    ///
    /// # Errors
    /// [`Error::Closed`] if it has ended.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn until_up(&self) -> Result<()> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| matches!(state, LinkState::Up { .. } | LinkState::Ended(_)));
        match settled.await.as_deref() {
            Ok(LinkState::Ended(reason)) => Err(Error::Closed(reason.clone())),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed(CloseReason::Runtime)),
        }
    }

    /// Ends the connection at once and for all who hold it, without a goodbye: see [`Connection::close`] for one.
    pub fn stop(&self) {
        self.supervisor.end(CloseReason::Client);
    }
}

impl Connection {
    /// Returns a connection that is this one as long as that lives, and is opened in the same way again when it is lost.
    /// Objects that were made before do not take part: the module [`supervision`](crate::supervision) says what does.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a connection over a stream of the program, which cannot be opened again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn supervised(self, policy: Policy) -> Result<Self> {
        let Some(builder) = self.opened_how().cloned() else {
            let reason =
                "a connection over a stream cannot be opened again, and so not be supervised".to_owned();
            return self.client().observed(Err(Error::Unsupported(reason)));
        };
        let uri = self.uri().to_owned();
        Ok(supervise(builder, uri, policy, Some(self)))
    }
}

impl Builder {
    /// Returns a connection that is opened in the background, now and when it is lost. It is there even if the daemon is not:
    /// see [`supervision`](crate::supervision).
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Config`] or [`Error::Unsupported`], where no attempt could ever succeed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn supervised(self, policy: Policy) -> Result<Connection> {
        let plan = self.plan()?;
        let uri = plan.uri.map_or_else(|| self.uri.clone(), |uri| uri.text);
        Ok(supervise(self, uri, policy, None))
    }
}

fn supervise(builder: Builder, uri: String, policy: Policy, first: Option<Connection>) -> Connection {
    let patience = Patience { wait: policy.wait, may_repeat };
    let (client, supervisor) = Client::supervised(&builder.config, patience);
    let supervisor = Arc::new(supervisor);
    let found = Arc::new(Found::default());
    if let Some(first) = &first {
        found.update(first);
    }
    let (state, watched) = watch::channel(LinkState::Connecting);
    let span = tracing::info_span!("supervision", uri);
    let task = Task::new(supervisor.clone(), builder.clone(), policy, found.clone(), state);
    tokio::spawn(task.run(first).instrument(span));
    let supervision = Supervision { supervisor, state: watched };
    Connection::supervised_by(client, uri, builder, found, supervision)
}

/// Tells whether calling a procedure a second time does no harm.
fn may_repeat(procedure: &ProcedureInfo) -> bool {
    ledger::entry(procedure).is_some_and(|entry| entry.repeat_is_safe)
}
