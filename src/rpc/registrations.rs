//! Registrations for events at the daemon, shared by those who ask for the same events.
//!
//! A daemon refuses a second registration for the same events on one connection, so there is one, and each reader gets
//! copies. It also carries out calls in any order, so a registration waits until the one before it is cancelled.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tracing::{Instrument, Span};

use super::{
    Client, Reply,
    client::{encode_call, not_understood},
    command::{Command, Failure, Request, Subscriber},
    conversation::{Conversation, Trace},
    driver,
    events::{Family, Key},
    queue::Queue,
};
use crate::{
    error::{Error, Result, Waiting},
    protocol::{Call, ProcedureInfo},
    xdr,
};

/// How long a registering or cancelling that the daemon does not answer keeps a connection that nobody else holds.
const KEEPING: Duration = Duration::from_secs(5);

/// What to register for: the call that does it, how its events are known, and the call that cancels it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    pub(super) procedure: &'static ProcedureInfo,
    pub(super) frame: Vec<u8>,
    pub(super) family: Family,
    /// What the events are known by, where that is no callback id.
    pub(super) number: Option<i32>,
    cancel: &'static ProcedureInfo,
    /// The arguments of the call that cancels, where that is no callback id.
    cancel_arguments: Option<Bytes>,
}

impl EventSource {
    /// Events that are known by the callback id which the call `arguments` has as its reply. `cancel` is the procedure
    /// that ends the registration; its only argument is the callback id.
    ///
    /// # Errors
    /// The arguments do not fit into the protocol.
    pub fn new<C: Call>(arguments: &C, family: Family, cancel: &'static ProcedureInfo) -> Result<Self> {
        let frame = encode_call(C::PROCEDURE, arguments, 0)?;
        Ok(Self { procedure: C::PROCEDURE, frame, family, number: None, cancel, cancel_arguments: None })
    }

    /// Events that carry no callback id, and are known by the number of their own procedure, `event`. The call `cancel`
    /// ends the registration.
    ///
    /// # Errors
    /// The arguments do not fit into the protocol.
    pub fn without_callback_id<C: Call, D: Call>(
        arguments: &C,
        family: Family,
        event: i32,
        cancel: &D,
    ) -> Result<Self> {
        let encoded = xdr::to_vec(cancel)
            .map_err(|error| Error::Encode { what: D::PROCEDURE.name, cause: Arc::new(error) })?;
        let source = Self::new(arguments, family, D::PROCEDURE)?;
        Ok(Self { number: Some(event), cancel_arguments: Some(encoded.into()), ..source })
    }
}

/// Registers for the events of several sources, within a limit, and returns what has become of each.
pub(super) async fn register_each(
    conversation: &Arc<Conversation>,
    sources: &[EventSource],
    queue: &Arc<Queue>,
    limit: Option<Duration>,
) -> Vec<Result<Registration, Failure>> {
    // On tasks of their own, without a deadline: whoever stops waiting cannot cancel a registration that they have
    // not heard of, so the task hears of it and drops it.
    let registering: Vec<(&ProcedureInfo, JoinHandle<_>)> = sources
        .iter()
        .map(|source| {
            let unsettled = Unsettled::begin(conversation);
            let begin = Registration::begin(Arc::downgrade(conversation), source.clone(), queue.clone());
            // If nobody takes them, the registration is dropped first, and so settled once it is cancelled.
            let begin = async move { (begin.await, unsettled) };
            let begin = keeping(conversation.clone(), begin).instrument(Span::current());
            (source.procedure, conversation.runtime.spawn(begin))
        })
        .collect();
    let end = limit.and_then(|after| Instant::now().checked_add(after).zip(Some(after)));
    let mut registered = Vec::with_capacity(sources.len());
    for (procedure, registering) in registering {
        let done = match end {
            None => Ok(registering.await),
            Some((end, after)) => timeout_at(end, registering).await.map_err(|_| Error::Timeout {
                what: procedure.name,
                after,
                waiting: Waiting::ForAnswer,
            }),
        };
        registered.push(match done {
            Ok(Ok((registered, _))) => registered,
            Ok(Err(_)) => Err(conversation.closed_error().into()),
            Err(late) => Err(late.into()),
        });
    }
    registered
}

/// What the daemon has refused, by its place, and why.
type Refused = Vec<(usize, Error)>;

/// Returns the registrations that there are, and what was refused. Any other failure is one of all: the one of a call that the
/// daemon has most of.
pub(super) fn all_or_refused(
    registered: Vec<Result<Registration, Failure>>,
) -> Result<(Vec<Registration>, Refused), Failure> {
    let (mut registrations, mut refused, mut failed) = (Vec::new(), Vec::new(), None);
    for (place, registered) in registered.into_iter().enumerate() {
        match (registered, &failed) {
            (Ok(registration), _) => registrations.push(registration),
            (Err(Failure::Error(error @ Error::Remote(_))), _) => refused.push((place, error)),
            (Err(Failure::Lost { sent, .. }), Some(Failure::Lost { sent: most, .. })) if sent <= *most => {}
            (Err(failure), None | Some(Failure::Lost { .. })) => failed = Some(failure),
            (Err(_), Some(Failure::Error(_))) => {}
        }
    }
    failed.map_or(Ok((registrations, refused)), Err)
}

/// One reader's share in a registration, which is cancelled when the last one is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    conversation: Arc<Conversation>,
    slot: Arc<Slot>,
    key: Key,
    queue: Arc<Queue>,
    cancel: &'static ProcedureInfo,
    cancel_arguments: Bytes,
}

/// What a call registers for. The lock is held while the daemon registers or cancels.
type Slot = tokio::sync::Mutex<State>;

#[derive(Debug, Default)]
struct State {
    /// The callback id, or what the events are known by instead.
    number: Option<i32>,
    readers: usize,
}

impl Registration {
    /// Registers, or takes a share in the registration that is there.
    pub(super) async fn begin(
        conversation: Weak<Conversation>,
        source: EventSource,
        queue: Arc<Queue>,
    ) -> Result<Self, Failure> {
        let EventSource { family, cancel, cancel_arguments, .. } = source.clone();
        let slot = Conversation::upgrade(&conversation)?.registrations.slot(&source.frame);
        let mut state = slot.lock().await;
        let number = match state.number {
            Some(number) => {
                Conversation::upgrade(&conversation)?.join((family, number), queue.clone()).await?;
                number
            }
            None => register(&conversation, source, queue.clone()).await?,
        };
        let conversation = Conversation::upgrade(&conversation)?;
        *state = State { number: Some(number), readers: state.readers + 1 };
        drop(state);
        let cancel_arguments = match cancel_arguments {
            Some(arguments) => arguments,
            None => Bytes::copy_from_slice(&number.to_be_bytes()),
        };
        Ok(Self { conversation, slot, key: (family, number), queue, cancel, cancel_arguments })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let conversation = self.conversation.clone();
        conversation.command(Command::Leave { key: self.key, queue: self.queue.clone() });
        let (unsettled, slot) = (Unsettled::begin(&conversation), self.slot.clone());
        let (cancel, arguments) = (self.cancel, self.cancel_arguments.clone());
        let cancelling = async move {
            let mut state = slot.lock().await;
            state.readers = state.readers.saturating_sub(1);
            if state.readers == 0 {
                state.number = None;
                cancel_registration(&unsettled.conversation, cancel, &arguments).await;
            }
        };
        // On a task of its own, so that it waits its turn like every call, whoever drops this and wherever.
        conversation.runtime.clone().spawn(keeping(conversation, cancelling));
    }
}

/// Does `doing`, which does not keep the conversation, and keeps it for a limited time. After that, the daemon's answer
/// only matters to whoever else holds it.
async fn keeping<T>(conversation: Arc<Conversation>, doing: impl Future<Output = T>) -> T {
    let mut doing = pin!(doing);
    if let Ok(done) = timeout(KEEPING, doing.as_mut()).await {
        return done;
    }
    drop(conversation);
    doing.await
}

/// Registers at the daemon and returns what the events are known by.
async fn register(
    conversation: &Weak<Conversation>,
    source: EventSource,
    queue: Arc<Queue>,
) -> Result<i32, Failure> {
    let EventSource { procedure, frame, family, number, .. } = source;
    let subscribe = Some(Subscriber { family, number, queue });
    let request = Request { subscribe, ..Request::new(procedure, frame) };
    let reply = call(conversation, request).await?;
    Ok(driver::event_number(number, &reply).map_err(|error| not_understood(procedure, error))?)
}

async fn cancel_registration(
    conversation: &Weak<Conversation>,
    cancel: &'static ProcedureInfo,
    arguments: &Bytes,
) {
    let Ok(frame) = encode_call(cancel, arguments, 0) else { return };
    if let Err(error) = call(conversation, Request::new(cancel, frame)).await {
        tracing::debug!(%error, procedure = cancel.name, "a registration for events was not cancelled");
    }
}

async fn call(conversation: &Weak<Conversation>, request: Request) -> Result<Reply, Failure> {
    let trace = Trace::begin(request.procedure);
    let reply = Conversation::exchange_in(conversation, request).instrument(trace.span.clone()).await;
    trace.end(reply.as_ref());
    reply
}

impl Client {
    /// Registers for as long as the connection lives, though nobody reads yet: whoever subscribes to the same shares it.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn keep_registered(&self, source: EventSource) -> Result<()> {
        match self.current_conversation() {
            Some(conversation) => keep_registered(&conversation, source).await,
            None => Ok(()),
        }
    }
}

async fn keep_registered(conversation: &Arc<Conversation>, source: EventSource) -> Result<()> {
    let slot = conversation.registrations.slot(&source.frame);
    let mut state = slot.lock().await;
    if state.number.is_none() {
        let (family, queue) = (source.family, Queue::new(1));
        let number = register(&Arc::downgrade(conversation), source, queue.clone()).await?;
        conversation.command(Command::Leave { key: (family, number), queue });
        state.number = Some(number);
    }
    state.readers += 1;
    drop(state);
    conversation.registrations.keep(slot);
    Ok(())
}

/// A registering or cancelling that is on its way until this is dropped.
struct Unsettled {
    conversation: Weak<Conversation>,
}

impl Unsettled {
    fn begin(conversation: &Arc<Conversation>) -> Self {
        conversation.registrations.unsettled.send_modify(|count| *count += 1);
        Self { conversation: Arc::downgrade(conversation) }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(conversation) = self.conversation.upgrade() {
            conversation.registrations.unsettled.send_modify(|count| *count -= 1);
        }
    }
}

/// The registrations of a connection, by the bytes of the calls that ask for them.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    slots: Mutex<HashMap<Vec<u8>, Weak<Slot>>>,
    /// Those that last as long as the connection.
    kept: Mutex<Vec<Arc<Slot>>>,
    /// How many are on their way, there or back.
    unsettled: watch::Sender<usize>,
}

impl Registrations {
    /// Waits until nothing is being registered or cancelled.
    pub(super) async fn settle(&self) {
        // The sender is ours, so there is always somebody to wait for.
        let _ = self.unsettled.subscribe().wait_for(|count| *count == 0).await;
    }

    fn keep(&self, slot: Arc<Slot>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    }

    fn slot(&self, call: &[u8]) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = slots.get(call).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::default();
        slots.insert(call.to_vec(), Arc::downgrade(&slot));
        slot
    }
}
