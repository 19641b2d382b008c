//! The task that opens a connection again.

use std::{
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep, timeout},
};

use super::{LinkState, OpeningLimit, Policy, backoff::Backoff};
use crate::{
    error::{CloseReason, Error, Result, Waiting},
    objects::connection::{Builder, Connection, Found},
    rpc::{Client, Supervisor, expecting},
};

/// How long the daemon may take to register for all events again.
const ADOPTING: Duration = Duration::from_secs(30);
/// How long an opening counts against the limit.
const COUNTED: Duration = Duration::from_secs(2);

/// Keeps a connection up.
#[derive(Debug)]
pub(super) struct Task {
    supervisor: Arc<Supervisor>,
    builder: Builder,
    policy: Policy,
    found: Arc<Found>,
    state: watch::Sender<LinkState>,
}

/// A time without a connection.
#[derive(Debug)]
struct Outage {
    begun: Instant,
    since: SystemTime,
    attempts: u32,
}

impl Outage {
    fn begin() -> Self {
        Self { begun: Instant::now(), since: SystemTime::now(), attempts: 0 }
    }
}

impl Task {
    pub(super) fn new(
        supervisor: Arc<Supervisor>,
        mut builder: Builder,
        policy: Policy,
        found: Arc<Found>,
        state: watch::Sender<LinkState>,
    ) -> Self {
        // That an attempt fails is the state of the connection, and nothing that a user of it gets.
        builder.config.on_error = None;
        Self { supervisor, builder, policy, found, state }
    }

    /// Works until the connection has ended for good.
    pub(super) async fn run(self, first: Option<Connection>) {
        if let Some(reason) = self.supervisor.unless_over(self.keep_up(first)).await {
            self.supervisor.end(reason);
        }
    }

    /// Opens the connection whenever it is not there. Returns why that is given up.
    async fn keep_up(&self, mut opened: Option<Connection>) -> CloseReason {
        let mut backoff = Backoff::new(self.policy.first_delay, self.policy.max_delay);
        let mut outage = Outage::begin();
        loop {
            let error = match self.take_up_in_time(opened.take(), outage.begun).await {
                Ok(connection) => {
                    let begun = Instant::now();
                    let reason = self.watch(connection).await;
                    // One that is lost as soon as it is there is no better than one that is not.
                    if begun.elapsed() > self.policy.max_delay {
                        backoff.reset();
                    }
                    outage = Outage::begin();
                    Error::Closed(reason)
                }
                Err(error) => {
                    outage.attempts += 1;
                    error
                }
            };
            let down_for = outage.begun.elapsed();
            if is_hopeless(&error) || self.policy.give_up_after.is_some_and(|most| down_for >= most) {
                return CloseReason::GivenUp { after: down_for, error: Arc::new(error) };
            }
            let delay = if is_refusal(&error) { backoff.longest_delay() } else { backoff.delay() };
            let left = self.policy.give_up_after.map(|most| most.saturating_sub(down_for));
            let delay = left.map_or(delay, |left| delay.min(left));
            self.say_down(&outage, error, delay);
            sleep(delay).await;
        }
    }

    fn say_down(&self, outage: &Outage, error: Error, delay: Duration) {
        tracing::debug!(%error, attempts = outage.attempts, ?delay, "the connection is down");
        self.supervisor.is_down(error.clone());
        let now = SystemTime::now();
        let next = now.checked_add(delay).unwrap_or(now);
        let Outage { since, attempts, .. } = *outage;
        self.state.send_replace(LinkState::Down { since, attempts, error, next });
    }

    /// Does what [`take_up`](Self::take_up) does, until it is to be given up.
    async fn take_up_in_time(&self, opened: Option<Connection>, begun: Instant) -> Result<Connection> {
        let Some(after) = self.policy.give_up_after else { return self.take_up(opened).await };
        let left = after.saturating_sub(begun.elapsed());
        timeout(left, self.take_up(opened)).await.unwrap_or_else(|_| {
            let what = "opening the connection again";
            Err(Error::Timeout { what, after, waiting: Waiting::ForConnection })
        })
    }

    /// Opens the connection, unless it is open, and has calls and events go over it.
    async fn take_up(&self, opened: Option<Connection>) -> Result<Connection> {
        let connection = match opened {
            Some(connection) => connection,
            None => self.open().await?,
        };
        self.found.update(&connection);
        // Whatever has been registered keeps the conversation, which nobody will use if this is not done.
        let mut unused = Unused(Some(connection.client().clone()));
        let up = || {
            self.state.send_replace(LinkState::Up { since: SystemTime::now() });
        };
        match timeout(ADOPTING, self.supervisor.adopt(connection.client(), up)).await {
            Ok(adopted) => adopted?,
            Err(_) => {
                let what = "registering for events again";
                return Err(Error::Timeout { what, after: ADOPTING, waiting: Waiting::ForAnswer });
            }
        }
        unused.0 = None;
        tracing::debug!("the connection is up");
        Ok(connection)
    }

    async fn open(&self) -> Result<Connection> {
        let opening = expecting(|_| true, Box::pin(self.builder.clone().open()));
        let Some(OpeningLimit(limit)) = self.policy.openings.clone() else { return opening.await };
        // The semaphore is never closed.
        let permit = limit.acquire_owned().await.ok();
        counted(permit, opening).await
    }

    /// Waits for the end of a connection, and asks now and then whether the daemon still answers.
    async fn watch(&self, connection: Connection) -> CloseReason {
        let mut closed = pin!(connection.closed());
        let Some(every) = self.policy.health_check.filter(|every| !every.is_zero()) else {
            return closed.await;
        };
        let client = connection.client().with_timeout(every);
        loop {
            if let Ok(reason) = timeout(every, closed.as_mut()).await {
                return reason;
            }
            // The answer would come behind data that a reader does not take, and have more of it read.
            let pauses = client.pauses();
            if pauses % 2 == 1 {
                continue;
            }
            let asked = expecting(|_| true, client.call_out_of_turn(Connection::QUESTION)).await;
            let unanswered = matches!(asked, Err(Error::Timeout { .. }));
            if unanswered && client.pauses() == pauses {
                client.abort(CloseReason::Unresponsive { after: every });
            }
        }
    }
}

impl Drop for Task {
    /// However it ends, nobody waits for it any more: its runtime may have been shut down, or whoever was asked for
    /// credentials may have panicked.
    fn drop(&mut self) {
        self.supervisor.end(match std::thread::panicking() {
            true => CloseReason::Io(Arc::new(io::Error::other("the task that opens it again panicked"))),
            false => CloseReason::Runtime,
        });
        let reason = self.supervisor.end_reason().unwrap_or(CloseReason::Client);
        tracing::debug!(%reason, "no longer supervised");
        self.state.send_replace(LinkState::Ended(reason));
    }
}

/// A connection that is ended if nothing comes of it.
struct Unused(Option<Client>);

impl Drop for Unused {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            client.abort(CloseReason::Client);
        }
    }
}

/// Does `opening` with a permit that is given back when it takes long.
async fn counted<T>(permit: Option<OwnedSemaphorePermit>, opening: impl Future<Output = T>) -> T {
    let mut opening = pin!(opening);
    let done = timeout(COUNTED, opening.as_mut()).await;
    drop(permit);
    match done {
        Ok(opened) => opened,
        Err(_) => opening.await,
    }
}

/// Tells whether no time will mend it.
fn is_hopeless(error: &Error) -> bool {
    matches!(error, Error::Uri { .. } | Error::Unsupported(_) | Error::Encode { .. })
}

/// Tells whether somebody has to do something about it, and trying often would only annoy them.
fn is_refusal(error: &Error) -> bool {
    !error.is_transient()
}
