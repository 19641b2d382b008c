//! An SSH session, and what can be opened over it.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use russh::client::Handle;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle as Runtime,
    sync::{oneshot, watch},
};

use super::{
    Destination,
    channel::ChannelStream,
    handler::Handler,
    line::{End, Fate, Leash},
    reach,
    tunnel::{Forward, Tunnel},
};
use crate::error::{Error, Result, phase};

/// A session with an SSH server. Cheap to clone; it ends when the last clone and the last stream over it are dropped.
///
/// ```no_run
/// # async fn example() -> libvirt_client::Result<()> {
/// use libvirt_client::transport::ssh::{Destination, Session};
///
/// let session = Session::connect(&Destination::new("host.example.com")).await?;
/// let display = session.connect_tcp("127.0.0.1", 5900).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle<Handler>,
    /// Whom it is with.
    place: String,
    user: String,
    fate: Arc<Fate>,
    leash: Option<Leash>,
    runtime: Runtime,
    /// Closed when the session's task has ended.
    alive: watch::Receiver<()>,
}

/// How long what was written last may take to leave, once nobody uses the session any more.
const GOODBYE: Duration = Duration::from_secs(2);

impl Session {
    /// Connects, checks the host's key and logs in; through other hosts where ssh's configuration says so.
    ///
    /// # Errors
    /// [`Error::Connect`] if the host cannot be reached, is no SSH server, or has a key that it should not have (then
    /// with a [`HostKeyError`](super::HostKeyError) inside), [`Error::Auth`] if it does not let the user in.
    pub async fn connect(destination: &Destination) -> Result<Self> {
        reach::connect(destination).await
    }

    /// The same over a stream that leads to the server already, such as a [`Tunnel`] from another session.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        destination: &Destination,
    ) -> Result<Self> {
        reach::connect_over(Box::new(stream), destination).await
    }

    pub(super) fn new(
        handle: Handle<Handler>,
        place: String,
        user: String,
        fate: Arc<Fate>,
        leash: Leash,
        alive: watch::Receiver<()>,
    ) -> Self {
        let (leash, runtime) = (Some(leash), Runtime::current());
        Self { inner: Arc::new(Inner { handle, place, user, fate, leash, runtime, alive }) }
    }

    /// Returns whom the session is with: the host and its port.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.inner.place
    }

    /// Returns the user that is logged in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.inner.user
    }

    /// Tells whether the session has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.handle.is_closed()
    }

    /// Runs a command, which the user's shell over there reads. What it writes to its standard error comes with its end.
    ///
    /// # Errors
    /// [`Error::Connect`] if the server opens no channel. That it does not run commands is told by the stream.
    pub async fn exec(&self, command: &str) -> Result<ChannelStream> {
        let (session, command) = (self.clone(), command.to_owned());
        let opening = async move {
            let channel = session.inner.handle.channel_open_session().await?;
            let stream = ChannelStream::new(channel, session, "the remote command");
            // The answer is not waited for: what is written meanwhile arrives after the command has started.
            stream.exec(command).await?;
            Ok(stream)
        };
        self.whole(opening).await.map_err(|error| self.refused("a command", &error))
    }

    /// Connects to a TCP port as the server sees it (`direct-tcpip`).
    ///
    /// # Errors
    /// [`Error::Connect`] if the server cannot or may not connect there.
    pub async fn connect_tcp(&self, host: &str, port: u16) -> Result<Tunnel> {
        Ok(Tunnel::new(self.channel_to_tcp(host, port).await?))
    }

    /// Connects to a Unix socket of the server (`direct-streamlocal@openssh.com`).
    ///
    /// # Errors
    /// [`Error::Connect`] if the socket is not there, or the server does not forward.
    pub async fn connect_unix(&self, path: &str) -> Result<Tunnel> {
        Ok(Tunnel::new(self.channel_to_unix(path).await?))
    }

    /// Listens on a local port, and forwards each connection to a TCP port as the server sees it. It ends when what this
    /// returns is dropped. Port 0 lets the operating system choose one.
    ///
    /// # Errors
    /// [`Error::Connect`] if the local address cannot be listened on. That the server does not connect to the port shows
    /// in that a connection is closed at once.
    pub async fn listen(&self, local: SocketAddr, host: &str, port: u16) -> Result<Forward> {
        Forward::start(self, local, host.to_owned(), port).await
    }

    /// As [`connect_tcp`](Self::connect_tcp), for those who read without a pause.
    pub(crate) async fn channel_to_tcp(&self, host: &str, port: u16) -> Result<ChannelStream> {
        let (session, host, what) = (self.clone(), host.to_owned(), format!("{host} port {port}"));
        let name = what.clone();
        let opening = async move {
            let opened =
                session.inner.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
            let channel = opened.await?;
            Ok(ChannelStream::new(channel, session, name))
        };
        self.whole(opening).await.map_err(|error| self.refused(&what, &error))
    }

    /// As [`connect_unix`](Self::connect_unix), for those who read without a pause.
    pub(crate) async fn channel_to_unix(&self, path: &str) -> Result<ChannelStream> {
        let (session, name) = (self.clone(), path.to_owned());
        let opening = async move {
            let channel = session.inner.handle.channel_open_direct_streamlocal(name.clone()).await?;
            Ok(ChannelStream::new(channel, session, name))
        };
        self.whole(opening).await.map_err(|error| self.refused(path, &error))
    }

    /// Opens a channel in a task of its own: when this future is dropped, the channel is opened and closed again, and none
    /// is left behind at the server.
    async fn whole(
        &self,
        opening: impl Future<Output = Result<ChannelStream, russh::Error>> + Send + 'static,
    ) -> Result<ChannelStream, russh::Error> {
        let (tell, opened) = oneshot::channel();
        self.inner.runtime.spawn(async move {
            let _ = tell.send(opening.await);
        });
        phase::during("opening a channel over SSH", opened).await.unwrap_or(Err(russh::Error::Disconnect))
    }

    /// Says why the server did not open a channel to `what`.
    fn refused(&self, what: &str, error: &russh::Error) -> Error {
        use russh::ChannelOpenFailure::{AdministrativelyProhibited, ConnectFailed, ResourceShortage};
        let (kind, why) = match error {
            russh::Error::ChannelOpenFailure(ConnectFailed) => (
                io::ErrorKind::ConnectionRefused,
                "nobody answers there, or the server forbids it (\"AllowTcpForwarding\" and \"PermitOpen\" in its \
                 sshd_config; it does not say which)"
                    .to_owned(),
            ),
            russh::Error::ChannelOpenFailure(AdministrativelyProhibited) => (
                io::ErrorKind::PermissionDenied,
                "the server forbids it (\"AllowTcpForwarding\", \"AllowStreamLocalForwarding\", \"PermitOpen\" or \
                 \"MaxSessions\" in its sshd_config)"
                    .to_owned(),
            ),
            russh::Error::ChannelOpenFailure(ResourceShortage) => {
                (io::ErrorKind::WouldBlock, "the server has no room for another channel".to_owned())
            }
            russh::Error::ChannelOpenFailure(other) => {
                (io::ErrorKind::Unsupported, format!("the server does not do that: {other:?}"))
            }
            _ => {
                let End { kind, why } = self.ended();
                (kind, why)
            }
        };
        Error::Connect {
            address: format!("{what} through {}", self.inner.place),
            source: Arc::new(io::Error::new(kind, why.clone())),
            hint: why,
        }
    }

    /// Returns why the session ended, for those who noticed that it did.
    pub(super) fn ended(&self) -> End {
        let End { kind, why } = self
            .inner
            .fate
            .why()
            .unwrap_or_else(|| End { kind: io::ErrorKind::ConnectionAborted, why: "it was cut".to_owned() });
        End { kind, why: format!("the SSH connection to {} ended: {why}", self.inner.place) }
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    /// Waits until the session has ended.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut alive = self.inner.alive.clone();
        async move { while alive.changed().await.is_ok() {} }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let leash = self.leash.take();
        self.runtime.spawn(async move {
            tokio::time::sleep(GOODBYE).await;
            drop(leash);
        });
    }
}

impl From<End> for io::Error {
    fn from(end: End) -> Self {
        Self::new(end.kind, end.why)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("place", &self.inner.place)
            .field("user", &self.inner.user)
            .finish_non_exhaustive()
    }
}
