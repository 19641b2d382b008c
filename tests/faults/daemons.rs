//! What happens to the daemon itself: it is killed, it is told to end, it stands still, for a moment or for good.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error, StorageVol};

use crate::{
    cell::{DEADLINE, LONG, SHORT, SHORT_KEEPALIVE},
    fault::{Fault, Side},
    leaks::Baseline,
    outcome::Outcome::{self, *},
    phases::within,
    proxy::Proxy,
    support::{
        Daemon,
        daemon::through_socket,
        volumes::{pool, volume},
        wait_until,
    },
    table::{Entry, Table},
};

/// More than sockets and queues hold, so that a transfer is on its way when it happens.
const DISK: u64 = 16 << 20;
const HYPERVISOR: &str = "qemu:///system";
const SIMULATED: &str = "test:///default";
/// How long the daemon may take to answer when all is well again, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happens to the daemon, while it has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// SIGKILL.
    Killed,
    /// SIGTERM, which it obeys once it has done what it was doing.
    Ended,
    /// SIGSTOP, for longer than it may be silent.
    Stopped,
    /// SIGSTOP and SIGCONT.
    StoppedForAMoment,
}

/// What is being done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Call,
    Download,
    Upload,
    Registration,
    Events,
    Close,
    Idle,
}

/// Adds a row to the table for each blow, with a cell for each phase. The daemon is another one after most.
pub(crate) async fn add_to(table: &mut Table) {
    let mut daemon = Daemon::start();
    let hypervisor = Connection::open(daemon.uri(HYPERVISOR)).await.unwrap();
    volume(&pool(&daemon, &hypervisor, "disks").await, "disk.img", DISK).await;
    hypervisor.close().await.unwrap();
    for blow in [Blow::Killed, Blow::Ended, Blow::Stopped, Blow::StoppedForAMoment] {
        for phase in [
            Phase::Opening,
            Phase::Call,
            Phase::Download,
            Phase::Upload,
            Phase::Registration,
            Phase::Events,
            Phase::Close,
            Phase::Idle,
        ] {
            let before = Baseline::now();
            let (outcome, took, said, mut wrong) = run(&daemon, blow, phase).await;
            if matches!(blow, Blow::Killed | Blow::Ended) {
                start_again(&mut daemon).await;
            }
            wrong.extend(answers(&daemon).await.err());
            wrong.extend(before.is_restored().await.err());
            let row = [blow.to_string(), phase.to_string(), String::new()];
            table.add(Entry { row, outcome, took, said, wrong });
        }
    }
}

/// Starts another daemon once the first has ended, which takes it a moment where it may.
pub(crate) async fn start_again(daemon: &mut Daemon) {
    wait_until(|| daemon.has_ended()).await;
    daemon.restart();
}

/// Has the daemon stand still while it is asked, so that it happens at a time at which it has not answered.
async fn run(daemon: &Daemon, blow: Blow, phase: Phase) -> (Outcome, Duration, String, Vec<String>) {
    let path = daemon.directory().join("proxy");
    let proxy = Arc::new(Proxy::start(&path, &daemon.socket(), false));
    let act = prepare(phase, blow, through_socket(phase.uri(), &path)).await.unwrap();
    proxy.arm(Side::Client, usize::MAX, Fault::None);
    daemon.signal("STOP");
    let begun = Instant::now();
    let acting = tokio::spawn(act);
    if phase.asks() {
        let proxy = proxy.clone();
        let asked = move || proxy.wait_for(Side::Client, 1, PATIENCE);
        assert!(tokio::task::spawn_blocking(asked).await.unwrap(), "{phase} asks nothing");
    }
    match blow {
        Blow::Killed => daemon.signal("KILL"),
        Blow::Ended => {
            daemon.signal("TERM");
            daemon.signal("CONT");
        }
        Blow::Stopped => {}
        Blow::StoppedForAMoment => {
            daemon.signal("CONT");
            if phase == Phase::Events {
                let connection = Connection::open(daemon.uri(SIMULATED)).await.unwrap();
                connection.domain_by_name("test").await.unwrap().suspend().await.unwrap();
                connection.domain_by_name("test").await.unwrap().resume().await.unwrap();
            }
        }
    }
    let abort = acting.abort_handle();
    let done = tokio::time::timeout(DEADLINE, acting).await;
    let took = begun.elapsed();
    if blow == Blow::Stopped {
        daemon.signal("CONT");
    }
    tokio::task::spawn_blocking(move || drop(proxy)).await.unwrap();
    let Ok(done) = done else {
        abort.abort();
        return (Other, took, "nothing".to_owned(), vec![format!("it hangs for {DEADLINE:?}")]);
    };
    let (outcome, said) = match done.unwrap() {
        Ok(answer) => (Right, answer),
        Err(error) => (Outcome::of(&error), error.to_string()),
    };
    let expected = expected(blow, phase);
    let wrong =
        if expected.contains(&outcome) { vec![] } else { vec![format!("that is none of {expected:?}")] };
    (outcome, took, said, wrong)
}

fn expected(blow: Blow, phase: Phase) -> Vec<Outcome> {
    match (blow, phase) {
        (Blow::StoppedForAMoment, _) => vec![Right],
        // It was to end.
        (Blow::Killed | Blow::Ended, Phase::Close) => vec![Right],
        (Blow::Killed, Phase::Opening) => vec![Unconnected],
        (Blow::Killed, _) => vec![Closed, Cut],
        // What it was doing may have been done before.
        (Blow::Ended, Phase::Opening) => vec![Right, Unconnected],
        (Blow::Ended, Phase::Call | Phase::Registration) => vec![Right, Closed],
        (Blow::Ended, _) => vec![Closed, Cut],
        (Blow::Stopped, Phase::Opening) => vec![Timeout],
        (Blow::Stopped, Phase::Close) => vec![Right, Silent],
        (Blow::Stopped, _) => vec![Silent],
    }
}

/// Tells whether a new connection is answered.
async fn answers(daemon: &Daemon) -> Result<(), String> {
    let asking = async {
        let connection = Connection::open(daemon.uri(SIMULATED)).await?;
        connection.hostname().await?;
        connection.close().await
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("a new connection fails: {error}")),
        Err(_) => Err("a new connection has no answer".to_owned()),
    }
}

type Act = Pin<Box<dyn Future<Output = Result<String, Error>> + Send>>;

async fn prepare(phase: Phase, blow: Blow, uri: String) -> Result<Act, Error> {
    let builder = Connection::builder(uri).keepalive(None);
    if phase == Phase::Opening {
        let builder = builder.open_timeout(if blow == Blow::Stopped { SHORT } else { LONG });
        return Ok(Box::pin(async move { builder.open().await.map(|_| "open".to_owned()) }));
    }
    let connection = builder.open().await?;
    let watched = connection.clone();
    let begin = move || {
        if blow == Blow::Stopped {
            watched.client().start_keepalive(SHORT_KEEPALIVE);
        }
    };
    let limited = connection.with_timeout(LONG);
    Ok(match phase {
        Phase::Call => {
            let domain = limited.domain_by_name("test").await?;
            Box::pin(async move {
                begin();
                domain.info().await.map(|info| info.state.to_string())
            })
        }
        Phase::Download => {
            let mut download = disk(&limited).await?.download().await?;
            let mut bytes = download.next().await.transpose()?.unwrap_or_default().len();
            Box::pin(async move {
                begin();
                while let Some(piece) = within(LONG, async { download.next().await.transpose() }).await? {
                    bytes += piece.len();
                }
                assert_eq!(bytes as u64, DISK, "a transfer that was cut is not at its end");
                Ok(format!("{bytes} bytes"))
            })
        }
        Phase::Upload => {
            let mut upload = disk(&limited).await?.upload(DISK).await?;
            upload.write_bytes(vec![7; 1 << 20]).await?;
            Box::pin(async move {
                begin();
                for _ in 1..DISK >> 20 {
                    within(LONG, upload.write_bytes(vec![7; 1 << 20])).await?;
                }
                upload.finish().await.map(|()| "uploaded".to_owned())
            })
        }
        Phase::Registration => Box::pin(async move {
            begin();
            limited.events().domain_lifecycle().subscribe().await.map(|_| "registered".to_owned())
        }),
        Phase::Events => {
            let mut events = limited.events().domain_lifecycle().subscribe().await?;
            Box::pin(async move {
                begin();
                let event = events.next().await.expect("it ends with an error");
                event.map(|event| format!("{event:?}"))
            })
        }
        Phase::Close => Box::pin(async move {
            begin();
            drop(limited);
            connection.close().await.map(|()| "closed".to_owned())
        }),
        Phase::Idle => Box::pin(async move {
            begin();
            if blow == Blow::StoppedForAMoment {
                return limited.hostname().await;
            }
            Err(Error::Closed(limited.closed().await))
        }),
        Phase::Opening => unreachable!("it has nothing before it"),
    })
}

async fn disk(connection: &Connection) -> Result<StorageVol, Error> {
    connection.storage_pool_by_name("disks").await?.volume_by_name("disk.img").await
}

impl Phase {
    fn uri(self) -> &'static str {
        if matches!(self, Self::Download | Self::Upload) { HYPERVISOR } else { SIMULATED }
    }

    /// Tells whether it begins with a question.
    fn asks(self) -> bool {
        matches!(self, Self::Opening | Self::Call | Self::Registration | Self::Close)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening => "opening",
            Self::Call => "call",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Registration => "registration",
            Self::Events => "events",
            Self::Close => "close",
            Self::Idle => "idle",
        })
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "daemon killed, and started again",
            Self::Ended => "daemon ended, and started again",
            Self::Stopped => "daemon stopped",
            Self::StoppedForAMoment => "daemon stopped for a moment",
        })
    }
}
