//! What all tasks share: the daemon, the way to it, what it was told to do, and how answers are judged.

use std::{
    env,
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libvirt_client::{
    CloseReason, Connection, Domain, Error, KeepaliveConfig, Result, Waiting,
    supervision::{OpeningLimit, Policy},
};
use tokio::{
    sync::{RwLock, watch},
    time::Instant,
};

use crate::{
    beacons::{self, Beacon},
    proxy::Proxy,
    random::Random,
    support::{Daemon, daemon::through_socket, wait_until},
    tally::Tally,
};

/// The deadline of each call. Some are made with a shorter one.
const CALL: Duration = Duration::from_secs(30);
/// Longer than anything may take that has a deadline: who is not done by then hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(100);
/// A silent daemon is given up after 6 s.
const KEEPALIVE: KeepaliveConfig = KeepaliveConfig { interval: Duration::from_secs(2), count: 2 };

/// How many connections are opened at once after all were lost.
const OPENINGS: usize = 16;

/// How long the run takes, and how large it is.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) duration: Duration,
    pub(crate) connections: u64,
    pub(crate) seed: u64,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let number = |name: &str, otherwise: u64| match env::var(name) {
            Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")),
            Err(_) => otherwise,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        Self {
            duration: Duration::from_secs(number("LIBVIRT_SOAK_SECONDS", 20)),
            connections: number("LIBVIRT_SOAK_CONNECTIONS", 24),
            seed: number("LIBVIRT_SOAK_SEED", now.into()),
        }
    }
}

/// The drivers that connections are opened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// The simulated hypervisor, whose domains start at once and are gone when the daemon ends.
    Simulated,
    /// QEMU's, with volumes and definitions that stay.
    Lasting,
}

impl Driver {
    pub(crate) const ALL: [Self; 2] = [Self::Simulated, Self::Lasting];

    pub(crate) fn uri(self) -> &'static str {
        match self {
            Self::Simulated => "test:///default",
            Self::Lasting => "qemu:///system",
        }
    }
}

/// A change or an answer that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The daemon did not do it.
    NotDone,
    /// It may have done it.
    Unsure,
}

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) proxy: Proxy,
    pub(crate) tally: Tally,
    pub(crate) origin: RwLock<Origin>,
    /// How often the daemon began to be restarted and was done with it: odd in between.
    generation: AtomicU64,
    beacons: [Beacon; 2],
    ending: watch::Sender<bool>,
    policy: Policy,
}

/// The daemon itself, and connections to it that no fault reaches.
pub(crate) struct Origin {
    pub(crate) daemon: Daemon,
    /// The domain of each driver whose changes everybody is told of.
    pub(crate) beacons: Vec<Domain>,
}

impl World {
    pub(crate) async fn new(settings: Settings) -> Self {
        let daemon = Daemon::builder()
            .setting("max_clients", 2000)
            .setting("max_queued_clients", 2000)
            .setting("max_anonymous_clients", 100)
            .start();
        let proxy = Proxy::before(&daemon.socket()).await;
        let beacons = beacons::prepare(&daemon).await.unwrap();
        Self {
            settings,
            proxy,
            tally: Tally::default(),
            origin: RwLock::new(Origin { daemon, beacons }),
            generation: AtomicU64::new(0),
            beacons: Default::default(),
            ending: watch::Sender::new(false),
            policy: Policy::default().openings(OpeningLimit::new(OPENINGS)),
        }
    }

    pub(crate) fn beacon(&self, driver: Driver) -> &Beacon {
        match driver {
            Driver::Simulated => &self.beacons[0],
            Driver::Lasting => &self.beacons[1],
        }
    }

    /// Has all tasks come to their end.
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    pub(crate) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Waits, but not beyond the end.
    pub(crate) async fn sleep(&self, time: Duration) {
        let mut ending = self.ending.subscribe();
        let _ = tokio::time::timeout(time, ending.wait_for(|ending| *ending)).await;
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Tells whether the daemon has been there since then, with all that it knew.
    pub(crate) fn lasts_since(&self, generation: u64) -> bool {
        generation.is_multiple_of(2) && self.generation() == generation
    }

    /// Kills the daemon and starts it again.
    pub(crate) async fn restart(&self) {
        let mut origin = self.origin.write().await;
        self.generation.fetch_add(1, Ordering::SeqCst);
        origin.beacons = loop {
            tokio::task::block_in_place(|| origin.daemon.restart());
            match beacons::prepare(&origin.daemon).await {
                Ok(beacons) => break beacons,
                Err(error) => self.has_crashed(&origin.daemon, &error).await,
            }
        };
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.tally.restarts.add(1);
    }

    /// Starts the daemon again that has ended by itself, unless that has been done since.
    pub(crate) async fn start_again(&self, generation: u64, error: &Error) {
        let origin = self.origin.read().await;
        if self.generation() == generation {
            self.has_crashed(&origin.daemon, error).await;
            drop(origin);
            self.restart().await;
        }
    }

    /// Makes sure that the daemon has ended. libvirtd 9.0.0 does now and then when clients are lost that have registered for
    /// events, which then has to be borne as any other fault.
    async fn has_crashed(&self, daemon: &Daemon, error: &Error) {
        wait_until(|| daemon.has_ended()).await;
        println!("the daemon has crashed: {error}\n{}", daemon.log());
        self.tally.crashes.add(1);
    }

    /// Opens a connection through the proxy. `None` when the run ends first.
    pub(crate) async fn connect(&self, driver: Driver, random: &mut Random) -> Option<Connection> {
        let uri = match random.once_in(3) {
            true => driver.uri().replacen(":///", &format!("+tcp://{}/", self.proxy.address()), 1),
            false => through_socket(driver.uri(), self.proxy.socket()),
        };
        let queue = if random.once_in(3) { random.within(4..32) } else { 1024 };
        let builder = Connection::builder(uri)
            .call_timeout(CALL)
            .keepalive(KEEPALIVE)
            .event_queue(usize::try_from(queue).unwrap());
        // Most are supervised; some are as all would be otherwise.
        if !random.once_in(5) && !self.is_ending() {
            self.tally.opened.add(1);
            return Some(builder.supervised(self.policy.clone()).unwrap());
        }
        while !self.is_ending() {
            match tokio::time::timeout(HANGS, builder.clone().open()).await {
                Ok(Ok(connection)) => {
                    self.tally.opened.add(1);
                    return Some(connection);
                }
                Ok(Err(error)) => {
                    self.judge("opening", self.generation(), error);
                }
                Err(_) => self.tally.wrong("opening a connection hangs"),
            }
            self.sleep(random.millis(100..1000)).await;
        }
        None
    }

    /// Makes a call and judges its error. `generation` is of when what the call relies on was known to be so.
    pub(crate) async fn call<T>(
        &self,
        what: &str,
        generation: u64,
        call: impl IntoFuture<Output = Result<T>>,
    ) -> Result<T, Trouble> {
        self.tally.calls.add(1);
        match self.in_time(what, call.into_future()).await? {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.judge(what, generation, error)),
        }
    }

    /// Waits for what must end by itself.
    pub(crate) async fn in_time<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Trouble> {
        let begun = Instant::now();
        tokio::time::timeout(HANGS, future).await.map_err(|_| {
            self.tally.wrong(format!("{what} hangs: nothing after {:?}", begun.elapsed()));
            Trouble::Unsure
        })
    }

    /// Says what an error means, and notes it as wrong where no fault explains it.
    pub(crate) fn judge(&self, what: &str, generation: u64, error: Error) -> Trouble {
        let is_explained = match &error {
            Error::Interrupted { cause, .. } => is_a_loss(cause),
            Error::Timeout { .. } => true,
            Error::Remote(_) => !self.lasts_since(generation),
            other => is_a_loss(other),
        };
        if !is_explained {
            self.tally.wrong(format!("{what}: {error}"));
            return Trouble::Unsure;
        }
        self.tally.explained(&error);
        match error {
            // The daemon refused it, but it was another daemon.
            Error::Remote(_) => Trouble::Unsure,
            error if error.may_have_run() => Trouble::Unsure,
            _ => Trouble::NotDone,
        }
    }

    /// Notes a wrong answer, unless the daemon has been restarted since it was known what is right.
    pub(crate) fn check(&self, generation: u64, right: bool, what: impl FnOnce() -> String) {
        if right {
            return;
        }
        if self.lasts_since(generation) {
            self.tally.wrong(what());
        } else {
            self.tally.void.add(1);
        }
    }
}

/// Tells whether an error is what the loss of a connection looks like. Nobody closes one that is in use.
fn is_a_loss(error: &Error) -> bool {
    match error {
        Error::Closed(reason) => {
            matches!(reason, CloseReason::Eof | CloseReason::Io(_) | CloseReason::Keepalive { .. })
        }
        Error::Timeout { waiting, .. } => *waiting == Waiting::ForConnection,
        other => matches!(other, Error::Connect { .. }),
    }
}
