//! From a plan's route to a client over it: a function for each kind of route.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    rpc::{ByteStream, Client, Config},
    uri::{CommandRoute, Endpoint, Route, Socket, SshRoute, TlsRoute},
};

/// Connects along `route`.
pub(super) async fn connect(route: &Route, config: &Config) -> Result<Client> {
    match route {
        Route::Unix(socket) => unix(socket, config).await,
        Route::Tcp(endpoint) => tcp(endpoint, config).await,
        Route::Tls(route) => tls(route, config).await,
        Route::Ssh(route) => ssh(route, config).await,
        Route::Command(route) => command(route, config).await,
    }
}

#[cfg(unix)]
pub(super) async fn unix(socket: &Socket, config: &Config) -> Result<Client> {
    Ok(Client::start(super::unix::connect(socket).await?, config))
}

#[cfg(not(unix))]
pub(super) async fn unix(socket: &Socket, _: &Config) -> Result<Client> {
    Err(Error::Unsupported(format!("this system has no Unix sockets, as {socket} would be")))
}

async fn tcp(endpoint: &Endpoint, config: &Config) -> Result<Client> {
    let connecting = tokio::net::TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let stream = connecting.await.map_err(|error| Error::Connect {
        address: endpoint.to_string(),
        hint: error.to_string(),
        source: Arc::new(error),
    })?;
    Ok(Client::start(ByteStream(stream), config))
}

async fn tls(route: &TlsRoute, _: &Config) -> Result<Client> {
    Err(Error::Unsupported(format!("tls, which {} needs, comes with a later version", route.endpoint)))
}

async fn ssh(route: &SshRoute, _: &Config) -> Result<Client> {
    Err(Error::Unsupported(format!(
        "ssh, which {} needs, comes with a later version; forward the remote socket (ssh -L) and name it with \
         \"?socket=\"",
        route.host
    )))
}

async fn command(route: &CommandRoute, _: &Config) -> Result<Client> {
    Err(Error::Unsupported(format!(
        "a program as the connection, such as {}, comes with a later version",
        route.program.display()
    )))
}
