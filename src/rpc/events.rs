//! Events on their way from the driver to those who subscribed.
//!
//! A registration is known by family and callback id: each driver of the daemon (domains, networks, storage pools, …)
//! numbers its callbacks by itself, so the id alone is ambiguous. Events that carry no such id are known by the number
//! of their procedure instead. An event may come before the reply that names its id; such events are kept while a
//! registration is on its way.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use futures_core::Stream;

use super::{
    hook::ErrorHook,
    queue::{MOST_BYTES, Queue},
    registrations::Registration,
    supervised::Lasting,
};
use crate::{
    error::{CloseReason, Error},
    protocol::{ProcedureInfo, qemu, remote},
    xdr::Reader,
};

/// The events of one driver of the daemon, which share a series of callback ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Family {
    /// Domains, by `CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY`.
    Domain,
    /// Networks, by `CONNECT_NETWORK_EVENT_REGISTER_ANY`.
    Network,
    /// Storage pools, by `CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY`.
    StoragePool,
    /// Node devices, by `CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY`.
    NodeDevice,
    /// Secrets, by `CONNECT_SECRET_EVENT_REGISTER_ANY`.
    Secret,
    /// QEMU's monitor, by `QEMU_PROC_CONNECT_DOMAIN_MONITOR_EVENT_REGISTER`.
    QemuMonitor,
    /// Domains, as daemons without feature 14 report them: by `CONNECT_DOMAIN_EVENT_REGISTER_ANY`, without callback ids.
    LegacyDomain,
    /// The connection itself, by `CONNECT_REGISTER_CLOSE_CALLBACK`, without callback ids.
    Connection,
    /// Events that the protocol definitions of this crate lack, whatever they were registered by. All that are known
    /// start with a callback id, so those are taken to do so as well.
    Unknown,
}

impl Family {
    /// Returns the family of an event that the definitions have.
    fn of(event: &ProcedureInfo) -> Option<Self> {
        let families = [
            ("DOMAIN_EVENT_", if event.has_callback_id { Self::Domain } else { Self::LegacyDomain }),
            ("NETWORK_EVENT_", Self::Network),
            ("STORAGE_POOL_EVENT_", Self::StoragePool),
            ("NODE_DEVICE_EVENT_", Self::NodeDevice),
            ("SECRET_EVENT_", Self::Secret),
            ("DOMAIN_MONITOR_EVENT", Self::QemuMonitor),
            ("CONNECT_EVENT_", Self::Connection),
        ];
        let name = event.short_name();
        families.into_iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, family)| family)
    }
}

/// An event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RawEvent {
    /// Number of the program that reports.
    pub program: u32,
    /// Number of the event.
    pub procedure: i32,
    /// The message, not decoded.
    pub payload: Bytes,
}

/// What a [`Subscription`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Notice {
    /// An event.
    Event(RawEvent),
    /// The subscription was not read fast enough, and events had to be dropped here.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The supervised connection was lost, and is back. What happened in between was not reported.
    Gap {
        /// When something was last heard of the daemon, as far as is known. If a registration failed after the gap before,
        /// that gap's time: nothing was reported of it since then.
        since: SystemTime,
    },
}

/// The events that were registered for, as a stream, in the order in which they came. Dropping it cancels the
/// registrations, unless others share them.
///
/// The stream ends after an error that says why the connection was closed; at once if nothing was registered for. Over a
/// supervised connection it goes on after a [`Notice::Gap`]; if the daemon then refuses one of the registrations, or dies of it,
/// that error comes next, and the others go on.
#[derive(Debug)]
#[must_use = "dropping a subscription cancels it"]
pub struct Subscription {
    queue: Arc<Queue>,
    on_error: Option<ErrorHook>,
    registered: Registered,
}

/// What a subscription holds, so that it is cancelled with it.
#[derive(Debug)]
enum Registered {
    Here(Vec<Registration>),
    Lasting(Arc<Lasting>),
}

impl Subscription {
    pub(super) fn new(
        queue: Arc<Queue>,
        registrations: Vec<Registration>,
        on_error: Option<ErrorHook>,
    ) -> Self {
        Self { queue, on_error, registered: Registered::Here(registrations) }
    }

    pub(super) fn lasting(lasting: Arc<Lasting>, on_error: Option<ErrorHook>) -> Self {
        Self { queue: lasting.queue.clone(), on_error, registered: Registered::Lasting(lasting) }
    }

    fn is_empty(&self) -> bool {
        match &self.registered {
            Registered::Here(registrations) => registrations.is_empty(),
            Registered::Lasting(lasting) => lasting.sources.is_empty(),
        }
    }

    /// Waits for the next event. `None` after the error that ended the subscription.
    ///
    /// # Errors
    /// The connection ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Notice, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Subscription {
    type Item = Result<Notice, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_empty() {
            // Nobody would ever wake the reader, not even the end of the connection.
            return Poll::Ready(None);
        }
        let polled = self.queue.poll_next(cx);
        if let (Poll::Ready(Some(Err(error))), Some(hook)) = (&polled, &self.on_error) {
            hook.tell(error);
        }
        polled
    }
}

/// What an event is for: the driver of the daemon that reports it, and the callback id, or the number of its procedure.
pub(super) type Key = (Family, i32);

/// Finds the queue that an event belongs to. The driver owns it.
#[derive(Debug, Default)]
pub(super) struct Router {
    queues: HashMap<Key, Vec<Arc<Queue>>>,
    /// Registrations whose reply has not come.
    registering: usize,
    /// Events that came before the reply that would say whose they are.
    early: VecDeque<(Key, RawEvent)>,
    early_bytes: usize,
    /// How many there was no room for.
    early_missed: u64,
}

/// How many events are kept for registrations whose reply has not come.
const MOST_EARLY: usize = 1024;
/// Where an event went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Routed {
    Delivered,
    Kept,
    /// There is no room to keep it; whoever registers next is told.
    Missed,
    /// Nobody has subscribed to it, or it is of a kind that this version does not know.
    Unwanted,
}

impl Router {
    /// Says that a registration is on its way.
    pub(super) fn begin(&mut self) {
        self.registering += 1;
    }

    /// Says that a registration has its reply: its callback id, unless it failed.
    pub(super) fn finish(&mut self, registered: Option<(Key, Arc<Queue>)>) {
        self.registering = self.registering.saturating_sub(1);
        if let Some((key, queue)) = registered {
            self.early.retain(|(whose, event)| {
                let mine = *whose == key;
                if mine {
                    queue.push(event.clone());
                }
                !mine
            });
            if self.early_missed > 0 {
                // They may have been somebody else's: better one look too many than a change unseen.
                queue.miss(self.early_missed);
            }
            self.join(key, queue);
        }
        if self.registering == 0 {
            self.early.clear();
            (self.early_bytes, self.early_missed) = (0, 0);
        }
    }

    /// Adds a reader, once: a subscription may name the same source twice.
    pub(super) fn join(&mut self, key: Key, queue: Arc<Queue>) {
        let queues = self.queues.entry(key).or_default();
        if !queues.iter().any(|other| Arc::ptr_eq(other, &queue)) {
            queues.push(queue);
        }
    }

    pub(super) fn leave(&mut self, key: Key, queue: &Arc<Queue>) {
        if let Some(queues) = self.queues.get_mut(&key) {
            queues.retain(|other| !Arc::ptr_eq(other, queue));
            if queues.is_empty() {
                self.queues.remove(&key);
            }
        }
    }

    pub(super) fn route(&mut self, program: u32, procedure: i32, payload: &Bytes) -> Routed {
        let Some(key) = key_of(program, procedure, payload) else { return Routed::Unwanted };
        // The payload is copied, so that a waiting event does not hold on to a whole read buffer.
        let event = || RawEvent { program, procedure, payload: Bytes::copy_from_slice(payload) };
        if let Some(queues) = self.queues.get(&key) {
            let event = event();
            for queue in queues {
                queue.push(event.clone());
            }
            return Routed::Delivered;
        }
        if self.registering == 0 {
            return Routed::Unwanted;
        }
        if self.early.len() == MOST_EARLY || self.early_bytes + payload.len() > MOST_BYTES {
            self.early_missed += 1;
            return Routed::Missed;
        }
        self.early_bytes += payload.len();
        self.early.push_back((key, event()));
        Routed::Kept
    }

    pub(super) fn close(&mut self, reason: &CloseReason) {
        for queue in std::mem::take(&mut self.queues).into_values().flatten() {
            queue.close(reason);
        }
    }
}

fn key_of(program: u32, procedure: i32, payload: &Bytes) -> Option<Key> {
    let known = if program == remote::PROGRAM.number {
        remote::Procedure(procedure).info()
    } else if program == qemu::PROGRAM.number {
        qemu::Procedure(procedure).info()
    } else {
        return None;
    };
    let family = known.map_or(Some(Family::Unknown), Family::of)?;
    let number = match known {
        Some(event) if !event.has_callback_id => procedure,
        _ => Reader::new(payload).field("callbackID").ok()?,
    };
    Some((family, number))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::protocol::lxc;

    const LIFECYCLE: i32 = remote::Procedure::DOMAIN_EVENT_CALLBACK_LIFECYCLE.0;
    const NETWORK: i32 = remote::Procedure::NETWORK_EVENT_LIFECYCLE.0;

    fn message(callback: u8, number: u8) -> Bytes {
        Bytes::copy_from_slice(&[0, 0, 0, callback, number])
    }

    fn drain(queue: &Queue) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Some(next)) = queue.poll_next(&mut cx) {
            seen.push(match next {
                Ok(Notice::Event(event)) => format!("{}", event.payload[4]),
                Ok(Notice::Lagged { missed }) => format!("lagged {missed}"),
                Ok(Notice::Gap { .. }) => "gap".to_owned(),
                Err(error) => error.to_string(),
            });
        }
        seen
    }

    #[test]
    fn equal_callback_ids_of_different_drivers_are_kept_apart() {
        let (domains, networks) = (Queue::new(8), Queue::new(8));
        let mut router = Router::default();
        router.begin();
        router.finish(Some(((Family::Domain, 0), domains.clone())));
        router.begin();
        router.finish(Some(((Family::Network, 0), networks.clone())));
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 1)), Routed::Delivered);
        assert_eq!(router.route(remote::PROGRAM.number, NETWORK, &message(0, 2)), Routed::Delivered);
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(7, 3)), Routed::Unwanted);
        assert_eq!((drain(&domains), drain(&networks)), (vec!["1".to_owned()], vec!["2".to_owned()]));
    }

    #[test]
    fn events_before_the_registrations_reply_are_kept() {
        let queue = Queue::new(8);
        let mut router = Router::default();
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 0)), Routed::Unwanted);
        router.begin();
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 1)), Routed::Kept);
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(1, 2)), Routed::Kept);
        router.finish(Some(((Family::Domain, 0), queue.clone())));
        assert_eq!(drain(&queue), ["1"]);
        assert!(router.early.is_empty());
    }

    #[test]
    fn readers_of_one_registration_each_get_all_until_they_leave() {
        let (first, second) = (Queue::new(8), Queue::new(8));
        let key = (Family::Domain, 0);
        let mut router = Router::default();
        router.finish(Some((key, first.clone())));
        router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 1));
        router.join(key, second.clone());
        router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 2));
        router.leave(key, &first);
        router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 3));
        router.leave(key, &second);
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 4)), Routed::Unwanted);
        assert_eq!((drain(&first).join(" "), drain(&second).join(" ")), ("1 2".to_owned(), "2 3".to_owned()));
    }

    #[test]
    fn a_reader_that_joins_twice_is_told_once() {
        let queue = Queue::new(8);
        let mut router = Router::default();
        router.join((Family::Domain, 0), queue.clone());
        router.join((Family::Domain, 0), queue.clone());
        router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 1));
        assert_eq!(drain(&queue), ["1"]);
    }

    #[test]
    fn a_subscription_to_nothing_ends_at_once() {
        let mut subscription = Subscription::new(Queue::new(8), Vec::new(), None);
        let polled = Pin::new(&mut subscription).poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(None)));
    }

    #[test]
    fn loss_is_reported_where_it_happened() {
        let queue = Queue::new(2);
        let mut router = Router::default();
        router.finish(Some(((Family::Domain, 0), queue.clone())));
        for number in 0..5 {
            router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, number));
        }
        assert_eq!(drain(&queue), ["0", "1", "lagged 3"]);
        router.route(remote::PROGRAM.number, LIFECYCLE, &message(0, 9));
        router.close(&CloseReason::Eof);
        assert_eq!(drain(&queue), ["9", "the connection is closed: closed by the daemon"]);
    }

    #[test]
    fn waiting_events_are_bounded_in_bytes() {
        let queue = Queue::new(1000);
        let mut router = Router::default();
        router.begin();
        let large = Bytes::from([vec![0; 4], vec![7; 5 * 1024 * 1024]].concat());
        let kept = (0..5).map(|_| router.route(remote::PROGRAM.number, LIFECYCLE, &large));
        assert_eq!(kept.filter(|routed| *routed == Routed::Kept).count(), 3);
        router.finish(Some(((Family::Domain, 0), queue.clone())));
        assert_eq!(drain(&queue), ["7", "7", "7", "lagged 2"]);
        for _ in 0..5 {
            router.route(remote::PROGRAM.number, LIFECYCLE, &large);
        }
        assert_eq!(drain(&queue), ["7", "7", "7", "lagged 2"]);
    }

    #[test]
    fn unknown_programs_and_events_are_survived() {
        let mut router = Router::default();
        router.begin();
        for (program, procedure) in [(0x1234, 1), (lxc::PROGRAM.number, 1)] {
            assert_eq!(router.route(program, procedure, &message(0, 0)), Routed::Unwanted);
        }
        assert_eq!(
            router.route(remote::PROGRAM.number, LIFECYCLE, &Bytes::from_static(&[0, 0])),
            Routed::Unwanted
        );
    }

    #[test]
    fn an_unknown_event_goes_to_whom_its_registration_belongs() {
        let queue = Queue::new(8);
        let mut router = Router::default();
        router.finish(Some(((Family::Unknown, 3), queue.clone())));
        assert_eq!(router.route(remote::PROGRAM.number, 9999, &message(3, 1)), Routed::Delivered);
        assert_eq!(router.route(remote::PROGRAM.number, 9999, &message(4, 2)), Routed::Unwanted);
        assert_eq!(router.route(remote::PROGRAM.number, LIFECYCLE, &message(3, 3)), Routed::Unwanted);
        assert_eq!(drain(&queue), ["1"]);
    }

    #[test]
    fn events_without_a_callback_id_are_known_by_their_procedure() {
        let queue = Queue::new(8);
        let mut router = Router::default();
        let reboot = remote::Procedure::DOMAIN_EVENT_REBOOT.0;
        router.finish(Some(((Family::LegacyDomain, reboot), queue.clone())));
        assert_eq!(router.route(remote::PROGRAM.number, reboot, &message(7, 1)), Routed::Delivered);
        let lifecycle = remote::Procedure::DOMAIN_EVENT_LIFECYCLE.0;
        assert_eq!(router.route(remote::PROGRAM.number, lifecycle, &message(7, 2)), Routed::Unwanted);
        assert_eq!(drain(&queue), ["1"]);
    }
}
