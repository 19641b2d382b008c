//! The way to a server: over TCP, through other servers, or through a program; then the server itself.

use std::{io, sync::Arc};

use russh::{Error as SshError, client};
use tokio::sync::watch;

use super::{
    ChannelStream, Destination, Session,
    config::Hop,
    destination::{Settings, Way},
    handler::{Failure, Handler},
    host_key::HostKeyCheck,
    line::{Fate, Line, Stream},
    login, resolve,
};
use crate::{
    error::{Error, Result, phase},
    transport::{Farewell, tcp},
};

/// How many servers may be on the way: a configuration may lead in a circle.
const HOPS_MAX: usize = 8;

/// Connects to a destination, by the way that the configuration says.
pub(super) async fn connect(destination: &Destination) -> Result<Session> {
    let settings = resolve::resolve(destination).await?;
    Box::pin(connect_by(settings, destination, 0)).await
}

/// Connects over a stream that leads to the destination already.
pub(super) async fn connect_over(stream: Box<dyn Stream>, destination: &Destination) -> Result<Session> {
    let settings = resolve::resolve(destination).await?;
    Box::pin(begin(stream, &settings)).await
}

async fn connect_by(settings: Settings, destination: &Destination, hops: usize) -> Result<Session> {
    let stream: Box<dyn Stream> = match &settings.way {
        Way::Tcp => Box::new(tcp(&settings).await?),
        Way::Jump(_) if hops >= HOPS_MAX => {
            return Err(unreachable(
                &settings,
                io::ErrorKind::InvalidInput,
                format!("more than {HOPS_MAX} hosts are on the way; does \"ProxyJump\" lead in a circle?"),
            ));
        }
        Way::Jump(hosts) => Box::new(through(hosts, &settings, destination, hops).await?),
        Way::Command(command) => by_program(command, &settings)?,
    };
    begin(stream, &settings).await
}

/// Connects through other servers, each of which leads to the next.
async fn through(
    hosts: &[Hop],
    settings: &Settings,
    destination: &Destination,
    hops: usize,
) -> Result<ChannelStream> {
    let mut session: Option<Session> = None;
    for (index, host) in hosts.iter().enumerate() {
        let next = resolve::resolve_hop(host, destination).await?;
        tracing::debug!(host = next.place(), "jumping");
        session = Some(match session {
            // Only the first may have a way of its own.
            None => Box::pin(connect_by(next, destination, hops + index + 1)).await?,
            Some(session) => {
                let stream = session.channel_to_tcp(&next.address, next.port).await?;
                begin(Box::new(stream), &next).await?
            }
        });
    }
    match session {
        Some(session) => session.channel_to_tcp(&settings.address, settings.port).await,
        None => {
            Err(unreachable(settings, io::ErrorKind::InvalidInput, "\"ProxyJump\" names no host".to_owned()))
        }
    }
}

/// Runs a program that leads to the server, by the shell, as `ssh` does.
#[cfg(unix)]
fn by_program(line: &str, _: &Settings) -> Result<Box<dyn Stream>> {
    use crate::transport::command::{Command, start_inheriting};

    let shell =
        std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let arguments = vec!["-c".into(), format!("exec {line}").into()];
    Ok(Box::new(start_inheriting(&Command { program: shell, arguments })?))
}

#[cfg(not(unix))]
fn by_program(_: &str, settings: &Settings) -> Result<Box<dyn Stream>> {
    let why = format!("{} needs \"ProxyCommand\", which does not work on this system", settings.place());
    Err(Error::Unsupported(why))
}

async fn tcp(settings: &Settings) -> Result<tokio::net::TcpStream> {
    let connecting = tcp::connect(&settings.address, settings.port);
    let connected = match settings.connect_timeout {
        Some(limit) => tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
            let why = format!("no answer within {limit:?} (\"ConnectTimeout\" in ssh's configuration)");
            Err(unreachable(settings, io::ErrorKind::TimedOut, why))
        }),
        None => connecting.await,
    };
    connected.map_err(|error| match error {
        Error::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            let hint = "nobody listens there; does sshd run on that host, and on this port?".to_owned();
            Error::Connect { address: settings.place(), hint, source }
        }
        Error::Connect { hint, source, .. } => Error::Connect { address: settings.place(), hint, source },
        other => other,
    })
}

/// Speaks SSH with a server: versions, keys, the host's key, and the login.
async fn begin(stream: Box<dyn Stream>, settings: &Settings) -> Result<Session> {
    let check = HostKeyCheck::read(settings).await?;
    let config = Arc::new(config(settings, &check));
    let fate = Arc::new(Fate::default());
    let (line, leash) = Line::new(stream, Arc::clone(&fate));
    let (tell, mut alive) = watch::channel(());
    let handler = Handler { check, fate: Arc::clone(&fate), alive: tell };
    let mut connecting =
        Box::pin(phase::during("the SSH handshake", client::connect_stream(config, line, handler)));
    let connected = match settings.connect_timeout {
        None => connecting.await,
        Some(limit) => match tokio::time::timeout(limit, &mut connecting).await {
            Ok(connected) => connected,
            // It speaks. Its user may be thinking about its key.
            Err(_) if fate.is_ssh() => connecting.await,
            Err(_) => {
                let why = format!("no answer within {limit:?} (\"ConnectTimeout\" in ssh's configuration)");
                return Err(unreachable(settings, io::ErrorKind::TimedOut, why));
            }
        },
    };
    let mut handle = connected.map_err(|failure| explain(failure, settings, &fate))?;
    let login = Box::pin(login::login(&mut handle, settings, &fate, &mut alive));
    phase::during("the login by SSH", login).await?;
    tracing::debug!(host = settings.place(), user = settings.user, "logged in");
    Ok(Session::new(handle, settings.place(), settings.user.clone(), fate, leash, alive))
}

fn config(settings: &Settings, check: &HostKeyCheck) -> client::Config {
    client::Config {
        preferred: check.preferred(),
        keepalive_interval: Some(settings.alive.0),
        keepalive_max: settings.alive.1,
        ..client::Config::default()
    }
}

/// Says why there is no session.
fn explain(failure: Failure, settings: &Settings, fate: &Fate) -> Error {
    let error = match failure {
        Failure::HostKey(error) => return error,
        Failure::Ssh(error) => error,
    };
    let (kind, why) = match &error {
        SshError::IO(end) if Farewell::of(end).is_some() => (end.kind(), format!("the way to it ended: {end}")),
        _ if !fate.is_ssh() => match fate.first_line() {
            line if line.is_empty() => (
                io::ErrorKind::ConnectionAborted,
                "the connection ended before the server said anything: it is no SSH server, or takes no more \
                 connections now, or none from here"
                    .to_owned(),
            ),
            line => (io::ErrorKind::InvalidData, format!("this is no SSH server: it says {line:?}")),
        },
        SshError::NoCommonAlgo { kind, ours, theirs } => (
            io::ErrorKind::InvalidData,
            format!(
                "no algorithm of the kind {kind:?} is known to both sides: we know {}, the server {}",
                ours.join(", "),
                theirs.join(", ")
            ),
        ),
        SshError::WrongServerSig | SshError::Signature(_) => (
            io::ErrorKind::InvalidData,
            "the server did not prove that its key is its own; somebody may be in between".to_owned(),
        ),
        SshError::IO(error) => (error.kind(), error.to_string()),
        SshError::Disconnect | SshError::HUP => {
            let why = fate.why().map_or_else(|| "the server ended the connection".to_owned(), |end| end.why);
            (io::ErrorKind::ConnectionAborted, format!("the keys could not be exchanged: {why}"))
        }
        error => (io::ErrorKind::InvalidData, format!("the SSH protocol was broken: {error}")),
    };
    match error {
        // What a program on the way said stays inside.
        SshError::IO(error) => {
            Error::Connect { address: settings.place(), hint: why, source: Arc::new(error) }
        }
        _ => unreachable(settings, kind, why),
    }
}

fn unreachable(settings: &Settings, kind: io::ErrorKind, why: String) -> Error {
    let source = Arc::new(io::Error::new(kind, why.clone()));
    Error::Connect { address: settings.place(), hint: why, source }
}
