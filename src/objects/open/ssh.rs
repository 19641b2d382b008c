//! SSH: what a plan says, as the transport wants it, and the session for those who want more of it.

use std::path::PathBuf;

use super::connect::{Carrier, Reached};
use crate::{
    auth::Credentials,
    error::{Error, Result},
    objects::connection::{Builder, Connection},
    rpc::{ByteStream, Client},
    transport::ssh::{ConfigFiles, Destination, HostKeyPolicy, Method, Session},
    uri::{self, RemoteSide, SshFlavour, SshMethod, SshRoute},
};

/// What a builder says about SSH.
#[derive(Clone, Debug, Default)]
pub(in crate::objects) struct SshOptions {
    /// The session to use instead of a new one.
    session: Option<Session>,
    config: ConfigFiles,
    /// Whether the daemon's socket is forwarded where the server does that.
    forwarding: bool,
}

impl Builder {
    /// Reaches the daemon over an SSH session that is there already, such as [`Connection::ssh`] of another connection. The
    /// URI names SSH as its transport (`qemu+ssh://host/system`); its host, port and user are not used.
    pub fn over_ssh(mut self, session: &Session) -> Self {
        self.ssh.session = Some(session.clone());
        self
    }

    /// Sets the file that stands for ssh's configuration, in place of the user's and the system's.
    pub fn ssh_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.ssh.config = ConfigFiles::File(path.into());
        self
    }

    /// Has the SSH server connect to the daemon's socket by itself, which needs neither netcat nor libvirt's helper over
    /// there. Where it does not do that, the command is run as usual.
    pub fn prefer_ssh_forwarding(mut self) -> Self {
        self.ssh.forwarding = true;
        self
    }
}

impl Connection {
    /// Returns the SSH session that the connection runs over, for tunnels and further connections; `None` if it runs over
    /// something else.
    ///
    /// ```no_run
    /// # async fn example() -> libvirt_client::Result<()> {
    /// use libvirt_client::Connection;
    ///
    /// let connection = Connection::open("qemu+ssh://root@host/system").await?;
    /// if let Some(ssh) = connection.ssh() {
    ///     // A guest's display, which listens on the host's own address only, at a port of this machine.
    ///     let display = ssh.listen(([127, 0, 0, 1], 0).into(), "127.0.0.1", 5900).await?;
    ///     println!("vnc://{}", display.local_addr());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ssh(&self) -> Option<Session> {
        self.carrier().session
    }
}

/// Connects along `route`.
pub(super) async fn connect(
    route: &SshRoute,
    builder: &Builder,
    credentials: &Credentials,
) -> Result<Reached> {
    let session = match &builder.ssh.session {
        Some(session) => session.clone(),
        None => Session::connect(&destination(route, builder, credentials)).await?,
    };
    let client = match socket(&route.remote).filter(|_| builder.ssh.forwarding) {
        Some(socket) => match session.channel_to_unix(socket).await {
            Ok(stream) => Client::start(ByteStream(stream), &builder.config),
            Err(error) => {
                tracing::debug!(%error, "forwarding does not lead to the daemon, a command may");
                by_command(&session, route, builder).await.map_err(|second| both(error, second))?
            }
        },
        None => by_command(&session, route, builder).await?,
    };
    Ok(Reached { client, carrier: Carrier { session: Some(session) } })
}

async fn by_command(session: &Session, route: &SshRoute, builder: &Builder) -> Result<Client> {
    let stream = session.exec(&route.remote.command()).await?;
    Ok(Client::start(ByteStream(stream), &builder.config))
}

/// Says what became of either way.
fn both(first: Error, second: Error) -> Error {
    match second {
        Error::Connect { address, hint, source } => {
            Error::Connect { address, hint: format!("{hint}; before, {first}"), source }
        }
        other => other,
    }
}

/// The socket, if it is known here.
fn socket(remote: &RemoteSide) -> Option<&str> {
    match remote {
        RemoteSide::Netcat { socket, .. } | RemoteSide::Auto { socket, .. } => Some(socket),
        RemoteSide::Helper { .. } => None,
    }
}

fn destination(route: &SshRoute, builder: &Builder, credentials: &Credentials) -> Destination {
    let mut destination = Destination::new(&route.host);
    destination.port = route.port;
    destination.user.clone_from(&route.user);
    destination.key_file.clone_from(&route.key_file);
    destination.methods = match route.methods.as_slice() {
        // The configuration's order, then.
        methods if methods == SshMethod::ALL => Vec::new(),
        methods => methods.iter().map(|method| login_by(*method)).collect(),
    };
    destination.known_hosts.clone_from(&route.known_hosts);
    destination.host_keys = match route.host_keys {
        uri::HostKeyPolicy::Default => None,
        uri::HostKeyPolicy::Ask => Some(HostKeyPolicy::Ask),
        uri::HostKeyPolicy::AcceptNew => Some(HostKeyPolicy::AcceptNew),
        uri::HostKeyPolicy::Ignore => Some(HostKeyPolicy::Ignore),
    };
    destination.batch = route.batch;
    destination.config = match (&builder.ssh.config, route.flavour) {
        // libssh2 reads no configuration.
        (ConfigFiles::Default, SshFlavour::Libssh2) => ConfigFiles::None,
        (config, _) => config.clone(),
    };
    destination.credentials = credentials.clone();
    destination
}

fn login_by(method: SshMethod) -> Method {
    match method {
        SshMethod::Agent => Method::Agent,
        SshMethod::PrivateKey => Method::PrivateKey,
        SshMethod::Password => Method::Password,
        SshMethod::KeyboardInteractive => Method::KeyboardInteractive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is asked for on the way, a task of its own can open a connection.
    #[test]
    fn the_opening_can_be_moved_to_another_thread() {
        fn movable<T: Send>(future: T) {
            drop(future);
        }
        movable(Connection::open("qemu+ssh://host/system"));
        movable(Session::connect(&Destination::new("host")));
    }
}
