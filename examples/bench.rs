//! Measures one scenario against a daemon, to be compared with other clients.
//!
//! ```text
//! cargo run --release --example bench -- SCENARIO SOCKET N [URI]
//! ```
//!
//! It prints one line: `SCENARIO ops wall_us_per_op cpu_us_per_op maxrss_kib`. For `download` and `upload`, N is in bytes, an
//! operation a MiB, and the environment's `VOL` the path of the volume.
//!
//! For `idle` it opens N connections, leaves them alone for a while, and prints another line: how many there are, the memory
//! of each in KiB, its tasks, and the descriptors of each. The daemon has to allow for so many (`max_clients`).

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error, Result, protocol::remote};
use tokio::{io::AsyncWriteExt, task::JoinSet};

const USAGE: &str = "usage: bench connect|seq|info|list|stats|conc|idle|download|upload SOCKET N [URI]";
const TASKS: usize = 64;
/// A daemon's queue of connections that it has not accepted is short.
const OPENED_AT_ONCE: usize = 8;
/// Longer than a daemon, or a connection, is silent before it is asked for a sign of life.
const IDLE: Duration = Duration::from_secs(12);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, socket, count, rest @ ..] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("bench: {count:?} is no number\n{USAGE}");
        return ExitCode::from(2);
    };
    let uri = rest.first().map_or("test:///default", String::as_str);
    let uri = format!("{uri}{}socket={socket}", if uri.contains('?') { '&' } else { '?' });
    let scenario = scenario.clone();
    // On a task of the runtime, as the calls of a real program are.
    match tokio::spawn(async move { run(&scenario, &uri, count).await }).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(scenario: &str, uri: &str, count: usize) -> Result<()> {
    if scenario == "connect" {
        let begun = Usage::now();
        for _ in 0..count {
            Connection::open(uri).await?.close().await?;
        }
        begun.print(scenario, count);
        return Ok(());
    }
    if scenario == "idle" {
        return idle(uri, count).await;
    }

    let connection = Connection::open(uri).await?;
    if let "download" | "upload" = scenario {
        return transfer(scenario, &connection, count).await;
    }
    let domains = connection.domains().await?;
    let Some(domain) = domains.first() else {
        return Err(Error::Unsupported(
            "this scenario needs a domain to look at, and there is none".to_owned(),
        ));
    };
    let client = connection.client();
    let begun = Usage::now();
    match scenario {
        "seq" => {
            for _ in 0..count {
                connection.lib_version().await?;
            }
        }
        "info" => {
            for _ in 0..count {
                domain.info().await?;
            }
        }
        "list" => {
            for _ in 0..count {
                connection.domains().await?;
            }
        }
        "stats" => {
            for _ in 0..count {
                client
                    .call(remote::ConnectGetAllDomainStatsArgs { doms: Vec::new(), stats: 0, flags: 0 })
                    .await?;
            }
        }
        "conc" => {
            let tasks = (0..TASKS).map(|_| {
                let domain = domain.clone();
                tokio::spawn(async move {
                    for _ in 0..count / TASKS {
                        domain.info().await?;
                    }
                    Ok::<_, Error>(())
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.map_err(|error| Error::Unsupported(error.to_string()))??;
            }
        }
        other => return Err(Error::Unsupported(format!("there is no scenario {other:?}\n{USAGE}"))),
    }
    begun.print(scenario, if scenario == "conc" { count / TASKS * TASKS } else { count });
    connection.close().await
}

/// Opens connections and does nothing with them.
async fn idle(uri: &str, count: usize) -> Result<()> {
    // What the first connection allocates is there once.
    let first = Connection::open(uri).await?;
    let before = Holdings::now();
    let mut connections = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    while connections.len() < count {
        while opening.len() < OPENED_AT_ONCE && connections.len() + opening.len() < count {
            opening.spawn(Connection::open(uri.to_owned()));
        }
        let Some(opened) = opening.join_next().await else { break };
        connections.push(opened.map_err(|error| Error::Unsupported(error.to_string()))??);
    }
    tokio::time::sleep(IDLE).await;
    let after = Holdings::now();
    for connection in &connections {
        connection.lib_version().await?;
    }
    let each = |after: usize, before: usize| after.saturating_sub(before) as f64 / count.max(1) as f64;
    println!(
        "idle {count} {:.1} {:.2} {:.2}",
        each(after.rss_kib, before.rss_kib),
        each(after.tasks, before.tasks),
        each(after.descriptors, before.descriptors)
    );
    first.close().await
}

/// What this process has, at one moment.
struct Holdings {
    rss_kib: usize,
    tasks: usize,
    descriptors: usize,
}

impl Holdings {
    fn now() -> Self {
        Self {
            rss_kib: status("VmRSS:") as usize,
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        }
    }
}

/// Reads a volume, or writes it, without doing anything with what is read.
async fn transfer(scenario: &str, connection: &Connection, bytes: usize) -> Result<()> {
    let path = std::env::var("VOL").unwrap_or_default();
    let volume = connection.volume_by_path(path).await?;
    let begun = Usage::now();
    let mut done = 0;
    if scenario == "download" {
        let mut download = volume.download_with(0, bytes as u64, Default::default()).await?;
        while let Some(chunk) = download.next().await {
            done += chunk?.len();
        }
    } else {
        let mut upload = volume.upload(bytes as u64).await?;
        let chunk = vec![7; 262_120];
        while done < bytes {
            let part = chunk.get(..bytes - done).unwrap_or(&chunk);
            done += upload.write(part).await.map_err(|error| Error::Unsupported(error.to_string()))?;
        }
        upload.finish().await?;
    }
    begun.print(scenario, done >> 20);
    Ok(())
}

/// The time and what this process has used, at one moment.
struct Usage {
    wall: Instant,
    cpu: Duration,
}

impl Usage {
    fn now() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    fn print(&self, scenario: &str, count: usize) {
        let per_op = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1) as f64;
        let (wall, cpu) = (per_op(self.wall.elapsed()), per_op(cpu_time() - self.cpu));
        println!("{scenario} {count} {wall:.3} {cpu:.3} {}", max_rss_kib());
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// The most memory that was resident.
fn max_rss_kib() -> u64 {
    status("VmHWM:")
}

/// A number of this process, where the system tells it in /proc.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
