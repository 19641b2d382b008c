//! A client that outlives its conversations: when one ends, calls wait for the next, and events are registered for anew.
//!
//! Whoever opens connections drives it, by a [`Supervisor`]: this module only knows what becomes of calls and subscriptions.
//!
//! * A call that finds **no conversation** waits for one, for a limited time.
//! * A call whose conversation ends **before it was written whole** is made again in the next one; if it was begun, three times
//!   at most.
//! * One that was written, and has no reply, is made again if its procedure is [safe to repeat](Config::may_repeat). If not, its
//!   caller is told that the daemon may have carried it out.
//! * **Events:** a new conversation is not used before everything is registered again. See [`queue`](super::queue).
//! * A **data stream** belongs to one conversation, and ends with it.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{RwLock, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    Client, Config, Reply,
    command::{Command, Failure, Request, Sent},
    conversation::Conversation,
    events::Subscription,
    queue::Queue,
    registrations::{EventSource, Registration, all_or_refused, register_each},
    suspects::Suspects,
};
use crate::{
    error::{CloseReason, Error, Result, Waiting},
    protocol::ProcedureInfo,
};

/// How often a call that was begun is made again: it may be what the daemon dies of.
pub(super) const MOST_REPEATS: u32 = 3;

/// How calls behave while there is no conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long a call waits for a conversation.
    pub(crate) wait: Duration,
    /// Which procedures may be called twice.
    pub(crate) may_repeat: fn(&ProcedureInfo) -> bool,
}

/// What the handles of a supervised connection share.
#[derive(Debug)]
pub(super) struct Supervised {
    state: watch::Sender<State>,
    patience: Patience,
    subscriptions: Mutex<Vec<Weak<Lasting>>>,
    suspects: Suspects,
    /// Held for writing while a conversation is taken into use, so that no subscription is forgotten.
    changing: RwLock<()>,
    passes_descriptors: AtomicBool,
    pub(super) runtime: Handle,
}

#[derive(Debug)]
enum State {
    /// This conversation is used; it may have ended already.
    Up(Arc<Conversation>),
    /// There is none. What stands in the way, once something is known to.
    Down(Option<Error>),
    /// There will be none any more.
    Ended(CloseReason),
}

/// A subscription that outlives the conversations that its events are registered in.
pub(super) struct Lasting {
    /// Whoever listens keeps the connection, as whoever calls does.
    supervised: Arc<Supervised>,
    pub(super) queue: Arc<Queue>,
    pub(super) sources: Vec<EventSource>,
    registrations: Mutex<Vec<Registration>>,
}

/// What has been tried for one call.
#[derive(Debug)]
pub(super) struct Attempts {
    procedure: &'static ProcedureInfo,
    /// What is registered ends with the conversation, so that it can be registered again.
    registers: bool,
    repeats: u32,
    may_have_run: bool,
}

impl Attempts {
    pub(super) fn new(procedure: &'static ProcedureInfo) -> Self {
        Self { procedure, registers: false, repeats: 0, may_have_run: false }
    }

    fn registering(procedure: &'static ProcedureInfo) -> Self {
        Self { registers: true, ..Self::new(procedure) }
    }

    /// Returns what a deadline ends that passes before there is another conversation.
    pub(super) fn waiting(&self) -> Waiting {
        if self.may_have_run { Waiting::ForAnswer } else { Waiting::ForReconnection }
    }

    fn interrupted(&self, cause: Error) -> Error {
        Error::Interrupted {
            what: self.procedure.name,
            may_have_run: self.may_have_run,
            cause: Arc::new(cause),
        }
    }
}

impl Supervised {
    /// Makes a client without a conversation, and who is to give it some.
    pub(crate) fn start(patience: Patience) -> (Arc<Self>, Supervisor) {
        let (state, watched) = watch::channel(State::Down(None));
        let supervised = Arc::new(Self {
            state,
            patience,
            subscriptions: Mutex::default(),
            suspects: Suspects::default(),
            changing: RwLock::default(),
            // Until it is known, the conversation itself refuses them.
            passes_descriptors: AtomicBool::new(true),
            runtime: Handle::current(),
        });
        let supervisor = Supervisor { supervised: Arc::downgrade(&supervised), state: watched };
        (supervised, supervisor)
    }

    /// Returns the conversation that there is now.
    pub(super) fn current(&self) -> Option<Arc<Conversation>> {
        match &*self.state.borrow() {
            State::Up(conversation) if conversation.is_open() => Some(conversation.clone()),
            _ => None,
        }
    }

    /// Waits for a conversation.
    pub(super) async fn conversation(&self, attempts: &Attempts) -> Result<Arc<Conversation>> {
        let mut state = self.state.subscribe();
        let waiting = async {
            match state.wait_for(State::is_settled).await.as_deref() {
                Ok(State::Up(conversation)) => Ok(conversation.clone()),
                Ok(State::Ended(reason)) => Err(Error::Closed(reason.clone())),
                Ok(State::Down(_)) | Err(_) => Err(Error::Closed(CloseReason::Runtime)),
            }
        };
        match timeout(self.patience.wait, waiting).await {
            Ok(conversation) => conversation,
            Err(_) => Err(attempts.interrupted(self.trouble(attempts.procedure.name))),
        }
    }

    /// Says what stands in the way of a conversation.
    fn trouble(&self, what: &'static str) -> Error {
        let unknown = Error::Timeout { what, after: self.patience.wait, waiting: Waiting::ForReconnection };
        match &*self.state.borrow() {
            State::Up(conversation) => conversation.closed_error(),
            State::Down(trouble) => trouble.clone().unwrap_or(unknown),
            State::Ended(reason) => Error::Closed(reason.clone()),
        }
    }

    /// Makes a call, over several conversations if need be.
    pub(super) async fn exchange(&self, request: Request, waiting: &mut Waiting) -> Result<Reply> {
        // What opens a stream or registers for events is bound to one conversation, and made there.
        let Request { procedure, frame, mut descriptors, out_of_turn, subscribe: _, stream: _ } = request;
        let only_once = !descriptors.is_empty();
        let mut attempts = Attempts::new(procedure);
        loop {
            *waiting = attempts.waiting();
            let conversation = self.conversation(&attempts).await?;
            let descriptors = std::mem::take(&mut descriptors);
            let request =
                Request { descriptors, out_of_turn, ..Request::new(procedure, frame.bytes().to_vec()) };
            match conversation.exchange(request, waiting).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Error(error)) => return Err(error),
                Err(Failure::Lost { reason, sent }) => {
                    self.again(&mut attempts, reason.clone(), sent)?;
                    if only_once {
                        // The descriptors are gone.
                        return Err(attempts.interrupted(Error::Closed(reason)));
                    }
                }
            }
        }
    }

    /// Decides whether a call whose conversation has ended is to be made again.
    pub(super) fn again(&self, attempts: &mut Attempts, reason: CloseReason, sent: Sent) -> Result<()> {
        attempts.may_have_run |= sent == Sent::Wholly;
        if let Some(reason) = self.end_reason() {
            return Err(Error::Closed(reason));
        }
        if sent == Sent::Nothing {
            return Ok(());
        }
        attempts.repeats += 1;
        let may_repeat =
            sent == Sent::Partly || attempts.registers || (self.patience.may_repeat)(attempts.procedure);
        if attempts.repeats > MOST_REPEATS || !may_repeat {
            return Err(attempts.interrupted(Error::Closed(reason)));
        }
        tracing::debug!(procedure = attempts.procedure.name, %reason, "repeating");
        Ok(())
    }

    /// Registers for events, now and in all conversations to come.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        sources: &[EventSource],
        config: &Config,
        waiting: &mut Waiting,
    ) -> Result<(Subscription, Vec<(usize, Error)>)> {
        let Config { event_queue: capacity, on_error, .. } = config.clone();
        let Some(first) = sources.first() else {
            return Ok((Subscription::new(Queue::new(capacity), Vec::new(), on_error), Vec::new()));
        };
        let mut attempts = Attempts::registering(first.procedure);
        loop {
            *waiting = Waiting::ForReconnection;
            self.conversation(&attempts).await?;
            let _unchanged = self.changing.read().await;
            let Some(conversation) = self.current() else { continue };
            *waiting = Waiting::ForAnswer;
            let queue = Queue::lasting(capacity);
            match all_or_refused(register_each(&conversation, sources, &queue, None).await) {
                Ok((registrations, refused)) => {
                    let is_refused = |place| refused.iter().any(|(refused, _)| *refused == place);
                    let kept = sources.iter().enumerate().filter(|(place, _)| !is_refused(*place));
                    let sources = kept.map(|(_, source)| source.clone()).collect();
                    let registrations = Mutex::new(registrations);
                    let lasting =
                        Arc::new(Lasting { supervised: self.clone(), queue, sources, registrations });
                    self.remember(&lasting);
                    return Ok((Subscription::lasting(lasting, on_error), refused));
                }
                Err(Failure::Lost { reason, sent }) => self.again(&mut attempts, reason, sent)?,
                Err(Failure::Error(error)) => return Err(error),
            }
        }
    }

    fn remember(&self, lasting: &Arc<Lasting>) {
        let mut subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        subscriptions.retain(|subscription| subscription.strong_count() > 0);
        subscriptions.push(Arc::downgrade(lasting));
        drop(subscriptions);
        if let Some(reason) = self.end_reason() {
            lasting.end(&reason);
        }
    }

    fn subscriptions(&self) -> Vec<Arc<Lasting>> {
        let subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        subscriptions.iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes a conversation into use, once all events are registered for, and says so by `up` before any call goes over it.
    async fn adopt(&self, conversation: &Arc<Conversation>, up: impl FnOnce() + Send) -> Result<()> {
        let _changing = self.changing.write().await;
        let subscriptions = self.subscriptions();
        let queues: Vec<_> = subscriptions.iter().map(|subscription| subscription.queue.renewed()).collect();
        let one_by_one = self.suspects.at_once() == 1;
        let mut renewing = JoinSet::new();
        for (subscription, queue) in subscriptions.iter().zip(&queues) {
            let renewed = subscription.clone().renew(conversation.clone(), queue.clone());
            renewing.spawn_on(renewed, &self.runtime);
            if one_by_one {
                all_done(&mut renewing).await?;
            }
        }
        all_done(&mut renewing).await?;
        self.suspects.settle();
        self.passes_descriptors.store(conversation.passes_descriptors, Ordering::Relaxed);
        let mut adopted = false;
        self.state.send_modify(|state| {
            adopted = !matches!(state, State::Ended(_));
            if adopted {
                up();
                *state = State::Up(conversation.clone());
            }
        });
        if adopted {
            queues.iter().for_each(|queue| queue.resume());
        }
        Ok(())
    }

    pub(super) fn passes_descriptors(&self) -> bool {
        self.passes_descriptors.load(Ordering::Relaxed)
    }

    /// Ends everything for this reason, unless it has ended before. The conversation itself is not closed.
    pub(super) fn end(&self, reason: CloseReason) {
        let ended = self.state.send_if_modified(|state| {
            let first = !matches!(state, State::Ended(_));
            if first {
                *state = State::Ended(reason.clone());
            }
            first
        });
        if ended {
            self.subscriptions().iter().for_each(|subscription| subscription.end(&reason));
        }
    }

    pub(super) fn end_reason(&self) -> Option<CloseReason> {
        match &*self.state.borrow() {
            State::Ended(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Waits for the end, and returns its reason.
    pub(super) fn ended(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let mut state = self.state.subscribe();
        async move {
            match state.wait_for(|state| matches!(state, State::Ended(_))).await.as_deref() {
                Ok(State::Ended(reason)) => reason.clone(),
                _ => CloseReason::Runtime,
            }
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Whoever still waits for the end must not keep a conversation alive.
        self.end(CloseReason::Client);
    }
}

impl State {
    /// Tells whether there is no need to wait.
    fn is_settled(&self) -> bool {
        match self {
            Self::Up(conversation) => conversation.is_open(),
            Self::Down(_) => false,
            Self::Ended(_) => true,
        }
    }
}

impl fmt::Debug for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

impl Lasting {
    /// Registers for everything again. What the daemon refuses now, or has ended too many conversations for, the reader is
    /// told, and it is tried again the next time.
    async fn renew(self: Arc<Self>, conversation: Arc<Conversation>, queue: Arc<Queue>) -> Result<()> {
        let suspects = &self.supervised.suspects;
        let mut registrations = Vec::new();
        for sources in self.sources.chunks(suspects.at_once()) {
            if let Some(error) = sources.iter().find_map(|source| suspects.refusal(source)) {
                queue.refuse(error);
                continue;
            }
            let registered = register_each(&conversation, sources, &queue, None).await;
            for (source, registered) in sources.iter().zip(&registered) {
                if let Err(Failure::Lost { reason, sent: Sent::Partly | Sent::Wholly }) = registered {
                    suspects.add(source, reason);
                }
            }
            let (registered, refused) = all_or_refused(registered)?;
            registrations.extend(registered);
            refused.into_iter().for_each(|(_, error)| queue.refuse(error));
        }
        self.keep(registrations);
        Ok(())
    }

    fn keep(&self, registrations: Vec<Registration>) {
        let mut kept = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *kept, registrations);
        drop(kept);
        drop(before);
    }

    fn end(&self, reason: &CloseReason) {
        self.queue.end(reason);
        // They would keep the conversation.
        self.keep(Vec::new());
    }
}

/// Waits for all of them, even if one has failed: others may have more to say of why.
async fn all_done(renewing: &mut JoinSet<Result<()>>) -> Result<()> {
    let mut done = Ok(());
    while let Some(renewed) = renewing.join_next().await {
        done = done.and(renewed.unwrap_or_else(|_| Err(Error::Closed(CloseReason::Runtime))));
    }
    done
}

/// Gives a supervised client its conversations. It does not keep the client alive.
#[derive(Debug)]
pub(crate) struct Supervisor {
    supervised: Weak<Supervised>,
    state: watch::Receiver<State>,
}

impl Supervisor {
    /// Does `doing` until everything has ended: it was told to, or nobody holds it any more.
    pub(crate) async fn unless_over<T>(&self, doing: impl Future<Output = T>) -> Option<T> {
        let mut state = self.state.clone();
        let mut over = pin!(state.wait_for(|state| matches!(state, State::Ended(_))));
        let mut doing = pin!(doing);
        poll_fn(|cx| {
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            doing.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Takes a client's conversation into use, once all events are registered for, and says so by `up` before any call goes
    /// over it.
    ///
    /// # Errors
    /// The conversation has ended.
    pub(crate) async fn adopt(&self, client: &Client, up: impl FnOnce() + Send) -> Result<()> {
        match (self.supervised.upgrade(), client.current_conversation()) {
            (Some(supervised), Some(conversation)) => supervised.adopt(&conversation, up).await,
            _ => Err(Error::Closed(CloseReason::Client)),
        }
    }

    /// Says that there is no conversation, and why.
    pub(crate) fn is_down(&self, trouble: Error) {
        let Some(supervised) = self.supervised.upgrade() else { return };
        supervised.state.send_if_modified(|state| {
            let goes_on = !matches!(state, State::Ended(_));
            if goes_on {
                *state = State::Down(Some(trouble));
            }
            goes_on
        });
    }

    /// Returns why everything has ended, if it has.
    pub(crate) fn end_reason(&self) -> Option<CloseReason> {
        match &*self.state.borrow() {
            State::Ended(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Ends everything for this reason, the conversation too, unless it has ended before.
    pub(crate) fn end(&self, reason: CloseReason) {
        let Some(supervised) = self.supervised.upgrade() else { return };
        let current = supervised.current();
        supervised.end(reason.clone());
        if let Some(conversation) = current {
            conversation.command(Command::Abort(reason));
        }
    }
}
