//! From a plan's route to a client over it: a function for each kind of route.

#[cfg(unix)]
use crate::transport::command::{self, Command};
use crate::{
    auth::Credentials,
    error::Result,
    objects::connection::Builder,
    rpc::{ByteStream, Client, Config},
    transport,
    uri::{CommandRoute, Endpoint, Route, Socket, SshRoute, TlsRoute},
};

/// A client, and what its connection runs over.
pub(super) struct Reached {
    pub(super) client: Client,
    pub(super) carrier: Carrier,
}

/// What a connection runs over, where others can use it, too.
#[derive(Clone, Debug, Default)]
pub(in crate::objects) struct Carrier {
    #[cfg(feature = "ssh")]
    pub(super) session: Option<transport::ssh::Session>,
}

/// Connects along `route`. What the way itself asks for comes from `credentials`.
pub(super) async fn connect(route: &Route, builder: &Builder, credentials: &Credentials) -> Result<Reached> {
    let config = &builder.config;
    let client = match route {
        Route::Unix(socket) => unix(socket, config).await?,
        Route::Tcp(endpoint) => tcp(endpoint, config).await?,
        // In boxes, so that not every opening takes the room that these need.
        Route::Tls(route) => Box::pin(tls(route, builder)).await?,
        Route::Ssh(route) => return Box::pin(ssh(route, builder, credentials)).await,
        Route::Command(route) => command(route, config).await?,
    };
    Ok(Reached { client, carrier: Carrier::default() })
}

#[cfg(unix)]
pub(super) async fn unix(socket: &Socket, config: &Config) -> Result<Client> {
    Ok(Client::start(super::unix::connect(socket).await?, config))
}

#[cfg(not(unix))]
pub(super) async fn unix(socket: &Socket, _: &Config) -> Result<Client> {
    Err(crate::error::Error::Unsupported(format!("this system has no Unix sockets, as {socket} would be")))
}

async fn tcp(endpoint: &Endpoint, config: &Config) -> Result<Client> {
    let stream = transport::tcp::connect(&endpoint.host, endpoint.port).await?;
    Ok(Client::start(ByteStream(stream), config))
}

#[cfg(feature = "tls")]
async fn tls(route: &TlsRoute, builder: &Builder) -> Result<Client> {
    use transport::tls::{Options, connect};
    let TlsRoute { endpoint, files, .. } = route;
    let mut options = Options::new(&endpoint.host, endpoint.port, &files.ca);
    options.verify = route.verify;
    options.sanity = route.sanity;
    options.revoked.clone_from(&files.crl);
    options.certificate =
        files.certificate.as_ref().map(|files| (files.certificate.clone(), files.key.clone()));
    options.priority.clone_from(&route.priority);
    options.accept_common_name = builder.tls_accept_common_name;
    Ok(Client::start(ByteStream(connect(&options).await?), &builder.config))
}

#[cfg(not(feature = "tls"))]
async fn tls(route: &TlsRoute, builder: &Builder) -> Result<Client> {
    let _ = builder.tls_accept_common_name;
    Err(crate::error::Error::Unsupported(format!(
        "this client was built without its feature tls, which {} needs",
        route.endpoint
    )))
}

#[cfg(feature = "ssh")]
async fn ssh(route: &SshRoute, builder: &Builder, credentials: &Credentials) -> Result<Reached> {
    super::ssh::connect(route, builder, credentials).await
}

#[cfg(not(feature = "ssh"))]
async fn ssh(route: &SshRoute, _: &Builder, _: &Credentials) -> Result<Reached> {
    Err(crate::error::Error::Unsupported(format!(
        "this client was built without its feature ssh, which {} needs; \"command=\" in the URI uses the system's ssh",
        route.host
    )))
}

#[cfg(unix)]
async fn command(route: &CommandRoute, config: &Config) -> Result<Client> {
    let arguments = route.arguments.iter().map(Into::into).collect();
    let command = Command { program: route.program.clone().into(), arguments };
    Ok(Client::start(ByteStream(command::start(&command)?), config))
}

#[cfg(not(unix))]
async fn command(route: &CommandRoute, _: &Config) -> Result<Client> {
    Err(crate::error::Error::Unsupported(format!(
        "connections over programs, such as {}, are for systems with Unix sockets",
        route.program.display()
    )))
}
