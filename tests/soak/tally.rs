//! What the run counts, and what it says about itself.

use std::{
    collections::BTreeMap,
    fmt, fs,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libvirt_client::{CloseReason, Error};

/// How many wrong results are told in full.
const TOLD: usize = 40;

/// Counters of all tasks.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: Count,
    pub(crate) dropped: Count,
    pub(crate) transfers: Count,
    pub(crate) bytes: Count,
    /// Results that were not looked at, since the daemon was being restarted.
    pub(crate) void: Count,
    /// Changes of which it was not known whether they had been made.
    pub(crate) unsure: Count,
    pub(crate) subscriptions: Count,
    pub(crate) events: Count,
    pub(crate) lagged: Count,
    pub(crate) gaps: Count,
    pub(crate) lost_in_gaps: Count,
    pub(crate) opened: Count,
    pub(crate) closed: Count,
    pub(crate) faults: Count,
    pub(crate) restarts: Count,
    /// How often the daemon ended by itself.
    pub(crate) crashes: Count,
    errors: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Tally {
    /// Counts an error that the faults explain.
    pub(crate) fn explained(&self, error: &Error) {
        *self.errors.lock().unwrap().entry(kind(error)).or_default() += 1;
    }

    /// Notes something that must not be.
    pub(crate) fn wrong(&self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("WRONG: {what}");
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < TOLD {
            wrong.push(what);
        }
    }

    pub(crate) fn all_wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  calls {} ({} dropped, {} not sure, {} void), transfers {} ({} MiB)",
            self.calls,
            self.dropped,
            self.unsure,
            self.void,
            self.transfers,
            self.bytes.get() >> 20,
        )?;
        writeln!(
            f,
            "  events {} delivered, {} lagged, {} lost in {} gaps; {} subscriptions done",
            self.events, self.lagged, self.lost_in_gaps, self.gaps, self.subscriptions
        )?;
        let errors: Vec<String> =
            self.errors.lock().unwrap().iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(
            f,
            "  connections opened {}, closed {}; faults {}, restarts {} ({} after crashes); wrong {}; errors: {}",
            self.opened,
            self.closed,
            self.faults,
            self.restarts,
            self.crashes,
            self.wrong.lock().unwrap().len(),
            if errors.is_empty() { "none".to_owned() } else { errors.join(", ") },
        )
    }
}

/// Names an error without what differs from one to the next.
fn kind(error: &Error) -> String {
    match error {
        Error::Closed(reason) => format!("closed ({})", reason_name(reason)),
        Error::Interrupted { may_have_run: true, cause, .. } => format!("interrupted ({})", kind(cause)),
        Error::Interrupted { cause, .. } => format!("interrupted and not done ({})", kind(cause)),
        Error::Timeout { waiting, .. } => format!("timeout ({waiting:?})"),
        Error::Connect { source, .. } => format!("connect ({:?})", source.kind()),
        Error::Remote(error) => format!("remote ({})", error.code),
        other => format!("{other}"),
    }
}

fn reason_name(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Io(error) => format!("io {:?}", error.kind()),
        CloseReason::Keepalive { .. } => "keepalive".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What the process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) at: Duration,
    pub(crate) allocated_kib: u64,
    /// What is allocated, and what the allocator keeps for later.
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) tasks: u64,
    /// Processor time until now.
    pub(crate) busy: Duration,
}

impl Held {
    pub(crate) fn now(begun: Instant) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Self {
            at: begun.elapsed(),
            allocated_kib: u64::try_from(crate::ALLOCATOR.allocated()).unwrap() >> 10,
            resident_kib: resident.split_whitespace().next().unwrap().parse().unwrap(),
            descriptors: u64::try_from(fs::read_dir("/proc/self/fd").unwrap().count()).unwrap(),
            tasks: u64::try_from(tasks).unwrap(),
            busy: busy(),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, allocated_kib, resident_kib, descriptors, tasks, busy } = self;
        write!(
            f,
            "{:>5} s: allocated {allocated_kib} KiB, resident {resident_kib} KiB, descriptors {descriptors}, tasks {tasks}, processor {} s",
            at.as_secs(),
            busy.as_secs()
        )
    }
}

/// Returns how long this process has kept a processor busy.
fn busy() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Returns by how much a value grows in a minute, by least squares.
pub(crate) fn slope(samples: &[Held], value: impl Fn(&Held) -> u64) -> f64 {
    let points: Vec<(f64, f64)> =
        samples.iter().map(|held| (held.at.as_secs_f64() / 60.0, value(held) as f64)).collect();
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let both: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let square: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if square == 0.0 { 0.0 } else { both / square }
}

#[test]
fn a_slope_is_the_growth_in_a_minute() {
    let held = |second| Held {
        at: Duration::from_secs(second),
        allocated_kib: 0,
        resident_kib: 1000 + second * 2,
        descriptors: 7,
        tasks: 0,
        busy: Duration::ZERO,
    };
    let samples: Vec<Held> = (0..100).map(held).collect();
    assert!((slope(&samples, |held| held.resident_kib) - 120.0).abs() < 1e-6);
    assert!(slope(&samples, |held| held.descriptors).abs() < 1e-6);
}
