//! Many connections to one daemon for a long time, under faults: no answer is wrong, every event is accounted for, nothing
//! hangs, and neither memory nor descriptors grow.
//!
//! | variable | what it sets | otherwise |
//! |---|---|---|
//! | `LIBVIRT_SOAK_SECONDS` | how long it takes | 20 |
//! | `LIBVIRT_SOAK_CONNECTIONS` | how many connections there are | 24 |
//! | `LIBVIRT_SOAK_SEED` | what is chosen at random; each run prints its own | the clock |
//!
//! ```text
//! LIBVIRT_SOAK_SECONDS=1800 LIBVIRT_SOAK_CONNECTIONS=200 cargo test --features live-tests --test soak -- --nocapture
//! ```
//!
//! Memory is what the process has allocated, by its own count. What is resident is told beside it: glibc keeps freed memory in
//! pools of its threads, twice as much as is in use.
//!
//! Half of the connections work with domains of the simulated hypervisor, half with volumes of the real daemon; all listen to
//! events. Each has a task that knows what the answers must be (`domains`, `volumes`), and one that keeps account of events
//! (`listener`, `account`) which yet another causes (`beacons`). They go through a proxy that spoils them one by one, and the daemon
//! is frozen and restarted (`faults`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

mod account;
mod beacons;
mod domains;
mod faults;
mod listener;
mod proxy;
mod random;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the live tests use the rest")]
mod support;
mod tally;
mod volumes;
mod world;

use std::{alloc::System, sync::Arc, time::Duration};

use cap::Cap;
use libvirt_client::Connection;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use domains::Caller;
use listener::Listener;
use random::Random;
use tally::{Held, slope};
use volumes::Transfers;
use world::{Driver, HANGS, Settings, Trouble, World};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How often the run says how it goes.
const REPORT: Duration = Duration::from_secs(10);
/// How long all connections together rest between two things that one of them does, on average: the load is the same however
/// many there are, half a processor for this and the daemon.
const PAUSE: Duration = Duration::from_micros(6500);

#[test]
fn many_connections_under_faults_are_told_the_truth() {
    let settings = Settings::from_environment();
    println!("{settings:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // In a box early: copies of large futures fill the stack of a test's thread.
    runtime.block_on(Box::pin(soak(settings)));
}

async fn soak(settings: Settings) {
    let world = Arc::new(World::new(settings.clone()).await);
    let (begun, end) = (Instant::now(), Instant::now() + settings.duration);
    let random = |number| Random::new(settings.seed, number);
    let before = Held::now(begun.into_std());
    let changes = tokio::spawn({
        let (world, random) = (world.clone(), random(1 << 40));
        async move { beacons::change(&world, random).await }
    });
    let mut connections = JoinSet::new();
    for number in 0..settings.connections {
        connections.spawn(connect_again_and_again(world.clone(), number, random(number)));
    }
    let spoiling = tokio::spawn(faults::spoil(world.clone(), random(2 << 40)));
    let samples = tokio::spawn(watch(world.clone(), begun));

    faults::disturb(&world, random(3 << 40), end).await;
    tokio::time::sleep_until(end).await;
    stop(spoiling).await;
    world.proxy.calm();
    world.end();
    let ended = tokio::time::timeout(HANGS * 2, async { while connections.join_next().await.is_some() {} });
    if ended.await.is_err() {
        world.tally.wrong("some tasks do not end");
    }
    assert!(!changes.is_finished(), "the daemon itself failed");
    stop(changes).await;
    let samples = samples.await.unwrap();
    judge(&world, &samples, before, begun).await;
}

async fn stop(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

/// Opens a connection, works with it for some time or until it is lost, and opens another one.
async fn connect_again_and_again(world: Arc<World>, number: u64, mut random: Random) {
    let connections = u32::try_from(world.settings.connections).unwrap();
    let driver = if number.is_multiple_of(2) { Driver::Simulated } else { Driver::Lasting };
    let own = Random::new(random.next(), number);
    let mut worker = match driver {
        Driver::Simulated => Worker::Domains(Box::new(Caller::new(world.clone(), own, number))),
        Driver::Lasting => Worker::Volumes(Transfers::new(world.clone(), own, number)),
    };
    while let Some(connection) = world.connect(driver, &mut random).await {
        let (stop, stopped) = watch::channel(false);
        let listener = Listener {
            world: world.clone(),
            connection: connection.clone(),
            driver,
            random: Random::new(random.next(), number),
            slow: random.once_in(4),
            stop: stopped,
        };
        let listening = tokio::spawn(listener.run());
        let enough = Instant::now() + random.millis(60_000..300_000);
        while !world.is_ending() && Instant::now() < enough && connection.client().close_reason().is_none() {
            // What goes wrong has been noted.
            let _ = worker.step(&connection).await;
            let pause = (PAUSE * connections).as_millis() as u64;
            world.sleep(random.millis(pause / 2..pause * 3 / 2)).await;
        }
        worker.leave();
        stop.send_replace(true);
        listening.await.unwrap();
        // It may have been lost, or be lost now.
        if let Ok(Err(error)) = world.in_time("closing", connection.close()).await {
            world.judge("closing", world.generation(), error);
        }
        world.tally.closed.add(1);
    }
}

/// What a connection is used for.
enum Worker {
    Domains(Box<Caller>),
    Volumes(Transfers),
}

impl Worker {
    async fn step(&mut self, connection: &Connection) -> Result<(), Trouble> {
        match self {
            Self::Domains(caller) => caller.step(connection).await,
            Self::Volumes(transfers) => transfers.step(connection).await,
        }
    }

    fn leave(&mut self) {
        match self {
            Self::Domains(caller) => caller.leave(),
            Self::Volumes(_) => {}
        }
    }
}

/// Reports how it goes, and returns what the process held each second, until the end.
async fn watch(world: Arc<World>, begun: Instant) -> Vec<Held> {
    let mut samples = Vec::with_capacity(world.settings.duration.as_secs() as usize + 60);
    let mut reported = Instant::now();
    while !world.is_ending() {
        world.sleep(Duration::from_secs(1)).await;
        let held = Held::now(begun.into_std());
        samples.push(held);
        if reported.elapsed() >= REPORT {
            println!("{held}\n{}", world.tally);
            reported = Instant::now();
        }
    }
    samples
}

/// Says what came of it, and fails where it must not be so.
async fn judge(world: &World, samples: &[Held], before: Held, begun: Instant) {
    let after = settled(before, begun).await;
    println!("at the end:\n{after}\n{}", world.tally);
    // Caches and the allocator's own have their size by then.
    let settled = &samples[samples.len() / 5..];
    let memory = slope(settled, |held| held.allocated_kib);
    let resident = slope(settled, |held| held.resident_kib);
    let descriptors = slope(settled, |held| held.descriptors);
    println!(
        "growth in a minute: memory {memory:.1} KiB, resident {resident:.1} KiB, descriptors {descriptors:.3}"
    );

    let wrong = world.tally.all_wrong();
    assert!(wrong.is_empty(), "{} wrong results:\n{}", wrong.len(), wrong.join("\n"));
    assert!(world.tally.calls.get() > 0 && world.tally.events.get() > 0 && world.tally.transfers.get() > 0);
    assert!(after.descriptors <= before.descriptors + 8, "descriptors are left: {before} and {after}");
    assert!(after.tasks <= before.tasks + 8, "tasks are left: {before} and {after}");
    let duration = world.settings.duration;
    // What is on its way goes up and down by a MiB or two, and glibc's pools take some minutes to have their size.
    if duration >= Duration::from_secs(1500) {
        assert!(memory < 128.0, "memory grows by {memory:.1} KiB a minute");
        assert!(resident < 256.0, "resident memory grows by {resident:.1} KiB a minute");
    }
    if duration >= Duration::from_secs(600) {
        assert!(memory < 256.0, "memory grows by {memory:.1} KiB a minute");
        assert!(descriptors < 1.0, "descriptors grow by {descriptors:.3} a minute");
    }
}

/// Waits until what the connections held is closed; that takes the proxy and the runtime a moment.
async fn settled(before: Held, begun: Instant) -> Held {
    let end = Instant::now() + support::PATIENCE;
    loop {
        let now = Held::now(begun.into_std());
        if Instant::now() > end
            || (now.tasks <= before.tasks + 2 && now.descriptors <= before.descriptors + 2)
        {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
