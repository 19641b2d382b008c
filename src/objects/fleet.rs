//! Many hosts from one program: each has a [supervised](Builder::supervised) connection of its own, and none waits for
//! another.
//!
//! ```no_run
//! # async fn example() -> libvirt_client::Result<()> {
//! use std::time::Duration;
//! use libvirt_client::{Connection, fleet::Fleet};
//!
//! let mut fleet = Fleet::builder().concurrent_openings(8).deadline(Duration::from_secs(5)).build();
//! fleet.add("qemu+ssh://root@alpha/system")?;
//! fleet.add(Connection::builder("qemu+ssh://root@beta/system").read_only())?;
//!
//! let mut answers = fleet.each(async |connection| connection.domains().running().await);
//! while let Some((host, answer)) = answers.next().await {
//!     match answer {
//!         Ok(domains) => println!("{}: {} domains run", host.uri(), domains.len()),
//!         Err(error) => println!("{}: {error}", host.uri()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Hosts are connected to in the background, a few at a time, and again whenever one was lost. So a program begins at once,
//! whatever state its hosts are in, and asks those that are there.

use std::{
    future::Future,
    panic,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::task::JoinSet;

use super::{
    Builder, Connection,
    supervision::{LinkState, OpeningLimit, Policy},
};
use crate::error::{CloseReason, Error, Result, Waiting};

/// Hosts that are worked with together.
#[derive(Debug)]
pub struct Fleet {
    policy: Policy,
    deadline: Option<Duration>,
    hosts: Vec<Host>,
}

/// One host of a [`Fleet`].
#[derive(Clone, Debug)]
pub struct Host {
    uri: String,
    connection: Connection,
}

/// How the hosts of a fleet are worked with: see [`Fleet::builder`].
#[derive(Clone, Debug)]
#[must_use = "there is no fleet until it is built"]
pub struct FleetBuilder {
    policy: Policy,
    openings: usize,
    deadline: Option<Duration>,
}

/// What the hosts of a fleet answer, each as soon as it does: see [`Fleet::each`].
#[derive(Debug)]
#[must_use = "dropping the answers breaks off the work that they come from"]
pub struct Answers<T> {
    work: JoinSet<(Host, Result<T>)>,
}

impl FleetBuilder {
    /// Sets how the hosts' connections are supervised; as [`Policy::default`] unless stated. Its limit of openings is that of
    /// [`concurrent_openings`](Self::concurrent_openings).
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets to how many hosts connections are being opened at once; 16 unless stated.
    pub fn concurrent_openings(mut self, hosts: usize) -> Self {
        self.openings = hosts;
        self
    }

    /// Limits how long each host may take for what [`each`](Fleet::each) asks of it, and until it is connected; 30 seconds unless
    /// stated, `None` for as long as it takes.
    pub fn deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// Makes the fleet, which has no hosts yet.
    #[must_use]
    pub fn build(self) -> Fleet {
        let policy = self.policy.openings(OpeningLimit::new(self.openings));
        Fleet { policy, deadline: self.deadline, hosts: Vec::new() }
    }
}

impl Fleet {
    /// Starts to describe a fleet.
    pub fn builder() -> FleetBuilder {
        FleetBuilder { policy: Policy::default(), openings: 16, deadline: Some(Duration::from_secs(30)) }
    }

    /// Adds a host by its URI, or by a builder that knows more, and begins to connect to it in the background. If its URI is there
    /// already, nothing changes.
    ///
    /// # Errors
    /// As [`Builder::supervised`]: where no attempt could ever succeed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn add(&mut self, host: impl Into<Builder>) -> Result<Host> {
        let builder = host.into();
        if let Some(host) = self.hosts.iter().find(|host| host.uri == builder.uri) {
            return Ok(host.clone());
        }
        let uri = builder.uri.clone();
        let host = Host { uri, connection: builder.supervised(self.policy.clone())? };
        self.hosts.push(host.clone());
        Ok(host)
    }

    /// Takes a host out and ends its connection, also for those who hold a clone. Tells whether it was there.
    pub fn remove(&mut self, uri: &str) -> bool {
        let Some(place) = self.hosts.iter().position(|host| host.uri == uri) else { return false };
        let host = self.hosts.remove(place);
        if let Some(supervision) = host.connection.supervision() {
            supervision.stop();
        }
        true
    }

    /// Returns all hosts, in the order in which they were added.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Does the same at all hosts at once, and returns what comes of it, host by host, in the order in which they are done.
    ///
    /// Each has the fleet's deadline for it. One that is not connected by then has the error that keeps it from being so, and one
    /// that is slow or silent [`Error::Timeout`]; no other has to wait for that.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn each<F, T>(&self, work: impl Fn(Connection) -> F) -> Answers<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let mut answers = JoinSet::new();
        for host in &self.hosts {
            let (host, deadline, work) = (host.clone(), self.deadline, work(host.connection.clone()));
            answers.spawn(async move {
                let answer = within(deadline, &host, work).await;
                (host, answer)
            });
        }
        Answers { work: answers }
    }
}

async fn within<T>(
    deadline: Option<Duration>,
    host: &Host,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(after) = deadline else { return work.await };
    match tokio::time::timeout(after, work).await {
        Ok(answer) => answer,
        Err(_) => Err(match host.state() {
            LinkState::Down { error, .. } => error,
            _ => Error::Timeout { what: "the work at this host", after, waiting: Waiting::ForAnswer },
        }),
    }
}

impl Host {
    /// Returns the URI by which it was added.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns the connection, whose calls wait while the host is not there.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns whether it is connected, and if not, why.
    #[must_use]
    pub fn state(&self) -> LinkState {
        match self.connection.supervision() {
            Some(supervision) => supervision.state(),
            None => LinkState::Ended(CloseReason::Client),
        }
    }
}

impl<T: Send + 'static> Answers<T> {
    /// Waits for the next host's answer. `None` when all have answered.
    ///
    /// # Panics
    /// If the work panicked.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<(Host, Result<T>)> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: Send + 'static> Stream for Answers<T> {
    type Item = (Host, Result<T>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.work.poll_join_next(cx)) {
                Some(Ok(answer)) => return Poll::Ready(Some(answer)),
                // Nobody else can abort the work: its runtime is being shut down.
                Some(Err(ended)) if ended.is_cancelled() => {}
                Some(Err(ended)) => panic::resume_unwind(ended.into_panic()),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl From<&str> for Builder {
    fn from(uri: &str) -> Self {
        Connection::builder(uri)
    }
}

impl From<String> for Builder {
    fn from(uri: String) -> Self {
        Connection::builder(uri)
    }
}
