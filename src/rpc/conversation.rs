//! One conversation, as the handles see it: the way to its driver, and what they share.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
    time::Instant,
};

use tokio::{
    runtime::Handle,
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
};
use tracing::{Instrument, Span, field};

use super::{
    Config, Reply, Wire,
    command::{CallCommand, Command, Failure, Request, Sent, Waiter},
    driver::Driver,
    events::Key,
    link::Flow,
    queue::Queue,
    registrations::Registrations,
};
use crate::{
    error::{CloseReason, Error, Result, Waiting},
    protocol::ProcedureInfo,
};

/// What the handles of a conversation share. When the last of them is dropped, the driver ends it.
pub(super) struct Conversation {
    commands: mpsc::UnboundedSender<Command>,
    permits: Arc<Semaphore>,
    closed: watch::Receiver<Option<CloseReason>>,
    pub(super) passes_descriptors: bool,
    pub(super) registrations: Registrations,
    pub(super) flow: Arc<Flow>,
    /// Where the driver runs, and whatever else must live as long as the connection.
    pub(super) runtime: Handle,
}

impl Conversation {
    /// Starts one over `wire`.
    pub(super) fn start(wire: impl Wire, config: &Config) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(None);
        let permits = Arc::new(Semaphore::new(config.in_flight.clamp(1, Semaphore::MAX_PERMITS)));
        let passes_descriptors = wire.passes_descriptors();
        let flow = Arc::new(Flow::default());
        let driver = Driver::new(wire, received, closing, flow.clone(), config.stream_buffer);
        tokio::spawn(driver.run().instrument(Span::current()));
        Self {
            commands,
            permits,
            closed,
            passes_descriptors,
            registrations: Registrations::default(),
            flow,
            runtime: Handle::current(),
        }
    }

    /// Asks the driver for something. Once the connection has ended, all who wait have been told.
    pub(super) fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Sends a call when it is its turn, and waits for the reply. `waiting` says what for.
    pub(super) async fn exchange(&self, request: Request, waiting: &mut Waiting) -> Result<Reply, Failure> {
        // Of what was handed over before, in another conversation, the answer is still waited for.
        if *waiting != Waiting::ForAnswer {
            *waiting = Waiting::ForTurn;
        }
        let permit = match request.out_of_turn {
            true => None,
            false => Some(self.turn().await.map_err(|_| self.turned_away())?),
        };
        let replied = self.ask(request, permit)?;
        *waiting = Waiting::ForAnswer;
        // A driver that is gone without a word was dropped by its runtime, with whatever it had written.
        replied.await.unwrap_or_else(|_| Err(self.lost(Sent::Wholly)))
    }

    /// Does what [`exchange`](Self::exchange) does, for whoever is not to keep the conversation while they wait.
    pub(super) async fn exchange_in(conversation: &Weak<Self>, request: Request) -> Result<Reply, Failure> {
        let turn = Self::upgrade(conversation)?.turn();
        let permit = turn.await;
        let replied = {
            let conversation = Self::upgrade(conversation)?;
            let permit = permit.map_err(|_| conversation.turned_away())?;
            conversation.ask(request, Some(permit))?
        };
        match replied.await {
            Ok(reply) => reply,
            Err(_) => Err(Self::upgrade(conversation)?.lost(Sent::Wholly)),
        }
    }

    /// Returns a conversation that others keep.
    ///
    /// # Errors
    /// Nobody does any more.
    pub(super) fn upgrade(conversation: &Weak<Self>) -> Result<Arc<Self>, Failure> {
        conversation.upgrade().ok_or(Failure::Lost { reason: CloseReason::Client, sent: Sent::Nothing })
    }

    /// Sends a call, and returns where its reply will be.
    fn ask(
        &self,
        request: Request,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<oneshot::Receiver<Result<Reply, Failure>>, Failure> {
        let (reply, replied) = oneshot::channel();
        let Request { procedure, frame, descriptors, subscribe, stream, .. } = request;
        let waiter = Waiter { reply, subscribe, stream, permit };
        let command = Command::Call(CallCommand { procedure, frame, descriptors, waiter });
        self.commands.send(command).map_err(|_| self.lost(Sent::Nothing))?;
        Ok(replied)
    }

    /// Waits for the turn of a call. Turns are taken in the order in which they are asked for.
    fn turn(&self) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + use<> {
        self.permits.clone().acquire_owned()
    }

    /// Why there are no turns any more. Only `begin_leaving` closes the semaphore: when the connection ends, those who have
    /// permits give them back.
    fn turned_away(&self) -> Failure {
        let reason = self.close_reason().unwrap_or(CloseReason::Client);
        Failure::Lost { reason, sent: Sent::Nothing }
    }

    /// Begins no more calls, but for the last one: those that wait for their turn end with [`CloseReason::Client`].
    pub(super) fn begin_leaving(&self) {
        self.permits.close();
    }

    /// Has the events of a registration delivered to one more queue, from when this returns.
    pub(super) async fn join(&self, key: Key, queue: Arc<Queue>) -> Result<(), Failure> {
        let (joined, done) = oneshot::channel();
        self.command(Command::Join { key, queue, joined });
        done.await.map_err(|_| self.lost(Sent::Nothing))
    }

    /// Waits for the end and returns its reason.
    pub(super) fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let mut closed = self.closed.clone();
        async move {
            match closed.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or(CloseReason::Runtime),
                Err(_) => CloseReason::Runtime,
            }
        }
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.closed.borrow().clone()
    }

    /// Tells whether calls may be made: it has not ended, and nobody is about to say goodbye.
    pub(super) fn is_open(&self) -> bool {
        self.closed.borrow().is_none() && !self.permits.is_closed()
    }

    /// Returns how many more calls the daemon would be given now.
    pub(super) fn free_calls(&self) -> usize {
        self.permits.available_permits()
    }

    pub(super) fn closed_error(&self) -> Error {
        Error::Closed(self.close_reason().unwrap_or(CloseReason::Runtime))
    }

    fn lost(&self, sent: Sent) -> Failure {
        let reason = self.close_reason().unwrap_or(CloseReason::Runtime);
        Failure::Lost { reason, sent }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("closed", &self.close_reason()).finish_non_exhaustive()
    }
}

/// What is logged of a call: it is made in a span of its own.
pub(super) struct Trace {
    pub(super) span: Span,
    /// When it was begun, if anybody listens.
    begun: Option<Instant>,
}

impl Trace {
    pub(super) fn begin(procedure: &'static ProcedureInfo) -> Self {
        let span = tracing::debug_span!("call", procedure = procedure.name, serial = field::Empty);
        let begun = (!span.is_disabled()).then(Instant::now);
        Self { span, begun }
    }

    /// Says what became of it.
    pub(super) fn end(&self, result: Result<&Reply, &impl fmt::Display>) {
        let Some(begun) = self.begun else { return };
        let _entered = self.span.enter();
        let elapsed = begun.elapsed();
        match result {
            Ok(reply) => {
                self.span.record("serial", reply.serial);
                tracing::debug!(?elapsed, bytes = reply.payload.len(), "replied");
            }
            Err(error) => tracing::debug!(?elapsed, %error, "failed"),
        }
    }
}
