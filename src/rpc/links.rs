//! The driver's side of the open streams: whose news is whose, and whether there is room to read more.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use tokio::time::Sleep;

use super::link::{Flow, Link};
use crate::error::{CloseReason, Error, Waiting};

/// As long as somebody waits for what may be behind the data, so many times the bound is read.
const BEYOND: usize = 3;
/// How long a reader may take nothing while others wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// The streams of a connection that are open, or being opened or closed.
#[derive(Debug)]
pub(super) struct Links {
    by_serial: HashMap<u32, Arc<Link>>,
    /// Those that are over, and have data that was not taken yet.
    unread: Vec<Arc<Link>>,
    flow: Arc<Flow>,
    /// How many bytes may wait.
    limit: usize,
    /// Others wait, and there is no room even for them.
    held_up: Option<Pin<Box<Sleep>>>,
}

impl Links {
    pub(super) fn new(flow: Arc<Flow>, limit: usize) -> Self {
        Self { by_serial: HashMap::new(), unread: Vec::new(), flow, limit, held_up: None }
    }

    pub(super) fn insert(&mut self, serial: u32, link: Arc<Link>) {
        self.by_serial.insert(serial, link);
    }

    pub(super) fn get(&self, serial: u32) -> Option<&Arc<Link>> {
        self.by_serial.get(&serial)
    }

    /// Forgets a stream that is over, but for what its reader has not taken.
    pub(super) fn remove(&mut self, serial: u32) {
        let over = self.by_serial.remove(&serial);
        self.unread.extend(over);
        self.unread.retain(|link| link.idle_since().is_some());
    }

    /// Returns the serial of a stream that is known here.
    pub(super) fn serial_of(&self, link: &Arc<Link>) -> Option<u32> {
        let serial = link.serial()?;
        self.get(serial).filter(|known| Arc::ptr_eq(known, link)).map(|_| serial)
    }

    /// Tells whether there is room for more data.
    pub(super) fn may_read(&mut self, calls_wait: impl FnOnce() -> bool) -> bool {
        if self.flow.waiting() < self.limit {
            self.held_up = None;
            return true;
        }
        // Whoever begins to wait from now on says so, as whoever makes room does.
        self.flow.set_paused(true);
        let somebody_waits = calls_wait() || self.by_serial.values().any(|link| link.is_awaited());
        let limit = if somebody_waits { self.limit.saturating_mul(BEYOND) } else { self.limit };
        let may_read = self.flow.waiting() < limit;
        if may_read || !somebody_waits {
            self.held_up = None;
        } else if self.held_up.is_none() {
            self.held_up = Some(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        may_read
    }

    /// Says that reading was stopped, or begun again.
    pub(super) fn say_paused(&self) {
        self.flow.count_pause();
    }

    /// Returns the streams whose readers have held the others up for too long, with the serials of those that are open.
    pub(super) fn poll_sleepers(&mut self, cx: &mut Context<'_>) -> Vec<(Option<u32>, Arc<Link>)> {
        let Some(patience) = &mut self.held_up else { return Vec::new() };
        while patience.as_mut().poll(cx).is_ready() {
            let now = tokio::time::Instant::now().into_std();
            let due = |since: Instant| since.checked_add(PATIENCE).unwrap_or(now);
            let open = self.by_serial.iter().map(|(serial, link)| (Some(*serial), link));
            let all = open.chain(self.unread.iter().map(|link| (None, link)));
            let (mut sleepers, mut next) = (Vec::new(), None);
            for (serial, link) in all {
                match link.idle_since().map(due) {
                    Some(due) if due <= now => sleepers.push((serial, link.clone())),
                    due => next = next.into_iter().chain(due).min(),
                }
            }
            if !sleepers.is_empty() {
                return sleepers;
            }
            patience.as_mut().reset(next.unwrap_or(now + PATIENCE).into());
        }
        Vec::new()
    }

    /// Tells everyone who waits that the connection has ended.
    pub(super) fn close(&mut self, reason: &CloseReason) {
        for (_, link) in self.by_serial.drain() {
            link.fail(Error::Closed(reason.clone()));
        }
    }
}

/// Says why a stream was aborted whose reader took nothing.
pub(super) fn sleeper(link: &Link) -> Error {
    Error::Timeout { what: link.procedure.name, after: PATIENCE, waiting: Waiting::ForReader }
}
