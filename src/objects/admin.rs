//! The administration of a daemon itself: its servers and their clients, its log, its limits.
//!
//! This is on a socket of its own, which by default only root may open.
//!
//! ```no_run
//! # async fn example() -> libvirt_client::Result<()> {
//! use libvirt_client::admin::AdminConnection;
//!
//! let connection = AdminConnection::open("libvirtd:///system").await?;
//! for server in connection.servers().await? {
//!     println!("{}: {} clients", server.name(), server.clients().await?.len());
//! }
//! connection.close().await
//! # }
//! ```

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    TypedParams, Version, enums::ClientTransport, found, goodbye::goodbye, handles::handle, open, params,
    saturating,
};
use crate::{
    error::{CloseReason, Error, Result},
    protocol::admin,
    rpc,
};

/// A connection to the administration of a daemon. Cheap to clone; it ends when the last clone, and the last of what came
/// from it, is dropped, or with [`close`](Self::close).
///
/// C: `virAdmConnectPtr`.
#[doc(alias = "virAdmConnectPtr")]
#[derive(Clone, Debug)]
pub struct AdminConnection {
    uri: Arc<str>,
    client: rpc::Client,
}

/// How a connection to a daemon's administration is to be opened: see [`AdminConnection::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct AdminBuilder {
    pub(super) uri: String,
    pub(super) open_timeout: Option<Duration>,
    pub(super) keepalive: Option<rpc::KeepaliveConfig>,
    pub(super) config: rpc::Config,
}

impl AdminBuilder {
    /// Limits how long opening may take in all; 30 seconds unless stated. With `None`, a daemon that says nothing is given up
    /// by the time of [`keepalive`](Self::keepalive).
    pub fn open_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.open_timeout = timeout.into();
        self
    }

    /// Limits how long each call may take; unlimited unless stated.
    pub fn call_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.call_timeout = timeout.into();
        self
    }

    /// Sets when a silent daemon is given up; after 30 seconds unless stated, never with `None`.
    pub fn keepalive(mut self, keepalive: impl Into<Option<rpc::KeepaliveConfig>>) -> Self {
        self.keepalive = keepalive.into();
        self
    }

    /// Sets who is told of every error, as [`Builder::on_error`](crate::Builder::on_error) does.
    pub fn on_error(mut self, hook: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.config.on_error = Some(rpc::ErrorHook::new(hook));
        self
    }

    /// Opens the connection.
    ///
    /// # Errors
    /// [`Error::Uri`], [`Error::Config`], [`Error::Connect`], the deadline, or the daemon's refusal.
    pub async fn open(self) -> Result<AdminConnection> {
        let (client, plan) = open::open_admin(&self).await?;
        Ok(AdminConnection { uri: plan.uri.text.into(), client })
    }
}

handle! {
    /// A part of a daemon that listens on sockets and has a pool of threads: `libvirtd`, `admin`. Equal if the name is.
    ///
    /// C: `virAdmServerPtr`.
    #[doc(alias = "virAdmServerPtr")]
    Server(AdminConnection, admin::NonnullServer), same: |wire| wire.name.clone(), shows: name
}

handle! {
    /// Somebody who is connected to a server. Equal if its number and the server are.
    ///
    /// C: `virAdmClientPtr`.
    #[doc(alias = "virAdmClientPtr")]
    Client(AdminConnection, admin::NonnullClient), same: |wire| (wire.id, wire.srv.name.clone()),
    shows: id server transport connected_at
}

impl AdminConnection {
    /// Opens the administration of the daemon that `uri` names: `libvirtd:///system`, `virtqemud:///session`, with a socket
    /// elsewhere `libvirtd:///system?socket=/path`; with the defaults of [`builder`](Self::builder). An empty one is the
    /// default: `LIBVIRT_ADMIN_DEFAULT_URI`, else `uri_default` of `libvirt-admin.conf`, else the monolithic daemon of the
    /// system for root, and of the session for others. What is no URI may be an alias of `uri_aliases` there.
    ///
    /// # Errors
    /// As [`AdminBuilder::open`].
    pub async fn open(uri: impl Into<String>) -> Result<Self> {
        Self::builder(uri).open().await
    }

    /// Starts to describe a connection to the administration of the daemon that `uri` names.
    pub fn builder(uri: impl Into<String>) -> AdminBuilder {
        AdminBuilder {
            uri: uri.into(),
            open_timeout: Some(Duration::from_secs(30)),
            keepalive: Some(rpc::KeepaliveConfig::default()),
            config: rpc::Config::default(),
        }
    }

    /// Returns the URI that was opened.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns the raw layer, which can make any call of the protocol.
    #[must_use]
    pub fn client(&self) -> &rpc::Client {
        &self.client
    }

    /// Returns a handle to the same connection whose calls, and those of objects that come from it, have another
    /// deadline, or none.
    #[must_use]
    pub fn with_timeout(&self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { uri: self.uri.clone(), client: self.client.with_timeout(timeout) }
    }

    /// Tells the daemon goodbye and ends the connection for all its clones, as
    /// [`Connection::close`](crate::Connection::close) does.
    ///
    /// # Errors
    /// The connection had ended already, for another reason than ours.
    ///
    /// # Cancel safety
    /// Once polled, the connection ends, even if the future is dropped.
    pub async fn close(self) -> Result<()> {
        goodbye(&self.client, admin::ConnectCloseArgs).await
    }

    /// Waits for the connection's end and returns its reason.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.client.closed()
    }
}

impl Server {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.wire.name
    }
}

impl Client {
    /// Returns its number, which no other client of the daemon gets.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.wire.id
    }

    /// Returns the server that it is connected to.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::new(self.wire.srv.clone(), &self.connection)
    }

    /// Returns how it is connected.
    #[must_use]
    pub fn transport(&self) -> ClientTransport {
        ClientTransport(i32::try_from(self.wire.transport).unwrap_or(-1))
    }

    /// Returns since when it is connected, by the daemon's clock, to the second.
    #[must_use]
    pub fn connected_at(&self) -> SystemTime {
        let seconds = u64::try_from(self.wire.timestamp).unwrap_or(0);
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

include!(concat!(env!("OUT_DIR"), "/admin_objects.rs"));
