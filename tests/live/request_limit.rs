//! The daemon's limit on what a connection may ask for at once. At it, the daemon stops reading, so that signs of life are
//! not heard, and then cuts the connection.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use libvirt_client::{
    CloseReason, Connection, Domain, Error, Result,
    protocol::remote,
    rpc::{Client, Config, KeepaliveConfig},
    transport::unix,
};
use rustix::fs::{Mode, OFlags, open};
use tokio::{io::AsyncWriteExt, task::JoinHandle};

use crate::{
    QEMU, TEST,
    blocked::Blocked,
    qemu::BIOS_ONLY,
    support::{
        Daemon, PATIENCE, live, live_within,
        machine::{disk, machine},
        volumes::{pool, volume},
    },
};

/// As long as connections have to live while their calls have no answer: six times what the daemon lets them be silent for.
const A_WHILE: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;

/// A daemon that gives up a client after three seconds without a sign of life, and takes five requests at once as ever.
fn strict() -> Daemon {
    Daemon::builder().setting("keepalive_interval", 1).setting("keepalive_count", 2).start()
}

/// Asks so many times at once for what the daemon cannot answer yet.
fn ask(domain: &Domain, times: usize) -> Vec<JoinHandle<Result<i32>>> {
    let ask = |domain: Domain| tokio::spawn(async move { domain.info().await.map(|info| info.state.0) });
    (0..times).map(|_| ask(domain.clone())).collect()
}

/// Asserts that all get their answers, which say that the domain is off.
async fn all_are_answered(calls: Vec<JoinHandle<Result<i32>>>) {
    for call in calls {
        let answer = tokio::time::timeout(PATIENCE, call).await.expect("a call has no answer");
        assert_eq!(answer.unwrap().unwrap(), 5);
    }
}

#[test]
fn five_and_fifty_slow_calls_survive_and_are_answered() {
    live(async {
        let daemon = strict();
        let (mut connections, mut domains) = (Vec::new(), Vec::new());
        for number in [5, 50] {
            let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
            domains.push((connection.domain_by_name("test").await.unwrap(), number));
            connections.push(connection);
        }
        let blocked = Blocked::domain(&daemon, "test").await;
        let calls: Vec<_> = domains.iter().flat_map(|(domain, number)| ask(domain, *number)).collect();
        tokio::time::sleep(A_WHILE).await;
        for connection in &connections {
            assert!(connection.client().close_reason().is_none(), "{connection:?}");
        }
        assert!(calls.iter().all(|call| !call.is_finished()), "the daemon cannot have answered");
        blocked.release();
        all_are_answered(calls).await;
    });
}

#[test]
fn a_fifth_call_at_once_costs_the_connection() {
    live(async {
        let daemon = strict();
        let connection = Connection::builder(daemon.uri(TEST)).max_in_flight(5).open().await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let blocked = Blocked::domain(&daemon, "test").await;
        let begun = Instant::now();
        let calls = ask(&domain, 5);
        let reason = tokio::time::timeout(A_WHILE, connection.closed()).await.expect("it should not survive");
        // By the daemon, which hears none of our answers to its pings.
        assert!(matches!(reason, CloseReason::Eof), "{reason}");
        assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
        for call in calls {
            assert!(matches!(call.await.unwrap().unwrap_err().close_reason(), Some(CloseReason::Eof)));
        }
        blocked.release();
    });
}

/// Has a connection that is not open yet ask to open the same slow host so many times at once.
async fn open_at_once(
    daemon: &Daemon,
    in_flight: usize,
    host: &str,
) -> (Client, Vec<JoinHandle<Result<()>>>) {
    let mut config = Config::default();
    config.in_flight = in_flight;
    let client = Client::start(unix::connect(&daemon.socket()).await.unwrap(), &config);
    client.call(remote::AuthListArgs).await.unwrap();
    // Since it is asked for this, the daemon, too, looks whether we live.
    client.call(remote::ConnectSupportsFeatureArgs { feature: 10 }).await.unwrap();
    client.start_keepalive(KeepaliveConfig { interval: Duration::from_secs(1), count: 2 });
    let open = |client: Client, name: String| {
        let call = remote::ConnectOpenArgs { name: Some(name), flags: 0 };
        tokio::spawn(async move { client.call(call).await })
    };
    let calls = (0..5).map(|_| open(client.clone(), host.to_owned())).collect();
    (client, calls)
}

/// A simulated host that the daemon reads from a pipe which nobody writes to.
fn slow_host(daemon: &Daemon, name: &str) -> (String, PathBuf) {
    let pipe = daemon.fifo(name);
    (format!("test://{}", pipe.display()), pipe)
}

#[test]
fn connections_that_are_being_opened_are_held_to_the_same() {
    live(async {
        let daemon = strict();
        let (host, pipe) = slow_host(&daemon, "one");
        let (patient, calls) = open_at_once(&daemon, 4, &host).await;
        let (host, _) = slow_host(&daemon, "other");
        let (hasty, lost) = open_at_once(&daemon, 5, &host).await;
        let reason = tokio::time::timeout(A_WHILE, hasty.closed()).await.expect("it should not survive");
        assert!(matches!(reason, CloseReason::Eof), "{reason}");
        for call in lost {
            assert!(matches!(call.await.unwrap().unwrap_err(), Error::Closed(CloseReason::Eof)));
        }
        let ended = tokio::time::timeout(A_WHILE, patient.closed()).await;
        assert!(ended.is_err(), "{ended:?}");
        assert!(calls.iter().all(|call| !call.is_finished()), "the daemon cannot have answered");
        let feeding = feed(pipe);
        let mut opened = 0;
        for call in calls {
            let answer = tokio::time::timeout(PATIENCE, call).await.expect("a call has no answer").unwrap();
            opened += usize::from(answer.is_ok());
            // Others are told that it is open.
            assert!(answer.map_or_else(|error| error.remote().is_some(), |()| true));
        }
        assert!(opened > 0);
        feeding.abort();
    });
}

/// Gives a host to whoever reads the pipe, as often as somebody does: the daemon's parser may open it more than once.
fn feed(pipe: PathBuf) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            // Fails as long as nobody reads.
            if let Ok(opened) = open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
                fs::File::from(opened).write_all(b"<node/>").unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

#[test]
fn close_does_not_wait_for_slow_calls() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let blocked = Blocked::domain(&daemon, "test").await;
        let calls = ask(&domain, 10);
        // The daemon has four of them, and nobody else has a turn.
        while tokio::time::timeout(Duration::from_secs(1), connection.hostname()).await.is_ok() {}
        let begun = Instant::now();
        connection.close().await.unwrap();
        let took = begun.elapsed();
        // Waiting for those would take all of the goodbye's own limit of five seconds.
        assert!(took < Duration::from_secs(5), "{took:?}");
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert!(matches!(error.close_reason(), Some(CloseReason::Client)), "{error:?}");
        }
        println!("closed within {took:?}");
        blocked.release();
    });
}

#[test]
fn an_upload_beside_slow_calls_survives_and_arrives() {
    const BURSTS: usize = 20;
    const BURST: usize = 8 * MIB;
    live_within(Duration::from_secs(120), async {
        let daemon = strict();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let disk = volume(&disks, "disk.img", (BURSTS * BURST) as u64).await;
        let path = disk.path().await.unwrap();
        // While the calls have all turns, no stream is opened.
        let mut upload = disk.upload((BURSTS * BURST) as u64).await.unwrap();
        let slow = slow_calls(&daemon, &connection).await;
        // As fast as the daemon takes it, again and again, for longer than it lets us be silent.
        let mut second = tokio::time::interval(A_WHILE / BURSTS as u32);
        for burst in 0..BURSTS {
            second.tick().await;
            upload.write_all(&vec![burst as u8; BURST]).await.unwrap();
        }
        upload.finish().await.unwrap();
        assert!(connection.client().close_reason().is_none());
        slow.release().await;
        let written = fs::read(path).unwrap();
        assert_eq!(written.len(), BURSTS * BURST);
        let mut bursts = written.chunks(BURST).enumerate();
        assert!(bursts.all(|(burst, bytes)| bytes == vec![burst as u8; BURST]));
    });
}

/// Whoever writes to a guest that does not read holds up the daemon itself, which keeps what it has read, and then reads
/// nothing more from the connection.
#[test]
fn a_guest_that_reads_nothing_costs_only_the_connection_that_writes_to_it() {
    live(async {
        let daemon = strict();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        // Its BIOS does not listen to the serial line.
        let domain = connection.create_domain(BIOS_ONLY).await.unwrap();
        let apart = connection.dedicated().await.unwrap();
        let mut console = apart.domain_by_name("bios").await.unwrap().open_console().await.unwrap();
        let begun = Instant::now();
        let writing = async {
            loop {
                if let Err(error) = console.write_all(&vec![b'x'; MIB]).await {
                    return error;
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, writing).await.expect("the daemon takes no end of it");
        let told = Error::from_io(&told).unwrap().clone();
        assert!(matches!(told.close_reason(), Some(CloseReason::Eof)), "{told:?}");
        println!("it was cut off after {:?}", begun.elapsed());
        assert!(matches!(apart.closed().await, CloseReason::Eof));
        assert!(connection.client().close_reason().is_none());
        domain.destroy().await.unwrap();
    });
}

/// Four calls that the daemon cannot answer yet, about a machine of QEMU.
struct Slow {
    pipe: PathBuf,
    reading: JoinHandle<()>,
    waiting: Vec<JoinHandle<Result<i32>>>,
}

/// Has the daemon look into a disk that is a named pipe: it takes the domain's lock, opens the pipe and hangs there until
/// somebody writes; three more calls want the lock.
async fn slow_calls(daemon: &Daemon, connection: &Connection) -> Slow {
    let pipe = daemon.fifo("pipe");
    let domain = connection.define_domain(machine("slow", 64, "", &disk(daemon, "pipe", "raw", "vda"))).await;
    let domain = domain.unwrap();
    let other = Connection::open(daemon.uri(QEMU)).await.unwrap().domain_by_name("slow").await.unwrap();
    let reading = tokio::spawn({
        let domain = domain.clone();
        async move {
            assert_eq!(domain.block_peek("vda", 0, 512).await.unwrap(), [7; 512].as_slice());
        }
    });
    // That it hangs shows in a call that has no answer for longer than any call needs.
    while tokio::time::timeout(Duration::from_secs(2), other.info()).await.is_ok() {}
    Slow { pipe, reading, waiting: ask(&domain, 3) }
}

impl Slow {
    /// Lets the daemon go on, and asserts that all calls are answered.
    async fn release(self) {
        assert!(!self.reading.is_finished() && self.waiting.iter().all(|call| !call.is_finished()));
        let pipe = self.pipe;
        tokio::task::spawn_blocking(move || fs::write(pipe, [7; 512])).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, self.reading).await.expect("the first call has no answer").unwrap();
        all_are_answered(self.waiting).await;
    }
}
