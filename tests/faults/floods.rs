//! More than anybody reads: a flood of events, and a transfer whose reader is slow.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Event};

use crate::{
    fault::{Fault, Side},
    leaks::Baseline,
    outcome::Outcome,
    proxy::Proxy,
    support::{
        daemon::through_socket,
        volumes::{pool, volume},
    },
    table::{Entry, Table},
    world::World,
};

const EVENTS: u64 = 100_000;
const DISK: u64 = 16 << 20;
/// What a connection may hold of events or data that nobody has taken, and of all else: three times its stream buffer, a
/// thousand events.
const MEMORY: u64 = 5 << 20;
const STREAM_BUFFER: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Adds a row to the table for each.
pub(crate) async fn add_to(table: &mut Table, world: &Arc<World>) {
    let hypervisor = Connection::open(world.daemon.uri("qemu:///system")).await.unwrap();
    let disks = pool(&world.daemon, &hypervisor, "slow").await;
    volume(&disks, "slow.img", DISK).await;
    let before = Baseline::now();
    for (fault, phase) in [("100,000 events at once", "events"), ("a reader is slow", "download")] {
        let begun = Instant::now();
        let world_of_it = world.clone();
        // On a thread of its own, whose allocations are counted: the connection's and the reader's.
        let done = tokio::task::spawn_blocking(move || {
            thread::spawn(move || measured(&world_of_it, phase)).join().expect("it says why")
        });
        let (said, bytes) = done.await.unwrap();
        let mut wrong = Vec::new();
        if bytes > MEMORY {
            wrong.push(format!("{bytes} bytes were held"));
        }
        let outcome = if said.is_ok() { Outcome::Right } else { Outcome::Other };
        let said = said.unwrap_or_else(|why| {
            wrong.push(why.clone());
            why
        });
        wrong.extend(world.is_unaffected().await.err());
        wrong.extend(before.is_restored().await.err());
        let place = format!("{} KiB held at most", bytes >> 10);
        let row = [fault.to_owned(), phase.to_owned(), place];
        table.add(Entry { row, outcome, took: begun.elapsed(), said, wrong });
    }
}

fn measured(world: &Arc<World>, phase: &str) -> (Result<String, String>, u64) {
    let proxy =
        Arc::new(Proxy::start(&world.daemon.directory().join("proxy"), &world.daemon.socket(), false));
    let mut said = Err(String::new());
    let info = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        said = runtime.block_on(async {
            let acting = async {
                if phase == "events" { flood(world, &proxy).await } else { slow_reader(&proxy).await }
            };
            tokio::time::timeout(PATIENCE, acting)
                .await
                .unwrap_or_else(|_| Err(format!("it hangs for {PATIENCE:?}")))
        });
    });
    (said, info.bytes_max)
}

/// Reads nothing before all has come, and then accounts for every event.
async fn flood(world: &World, proxy: &Arc<Proxy>) -> Result<String, String> {
    let uri = through_socket("test:///default", proxy.path());
    let connection = Connection::open(uri).await.map_err(|error| error.to_string())?;
    let mut events =
        connection.events().domain_lifecycle().subscribe().await.map_err(|error| error.to_string())?;
    proxy.arm(Side::Daemon, usize::MAX, Fault::None);
    world.two_events().await;
    let flooding = {
        let proxy = proxy.clone();
        tokio::task::spawn_blocking(move || {
            assert!(proxy.wait_for(Side::Daemon, 2, PATIENCE), "no event comes");
            proxy.repeat(EVENTS);
        })
    };
    // Calls are answered meanwhile.
    let mut answered = 0;
    while !flooding.is_finished() {
        connection.hostname().await.map_err(|error| format!("a call in the flood: {error}"))?;
        answered += 1;
    }
    flooding.await.map_err(|error| error.to_string())?;
    // What was asked last is answered last.
    connection.hostname().await.map_err(|error| error.to_string())?;
    let (mut delivered, mut missed) = (0, 0);
    while delivered + missed < EVENTS + 2 {
        match events.next().await {
            Some(Ok(Event::Domain(_))) => delivered += 1,
            Some(Ok(Event::Lagged { missed: more })) => missed += more,
            other => return Err(format!("{delivered} delivered, {missed} missed, and then {other:?}")),
        }
    }
    if delivered + missed != EVENTS + 2 {
        return Err(format!("{delivered} delivered and {missed} missed are not {}", EVENTS + 2));
    }
    Ok(format!("{delivered} delivered, {missed} reported as missed, {answered} calls answered meanwhile"))
}

/// Reads a piece every five milliseconds, while others make calls.
async fn slow_reader(proxy: &Proxy) -> Result<String, String> {
    let uri = through_socket("qemu:///system", proxy.path());
    let connection = Connection::builder(uri).stream_buffer(STREAM_BUFFER).open().await;
    let connection = connection.map_err(|error| error.to_string())?;
    let disks = connection.storage_pool_by_name("slow").await.map_err(|error| error.to_string())?;
    let disk = disks.volume_by_name("slow.img").await.map_err(|error| error.to_string())?;
    let mut download = disk.download().await.map_err(|error| error.to_string())?;
    let reading = async {
        let mut bytes = 0;
        while let Some(piece) = download.next().await {
            bytes += piece.map_err(|error| error.to_string())?.len() as u64;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, String>(bytes)
    };
    let mut calls = 0;
    let calling = async {
        loop {
            if let Err(error) = connection.hostname().await {
                return format!("a call beside the transfer: {error}");
            }
            calls += 1;
        }
    };
    let bytes = tokio::select! {
        bytes = reading => bytes?,
        why = calling => return Err(why),
    };
    if bytes != DISK {
        return Err(format!("{bytes} bytes came of {DISK}"));
    }
    Ok(format!("{bytes} bytes, and {calls} calls answered beside"))
}
