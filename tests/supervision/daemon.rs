//! A daemon behind a Unix socket that goes away and comes back as a test wants it, and counts what it is asked.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use libvirt_client::{
    Builder, Connection,
    protocol::{
        frame::{Frame, FrameDecoder},
        net::{MessageError, MessageHeader, MessageStatus, MessageType},
        remote::{self, Procedure},
    },
    supervision::Policy,
    xdr::{Encode, to_vec},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{broadcast, watch},
    task::JoinHandle,
};

/// What the daemon does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// It ends the connection without an answer.
    HangUp,
    /// It never answers.
    Ignore,
    /// It says no.
    Refuse,
    /// It says that the domain is in this state, for this reason.
    State(i32, i32),
}

/// The daemon, which listens from the start.
pub(crate) struct Daemon {
    socket: PathBuf,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    acts: Mutex<HashMap<i32, Act>>,
    calls: Mutex<HashMap<i32, usize>>,
    called: watch::Sender<usize>,
    callbacks: AtomicI32,
    /// It hangs up when it has read the beginning of a long call.
    cuts_long_calls: AtomicBool,
    cuts: AtomicUsize,
    /// How many conversations are open.
    conversations: watch::Sender<usize>,
    /// What all conversations are told to do: to end, or to report an event to the callback.
    orders: broadcast::Sender<Order>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    End,
    Report,
}

impl Daemon {
    pub(crate) fn start(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("lvs-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let shared = Shared {
            acts: Mutex::default(),
            calls: Mutex::default(),
            called: watch::Sender::new(0),
            callbacks: AtomicI32::new(0),
            cuts_long_calls: AtomicBool::new(false),
            cuts: AtomicUsize::new(0),
            conversations: watch::Sender::new(0),
            orders: broadcast::channel(16).0,
        };
        let mut daemon = Self { socket: directory.join(name), shared: Arc::new(shared), listening: None };
        daemon.come_back();
        daemon
    }

    pub(crate) fn builder(&self) -> Builder {
        Connection::builder(format!("test+unix:///default?socket={}", self.socket.display())).keepalive(None)
    }

    /// Opens a connection that is tried again at short intervals.
    pub(crate) async fn supervised(&self) -> Connection {
        self.builder().open().await.unwrap().supervised(hasty()).unwrap()
    }

    /// Ends all conversations, and listens no more.
    pub(crate) fn go_away(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        let _ = fs::remove_file(&self.socket);
        self.hang_up();
    }

    /// Ends all conversations.
    pub(crate) fn hang_up(&self) {
        let _ = self.shared.orders.send(Order::End);
    }

    /// Reports an event of a domain to whoever has registered for it.
    pub(crate) fn report(&self) {
        let _ = self.shared.orders.send(Order::Report);
    }

    pub(crate) fn come_back(&mut self) {
        let listener = listen(&self.socket);
        let shared = self.shared.clone();
        self.listening = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let orders = shared.orders.subscribe();
                let shared = shared.clone();
                tokio::spawn(async move {
                    shared.conversations.send_modify(|open| *open += 1);
                    Conversation { stream, shared: shared.clone(), callback: None }.serve(orders).await;
                    shared.conversations.send_modify(|open| *open -= 1);
                });
            }
        }));
    }

    /// Has a call answered in another way than with what it asks for, or as usual again.
    pub(crate) fn act(&self, procedure: Procedure, act: impl Into<Option<Act>>) {
        let mut acts = self.shared.acts.lock().unwrap();
        match act.into() {
            Some(act) => acts.insert(procedure.0, act),
            None => acts.remove(&procedure.0),
        };
    }

    /// Has the connection ended from now on when the beginning of a long call was read, or no longer.
    pub(crate) fn cut_long_calls(&self, cuts: bool) {
        self.shared.cuts_long_calls.store(cuts, Ordering::Relaxed);
    }

    /// Returns how often that was done.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Tells how many conversations are open.
    pub(crate) fn conversations(&self) -> watch::Receiver<usize> {
        self.shared.conversations.subscribe()
    }

    /// Returns how often a procedure was called.
    pub(crate) fn calls(&self, procedure: Procedure) -> usize {
        self.shared.calls.lock().unwrap().get(&procedure.0).copied().unwrap_or_default()
    }

    /// Waits until a procedure was called so often.
    pub(crate) async fn wait_for_calls(&self, procedure: Procedure, count: usize) {
        let mut called = self.shared.called.subscribe();
        in_time(async {
            while self.calls(procedure) < count {
                called.changed().await.unwrap();
            }
        })
        .await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// A policy for tests.
pub(crate) fn hasty() -> Policy {
    let policy = Policy::default().first_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(20));
    policy.wait(Duration::from_secs(20))
}

/// Waits for what takes milliseconds, and not for ever.
pub(crate) async fn in_time<T>(doing: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), doing)
        .await
        .expect("it did not happen within half a minute")
}

fn listen(socket: &Path) -> UnixListener {
    UnixListener::bind(socket).unwrap()
}

struct Conversation {
    stream: UnixStream,
    shared: Arc<Shared>,
    callback: Option<i32>,
}

impl Conversation {
    async fn serve(mut self, mut orders: broadcast::Receiver<Order>) {
        let mut decoder = FrameDecoder::default();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Ok(Order::Report) => self.report().await,
                    _ => return,
                },
                frame = receive(&mut self.stream, &mut decoder, &self.shared) => {
                    let Some(frame) = frame else { return };
                    if !self.answer(&frame).await {
                        return;
                    }
                }
            }
        }
    }

    /// Answers a call, and tells whether the conversation goes on.
    async fn answer(&mut self, call: &Frame) -> bool {
        let procedure = call.header.proc;
        let act = self.shared.acts.lock().unwrap().get(&procedure).copied();
        *self.shared.calls.lock().unwrap().entry(procedure).or_default() += 1;
        self.shared.called.send_modify(|called| *called += 1);
        match act {
            Some(Act::HangUp) => return false,
            Some(Act::Ignore) => return true,
            Some(Act::Refuse) => {
                self.send(call, MessageStatus::ERROR, &refusal()).await;
                return true;
            }
            Some(Act::State(state, reason)) => {
                self.reply(call, &remote::DomainGetStateRet { state, reason }).await;
                return true;
            }
            None => {}
        }
        match Procedure(procedure) {
            Procedure::AUTH_LIST => self.reply(call, &remote::AuthListRet { types: Vec::new() }).await,
            Procedure::CONNECT_SUPPORTS_FEATURE => {
                self.reply(call, &remote::ConnectSupportsFeatureRet { supported: 1 }).await;
            }
            Procedure::CONNECT_GET_LIB_VERSION => {
                self.reply(call, &remote::ConnectGetLibVersionRet { lib_ver: 9_000_000 }).await;
            }
            Procedure::CONNECT_GET_HOSTNAME => {
                self.reply(call, &remote::ConnectGetHostnameRet { hostname: "host".to_owned() }).await;
            }
            Procedure::DOMAIN_LOOKUP_BY_NAME => {
                self.reply(call, &remote::DomainLookupByNameRet { dom: web() }).await;
            }
            // Somebody has to log in.
            Procedure::DOMAIN_OPEN_CONSOLE => {
                self.reply(call, &()).await;
                let status = MessageStatus::CONTINUE;
                let header = MessageHeader { type_: MessageType::STREAM, status, ..call.header };
                self.write(&header, &Bytes::from_static(b"login: ")).await;
            }
            Procedure::DOMAIN_GET_JOB_STATS => {
                let none = remote::DomainGetJobStatsRet { type_: 0, params: Vec::new() };
                self.reply(call, &none).await;
            }
            Procedure::DOMAIN_FSTHAW => {
                self.reply(call, &remote::DomainFsthawRet { filesystems: 2 }).await;
            }
            Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY => {
                let callback_id = self.shared.callbacks.fetch_add(1, Ordering::Relaxed);
                self.callback = Some(callback_id);
                let reply = remote::ConnectDomainEventCallbackRegisterAnyRet { callback_id };
                self.reply(call, &reply).await;
            }
            Procedure::CONNECT_NETWORK_EVENT_REGISTER_ANY => {
                let callback_id = self.shared.callbacks.fetch_add(1, Ordering::Relaxed);
                self.reply(call, &remote::ConnectNetworkEventRegisterAnyRet { callback_id }).await;
            }
            _ => self.reply(call, &()).await,
        }
        true
    }

    async fn report(&mut self) {
        let Some(callback_id) = self.callback else { return };
        let msg = remote::DomainEventRebootMsg { dom: web() };
        let event = remote::DomainEventCallbackRebootMsg { callback_id, msg };
        let header = MessageHeader {
            prog: remote::PROGRAM.number,
            vers: 1,
            proc: Procedure::DOMAIN_EVENT_CALLBACK_REBOOT.0,
            type_: MessageType::MESSAGE,
            serial: 0,
            status: MessageStatus::OK,
        };
        self.write(&header, &event).await;
    }

    async fn reply(&mut self, call: &Frame, reply: &impl Encode) {
        self.send(call, MessageStatus::OK, reply).await;
    }

    async fn send(&mut self, call: &Frame, status: MessageStatus, body: &impl Encode) {
        let header = MessageHeader { type_: MessageType::REPLY, status, ..call.header };
        self.write(&header, body).await;
    }

    async fn write(&mut self, header: &MessageHeader, body: &impl Encode) {
        let payload = to_vec(body).unwrap().into();
        let bytes = Frame { header: *header, payload, descriptors: Vec::new() }.encode().unwrap();
        // The client may have gone.
        let _ = self.stream.write_all(&bytes).await;
    }
}

/// The domain that there is.
pub(crate) fn web() -> remote::NonnullDomain {
    remote::NonnullDomain { name: "web".to_owned(), uuid: [1; 16], id: -1 }
}

fn refusal() -> MessageError {
    MessageError { code: 38, domain: 7, message: Some("no".to_owned()), level: 2, ..Default::default() }
}

async fn receive(stream: &mut UnixStream, decoder: &mut FrameDecoder, shared: &Shared) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.next().unwrap() {
            return Some(frame);
        }
        // A short call is read at once.
        if decoder.is_mid_frame() && shared.cuts_long_calls.load(Ordering::Relaxed) {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let count = stream.read(decoder.spare()).await.ok()?;
        if count == 0 {
            return None;
        }
        decoder.advance(count);
    }
}
