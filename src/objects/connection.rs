//! The connection to a daemon, and how it is opened.

use std::{
    fmt,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use super::{
    enums::TypedParameterFlags,
    goodbye::goodbye,
    open::{self, CredentialRequest, Credentials, Secret},
    supervision::Supervision,
};
use crate::{
    error::{CloseReason, Error, Result},
    protocol::remote,
    rpc::{Client, Config, ErrorHook, KeepaliveConfig, Wire, expecting},
};

/// A connection to a libvirt daemon. Cheap to clone; all clones share it, and so do the objects that come from it. It
/// ends when the last of them is dropped, or with [`close`](Self::close).
///
/// ```no_run
/// # async fn example() -> libvirt_client::Result<()> {
/// use libvirt_client::Connection;
///
/// let connection = Connection::open("qemu:///system").await?;
/// for domain in connection.domains().await? {
///     println!("{} {}", domain.name(), domain.info().await?.state);
/// }
/// connection.close().await
/// # }
/// ```
///
/// C: `virConnectPtr`.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
    client: Client,
}

struct Inner {
    uri: String,
    /// What was found when it was opened, the last time if it is supervised.
    found: Arc<Found>,
    /// How it was opened, where the same can be done again.
    builder: Option<Builder>,
    /// Who opens it again when it is lost.
    supervision: Option<Supervision>,
}

/// What a connection was found to be when it was opened.
#[derive(Debug, Default)]
pub(super) struct Found(RwLock<(Features, open::Carrier)>);

impl Found {
    fn new(features: Features, carrier: open::Carrier) -> Self {
        Self(RwLock::new((features, carrier)))
    }

    fn get(&self) -> (Features, open::Carrier) {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what was found on another one.
    pub(super) fn update(&self, other: &Connection) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other.inner.found.get();
    }
}

/// A feature that a daemon or its driver may have, by libvirt's number (`VIR_DRV_FEATURE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feature(pub(super) i32);

impl Feature {
    pub(super) const MIGRATION_V1: Self = Self(1);
    pub(super) const MIGRATION_V2: Self = Self(3);
    pub(super) const MIGRATION_P2P: Self = Self(4);
    pub(super) const MIGRATION_DIRECT: Self = Self(5);
    pub(super) const MIGRATION_V3: Self = Self(6);
    pub(super) const CHANGE_PROTECTION: Self = Self(7);
    #[cfg(unix)]
    pub(super) const FD_PASSING: Self = Self(8);
    pub(super) const TYPED_PARAM_STRING: Self = Self(9);
    pub(super) const PROGRAM_KEEPALIVE: Self = Self(10);
    pub(super) const XML_MIGRATABLE: Self = Self(11);
    pub(super) const MIGRATION_OFFLINE: Self = Self(12);
    pub(super) const MIGRATION_PARAMS: Self = Self(13);
    pub(super) const REMOTE_EVENT_CALLBACK: Self = Self(14);
    pub(super) const REMOTE_CLOSE_CALLBACK: Self = Self(15);
    pub(super) const NETWORK_UPDATE_ORDER: Self = Self(16);
}

/// What was negotiated when the connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    /// Events are registered one by one, under callback ids.
    pub(super) event_callback: bool,
    /// Typed parameters may be strings.
    pub(super) typed_param_string: bool,
    /// The daemon can say when its own connection to the hypervisor ends.
    pub(super) close_callback: bool,
}

impl Default for Features {
    /// What each libvirt since 1.2.16 has.
    fn default() -> Self {
        Self { event_callback: true, typed_param_string: true, close_callback: true }
    }
}

/// How a connection is to be opened: see [`Connection::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct Builder {
    pub(super) uri: String,
    pub(super) read_only: bool,
    pub(super) system_ssh: bool,
    pub(super) open_timeout: Option<Duration>,
    pub(super) keepalive: Option<KeepaliveConfig>,
    pub(super) credentials: Credentials,
    #[cfg(feature = "ssh")]
    pub(super) ssh: open::SshOptions,
    pub(super) tls_accept_common_name: bool,
    pub(super) config: Config,
}

impl Builder {
    /// Asks for a connection that cannot change anything, over the socket that is open to all users where there is
    /// one.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Asks for the system's `ssh` in place of this crate's own, for URIs with `+ssh`: it is run with the arguments that libvirt's
    /// own client gives it. A URI with `command=` means the same.
    pub fn system_ssh(mut self) -> Self {
        self.system_ssh = true;
        self
    }

    /// Limits how long opening may take in all; 30 seconds unless stated. The error names the step that was waited for.
    ///
    /// `None` is for as long as it takes: as the way takes, with its handshake where it is SSH, as people take to answer, as
    /// the hypervisor's driver takes to open. A daemon that is silent where it has to answer at once (how to authenticate, each
    /// step of SASL, whether it has keepalive), or that dies after that, is given up all the same, by the time of
    /// [`keepalive`](Self::keepalive). Over SSH and programs (`+ext`, `command=`) that holds only once keepalive runs: before,
    /// somebody may be asked for a passphrase.
    pub fn open_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.open_timeout = timeout.into();
        self
    }

    /// Limits how long each call may take; unlimited unless stated, since some calls (save, migrate) take as long as
    /// they take, and a dead daemon is noticed by keepalive.
    pub fn call_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.call_timeout = timeout.into();
        self
    }

    /// Sets when a silent daemon is given up; after 30 seconds unless stated. Never with `None`, and then the daemon does not
    /// watch this side either.
    pub fn keepalive(mut self, keepalive: impl Into<Option<KeepaliveConfig>>) -> Self {
        self.keepalive = keepalive.into();
        self
    }

    /// Sets how many calls the daemon is given at once; 4 unless stated. More than its `max_client_requests` − 1 makes it
    /// stop reading and, with keepalive, may make it cut the connection: with its default of 5 and five calls that take
    /// their time, after 30 seconds.
    ///
    /// A daemon tells nobody what its `max_client_requests` is, its administrators neither ([`admin`](crate::admin)): it stands in its
    /// `libvirtd.conf` (or `virtqemud.conf` and the like). Where it was changed, this is to be changed with it. More at once makes
    /// only slow calls faster; what else waits for turns is in [`guide::waiting`](crate::guide::waiting).
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.config.in_flight = calls;
        self
    }

    /// Sets how many events may wait in each subscription before some are dropped, which is then reported; 1,024
    /// unless stated.
    pub fn event_queue(mut self, events: usize) -> Self {
        self.config.event_queue = events;
        self
    }

    /// Sets how many bytes of data streams may wait for their readers, of all streams together, before nothing more is read
    /// from the daemon; 4 MiB unless stated. As long as others wait for something, three times as many may.
    pub fn stream_buffer(mut self, bytes: usize) -> Self {
        self.config.stream_buffer = bytes;
        self
    }

    /// Sets who is told of every error: once of each that the opening, a method of the connection and its objects, a raw
    /// call or a subscription gives. What a method takes for an answer, as `find_x` does that there is none, is no error.
    ///
    /// The function runs in the task that gets the error, before that task has it: it should be quick. If it panics, that
    /// task does, and the connection lives on.
    ///
    /// ```no_run
    /// # async fn example() -> libvirt_client::Result<()> {
    /// let connection = libvirt_client::Connection::builder("qemu:///system")
    ///     .on_error(|error| eprintln!("libvirt: {error}"))
    ///     .open()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_error(mut self, hook: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.config.on_error = Some(ErrorHook::new(hook));
        self
    }

    /// Sets whom to ask for names, passwords and passphrases that neither the URI nor libvirt's `auth.conf` tells, and
    /// whether an unknown host key may be trusted; nobody unless stated, so that a missing one is an error. `None` is the
    /// answer of one who does not know.
    ///
    /// The time that answers take is part of what [`open_timeout`](Self::open_timeout) limits: give people more of it.
    ///
    /// ```no_run
    /// # async fn example() -> libvirt_client::Result<()> {
    /// use libvirt_client::auth::CredentialKind;
    ///
    /// let connection = libvirt_client::Connection::builder("qemu+tls://host/system")
    ///     .credentials(|request| async move {
    ///         match request.kind {
    ///             CredentialKind::AuthorizationName => Some("fred".into()),
    ///             CredentialKind::Password => std::env::var("FREDS_PASSWORD").ok().map(Into::into),
    ///             _ => None,
    ///         }
    ///     })
    ///     .open()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials<F>(mut self, ask: impl Fn(CredentialRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Secret>> + Send + 'static,
    {
        self.credentials = Credentials::new(ask);
        self
    }

    /// Takes a server's certificate that has no subjectAltName for one of the host in its common name, as older instructions
    /// for libvirt make them. All else about it is checked as ever.
    pub fn tls_accept_common_name(mut self) -> Self {
        self.tls_accept_common_name = true;
        self
    }

    /// Returns how the connection would be made, and why so, without making it.
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Config`] or [`Error::Unsupported`].
    pub fn plan(&self) -> Result<open::Plan> {
        open::plan(self)
    }

    /// Opens the connection (`AUTH_LIST`, `CONNECT_OPEN` and others; C: `virConnectOpenAuth`).
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Config`], [`Error::Connect`], [`Error::Auth`], the deadline, or the daemon's refusal to
    /// open.
    pub async fn open(self) -> Result<Connection> {
        open::open(&self).await
    }

    /// Opens the connection over a stream that is connected to a daemon already, and asks it to open `name`, such as
    /// `test:///default`, or what it likes best. The builder's URI is not used. The stream is taken to be encrypted or local, so
    /// that passwords may be sent over it where the daemon asks for them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_over(self, wire: impl Wire, name: impl Into<Option<String>>) -> Result<Connection> {
        open::open_over(&self, wire, name.into()).await
    }
}

impl Connection {
    /// Opens a connection to what `uri` names, as in `qemu:///system`, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open(uri: impl Into<String>) -> Result<Self> {
        Self::builder(uri).open().await
    }

    /// Opens the connection that the user has configured: to what `LIBVIRT_DEFAULT_URI` names, else to `uri_default` of
    /// `libvirt.conf`, else to a daemon of this machine, which chooses its driver: the system's for root, the session's for
    /// others.
    ///
    /// ```no_run
    /// # async fn example() -> libvirt_client::Result<()> {
    /// let connection = libvirt_client::Connection::open_default().await?;
    /// println!("connected to {}", connection.uri());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open_default() -> Result<Self> {
        Self::builder("").open().await
    }

    /// Starts to describe a connection to what `uri` names. It may be an alias that `uri_aliases` in `libvirt.conf` has; an
    /// empty one is the default, as in [`open_default`](Self::open_default).
    pub fn builder(uri: impl Into<String>) -> Builder {
        Builder {
            uri: uri.into(),
            read_only: false,
            system_ssh: false,
            open_timeout: Some(Duration::from_secs(30)),
            keepalive: Some(KeepaliveConfig::default()),
            credentials: Credentials::none(),
            #[cfg(feature = "ssh")]
            ssh: open::SshOptions::default(),
            tls_accept_common_name: false,
            config: Config::default(),
        }
    }

    pub(super) fn new(client: Client, uri: String, features: Features) -> Self {
        let found = Arc::new(Found::new(features, open::Carrier::default()));
        let inner = Inner { uri, found, builder: None, supervision: None };
        Self { inner: Arc::new(inner), client }
    }

    /// Keeps how the connection was opened, and what it runs over.
    pub(super) fn opened_by(self, builder: Builder, carrier: open::Carrier) -> Self {
        let found = Arc::new(Found::new(self.features(), carrier));
        let inner = Inner { uri: self.inner.uri.clone(), found, builder: Some(builder), supervision: None };
        Self { inner: Arc::new(inner), client: self.client }
    }

    /// Makes a connection that is opened by somebody else, again and again.
    pub(super) fn supervised_by(
        client: Client,
        uri: String,
        builder: Builder,
        found: Arc<Found>,
        supervision: Supervision,
    ) -> Self {
        let inner = Inner { uri, found, builder: Some(builder), supervision: Some(supervision) };
        Self { inner: Arc::new(inner), client }
    }

    /// Returns how it was opened, where the same can be done again.
    pub(super) fn opened_how(&self) -> Option<&Builder> {
        self.inner.builder.as_ref()
    }

    /// Returns who opens the connection again when it is lost, and how that stands; `None` if nobody does.
    #[must_use]
    pub fn supervision(&self) -> Option<Supervision> {
        self.inner.supervision.as_ref().map(Supervision::seen)
    }

    /// Opens another connection as this one was opened, within a limit. `None` for one that was opened over the program's own
    /// stream: only the program knows where that leads.
    pub(super) async fn open_another(&self, limit: Duration) -> Option<Result<Self>> {
        let builder = self.inner.builder.clone()?.open_timeout(limit);
        // All ways to a daemon make a large future, and this is deep in others.
        Some(Box::pin(builder.open()).await)
    }

    /// Opens another connection as this one was opened: for data streams whose readers or writers take their time, so that
    /// they hold up nothing else, or for calls that must not wait for such.
    ///
    /// # Errors
    /// As [`Builder::open`]. [`Error::Unsupported`] for a connection over a stream, since another one would be needed.
    pub async fn dedicated(&self) -> Result<Self> {
        let Some(builder) = self.inner.builder.clone() else {
            let reason = "this connection was opened over a stream, and there is no other one".to_owned();
            return self.client.observed(Err(Error::Unsupported(reason)));
        };
        // All ways to a daemon make a large future.
        Box::pin(builder.open()).await
    }

    #[cfg(feature = "ssh")]
    pub(super) fn carrier(&self) -> open::Carrier {
        self.inner.found.get().1
    }

    /// Returns the raw layer, which can make any call of the protocol.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns a handle to the same connection whose calls, and those of objects that come from it, have another
    /// deadline, or none.
    #[must_use]
    pub fn with_timeout(&self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { inner: self.inner.clone(), client: self.client.with_timeout(timeout) }
    }

    /// Returns the URI that was opened, once aliases and defaults are resolved; if there was none, the one that the daemon
    /// chose. That of a [supervised](Builder::supervised) connection is known before it is opened, and so never the
    /// daemon's choice.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.inner.uri
    }

    pub(super) fn features(&self) -> Features {
        self.inner.found.get().0
    }

    /// Returns the flag that asks for typed parameters that are strings, if the daemon knows it
    /// (`VIR_TYPED_PARAM_STRING_OKAY`).
    pub(super) fn flag_for_strings(&self) -> u32 {
        if self.features().typed_param_string { TypedParameterFlags::STRING_OKAY.bits() } else { 0 }
    }

    /// Tells the daemon goodbye and ends the connection for all its clones (`CONNECT_CLOSE`; C: `virConnectClose`).
    ///
    /// Calls that wait for their turn end with [`CloseReason::Client`] at once, as do all later ones. Calls that were handed over
    /// before are written, and those that the daemon has get their answers until it has answered the goodbye: that waits for
    /// none of them. Streams that were not finished are cut off, with what of them waits to be written. A daemon that does
    /// not answer is waited for 5 seconds, and as long for subscriptions that are just being made or cancelled.
    ///
    /// # Errors
    /// The connection had ended already, for another reason than ours. That a supervised one is down is none.
    ///
    /// # Cancel safety
    /// Once polled, the connection ends, even if the future is dropped.
    pub async fn close(self) -> Result<()> {
        let current = self.client.current();
        // First, so that nobody opens another one.
        self.client.stop_supervision();
        match current {
            Some(client) => goodbye(&client, remote::ConnectCloseArgs).await,
            // It is supervised, and down.
            None => Ok(()),
        }
    }

    /// Returns how long the daemon takes to answer a simple question, for which one of its ordinary worker threads has to be
    /// free (`NODE_GET_CPU_MAP`). That the hypervisor driver does not know the answer is one, too.
    ///
    /// # Errors
    /// As any call, but for the daemon's refusal.
    pub async fn ping(&self) -> Result<Duration> {
        let begun = Instant::now();
        let asked = expecting(|error| error.remote().is_some(), self.client.call(Self::QUESTION)).await;
        match asked {
            Ok(_) | Err(Error::Remote(_)) => Ok(begun.elapsed()),
            Err(error) => Err(error),
        }
    }

    /// What a daemon is asked that is to show that it answers.
    pub(super) const QUESTION: remote::NodeGetCpuMapArgs =
        remote::NodeGetCpuMapArgs { need_map: 0, need_online: 0, flags: 0 };

    /// Waits for the connection's end and returns its reason: who ended it, or what failed, or what the daemon said of its
    /// own connection to the hypervisor.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.client.closed()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("uri", &self.inner.uri)
            .field("client", &self.client)
            .field("found", &self.inner.found)
            .field("supervision", &self.inner.supervision)
            .finish()
    }
}
