//! Byte streams through a session for those who may read slowly, and local ports that lead into them.

use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, error::SendTimeoutError},
    task::{AbortHandle, JoinSet},
};

use super::{
    Session,
    channel::{ChannelStream, Incoming, Outgoing, hand_over},
};
use crate::error::{Error, Result};

/// How many pieces of at most 32 KiB wait for a slow reader, before everybody else on the session waits for it, too.
const WAITING: usize = 128;
/// How long the others wait for a reader that takes nothing at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// A byte stream through a session: what connects to a port or a socket on the other side.
///
/// Read what comes. A tunnel whose reader takes nothing for five seconds while 128 pieces, of at most 32 KiB, wait for it is ended
/// with an error, since everything else on the session, the libvirt connection among it, would have to wait for the reader.
pub struct Tunnel {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
    /// The end was told.
    ended: bool,
    outgoing: Outgoing,
    pump: AbortHandle,
}

impl Tunnel {
    pub(super) fn new(stream: ChannelStream) -> Self {
        let ChannelStream { incoming, outgoing } = stream;
        let (queue, pieces) = mpsc::channel(WAITING);
        let pump = outgoing.session().runtime().spawn(pump(incoming, queue)).abort_handle();
        Self { pieces, rest: Bytes::new(), ended: false, outgoing, pump }
    }
}

/// Takes what comes out of the session, where it is in everybody's way.
async fn pump(mut incoming: Incoming, queue: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let piece = poll_fn(|cx| incoming.poll_piece(cx)).await;
        let is_last = piece.as_ref().map_or(true, Bytes::is_empty);
        match queue.send_timeout(piece, PATIENCE).await {
            Ok(()) if !is_last => {}
            // The queue's end without an end of the stream tells the reader that it was too slow.
            Ok(()) | Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Closed(_)) => return,
        }
    }
}

fn too_slow() -> io::Error {
    let why = format!(
        "the tunnel was ended, because nothing was read from it for {PATIENCE:?} and others had to wait"
    );
    io::Error::new(io::ErrorKind::ConnectionAborted, why)
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_empty() && !this.ended {
            let piece = ready!(this.pieces.poll_recv(cx)).unwrap_or_else(|| Err(too_slow()));
            this.ended = piece.as_ref().map_or(true, Bytes::is_empty);
            this.rest = piece?;
        }
        hand_over(&mut this.rest, buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().outgoing.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outgoing.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outgoing.poll_shutdown(cx)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("session", self.outgoing.session()).finish_non_exhaustive()
    }
}

/// A local port whose connections are forwarded through a session. Dropped, it ends, and its connections with it.
#[derive(Debug)]
pub struct Forward {
    local: SocketAddr,
    task: AbortHandle,
}

impl Forward {
    pub(super) async fn start(session: &Session, local: SocketAddr, host: String, port: u16) -> Result<Self> {
        let listening = async {
            let listener = TcpListener::bind(local).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (local, listener) = listening.await.map_err(|error: io::Error| Error::Connect {
            address: local.to_string(),
            hint: format!("cannot listen there: {error}"),
            source: Arc::new(error),
        })?;
        let task = session.runtime().spawn(serve(listener, session.clone(), Arc::from(host), port));
        Ok(Self { local, task: task.abort_handle() })
    }

    /// Returns the address that is listened on, with the port that was chosen.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long it takes to try again where this process has too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// Forwards what connects, until the session has ended or this is dropped, the connections with it.
async fn serve(listener: TcpListener, session: Session, host: Arc<str>, port: u16) {
    let mut connections = JoinSet::new();
    let mut over = std::pin::pin!(session.closed());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut over => return,
        };
        match accepted {
            Ok((stream, from)) => {
                tracing::debug!(%from, %host, port, "forwarding");
                connections.spawn(forward(stream, session.clone(), Arc::clone(&host), port));
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut stream: TcpStream, session: Session, host: Arc<str>, port: u16) {
    let _ = stream.set_nodelay(true);
    match session.connect_tcp(&host, port).await {
        Ok(mut tunnel) => {
            if let Err(error) = tokio::io::copy_bidirectional(&mut stream, &mut tunnel).await {
                tracing::debug!(%error, "a forwarded connection ended");
            }
        }
        Err(error) => tracing::debug!(%error, "cannot forward a connection"),
    }
}
