//! Stands between the clients and the daemon, and spoils single connections. It knows nothing of frames, and is made for many
//! connections at once; that of `tests/faults` does one thing to one frame.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// How many bytes are passed on at once.
const CHUNK: usize = 8 << 10;

/// How bytes go through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Through,
    /// Each chunk is late by so much.
    Late(Duration),
    /// Nothing goes through, and nothing is closed.
    Still,
    /// Both sides are closed.
    Cut,
    /// Both sides are closed, the client's by a reset where it is TCP.
    Reset,
}

/// A proxy with a Unix socket and a port. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    socket: PathBuf,
    address: SocketAddr,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    daemon: PathBuf,
    relays: Mutex<BTreeMap<u64, Arc<Relay>>>,
    /// The number of the next one.
    next: AtomicU64,
    refusing: AtomicBool,
}

/// One connection through the proxy.
#[derive(Debug)]
pub(crate) struct Relay {
    flow: watch::Sender<Flow>,
    /// How many bytes more may go through, of both directions together.
    left: AtomicI64,
}

impl Proxy {
    /// Listens at a socket beside the daemon's, and at a free port.
    pub(crate) async fn before(daemon: &Path) -> Self {
        let socket = daemon.with_file_name("proxy");
        let shared = Arc::new(Shared {
            daemon: daemon.to_owned(),
            relays: Mutex::default(),
            next: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        });
        let local = UnixListener::bind(&socket).unwrap();
        let remote = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = remote.local_addr().unwrap();
        let listeners = vec![
            tokio::spawn({
                let shared = shared.clone();
                async move {
                    while let Ok((client, _)) = local.accept().await {
                        shared.clone().begin(client, |_| ());
                    }
                }
            }),
            tokio::spawn({
                let shared = shared.clone();
                async move {
                    while let Ok((client, _)) = remote.accept().await {
                        let _ = client.set_nodelay(true);
                        shared.clone().begin(client, |client: &TcpStream| {
                            let _ = client.set_zero_linger();
                        });
                    }
                }
            }),
        ];
        Self { socket, address, shared, listeners }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has new connections closed at once, or no longer.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::Relaxed);
    }

    /// Returns one of the connections that there are, by any number.
    pub(crate) fn relay(&self, number: u64) -> Option<Arc<Relay>> {
        let relays = self.shared.relays.lock().unwrap();
        let place = usize::try_from(number).unwrap_or_default() % relays.len().max(1);
        relays.values().nth(place).cloned()
    }

    /// Lets everything through.
    pub(crate) fn calm(&self) {
        self.refuse(false);
        for relay in self.shared.relays.lock().unwrap().values() {
            relay.set(Flow::Through);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    /// Begins to pass on what a client and the daemon say.
    fn begin<C>(self: Arc<Self>, mut client: C, before_reset: impl Fn(&C) + Send + 'static)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.refusing.load(Ordering::Relaxed) {
            return;
        }
        let (flow, flows) = watch::channel(Flow::Through);
        let relay = Arc::new(Relay { flow, left: AtomicI64::new(i64::MAX) });
        self.relays.lock().unwrap().insert(number, relay.clone());
        tokio::spawn(async move {
            // Without a daemon the client is closed.
            if let Ok(mut daemon) = UnixStream::connect(&self.daemon).await {
                let _ = relay.pass(&mut client, &mut daemon, flows).await;
            }
            if *relay.flow.borrow() == Flow::Reset {
                before_reset(&client);
            }
            self.relays.lock().unwrap().remove(&number);
        });
    }
}

impl Relay {
    pub(crate) fn set(&self, flow: Flow) {
        // What is to be closed stays so.
        self.flow.send_if_modified(|now| {
            let changes = !matches!(now, Flow::Cut | Flow::Reset) && *now != flow;
            if changes {
                *now = flow;
            }
            changes
        });
    }

    /// Cuts the connection once so many more bytes have gone through: in the middle of a frame, most often.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// Passes bytes on, until one side closes or it is cut.
    async fn pass(
        &self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        daemon: &mut UnixStream,
        flows: watch::Receiver<Flow>,
    ) -> io::Result<()> {
        let (from_client, to_client) = tokio::io::split(client);
        let (from_daemon, to_daemon) = daemon.split();
        let mut cut = flows.clone();
        tokio::select! {
            ended = self.pass_one_way(from_client, to_daemon, flows.clone()) => ended,
            ended = self.pass_one_way(from_daemon, to_client, flows) => ended,
            _ = cut.wait_for(|flow| matches!(flow, Flow::Cut | Flow::Reset)) => Ok(()),
        }
    }

    async fn pass_one_way(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mut flows: watch::Receiver<Flow>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let flow = *flows.borrow_and_update();
            match flow {
                Flow::Late(by) => tokio::time::sleep(by).await,
                _ => {
                    let _ = flows.wait_for(|flow| *flow != Flow::Still).await;
                }
            }
            let wanted = i64::try_from(count).unwrap_or(i64::MAX);
            let left = self.left.fetch_sub(wanted, Ordering::Relaxed);
            let passed = usize::try_from(left.clamp(0, wanted)).unwrap_or_default();
            to.write_all(&buffer[..passed]).await?;
            if passed < count {
                return Ok(());
            }
        }
    }
}
