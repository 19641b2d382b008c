//! The handle that calls are made with.
//!
//! A call travels like this: [`Client::call`] encodes its arguments into one buffer, waits for a permit from the
//! in-flight cap, and hands the buffer to the driver's task, which gives it a serial and writes it, joined
//! with others that wait. The reply is taken out of the read buffer without a copy, matched by serial, sent
//! back through a oneshot, and decoded in the caller's task.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{runtime::Handle, time::timeout};
use tracing::Instrument;

use super::{
    Config, KeepaliveConfig, Wire,
    command::{Command, Failure, Request},
    conversation::{Conversation, Trace},
    events::Subscription,
    link::Link,
    queue::Queue,
    registrations::{EventSource, all_or_refused, register_each},
    secrets,
    session::{Answer, Refusal},
    stream::Stream,
    supervised::{Attempts, Patience, Supervised, Supervisor},
};
use crate::{
    error::{CloseReason, Error, Result, Waiting},
    protocol::{
        Call, ProcedureInfo,
        frame::{self, Descriptor},
    },
    xdr::{self, Encode, from_bytes},
};

/// A connection's raw layer: makes any call of the protocol. Cheap to clone; all clones share the connection,
/// which ends when the last of them (and of what was made from them) is dropped.
#[derive(Clone)]
pub struct Client {
    via: Via,
    timeout: Option<Duration>,
    config: Arc<Config>,
}

/// What calls go through.
#[derive(Clone)]
enum Via {
    /// This conversation and no other.
    One(Arc<Conversation>),
    /// The conversation that there is at the time.
    Supervised(Arc<Supervised>),
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

pub(super) fn not_understood(procedure: &ProcedureInfo, error: xdr::DecodeError) -> Error {
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
        Self::new(Via::One(Arc::new(Conversation::start(wire, config))), config)
    }

    /// Makes a client whose calls go through one conversation after another, and the one who is to provide them.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn supervised(config: &Config, patience: Patience) -> (Self, Supervisor) {
        let (supervised, supervisor) = Supervised::start(patience);
        (Self::new(Via::Supervised(supervised), config), supervisor)
    }

    fn new(via: Via, config: &Config) -> Self {
        Self { via, timeout: config.call_timeout, config: Arc::new(config.clone()) }
    }

    /// Returns a handle to one conversation only.
    fn of(&self, conversation: Arc<Conversation>) -> Self {
        Self { via: Via::One(conversation), ..self.clone() }
    }

    /// Returns a handle to the conversation that there is now, and to no other; `None` if there is none.
    pub(crate) fn current(&self) -> Option<Self> {
        match &self.via {
            Via::One(_) => Some(self.clone()),
            Via::Supervised(supervised) => supervised.current().map(|current| self.of(current)),
        }
    }

    /// Waits for a conversation, as a call of `procedure` does, and returns a handle to it and to no other one: for what
    /// must not be continued over another.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn pinned(&self, procedure: &'static ProcedureInfo) -> Result<Self> {
        let attempts = Attempts::new(procedure);
        match within(self.timeout, self.conversation(&attempts)).await {
            Ok(conversation) => Ok(self.of(conversation?)),
            Err(after) => {
                Err(Error::Timeout { what: procedure.name, after, waiting: Waiting::ForReconnection })
            }
        }
    }

    /// Returns a handle to the same connection whose calls have another deadline, or none.
    #[must_use]
    pub fn with_timeout(&self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { timeout: timeout.into(), ..self.clone() }
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
        let trace = Trace::begin(procedure);
        let opened = self.open_in_time(procedure, frame).instrument(trace.span.clone()).await;
        trace.end(opened.as_ref().map(|(reply, _)| reply));
        let (Reply { payload, .. }, stream) = opened?;
        let reply = from_bytes(&payload).map_err(|error| not_understood(procedure, error))?;
        Ok((reply, stream))
    }

    async fn open_in_time(
        &self,
        procedure: &'static ProcedureInfo,
        frame: Vec<u8>,
    ) -> Result<(Reply, Stream)> {
        let mut waiting = Waiting::ForReconnection;
        match within(self.timeout, self.open_unbounded(procedure, frame, &mut waiting)).await {
            Ok(opened) => opened,
            Err(after) => Err(Error::Timeout { what: procedure.name, after, waiting }),
        }
    }

    /// Opens a stream, which belongs to one conversation and ends with it.
    async fn open_unbounded(
        &self,
        procedure: &'static ProcedureInfo,
        frame: Vec<u8>,
        waiting: &mut Waiting,
    ) -> Result<(Reply, Stream)> {
        let carries_holes = asks_for_holes(procedure, &frame);
        let mut attempts = Attempts::new(procedure);
        loop {
            *waiting = attempts.waiting();
            let conversation = self.conversation(&attempts).await?;
            let link = Arc::new(Link::new(procedure, carries_holes, conversation.flow.clone()));
            // Dropped with the future, it aborts whatever becomes of the call.
            let stream = Stream::new(self.of(conversation.clone()), link.clone());
            let request = Request { stream: Some(link), ..Request::new(procedure, frame.clone()) };
            match conversation.exchange(request, waiting).await {
                Ok(reply) => return Ok((reply, stream)),
                Err(failure) => self.again(&mut attempts, failure)?,
            }
        }
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
        let sources: Vec<EventSource> = sources.into_iter().collect();
        match &self.via {
            Via::One(conversation) => {
                let queue = Queue::new(self.config.event_queue);
                let registered = register_each(conversation, &sources, &queue, self.timeout).await;
                let (registrations, refused) = all_or_refused(registered)?;
                Ok((Subscription::new(queue, registrations, self.config.on_error.clone()), refused))
            }
            Via::Supervised(supervised) => {
                let what = sources.first().map_or("subscribing", |source| source.procedure.name);
                let mut waiting = Waiting::ForReconnection;
                let subscribing = supervised.subscribe(&sources, &self.config, &mut waiting);
                match Box::pin(within(self.timeout, subscribing)).await {
                    Ok(subscribed) => subscribed,
                    Err(after) => Err(Error::Timeout { what, after, waiting }),
                }
            }
        }
    }

    /// Asks the driver for something, if there is one.
    pub(super) fn command(&self, command: Command) {
        if let Some(conversation) = self.current_conversation() {
            conversation.command(command);
        }
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns where the connection's task runs, for work that goes on when whoever wanted it has gone.
    pub(crate) fn runtime(&self) -> &Handle {
        match &self.via {
            Via::One(conversation) => &conversation.runtime,
            Via::Supervised(supervised) => &supervised.runtime,
        }
    }

    /// Begins no more calls, but for the last one: those that wait for their turn end with [`CloseReason::Client`].
    pub(crate) fn begin_leaving(&self) {
        if let Some(conversation) = self.current_conversation() {
            conversation.begin_leaving();
        }
    }

    /// Does what [`call`](Self::call) does, at once and not in its turn. A daemon that is busy with as many calls as it is given
    /// at once takes one more, and then no other before that is answered: for the last call of a connection, and for the
    /// question whether it answers at all.
    pub(crate) async fn call_out_of_turn<C: Call>(&self, arguments: C) -> Result<C::Reply> {
        let reply = match encode_call(C::PROCEDURE, &arguments, 0) {
            Ok(frame) => {
                self.exchange(Request { out_of_turn: true, ..Request::new(C::PROCEDURE, frame) }).await
            }
            Err(error) => Err(error),
        };
        self.observed(reply.and_then(|reply| {
            from_bytes(&reply.payload).map_err(|error| not_understood(C::PROCEDURE, error))
        }))
    }

    /// Returns how often reading was stopped for the readers of data streams, and begun again: odd while what comes waits for
    /// them.
    pub(crate) fn pauses(&self) -> usize {
        self.current_conversation().map_or(0, |conversation| conversation.flow.pauses())
    }

    /// Waits until no registration is on its way, nor the cancelling of one whose last reader has gone.
    pub(crate) async fn settle(&self) {
        if let Some(conversation) = self.current_conversation() {
            conversation.registrations.settle().await;
        }
    }

    /// Tells whether open files can be passed: over Unix sockets they can.
    #[must_use]
    pub fn passes_descriptors(&self) -> bool {
        match &self.via {
            Via::One(conversation) => conversation.passes_descriptors,
            Via::Supervised(supervised) => supervised.passes_descriptors(),
        }
    }

    /// Watches from now on whether the daemon gives signs of life, and ends the connection if it does not. An interval of
    /// zero ends the watch.
    /// Only for daemons that have said that they support it (feature 10 of `CONNECT_SUPPORTS_FEATURE`).
    pub fn start_keepalive(&self, config: KeepaliveConfig) {
        self.command(Command::Keepalive(config));
    }

    /// Writes what was handed over before, ends the connection, and returns when that is done. Calls without a
    /// reply end with [`CloseReason::Client`].
    pub async fn close(&self) {
        let conversation = self.current_conversation();
        // First, so that nobody opens another one.
        self.stop_supervision();
        if let Some(conversation) = conversation {
            conversation.command(Command::Close);
            conversation.closed().await;
        }
    }

    /// Has nobody provide conversations any more. The one that there is goes on, for whoever has a handle to it.
    pub(crate) fn stop_supervision(&self) {
        if let Via::Supervised(supervised) = &self.via {
            supervised.end(CloseReason::Client);
        }
    }

    /// Ends the connection at once, for a reason that everyone is told.
    pub(crate) fn abort(&self, reason: CloseReason) {
        self.command(Command::Abort(reason));
    }

    /// Waits for the connection's end and returns its reason.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let via = match &self.via {
            Via::One(conversation) => Ok(conversation.closed()),
            Via::Supervised(supervised) => Err(supervised.ended()),
        };
        async {
            match via {
                Ok(closed) => closed.await,
                Err(ended) => ended.await,
            }
        }
    }

    /// Returns why the connection has ended, or `None` while it lives.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        match &self.via {
            Via::One(conversation) => conversation.close_reason(),
            Via::Supervised(supervised) => supervised.end_reason(),
        }
    }

    pub(super) fn current_conversation(&self) -> Option<Arc<Conversation>> {
        match &self.via {
            Via::One(conversation) => Some(conversation.clone()),
            Via::Supervised(supervised) => supervised.current(),
        }
    }

    /// Waits for a conversation to make a call in.
    async fn conversation(&self, attempts: &Attempts) -> Result<Arc<Conversation>> {
        match &self.via {
            Via::One(conversation) => Ok(conversation.clone()),
            Via::Supervised(supervised) => Box::pin(supervised.conversation(attempts)).await,
        }
    }

    /// Decides whether what has failed is to be tried again.
    fn again(&self, attempts: &mut Attempts, failure: Failure) -> Result<()> {
        match (&self.via, failure) {
            (Via::Supervised(supervised), Failure::Lost { reason, sent }) => {
                supervised.again(attempts, reason, sent)
            }
            (_, failure) => Err(failure.into()),
        }
    }

    /// Sends a call and waits for its reply, within the deadline.
    async fn exchange(&self, request: Request) -> Result<Reply> {
        let trace = Trace::begin(request.procedure);
        let reply = self.exchange_in_time(request).instrument(trace.span.clone()).await;
        trace.end(reply.as_ref());
        reply
    }

    async fn exchange_in_time(&self, request: Request) -> Result<Reply> {
        let what = request.procedure.name;
        let mut waiting = Waiting::ForReconnection;
        // Whatever a future is moved into has room for it twice, so there is none around this one.
        let Some(after) = self.timeout else {
            return self.exchange_unbounded(request, &mut waiting).await;
        };
        match timeout(after, self.exchange_unbounded(request, &mut waiting)).await {
            Ok(replied) => replied,
            Err(_) => Err(Error::Timeout { what, after, waiting }),
        }
    }

    async fn exchange_unbounded(&self, request: Request, waiting: &mut Waiting) -> Result<Reply> {
        match &self.via {
            Via::One(conversation) => Ok(conversation.exchange(request, waiting).await?),
            // In boxes, here and below, so that other clients need not have room for it.
            Via::Supervised(supervised) => Box::pin(supervised.exchange(request, waiting)).await,
        }
    }

    /// Tells the hook of an error that a user is about to get.
    pub(crate) fn observed<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(error), Some(hook)) = (&result, &self.config.on_error) {
            hook.tell(error);
        }
        result
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("closed", &self.close_reason())
            .field("free_calls", &self.current_conversation().map(|conversation| conversation.free_calls()))
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Does `doing` within a limit, which is returned if it is not enough.
async fn within<T>(limit: Option<Duration>, doing: impl Future<Output = T>) -> Result<T, Duration> {
    match limit {
        None => Ok(doing.await),
        Some(after) => timeout(after, doing).await.map_err(|_| after),
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
    let (buffer, header) = (secrets::buffer_for(procedure), frame::call_header(procedure, descriptors));
    frame::encode_into(buffer, &header, descriptors, arguments)
        .inspect_err(|error| tracing::debug!(procedure = procedure.name, %error, "not sent"))
        .map_err(|error| Error::Encode { what: procedure.name, cause: Arc::new(error) })
}
