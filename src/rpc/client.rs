//! The handle that calls are made with.
//!
//! A call travels like this: [`Client::call`] encodes its arguments into one buffer, waits for a permit from the
//! in-flight cap, and hands the buffer to the driver's task, which gives it a serial and writes it, joined
//! with others that wait. The reply is taken out of the read buffer without a copy, matched by serial, sent
//! back through a oneshot, and decoded in the caller's task.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::{Instrument, Span, field};

use super::{
    Wire,
    driver::{self, Driver},
    events::{Family, Key, Queue, Subscription},
    hook::ErrorHook,
    link::{Flow, Link},
    registrations::{EventSource, Registration, Registrations, Unsettled},
    session::{Answer, Refusal},
    stream::{Outgoing, Stream},
};
use crate::{
    error::{CloseReason, Error, Result, Waiting},
    protocol::{
        Call, ProcedureInfo,
        frame::{self, Descriptor},
    },
    xdr::{self, Encode, from_bytes},
};

/// How a connection behaves.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Config {
    /// How many calls may be without a reply at once; more wait their turn. The default of 4 is one less than
    /// the daemon's default `max_client_requests`: at its limit a daemon stops reading, keepalive included,
    /// and then takes its own silence for ours.
    pub in_flight: usize,
    /// How long a call may take, unless [`Client::with_timeout`] says otherwise. Without one (the default), it
    /// may take as long as the connection lives, as saving or migrating a domain does.
    pub call_timeout: Option<Duration>,
    /// How many events may wait in each subscription before some are dropped, which is reported. 1,024 by
    /// default.
    pub event_queue: usize,
    /// How many bytes of data streams may wait for their readers, of all streams together, before nothing more is read;
    /// three times as many as long as others wait. 4 MiB by default.
    pub stream_buffer: usize,
    /// Who is told of every error that calls and subscriptions give; nobody by default.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub on_error: Option<ErrorHook>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight: 4,
            call_timeout: None,
            event_queue: 1024,
            stream_buffer: 4 * 1024 * 1024,
            on_error: None,
        }
    }
}

/// When a silent daemon is given up: after `interval` × (`count` + 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KeepaliveConfig {
    /// How long the daemon may be silent before it is asked for a sign of life.
    pub interval: Duration,
    /// How many such questions in a row may go without an answer.
    pub count: u32,
}

impl Default for KeepaliveConfig {
    /// Five seconds, five times: half a minute, as the daemon itself does by default.
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), count: 5 }
    }
}

/// A connection's raw layer: makes any call of the protocol. Cheap to clone; all clones share the connection,
/// which ends when the last of them (and of what was made from them) is dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

struct Shared {
    commands: mpsc::UnboundedSender<Command>,
    permits: Arc<Semaphore>,
    closed: watch::Receiver<Option<CloseReason>>,
    event_queue: usize,
    on_error: Option<ErrorHook>,
    passes_descriptors: bool,
    registrations: Registrations,
    flow: Arc<Flow>,
    /// Where the driver runs, and whatever else must live as long as the connection.
    runtime: Handle,
}

/// What handles ask the driver for.
pub(super) enum Command {
    Call(CallCommand),
    Keepalive(KeepaliveConfig),
    /// One more reader of a registration's events.
    Join {
        key: Key,
        queue: Arc<Queue>,
        joined: oneshot::Sender<()>,
    },
    /// One less.
    Leave {
        key: Key,
        queue: Arc<Queue>,
    },
    /// Something to write in a data stream.
    Send {
        link: Arc<Link>,
        outgoing: Outgoing,
    },
    /// Nobody holds a data stream any more.
    Abandon(Arc<Link>),
    /// There is room for data again, or somebody waits for it.
    Resume,
    Close,
}

/// A call that waits for its turn.
struct Request {
    procedure: &'static ProcedureInfo,
    frame: Vec<u8>,
    descriptors: Vec<Descriptor>,
    /// Where the events go, if it is a registration.
    subscribe: Option<Subscriber>,
    /// The data stream that it opens.
    stream: Option<Arc<Link>>,
}

/// Where the events of a registration go, and what they are known by.
pub(super) struct Subscriber {
    pub(super) family: Family,
    /// None for the callback id that the reply has.
    pub(super) number: Option<i32>,
    pub(super) queue: Arc<Queue>,
}

impl Request {
    fn new(procedure: &'static ProcedureInfo, frame: Vec<u8>) -> Self {
        Self { procedure, frame, descriptors: Vec::new(), subscribe: None, stream: None }
    }
}

/// A call on its way to the driver.
pub(super) struct CallCommand {
    pub(super) procedure: &'static ProcedureInfo,
    pub(super) frame: Vec<u8>,
    pub(super) descriptors: Vec<Descriptor>,
    pub(super) waiter: Waiter,
}

/// Who waits for a reply. It holds the permit until the reply is there, even when the caller has gone: the daemon
/// is busy with the call all the same.
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Result<Reply>>,
    pub(super) subscribe: Option<Subscriber>,
    pub(super) stream: Option<Arc<Link>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// The results of a call, not decoded.
#[derive(Debug)]
pub struct Reply {
    /// The serial that the call had.
    pub serial: u32,
    /// The results.
    pub payload: Bytes,
    /// The descriptors that came with them.
    pub descriptors: Vec<Descriptor>,
}

impl Reply {
    pub(super) fn from_outcome(
        procedure: &'static ProcedureInfo,
        serial: u32,
        outcome: Result<Answer, Refusal>,
    ) -> Result<Self> {
        match outcome {
            Ok(Answer { payload, descriptors }) => Ok(Self { serial, payload, descriptors }),
            Err(Refusal::Remote(error)) => Err(Error::Remote(error)),
            Err(Refusal::Unreadable(error)) => Err(undecodable(procedure, error)),
        }
    }
}

pub(super) fn undecodable(procedure: &ProcedureInfo, error: xdr::DecodeError) -> Error {
    Error::Decode { what: procedure.name, cause: Arc::new(error) }
}

fn not_understood(procedure: &ProcedureInfo, error: xdr::DecodeError) -> Error {
    tracing::debug!(procedure = procedure.name, %error, "not understood");
    undecodable(procedure, error)
}

impl Client {
    /// Starts a conversation over `wire`: a task of the current tokio runtime reads and writes it from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(wire: impl Wire, config: &Config) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(None);
        let permits = Arc::new(Semaphore::new(config.in_flight.clamp(1, Semaphore::MAX_PERMITS)));
        let passes_descriptors = wire.passes_descriptors();
        let flow = Arc::new(Flow::default());
        let driver = Driver::new(wire, received, closing, flow.clone(), config.stream_buffer);
        tokio::spawn(driver.run().instrument(Span::current()));
        Self {
            shared: Arc::new(Shared {
                commands,
                permits,
                closed,
                event_queue: config.event_queue,
                on_error: config.on_error.clone(),
                passes_descriptors,
                registrations: Registrations::default(),
                flow,
                runtime: Handle::current(),
            }),
            timeout: config.call_timeout,
        }
    }

    /// Returns a handle to the same connection whose calls have another deadline, or none.
    #[must_use]
    pub fn with_timeout(&self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { shared: self.shared.clone(), timeout: timeout.into() }
    }

    /// Calls the procedure that `arguments` belong to, and returns its results.
    ///
    /// # Errors
    /// The daemon's error, the connection's end, the deadline, arguments over the protocol's limits, or results
    /// that do not decode. A procedure that opens a data stream is refused: see [`open_stream`](Self::open_stream).
    ///
    /// # Cancel safety
    /// Dropping the future is always safe for the connection. A call that has been handed over goes on at the
    /// daemon and its reply is discarded; one that still waits for its turn is not sent.
    pub async fn call<C: Call>(&self, arguments: C) -> Result<C::Reply> {
        let (reply, _) = self.call_with_descriptors(arguments, Vec::new()).await?;
        Ok(reply)
    }

    /// Does what [`call`](Self::call) does, and passes descriptors, in the call and in its reply. For those the connection
    /// has to [pass descriptors](Self::passes_descriptors), and the daemon to have feature 8 of
    /// `CONNECT_SUPPORTS_FEATURE`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As [`call`](Self::call). Descriptors that come too late are closed.
    pub async fn call_with_descriptors<C: Call>(
        &self,
        arguments: C,
        descriptors: Vec<Descriptor>,
    ) -> Result<(C::Reply, Vec<Descriptor>)> {
        let frame = encode_call(C::PROCEDURE, &arguments, descriptors.len());
        drop(arguments);
        let reply = match frame {
            Ok(frame) => self.exchange(Request { descriptors, ..Request::new(C::PROCEDURE, frame) }).await,
            Err(error) => Err(error),
        };
        self.observed(reply.and_then(|Reply { payload, descriptors, .. }| {
            let reply = from_bytes(&payload).map_err(|error| not_understood(C::PROCEDURE, error))?;
            Ok((reply, descriptors))
        }))
    }

    /// Calls `procedure` with arguments that are encoded already, and returns its results undecoded. With
    /// `descriptors`, which are passed along, the connection has to be a Unix socket.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As [`call`](Self::call).
    pub async fn call_raw(
        &self,
        procedure: &'static ProcedureInfo,
        arguments: Bytes,
        descriptors: Vec<Descriptor>,
    ) -> Result<Reply> {
        let reply = match encode_call(procedure, &arguments, descriptors.len()) {
            Ok(frame) => self.exchange(Request { descriptors, ..Request::new(procedure, frame) }).await,
            Err(error) => Err(error),
        };
        self.observed(reply)
    }

    /// Calls the procedure that `arguments` belong to, and returns its results and the data stream that it opens.
    ///
    /// # Errors
    /// As [`call`](Self::call). A procedure that opens no data stream is refused.
    ///
    /// # Cancel safety
    /// As [`call`](Self::call). A stream that is opened all the same is aborted.
    pub async fn open_stream<C: Call>(&self, arguments: C) -> Result<(C::Reply, Stream)> {
        let opened = self.open_unobserved(arguments).await;
        self.observed(opened)
    }

    async fn open_unobserved<C: Call>(&self, arguments: C) -> Result<(C::Reply, Stream)> {
        let procedure = C::PROCEDURE;
        if procedure.stream.is_none() {
            return Err(Error::Unsupported(format!("{} opens no data stream", procedure.name)));
        }
        let frame = encode(procedure, &arguments, 0)?;
        drop(arguments);
        let carries_holes = asks_for_holes(procedure, &frame);
        let link = Arc::new(Link::new(procedure, carries_holes, self.shared.flow.clone()));
        // Dropped with the future, it aborts whatever becomes of the call.
        let stream = Stream::new(self.clone(), link.clone());
        let request = Request { stream: Some(link), ..Request::new(procedure, frame) };
        let Reply { payload, .. } = self.exchange(request).await?;
        let reply = from_bytes(&payload).map_err(|error| not_understood(procedure, error))?;
        Ok((reply, stream))
    }

    /// Registers for the events of a source, and returns them as they come. A daemon takes the same registration only
    /// once, so all that are made by equal calls share one.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    /// A registration whose future is dropped is cancelled.
    pub async fn subscribe(&self, source: EventSource) -> Result<Subscription> {
        let subscribed = self.register_all([source]).await.and_then(|(subscription, refused)| {
            refused.into_iter().next().map_or(Ok(subscription), |(_, error)| Err(error))
        });
        self.observed(subscribed)
    }

    /// Registers for the events of several sources, and returns them in one stream, in the order in which they come. Also
    /// returns which sources the daemon refused, by their place in `sources`, and why; the others are there.
    ///
    /// # Errors
    /// As [`call`](Self::call), but for the daemon's refusals.
    ///
    /// # Cancel safety
    /// Registrations whose future is dropped are cancelled.
    pub async fn subscribe_to_all(
        &self,
        sources: impl IntoIterator<Item = EventSource>,
    ) -> Result<(Subscription, Vec<(usize, Error)>)> {
        let subscribed = self.register_all(sources).await;
        self.observed(subscribed)
    }

    async fn register_all(
        &self,
        sources: impl IntoIterator<Item = EventSource>,
    ) -> Result<(Subscription, Vec<(usize, Error)>)> {
        let queue = Queue::new(self.shared.event_queue);
        let client = self.with_timeout(None);
        // On tasks of their own, without a deadline: whoever stops waiting cannot cancel a registration that they have
        // not heard of, so the task hears of it and drops it.
        let mut registering: Vec<(&ProcedureInfo, JoinHandle<_>)> = sources
            .into_iter()
            .map(|source| {
                let procedure = source.procedure;
                let unsettled = Unsettled::begin(&client);
                let begin = Registration::begin(client.clone(), source, queue.clone());
                // If nobody takes them, the registration is dropped first, and so settled once it is cancelled.
                let begin = async move { (begin.await, unsettled) };
                (procedure, self.runtime().spawn(begin.instrument(Span::current())))
            })
            .collect();
        let end =
            self.timeout.and_then(|after| tokio::time::Instant::now().checked_add(after).zip(Some(after)));
        let (mut registrations, mut refused) = (Vec::new(), Vec::new());
        for (place, (procedure, registering)) in registering.iter_mut().enumerate() {
            let registered = match end {
                None => registering.await,
                Some((end, after)) => tokio::time::timeout_at(end, registering).await.map_err(|_| {
                    Error::Timeout { what: procedure.name, after, waiting: Waiting::ForAnswer }
                })?,
            };
            match registered.map_or_else(|_| Err(self.closed_error()), |(registered, _)| registered) {
                Ok(registration) => registrations.push(registration),
                Err(error @ Error::Remote(_)) => refused.push((place, error)),
                Err(error) => return Err(error),
            }
        }
        let subscription = Subscription::new(queue, registrations, self.shared.on_error.clone());
        Ok((subscription, refused))
    }

    pub(super) fn command(&self, command: Command) {
        // Once the connection has ended, all who wait have been told.
        let _ = self.shared.commands.send(command);
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns where the connection's task runs, for work that goes on when whoever wanted it has gone.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    pub(super) fn registrations(&self) -> &Registrations {
        &self.shared.registrations
    }

    /// Registers at the daemon and returns what the events are known by.
    pub(super) async fn register(&self, source: EventSource, queue: Arc<Queue>) -> Result<i32> {
        let EventSource { procedure, frame, family, number, .. } = source;
        let subscribe = Some(Subscriber { family, number, queue });
        let reply = self.exchange(Request { subscribe, ..Request::new(procedure, frame) }).await?;
        driver::event_number(number, &reply).map_err(|error| not_understood(procedure, error))
    }

    /// Has the events of a registration delivered to one more queue, from when this returns.
    pub(super) async fn join(&self, key: Key, queue: Arc<Queue>) -> Result<()> {
        let (joined, done) = oneshot::channel();
        let _ = self.shared.commands.send(Command::Join { key, queue, joined });
        done.await.map_err(|_| self.closed_error())
    }

    /// Has no more events delivered to a queue.
    pub(super) fn leave(&self, key: Key, queue: Arc<Queue>) {
        let _ = self.shared.commands.send(Command::Leave { key, queue });
    }

    /// Waits until no registration is on its way, nor the cancelling of one whose last reader has gone.
    pub(crate) async fn settle(&self) {
        self.shared.registrations.settle().await;
    }

    pub(super) async fn cancel_registration(&self, cancel: &'static ProcedureInfo, arguments: Bytes) {
        let Ok(frame) = encode_call(cancel, &arguments, 0) else { return };
        if let Err(error) = self.exchange(Request::new(cancel, frame)).await {
            tracing::debug!(%error, procedure = cancel.name, "a registration for events was not cancelled");
        }
    }

    /// Tells whether open files can be passed: over Unix sockets they can.
    #[must_use]
    pub fn passes_descriptors(&self) -> bool {
        self.shared.passes_descriptors
    }

    /// Watches from now on whether the daemon gives signs of life, and ends the connection if it does not. An interval of
    /// zero ends the watch.
    /// Only for daemons that have said that they support it (feature 10 of `CONNECT_SUPPORTS_FEATURE`).
    pub fn start_keepalive(&self, config: KeepaliveConfig) {
        let _ = self.shared.commands.send(Command::Keepalive(config));
    }

    /// Writes what was handed over before, ends the connection, and returns when that is done. Calls without a
    /// reply end with [`CloseReason::Client`].
    pub async fn close(&self) {
        let _ = self.shared.commands.send(Command::Close);
        self.closed().await;
    }

    /// Waits for the connection's end and returns its reason.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let mut closed = self.shared.closed.clone();
        async move {
            match closed.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or(CloseReason::Runtime),
                Err(_) => CloseReason::Runtime,
            }
        }
    }

    /// Returns why the connection has ended, or `None` while it lives.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared.closed.borrow().clone()
    }

    /// Sends a call and waits for its reply, within the deadline.
    async fn exchange(&self, request: Request) -> Result<Reply> {
        let span = tracing::debug_span!("call", procedure = request.procedure.name, serial = field::Empty);
        let observed = (!span.is_disabled()).then(|| (span.clone(), Instant::now()));
        let result = self.exchange_in_time(request).instrument(span).await;
        if let Some((span, begun)) = observed {
            let _entered = span.enter();
            let elapsed = begun.elapsed();
            match &result {
                Ok(reply) => {
                    span.record("serial", reply.serial);
                    tracing::debug!(?elapsed, bytes = reply.payload.len(), "replied");
                }
                Err(error) => tracing::debug!(?elapsed, %error, "failed"),
            }
        }
        result
    }

    async fn exchange_in_time(&self, request: Request) -> Result<Reply> {
        let what = request.procedure.name;
        let mut waiting = Waiting::ForTurn;
        let exchange = self.exchange_unbounded(request, &mut waiting);
        match self.timeout {
            None => exchange.await,
            Some(after) => match tokio::time::timeout(after, exchange).await {
                Ok(result) => result,
                Err(_) => Err(Error::Timeout { what, after, waiting }),
            },
        }
    }

    async fn exchange_unbounded(&self, request: Request, waiting: &mut Waiting) -> Result<Reply> {
        let permits = self.shared.permits.clone();
        // The semaphore is never closed: when the connection ends, those who have permits give them back.
        let Ok(permit) = permits.acquire_owned().await else { return Err(self.closed_error()) };
        let (reply, replied) = oneshot::channel();
        let Request { procedure, frame, descriptors, subscribe, stream } = request;
        let waiter = Waiter { reply, subscribe, stream, _permit: permit };
        let command = Command::Call(CallCommand { procedure, frame, descriptors, waiter });
        if self.shared.commands.send(command).is_err() {
            return Err(self.closed_error());
        }
        *waiting = Waiting::ForAnswer;
        replied.await.unwrap_or_else(|_| Err(self.closed_error()))
    }

    /// Tells the hook of an error that a user is about to get.
    pub(crate) fn observed<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(error), Some(hook)) = (&result, &self.shared.on_error) {
            hook.tell(error);
        }
        result
    }

    fn closed_error(&self) -> Error {
        Error::Closed(self.close_reason().unwrap_or(CloseReason::Runtime))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("closed", &self.close_reason())
            .field("free_calls", &self.shared.permits.available_permits())
            .field("timeout", &self.timeout)
            .finish()
    }
}

pub(super) fn encode_call<T: Encode + ?Sized>(
    procedure: &'static ProcedureInfo,
    arguments: &T,
    descriptors: usize,
) -> Result<Vec<u8>> {
    if procedure.stream.is_some() {
        let reason = format!("{} opens a data stream, which a plain call cannot carry", procedure.name);
        return Err(Error::Unsupported(reason));
    }
    encode(procedure, arguments, descriptors)
}

/// Tells whether the flag that makes a stream carry holes is among the flags of a call, which are its last argument.
fn asks_for_holes(procedure: &ProcedureInfo, frame: &[u8]) -> bool {
    let flags = frame.last_chunk().map_or(0, |flags| u32::from_be_bytes(*flags));
    procedure.sparse_flag.is_some_and(|sparse| flags & sparse.value != 0)
}

fn encode<T: Encode + ?Sized>(
    procedure: &'static ProcedureInfo,
    arguments: &T,
    descriptors: usize,
) -> Result<Vec<u8>> {
    frame::encode(&frame::call_header(procedure, descriptors), descriptors, arguments)
        .inspect_err(|error| tracing::debug!(procedure = procedure.name, %error, "not sent"))
        .map_err(|error| Error::Encode { what: procedure.name, cause: Arc::new(error) })
}
