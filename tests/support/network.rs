//! Clients in the network of a private daemon, where it has its ports to itself.

use std::{os::fd::AsFd, panic, thread, time::Duration};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpStream, time::timeout};

use super::Daemon;

/// How long a client may take; the test as a whole has a limit, too.
const LIMIT: Duration = Duration::from_secs(50);

/// Runs `client` on threads of its own that are in the daemon's network.
#[track_caller]
pub(crate) fn of<T: Send>(daemon: &Daemon, client: impl AsyncFnOnce() -> T + Send) -> T {
    let network = daemon.network();
    let client = move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .unwrap_or_else(|error| panic!("cannot enter the daemon's network: {error}"));
        // In a box, as in `live`.
        // The runtime's workers are in it, too, since they are started from here.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("cannot make a runtime: {error}"));
        match runtime.block_on(async { timeout(LIMIT, Box::pin(client())).await }) {
            Ok(value) => value,
            Err(_) => panic!("the client did not end within {LIMIT:?}"),
        }
    };
    let ended = thread::scope(|scope| scope.spawn(client).join());
    ended.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

/// Waits until somebody listens on a port; daemons open theirs after their sockets.
pub(crate) async fn wait_for_port(port: u16) {
    let reached = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(20);
    assert!(timeout(limit, reached).await.is_ok(), "nobody listens on port {port} after {limit:?}");
}
