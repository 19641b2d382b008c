//! The daemon, what is in it, and the connection that has to go on whatever happens to others.

use std::{
    fs,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::Arc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Domain};

use crate::{
    support::{
        Daemon,
        volumes::{pool, volume},
    },
    table::Entry,
};

/// How many bytes the volumes have: three frames of data, and a rest.
pub(crate) const DISK: usize = 600_000;
/// How many domains the simulated hypervisor has.
const DOMAINS: usize = 1000;

/// A machine with a BIOS and nothing to boot, with a display.
const MACHINE: &str = "\
<domain type='qemu'><name>bios</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>
<memballoon model='none'/><graphics type='vnc' port='-1' autoport='yes'/></devices></domain>";

/// How long the daemon may take to answer to the connection that nothing happens to.
const UNAFFECTED: Duration = Duration::from_secs(20);

/// A world, and another one when its daemon has crashed.
///
/// libvirtd 9.0.0 does that now and then when a connection ends at the moment at which its events are registered or cancelled.
/// That is nothing that a client could do anything about, so the cell is run again.
pub(crate) struct Ground {
    world: Arc<World>,
    pub(crate) crashes: usize,
}

/// More often than this is no accident.
const CRASHES: usize = 10;
/// How long it may take until it is known that a daemon crashed.
const CRASHING: Duration = Duration::from_secs(2);

impl Ground {
    pub(crate) async fn new() -> Self {
        Self { world: Arc::new(World::new().await), crashes: 0 }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Runs a cell that the daemon survives.
    pub(crate) async fn run(&mut self, cell: impl AsyncFn(&Arc<World>) -> Entry) -> Entry {
        loop {
            let done = caught(cell(&self.world)).await;
            let is_well = done.as_ref().is_ok_and(|entry| entry.wrong.is_empty());
            if is_well || !self.has_crashed().await {
                return done.unwrap_or_else(|panic| resume_unwind(panic));
            }
            self.crashes += 1;
            assert!(self.crashes <= CRASHES, "the daemon crashes again and again");
            self.world = Arc::new(World::new().await);
        }
    }

    async fn has_crashed(&self) -> bool {
        let end = Instant::now() + CRASHING;
        while !self.world.daemon.has_ended() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.world.daemon.has_ended()
    }
}

/// Waits for something that may panic.
async fn caught<T>(future: impl Future<Output = T>) -> thread::Result<T> {
    let mut future = Box::pin(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

pub(crate) struct World {
    pub(crate) daemon: Daemon,
    /// Goes straight to the daemon.
    control: Connection,
    /// Keeps the machine and the pool.
    _hypervisor: Connection,
    test: Domain,
    hostname: String,
    /// What is in the volume that is downloaded, and what is uploaded.
    pub(crate) content: Vec<u8>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let daemon = Daemon::builder().virtlogd().start();
        let hypervisor = Connection::open(daemon.uri("qemu:///system")).await.unwrap();
        let disks = pool(&daemon, &hypervisor, "disks").await;
        for name in ["disk.img", "target.img"] {
            volume(&disks, name, DISK as u64).await;
        }
        hypervisor.create_domain(MACHINE).await.unwrap();
        let control = Connection::open(daemon.uri("test:///default")).await.unwrap();
        for number in 1..DOMAINS {
            let xml = format!(
                "<domain type='test'><name>vm{number:05}</name><memory unit='KiB'>4096</memory><vcpu>1</vcpu>\
                 <os><type>hvm</type></os></domain>"
            );
            control.define_domain(xml).await.unwrap();
        }
        let test = control.domain_by_name("test").await.unwrap();
        let hostname = control.hostname().await.unwrap();
        let content = (0..DISK as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let world = Self { daemon, control, _hypervisor: hypervisor, test, hostname, content };
        fs::write(world.disk(), &world.content).unwrap();
        world
    }

    /// The volume that is downloaded.
    pub(crate) fn disk(&self) -> PathBuf {
        self.daemon.directory().join("disks/disk.img")
    }

    /// The volume that is uploaded to.
    pub(crate) fn target(&self) -> PathBuf {
        self.daemon.directory().join("disks/target.img")
    }

    /// Has two things happen to the domain of the simulated hypervisor.
    pub(crate) async fn two_events(&self) {
        self.test.suspend().await.unwrap();
        self.test.resume().await.unwrap();
    }

    /// Tells whether an interface of the simulated hypervisor is there.
    pub(crate) async fn has_interface(&self, name: &str) -> bool {
        self.control.find_interface_by_name(name).await.unwrap().is_some()
    }

    pub(crate) fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Tells whether the connection that nothing happened to is answered as ever.
    pub(crate) async fn is_unaffected(&self) -> Result<(), String> {
        match tokio::time::timeout(UNAFFECTED, self.control.hostname()).await {
            Ok(Ok(name)) if name == self.hostname => Ok(()),
            Ok(Ok(name)) => Err(format!("the control connection got {name:?}")),
            Ok(Err(error)) => Err(format!("the control connection failed: {error}")),
            Err(_) => Err("the control connection has no answer".to_owned()),
        }
    }
}
