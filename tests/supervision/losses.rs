//! What losing a connection leaves behind, to the byte.

use std::{sync::mpsc, thread, time::Duration};

use libvirt_client::{Connection, protocol::remote::Procedure};

use crate::{
    daemon::{Act, Daemon, hasty, in_time},
    listening, next,
};

const LOSSES: u64 = 300;
/// What is left may not be more than this: 200 bytes for each loss, or any constant.
const LEFT: i64 = 60 << 10;

#[test]
fn hundreds_of_losses_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let daemon = runtime.block_on(async { Daemon::start("losses") });
    // All that the connection does is done, and counted, on a thread of its own.
    let left = thread::scope(|scope| {
        let (cut, cuts) = mpsc::channel();
        let client = scope.spawn(|| {
            let cut = cut;
            // What is made once for the process is made before.
            lose(&daemon, 5, &cut);
            allocation_counter::measure(|| lose(&daemon, LOSSES, &cut)).bytes_current
        });
        // Not by the client's thread, which might free what the daemon's has allocated.
        while cuts.recv().is_ok() {
            daemon.hang_up();
        }
        client.join().unwrap()
    });
    println!("{left} bytes are left of {LOSSES} losses");
    assert!(left < LEFT, "{left} bytes are left of {LOSSES} losses");
}

/// Opens a connection, has it lost so often with calls on their way, and drops it.
fn lose(daemon: &Daemon, times: u64, cut: &mpsc::Sender<()>) {
    let hostname = Procedure::CONNECT_GET_HOSTNAME;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let soon = Duration::from_millis(1);
        let policy = hasty().first_delay(soon).max_delay(soon);
        let connection: Connection = daemon.builder().supervised(policy).unwrap();
        let mut events = listening(&connection).await;
        for _ in 0..times {
            daemon.act(hostname, Act::Ignore);
            let asked = daemon.calls(hostname);
            let calls: Vec<_> = (0..3)
                .map(|_| {
                    let connection = connection.clone();
                    tokio::spawn(async move { connection.hostname().await })
                })
                .collect();
            daemon.wait_for_calls(hostname, asked + 3).await;
            let dropped = tokio::time::timeout(soon, connection.hostname()).await;
            assert!(dropped.is_err(), "{dropped:?}");
            daemon.act(hostname, None);
            cut.send(()).unwrap();
            for call in calls {
                assert_eq!(in_time(call).await.unwrap().unwrap(), "host");
            }
            assert_eq!(next(&mut events).await, "gap");
        }
        drop(events);
        connection.close().await.unwrap();
    });
}
