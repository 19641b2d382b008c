//! What losing a connection leaves behind, to the byte: more exact than the size of a process that does many things.

use std::{sync::mpsc, thread, time::Duration};

use libvirt_client::{Connection, Event, supervision::Policy};

use crate::{
    proxy::{Flow, Proxy},
    support::{Daemon, PATIENCE, daemon::through_socket},
};

const LOSSES: u64 = 300;
/// What is left may not be more than this: 200 bytes for each loss, or any constant.
const LEFT: i64 = 60 << 10;

#[test]
fn hundreds_of_losses_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let daemon = Daemon::start();
    let proxy = runtime.block_on(Proxy::before(&daemon.socket()));
    let uri = through_socket("test:///default", proxy.socket());
    let (cut, cuts) = mpsc::channel();
    // All that the connection does is done, and counted, on a thread of its own.
    let client = thread::spawn(move || {
        // What is made once for the process is made before.
        lose(&uri, 5, &cut);
        let info = allocation_counter::measure(|| lose(&uri, LOSSES, &cut));
        info.bytes_current
    });
    while cuts.recv_timeout(PATIENCE).is_ok() {
        proxy.relay(0).expect("there is a connection").set(Flow::Cut);
    }
    let left = client.join().unwrap();
    println!("{left} bytes are left of {LOSSES} losses");
    assert!(left < LEFT, "{left} bytes are left of {LOSSES} losses");
}

/// Opens a connection, has it cut so often, and drops it.
fn lose(uri: &str, times: u64, cut: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let soon = Duration::from_millis(1);
        let policy = Policy::default().first_delay(soon).max_delay(soon);
        let connection = Connection::builder(uri).supervised(policy).unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        for _ in 0..times {
            cut.send(()).unwrap();
            let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("it comes back");
            assert!(matches!(event, Some(Ok(Event::Gap { .. }))), "{event:?}");
            assert_eq!(connection.domain_by_name("test").await.unwrap().name(), "test");
        }
        drop(events);
        connection.close().await.unwrap();
    });
}
