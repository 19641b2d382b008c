//! Shows what running domains use: CPU, memory, disks and networks, anew every few seconds. All numbers come from one call
//! for all domains, and rates from the difference between two of them.
//!
//! ```text
//! cargo run --example top                             qemu:///system, every 2 s, until Ctrl-C
//! cargo run --example top -- qemu:///system 0.5 10    every 0.5 s, ten times
//! ```

use std::{
    collections::HashMap,
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use libvirt_client::{
    Connection, Uuid,
    enums::{ConnectGetAllDomainStatsFlags, DomainStatsTypes},
    results::DomainStatsRecord,
    stats::DomainStats,
};
use tokio::time::MissedTickBehavior;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str =
    "usage: top [URI [SECONDS [ROUNDS]]]      (otherwise: qemu:///system, every 2 s, endless)";

struct Options {
    uri: String,
    interval: Duration,
    rounds: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(options) = options(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match top(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Option<Options> {
    let seconds =
        |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok().filter(|time| !time.is_zero());
    let (uri, interval, rounds) = match arguments {
        [] => ("qemu:///system", "2", None),
        [uri] => (uri.as_str(), "2", None),
        [uri, interval] => (uri.as_str(), interval.as_str(), None),
        [uri, interval, rounds] => (uri.as_str(), interval.as_str(), Some(rounds)),
        _ => return None,
    };
    if uri.starts_with('-') {
        return None;
    }
    let rounds = rounds.map_or(Some(usize::MAX), |rounds| rounds.parse().ok())?;
    Some(Options { uri: uri.to_owned(), interval: seconds(interval)?, rounds })
}

async fn top(options: Options) -> AnyResult<()> {
    let connection = Connection::open(options.uri).await?;
    tokio::select! {
        shown = show(&connection, options.interval, options.rounds) => shown?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(connection.close().await?)
}

async fn show(connection: &Connection, interval: Duration, rounds: usize) -> AnyResult<()> {
    let types = DomainStatsTypes::STATE
        | DomainStatsTypes::CPU_TOTAL
        | DomainStatsTypes::VCPU
        | DomainStatsTypes::BALLOON
        | DomainStatsTypes::BLOCK
        | DomainStatsTypes::INTERFACE;
    // A domain that something slow is being done with would hold up all: take what it tells without waiting.
    let flags = ConnectGetAllDomainStatsFlags::ACTIVE | ConnectGetAllDomainStatsFlags::NOWAIT;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Samples::new();
    for _ in 0..rounds {
        ticks.tick().await;
        let asked = Instant::now();
        let records = connection.domain_stats_with(&[], types, flags).await?;
        let now = records.iter().map(|record| (key(record), Sample::of(&record.stats, asked))).collect();
        print_table(&records, &now, &before)?;
        before = now;
    }
    Ok(())
}

/// A domain's life: one that was restarted has a new number, and counters that begin anew.
type Life = (Uuid, Option<u32>);
type Samples = HashMap<Life, Sample>;

fn key(record: &DomainStatsRecord) -> Life {
    (record.domain.uuid(), record.domain.id())
}

/// Counters at some time between asking and the answer. Those that the driver does not have are `None`.
struct Sample {
    asked: Instant,
    answered: Instant,
    cpu_ns: Option<u64>,
    vcpus_ns: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    received: Option<u64>,
    sent: Option<u64>,
}

impl Sample {
    fn of(stats: &DomainStats, asked: Instant) -> Self {
        Self {
            asked,
            answered: Instant::now(),
            cpu_ns: nanoseconds(stats.cpu.time),
            vcpus_ns: sum(stats.vcpus.iter().map(|vcpu| nanoseconds(vcpu.time))),
            read: sum(stats.blocks.iter().map(|disk| disk.read_bytes)),
            written: sum(stats.blocks.iter().map(|disk| disk.write_bytes)),
            received: sum(stats.interfaces.iter().map(|interface| interface.rx_bytes)),
            sent: sum(stats.interfaces.iter().map(|interface| interface.tx_bytes)),
        }
    }

    /// Returns by how much a counter has grown in a second. One that has shrunk was reset, or a device went away.
    ///
    /// A daemon that is slow to answer may have read its counters long before. So this takes the longest time that may be
    /// between the two, and never says too much.
    fn rate(&self, before: &Self, counter: Counter) -> Option<f64> {
        let grown = counter(self)?.checked_sub(counter(before)?)?;
        Some(grown as f64 / self.answered.duration_since(before.asked).as_secs_f64())
    }

    /// Returns CPU time per second, in percent of one CPU of the host: two that are busy are 200 %.
    fn cpu_percent(&self, before: &Self) -> Option<f64> {
        let all = self.rate(before, |sample| sample.cpu_ns);
        // Some drivers measure the virtual CPUs alone, without what emulates the rest.
        let ns_per_s = all.or_else(|| self.rate(before, |sample| sample.vcpus_ns))?;
        Some(ns_per_s / 1e9 * 100.0)
    }
}

type Counter = fn(&Sample) -> Option<u64>;

fn nanoseconds(time: Option<Duration>) -> Option<u64> {
    u64::try_from(time?.as_nanos()).ok()
}

fn sum(counters: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counters.flatten().reduce(u64::saturating_add)
}

fn print_table(records: &[DomainStatsRecord], now: &Samples, before: &Samples) -> io::Result<()> {
    // Not `println!`, which panics when nobody reads on, as in `top | head`.
    let mut output = io::stdout().lock();
    if output.is_terminal() {
        // Clears the screen and goes to its top left corner.
        write!(output, "\x1b[2J\x1b[H")?;
    }
    let heads = ["ID", "NAME", "STATE", "CPU", "MEMORY", "ON HOST", "DISK READ", "WRITTEN", "NET IN", "OUT"];
    writeln!(output, "{}", row(heads))?;
    let mut records: Vec<_> = records.iter().collect();
    let samples = |record| Some((now.get(&key(record))?, before.get(&key(record))?));
    let rate = |record, counter: Counter| samples(record).and_then(|(now, before)| now.rate(before, counter));
    let cpu = |record| samples(record).and_then(|(now, before)| now.cpu_percent(before));
    records.sort_by(|a, b| {
        let busier_first = cpu(b).unwrap_or(0.0).total_cmp(&cpu(a).unwrap_or(0.0));
        busier_first.then_with(|| a.domain.name().cmp(b.domain.name()))
    });
    for record in records {
        let (domain, stats) = (&record.domain, &record.stats);
        let cells = [
            or_dash(domain.id(), |id| id.to_string()),
            domain.name().to_owned(),
            or_dash(stats.state, |state| state.to_string()),
            or_dash(cpu(record), |percent| format!("{percent:.1} %")),
            or_dash(stats.balloon.current_kib, memory),
            or_dash(stats.balloon.rss_kib, memory),
            or_dash(rate(record, |sample| sample.read), per_second),
            or_dash(rate(record, |sample| sample.written), per_second),
            or_dash(rate(record, |sample| sample.received), per_second),
            or_dash(rate(record, |sample| sample.sent), per_second),
        ];
        writeln!(output, "{}", row(cells))?;
    }
    writeln!(output)
}

fn row<T: Display>(cells: [T; 10]) -> String {
    let [id, name, state, cpu, memory, host, read, written, received, sent] = cells;
    format!(
        "{id:>5} {name:<24} {state:<10} {cpu:>7} {memory:>9} {host:>9} {read:>11} {written:>11} {received:>11} {sent:>11}"
    )
}

fn or_dash<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

fn memory(kib: u64) -> String {
    format!("{} MiB", kib / 1024)
}

fn per_second(bytes: f64) -> String {
    match bytes {
        0.0..1024.0 => format!("{bytes:.0} B/s"),
        1024.0..1_048_576.0 => format!("{:.1} KiB/s", bytes / 1024.0),
        _ => format!("{:.1} MiB/s", bytes / 1_048_576.0),
    }
}
