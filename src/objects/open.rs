//! From a plan to a connection: the transport, authentication, and the opening calls.

use std::{
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tracing::{Instrument, Span};

use super::{
    admin::AdminBuilder,
    connection::{Builder, Connection, Feature, Features},
};
use crate::{
    auth::{self, Method},
    error::{CloseReason, Error, ErrorCode, Result, Waiting},
    protocol::{admin, remote},
    rpc::{Client, Config, Wire, expecting},
    uri::{Environment, Socket, Uri, admin_socket},
};

pub(super) use crate::{
    auth::{CredentialRequest, Credentials, Secret},
    uri::Plan,
};

/// `VIR_CONNECT_RO`.
const READ_ONLY: u32 = 1;

/// Opens what the builder describes, within its deadline.
pub(super) async fn open(builder: &Builder) -> Result<Connection> {
    let opening = async {
        let plan = plan(builder)?;
        let span = tracing::info_span!("connection", uri = plan.name.as_deref(), socket = %plan.socket.path.display());
        within(builder.open_timeout, open_plan(builder, &plan).instrument(span)).await
    };
    observed(&builder.config, opening).await
}

/// Connects to the administration of a daemon, within the builder's deadline.
pub(super) async fn open_admin(builder: &AdminBuilder) -> Result<Client> {
    observed(&builder.config, within(builder.open_timeout, connect_to_admin(builder))).await
}

#[cfg(unix)]
async fn connect_to_admin(builder: &AdminBuilder) -> Result<Client> {
    let uri = Uri::parse(&builder.uri)?;
    let socket = admin_socket(&uri, &Environment::of_this_process(&|path| path.exists()))?;
    let opening = async {
        let wire =
            crate::transport::unix::connect(&socket.path).await.map_err(|error| explain(error, &socket))?;
        let client = Client::start(wire, &builder.config);
        let opened = client.with_timeout(None).call(admin::ConnectOpenArgs { flags: 0 }).await;
        opened.map_err(|error| not_a_daemon(&socket.path, error))?;
        // Nothing is asked before: this program has no question for it, and all daemons that speak it answer pings.
        if let Some(config) = builder.keepalive {
            client.start_keepalive(config);
        }
        Ok(client)
    };
    let span = tracing::info_span!("administration", socket = %socket.path.display());
    opening.instrument(span).await
}

#[cfg(not(unix))]
async fn connect_to_admin(builder: &AdminBuilder) -> Result<Client> {
    Err(Error::Unsupported(format!("this system has no Unix sockets, which {:?} needs", builder.uri)))
}

/// Decides how to connect, from the URI and this process's environment.
pub(super) fn plan(builder: &Builder) -> Result<Plan> {
    let uri = Uri::parse(&builder.uri)?;
    Plan::new(&uri, builder.read_only, &Environment::of_this_process(&|path| path.exists()))
}

/// Opens a connection over `wire`, within the builder's deadline.
pub(super) async fn open_over(
    builder: &Builder,
    wire: impl Wire,
    name: Option<String>,
) -> Result<Connection> {
    let span = tracing::info_span!("connection", uri = name.as_deref());
    let opening = async {
        let client = Client::start(wire, &builder.config);
        handshake(builder, client, name.clone(), name.clone(), None).await
    };
    observed(&builder.config, within(builder.open_timeout, opening.instrument(span))).await
}

/// Opens something and tells the hook why it could not be opened: of its calls' errors, the last one in its final words.
async fn observed<T>(config: &Config, opening: impl Future<Output = Result<T>>) -> Result<T> {
    let opened = expecting(|_| true, opening).await;
    if let Err(error) = &opened {
        tracing::debug!(%error, "cannot open the connection");
        if let Some(hook) = &config.on_error {
            hook.tell(error);
        }
    }
    opened
}

async fn within<T>(timeout: Option<Duration>, opening: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(after) = timeout else { return opening.await };
    match tokio::time::timeout(after, opening).await {
        Ok(result) => result,
        Err(_) => {
            Err(Error::Timeout { what: "opening the connection", after, waiting: Waiting::ForConnection })
        }
    }
}

#[cfg(unix)]
async fn open_plan(builder: &Builder, plan: &Plan) -> Result<Connection> {
    tracing::debug!(%plan, "connecting");
    let path = &plan.socket.path;
    let socket = crate::transport::unix::connect(path).await.map_err(|error| explain(error, &plan.socket))?;
    let client = Client::start(socket, &builder.config);
    let uri = plan.name.is_some().then(|| builder.uri.clone());
    handshake(builder, client, plan.name.clone(), uri, plan.auth.as_deref())
        .await
        .map_err(|error| not_a_daemon(path, error))
}

#[cfg(not(unix))]
async fn open_plan(_: &Builder, plan: &Plan) -> Result<Connection> {
    Err(Error::Unsupported(format!("this system has no Unix sockets to {plan}")))
}

/// Says why it was this socket.
#[cfg(unix)]
fn explain(error: Error, socket: &Socket) -> Error {
    match error {
        Error::Connect { address, hint, source } => {
            Error::Connect { address, hint: format!("{hint} ({})", socket.because), source }
        }
        other => other,
    }
}

/// A connection that ends before anything was answered was most likely none to a daemon.
fn not_a_daemon(path: &Path, error: Error) -> Error {
    let Error::Closed(reason) = error else { return error };
    // Another kind of server will not become a daemon by being asked again.
    let kind = match reason {
        CloseReason::Protocol(_) => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::ConnectionAborted,
    };
    Error::Connect {
        address: path.display().to_string(),
        hint: format!("the connection ended while it was being opened: {reason}"),
        source: Arc::new(kind.into()),
    }
}

/// Says hello: authentication, keepalive, open, features, in the order that libvirt's own client keeps.
async fn handshake(
    builder: &Builder,
    client: Client,
    name: Option<String>,
    uri: Option<String>,
    asked: Option<&str>,
) -> Result<Connection> {
    // The builder's deadline for opening is for all of this; the one for calls is for the user's.
    let (user, client) = (client.clone(), client.with_timeout(None));
    authenticate(&client, asked).await?;

    let flags = if builder.read_only { READ_ONLY } else { 0 };
    // Both at once: the daemon itself answers the first, whatever becomes of the second. An empty name lets it choose its
    // driver; without one it refuses to open.
    let name = Some(name.unwrap_or_default());
    let (keepalive, opened) = both(
        has_feature(&client, Feature::PROGRAM_KEEPALIVE),
        client.call(remote::ConnectOpenArgs { name, flags }),
    )
    .await;
    opened?;
    if let (true, Some(config)) = (keepalive?, builder.keepalive) {
        client.start_keepalive(config);
    }

    let (event_callback, (typed_param_string, close_callback)) = both(
        has_feature(&client, Feature::REMOTE_EVENT_CALLBACK),
        both(
            has_feature(&client, Feature::TYPED_PARAM_STRING),
            has_feature(&client, Feature::REMOTE_CLOSE_CALLBACK),
        ),
    )
    .await;
    let features = Features {
        event_callback: event_callback?,
        typed_param_string: typed_param_string?,
        close_callback: close_callback?,
    };
    let uri = match uri {
        Some(uri) => uri,
        None => {
            let uri = client.call(remote::ConnectGetUriArgs).await?.uri;
            Span::current().record("uri", &uri);
            uri
        }
    };
    tracing::debug!(?features, "connection opened");
    Ok(Connection::new(user, uri, features))
}

/// Waits for two calls that are on their way at the same time. (tokio has a macro for it, behind a feature that brings
/// five more crates.)
async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut left, mut right) = (None, None);
    poll_fn(|cx| {
        if left.is_none() {
            left = ready_value(first.as_mut().poll(cx));
        }
        if right.is_none() {
            right = ready_value(second.as_mut().poll(cx));
        }
        match (left.take(), right.take()) {
            (Some(left), Some(right)) => Poll::Ready((left, right)),
            (one, other) => {
                (left, right) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

fn ready_value<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

async fn authenticate(client: &Client, asked: Option<&str>) -> Result<()> {
    // Never left out: a daemon that uses polkit lets root in by this very call.
    let offered = match client.call(remote::AuthListArgs).await {
        Ok(list) => list.types.iter().map(|kind| Method::from(kind.0)).collect(),
        Err(error) if error.code() == Some(ErrorCode::NO_SUPPORT) => Vec::new(),
        Err(error) => return Err(error),
    };
    match auth::choose(&offered, asked)? {
        Method::Polkit => match client.call(remote::AuthPolkitArgs).await?.complete {
            0 => Err(Error::Auth("polkit did not finish the authentication".to_owned())),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Asks whether the daemon, or the driver behind it, has a feature. Old ones do not know the question.
pub(super) async fn supports(client: &Client, feature: Feature) -> Result<bool> {
    expecting(Error::is_unsupported, has_feature(client, feature)).await
}

async fn has_feature(client: &Client, feature: Feature) -> Result<bool> {
    match client.call(remote::ConnectSupportsFeatureArgs { feature: feature.0 }).await {
        Ok(answer) => Ok(answer.supported != 0),
        Err(error) if error.is_unsupported() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
impl Wire for crate::transport::unix::UnixSocket {
    fn poll_receive(
        &mut self,
        cx: &mut std::task::Context<'_>,
        buffer: &mut [u8],
        descriptors: &mut dyn FnMut(crate::protocol::frame::Descriptor),
    ) -> std::task::Poll<io::Result<usize>> {
        self.poll_receive(cx, buffer, descriptors)
    }

    fn poll_send(
        &mut self,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
        descriptor: Option<&crate::protocol::frame::Descriptor>,
    ) -> std::task::Poll<io::Result<usize>> {
        use std::os::fd::AsFd;
        self.poll_send(cx, bytes, descriptor.map(AsFd::as_fd))
    }

    fn poll_flush(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(self.shutdown())
    }

    fn passes_descriptors(&self) -> bool {
        true
    }
}

impl<'a> Environment<'a> {
    /// Describes the process that this runs in.
    fn of_this_process(exists: &'a dyn Fn(&Path) -> bool) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache_dir =
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
        Self {
            uid: uid(),
            runtime_dir: variable("XDG_RUNTIME_DIR"),
            cache_dir,
            system_dirs: system_dirs(),
            exists,
        }
    }
}

#[cfg(unix)]
fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn uid() -> u32 {
    u32::MAX
}

/// `/var/run` and not `/run`, as libvirt's own client; Homebrew keeps the sockets below its prefix.
fn system_dirs() -> Vec<PathBuf> {
    let directories: &[&str] = if cfg!(target_os = "macos") {
        &["/opt/homebrew/var/run/libvirt", "/usr/local/var/run/libvirt", "/var/run/libvirt"]
    } else {
        &["/var/run/libvirt"]
    };
    directories.iter().map(PathBuf::from).collect()
}
