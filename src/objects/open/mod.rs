//! From a URI to a connection: the plan, the way to the daemon, authentication, and the opening calls.

#[cfg(unix)]
mod autostart;
mod connect;
mod deadline;
mod farewell;
mod handshake;
mod known;
mod login;
mod machine;
#[cfg(feature = "ssh")]
mod ssh;
#[cfg(unix)]
mod unix;

use std::{io, sync::Arc, time::Duration};

use tracing::Instrument;

use self::{deadline::Deadline, login::Login};
use super::{
    admin::AdminBuilder,
    connection::{Builder, Connection},
};
use crate::{
    error::{CloseReason, Error, Result, phase},
    protocol::admin,
    rpc::{Client, Config, KeepaliveConfig, Wire, expecting},
    uri::{AdminPlan, Options, Route},
};

#[cfg(feature = "ssh")]
pub(super) use self::ssh::SshOptions;
pub(super) use self::{connect::Carrier, handshake::supports};
pub(super) use crate::{
    auth::{CredentialRequest, Credentials, Secret},
    uri::Plan,
};

/// Opens what the builder describes, within its deadline.
pub(super) async fn open(builder: &Builder) -> Result<Connection> {
    let opening = async {
        let deadline = Deadline::new(builder.open_timeout);
        let plan = deadline.limit(PLANNING, plan_aside(builder)).await?;
        let address = plan.route.address();
        let span = tracing::info_span!("connection", uri = plan.name.as_deref(), address);
        let opening = open_plan(builder, &plan, deadline);
        opening
            .instrument(span)
            .await
            .map_err(|error| not_a_daemon(&address, likely_mistake(&plan.route), error))
    };
    // In a box: whoever opens a connection should not have to have room for all ways to do it.
    observed(&builder.config, Box::pin(opening)).await
}

/// Connects to the administration of a daemon, within the builder's deadline.
pub(super) async fn open_admin(builder: &AdminBuilder) -> Result<(Client, AdminPlan)> {
    observed(&builder.config, connect_to_admin(builder)).await
}

async fn connect_to_admin(builder: &AdminBuilder) -> Result<(Client, AdminPlan)> {
    let deadline = Deadline::new(builder.open_timeout).with_patience(patience(builder.keepalive));
    let uri = builder.uri.clone();
    let planning = phase::aside(PLANNING, move || AdminPlan::new(&uri, &machine::environment()));
    let plan = deadline.limit(PLANNING, planning).await??;
    let path = plan.socket.path.display().to_string();
    let span = tracing::info_span!("administration", socket = path);
    let opening = async {
        tracing::debug!(%plan, "connecting");
        let client = deadline.limit(CONNECTING, connect::unix(&plan.socket, &builder.config)).await?;
        let quick = client.with_timeout(None);
        let opening = quick.call(admin::ConnectOpenArgs { flags: 0 });
        let opened = deadline.limit_silence("opening the connection", opening).await;
        opened.map_err(|error| not_a_daemon(&path, "", error))?;
        // Nothing is asked before: this program has no question for it, and all daemons that speak it answer pings.
        if let Some(config) = builder.keepalive {
            client.start_keepalive(config);
        }
        Ok::<_, Error>(client)
    };
    let client = opening.instrument(span).await?;
    Ok((client, plan))
}

/// How long a daemon may be silent without a deadline.
fn patience(keepalive: Option<KeepaliveConfig>) -> Option<Duration> {
    keepalive.as_ref().and_then(KeepaliveConfig::patience)
}

/// The same for a route. Behind programs and helpers nobody knows what the silence is: somebody may be asked for a passphrase.
fn patience_with(route: &Route, keepalive: Option<KeepaliveConfig>) -> Option<Duration> {
    match route {
        Route::Command(_) | Route::Ssh(_) => None,
        Route::Unix(_) | Route::Tcp(_) | Route::Tls(_) => patience(keepalive),
    }
}

/// What is not done when a deadline passes before there is a connection.
const CONNECTING: &str = "connecting";

/// The same before it is known where to.
const PLANNING: &str = "reading libvirt's configuration";

/// Decides how to connect, from the URI and this process's environment.
pub(super) fn plan(builder: &Builder) -> Result<Plan> {
    let options = Options::default().read_only(builder.read_only).system_ssh(builder.system_ssh);
    Plan::new(&builder.uri, options, &machine::environment())
}

/// The same beside the runtime's tasks: a home directory may be on a disk that hangs.
async fn plan_aside(builder: &Builder) -> Result<Plan> {
    let builder = builder.clone();
    phase::aside(PLANNING, move || plan(&builder)).await?
}

async fn open_plan(builder: &Builder, plan: &Plan, deadline: Deadline) -> Result<Connection> {
    tracing::debug!(%plan, "connecting");
    let knowing = known::credentials(builder.credentials.clone(), plan);
    let credentials = deadline.limit(CONNECTING, knowing).await?;
    let reached = deadline.limit(CONNECTING, connect::connect(&plan.route, builder, &credentials)).await?;
    let uri = plan.uri.as_ref().filter(|_| plan.name.is_some()).map(|uri| uri.text.clone());
    let login = Login::new(plan, &credentials);
    let deadline = deadline.with_patience(patience_with(&plan.route, builder.keepalive));
    let shaking = handshake::handshake(builder, reached.client, plan.name.clone(), uri, &login, deadline);
    let shaking = Box::pin(shaking);
    Ok(shaking.await?.opened_by(builder.clone(), reached.carrier))
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
        let deadline = Deadline::new(builder.open_timeout).with_patience(patience(builder.keepalive));
        let login = Login::over_stream(&builder.credentials);
        handshake::handshake(builder, client, name.clone(), name.clone(), &login, deadline).await
    };
    observed(&builder.config, Box::pin(opening.instrument(span))).await
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

/// Says what a connection may have been meant to be that a daemon ends at once.
fn likely_mistake(route: &Route) -> &'static str {
    match route {
        Route::Tcp(_) => "; libvirt's port for plain TCP is 16509, that for TLS (qemu+tls://…) is 16514",
        _ => "",
    }
}

/// Tells whether the way to a daemon was barred, as by an SSH server that runs no commands, and will be the next time.
fn is_final(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData)
}

/// A connection that ends before anything was answered was most likely none to a daemon.
fn not_a_daemon(address: &str, mistake: &str, error: Error) -> Error {
    let Error::Closed(reason) = error else { return error };
    if let CloseReason::Io(end) = &reason
        && let Some(explained) = farewell::explain(address, end)
    {
        return explained;
    }
    // Another kind of server will not become a daemon by being asked again.
    let kind = match &reason {
        CloseReason::Protocol(_) => io::ErrorKind::InvalidData,
        CloseReason::Io(end) if is_final(end.kind()) => end.kind(),
        _ => io::ErrorKind::ConnectionAborted,
    };
    Error::Connect {
        address: address.to_owned(),
        hint: format!("the connection ended while it was being opened: {reason}{mistake}"),
        source: Arc::new(kind.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that nobody writes to stands for a file on a disk that hangs.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_cannot_be_read_holds_up_neither_the_deadline_nor_other_tasks() {
        use std::{
            fs::{self, OpenOptions},
            process::Command,
            sync::{
                atomic::{AtomicU32, Ordering},
                mpsc,
            },
            thread,
        };

        let pipe = std::env::temp_dir().join(format!("libvirt-client-authfile-{}", std::process::id()));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (done, waiting) = mpsc::channel::<()>();
        let end = {
            let pipe = pipe.clone();
            // At some time even if the runtime stands still, so that this fails then.
            move || {
                let _ = waiting.recv_timeout(Duration::from_secs(20));
                OpenOptions::new().read(true).write(true).open(&pipe).and_then(|_end| fs::remove_file(&pipe))
            }
        };
        let end = thread::spawn(end);
        let ticks = Arc::new(AtomicU32::new(0));
        let ticking = {
            let ticks = Arc::clone(&ticks);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    ticks.fetch_add(1, Ordering::Relaxed);
                }
            })
        };

        let builder = Connection::builder(format!("test:///default?authfile={}", pipe.display()));
        let error = builder.open_timeout(Duration::from_secs(1)).open().await.unwrap_err();
        let ticks = ticks.load(Ordering::Relaxed);
        ticking.abort();
        drop(done);
        end.join().unwrap().unwrap();
        assert!(
            matches!(error, Error::Timeout { what: "reading the file with credentials", .. }),
            "{error:?}"
        );
        assert!(ticks > 0, "nothing else was done");
    }

    /// Where they are not optimised, futures are copied from place to place before they are polled, and a thread of a runtime
    /// has two MiB for all of that.
    #[test]
    fn opening_a_connection_takes_little_room() {
        let builder = Connection::builder("test:///default");
        let plan = plan(&builder).unwrap();
        let deadline = Deadline::new(builder.open_timeout);
        let opening = size_of_val(&open_plan(&builder, &plan, deadline));
        assert!(opening < 16 * 1024, "{opening} bytes");
        let outside = size_of_val(&builder.open());
        assert!(outside < 4 * 1024, "{outside} bytes");
    }
}
