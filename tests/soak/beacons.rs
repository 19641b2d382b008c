//! One domain of each driver is changed again and again: each change is an event with a number.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use libvirt_client::{
    Connection, Domain, DomainEvent, Event, Result, Uuid,
    enums::{DomainMetadataType, DomainModificationImpact},
};

use crate::{
    random::Random,
    support::Daemon,
    world::{Driver, World},
};

pub(crate) const POOL: &str = "soak";
/// What the number is behind, in the event.
const NAMESPACE: &str = "urn:soak:";
/// After so many changes the definition is made anew, lest it grow.
const ANEW: u64 = 50;
/// For how many changes it is known when they were made.
const REMEMBERED: usize = 5000;

/// What was done to one of the domains.
#[derive(Debug)]
pub(crate) struct Beacon {
    /// The number of the last change, which may be on its way.
    begun: AtomicU64,
    done: Mutex<VecDeque<(u64, SystemTime)>>,
}

impl Default for Beacon {
    fn default() -> Self {
        // All of its room now, lest it looks like a leak.
        let done = vec![(0, SystemTime::UNIX_EPOCH); REMEMBERED].into();
        Self { begun: AtomicU64::new(0), done: Mutex::new(done) }
    }
}

impl Beacon {
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Tells whether a change was made before a time, as far as is remembered.
    pub(crate) fn was_made_before(&self, number: u64, time: SystemTime) -> bool {
        let done = self.done.lock().unwrap();
        let made = done.iter().find(|(made, _)| *made == number);
        made.map_or(done.front().is_some_and(|(first, _)| number < *first), |(_, at)| *at < time)
    }
}

pub(crate) fn uuid() -> Uuid {
    Uuid::from([0xbe; 16])
}

/// Opens connections to the daemon itself, and makes there what everybody uses.
pub(crate) async fn prepare(daemon: &Daemon) -> Result<Vec<Domain>> {
    let mut beacons = Vec::new();
    for driver in Driver::ALL {
        let connection = Connection::open(daemon.uri(driver.uri())).await?;
        if driver == Driver::Lasting {
            prepare_pool(daemon, &connection).await?;
        }
        beacons.push(connection.define_domain(definition(driver)).await?);
    }
    Ok(beacons)
}

/// The daemon starts the pool by itself when it is started again.
async fn prepare_pool(daemon: &Daemon, connection: &Connection) -> Result<()> {
    if connection.find_storage_pool_by_name(POOL).await?.is_some() {
        return Ok(());
    }
    let path = daemon.directory().join(POOL);
    let xml = format!(
        "<pool type='dir'><name>{POOL}</name><target><path>{}</path></target></pool>",
        path.display()
    );
    let pool = connection.define_storage_pool(xml).await?;
    pool.build().await?;
    pool.start().await?;
    pool.set_autostart(true).await
}

fn definition(driver: Driver) -> String {
    let kind = match driver {
        Driver::Simulated => "test",
        Driver::Lasting => "qemu",
    };
    format!(
        "<domain type='{kind}'><name>beacon</name><uuid>{}</uuid><memory unit='KiB'>4096</memory>\
         <os><type>hvm</type></os></domain>",
        uuid()
    )
}

/// Changes the domains, one after another and now and then many at once, until the task is aborted.
pub(crate) async fn change(world: &World, mut random: Random) {
    loop {
        tokio::time::sleep(random.millis(150..350)).await;
        let burst = if random.once_in(80) { 60 } else { 1 };
        for _ in 0..burst {
            // Nobody restarts the daemon meanwhile.
            let (generation, origin) = (world.generation(), world.origin.read().await);
            let mut changed = Ok(());
            for (driver, domain) in Driver::ALL.into_iter().zip(&origin.beacons) {
                if changed.is_ok() {
                    changed = change_once(world.beacon(driver), driver, domain).await;
                }
            }
            drop(origin);
            if let Err(error) = changed {
                world.start_again(generation, &error).await;
            }
        }
    }
}

async fn change_once(beacon: &Beacon, driver: Driver, domain: &Domain) -> Result<()> {
    let number = beacon.begun.fetch_add(1, Ordering::SeqCst) + 1;
    if number.is_multiple_of(ANEW) {
        domain.connection().define_domain(definition(driver)).await?;
    }
    domain
        .set_metadata_with(
            DomainMetadataType::ELEMENT,
            Some("<n/>"),
            Some("soak"),
            Some(&format!("{NAMESPACE}{number}")),
            DomainModificationImpact::CONFIG,
        )
        .await?;
    let mut done = beacon.done.lock().unwrap();
    done.push_back((number, SystemTime::now()));
    if done.len() > REMEMBERED {
        done.pop_front();
    }
    Ok(())
}

/// Returns the number of the change that an event tells of.
pub(crate) fn number(event: &Event) -> Option<u64> {
    let Event::Domain(DomainEvent::MetadataChange { domain, namespace, .. }) = event else { return None };
    (domain.uuid() == uuid()).then_some(())?;
    namespace.as_deref()?.strip_prefix(NAMESPACE)?.parse().ok()
}
