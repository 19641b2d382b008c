//! How connections end, and that everybody who waits is told.

use std::time::{Duration, Instant};

use libvirt_client::{CloseReason, Connection, Error, KeepaliveConfig, admin::AdminConnection};

use crate::{
    TEST,
    blocked::Blocked,
    support::{Daemon, PATIENCE, live, wait_until},
};

#[test]
fn a_frozen_daemon_is_noticed_by_keepalive() {
    live(async {
        let daemon = Daemon::start();
        let interval = Duration::from_secs(1);
        let connection = Connection::builder(daemon.uri(TEST))
            .keepalive(KeepaliveConfig { interval, count: 2 })
            .open()
            .await
            .unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let before = Instant::now();
        daemon.signal("STOP");
        let stopped = Instant::now();
        let error = domain.info().await.unwrap_err();
        let after = stopped.elapsed();
        assert!(matches!(error.close_reason(), Some(CloseReason::Keepalive { .. })), "{error:?}");
        // Three intervals without a sign of life, of which part of one may have passed before. One more is too many.
        assert!(before.elapsed() > interval && after < interval * 4, "{after:?}");
        assert!(matches!(connection.closed().await, CloseReason::Keepalive { .. }));
        daemon.signal("CONT");
    });
}

#[test]
fn without_keepalive_a_frozen_daemon_is_waited_for() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::builder(daemon.uri(TEST)).keepalive(None).open().await.unwrap();
        daemon.signal("STOP");
        let asking = tokio::spawn({
            let connection = connection.clone();
            async move { connection.hostname().await }
        });
        let ended = tokio::time::timeout(Duration::from_secs(5), connection.closed()).await;
        assert!(ended.is_err() && !asking.is_finished(), "{ended:?}");
        daemon.signal("CONT");
        assert_eq!(asking.await.unwrap().unwrap(), daemon.virsh(TEST, &["hostname"]));
    });
}

/// It still accepts connections, by the kernel's hand.
#[test]
fn a_frozen_daemon_is_not_waited_for_without_a_deadline() {
    live(async {
        let daemon = Daemon::start();
        daemon.signal("STOP");
        let keepalive = KeepaliveConfig { interval: Duration::from_secs(1), count: 2 };
        let builder = Connection::builder(daemon.uri(TEST)).open_timeout(None).keepalive(keepalive);
        let error =
            tokio::time::timeout(PATIENCE, builder.open()).await.expect("nobody noticed").unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "asking how to authenticate", .. }), "{error:?}");

        let socket = daemon.directory().join("run/libvirt-admin-sock");
        let uri = format!("libvirtd:///system?socket={}", socket.display());
        let builder = AdminConnection::builder(uri).open_timeout(None).keepalive(keepalive);
        let error =
            tokio::time::timeout(PATIENCE, builder.open()).await.expect("nobody noticed").unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "opening the connection", .. }), "{error:?}");
        daemon.signal("CONT");
    });
}

/// The driver that is being opened may take its time, but the daemon has to live.
#[test]
fn a_daemon_that_freezes_while_it_opens_is_noticed_without_a_deadline() {
    live(async {
        let daemon = Daemon::start();
        let pipe = daemon.fifo("host.xml");
        let builder = Connection::builder(daemon.uri(&format!("test://{}", pipe.display())))
            .open_timeout(None)
            .keepalive(KeepaliveConfig { interval: Duration::from_secs(1), count: 2 });
        let opening = tokio::spawn(builder.open());
        // Longer than a daemon may be silent that does not answer to pings.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!opening.is_finished());
        daemon.signal("STOP");
        let opened = tokio::time::timeout(PATIENCE, opening).await.expect("nobody noticed").unwrap();
        let error = opened.unwrap_err();
        assert!(error.to_string().contains("the daemon was silent for"), "{error}");
        daemon.signal("CONT");
    });
}

#[test]
fn a_busy_daemon_that_answers_pings_is_not_given_up() {
    live(async {
        let daemon = Daemon::start();
        // A busy machine may take some hundred milliseconds to answer a ping.
        let interval = Duration::from_secs(1);
        let connection = Connection::builder(daemon.uri(TEST))
            .keepalive(KeepaliveConfig { interval, count: 1 })
            .open()
            .await
            .unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let blocked = Blocked::domain(&daemon, "test").await;
        let (info, ()) = tokio::join!(domain.info(), async {
            tokio::time::sleep(interval * 4).await;
            blocked.release();
        });
        assert_eq!(info.unwrap().state.0, 5);
    });
}

#[test]
fn an_idle_client_answers_the_daemons_pings() {
    live(async {
        // A client that does not answer is cut off after two seconds.
        let daemon = Daemon::builder().setting("keepalive_interval", 1).setting("keepalive_count", 1).start();
        let connection = Connection::builder(daemon.uri(TEST)).keepalive(None).open().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_millis(3500), connection.closed()).await;
        assert!(ended.is_err(), "{ended:?}");
        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
    });
}

#[test]
fn a_killed_daemon_ends_every_pending_call_at_once() {
    live(async {
        let mut daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let blocked = Blocked::domain(&daemon, "test").await;
        // More than may be in flight: some wait for the daemon, some for their turn.
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let domain = domain.clone();
                tokio::spawn(async move { (domain.info().await, Instant::now()) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(calls.iter().all(|call| !call.is_finished()));
        daemon.signal("KILL");
        let killed = Instant::now();
        for call in calls {
            let (result, ended) = call.await.unwrap();
            let error = result.unwrap_err();
            assert!(matches!(error.close_reason(), Some(CloseReason::Eof | CloseReason::Io(_))), "{error:?}");
            assert!(ended.duration_since(killed) < Duration::from_secs(1));
        }
        drop(blocked);
        let error = domain.info().await.unwrap_err();
        assert!(error.close_reason().is_some(), "later calls fail at once: {error:?}");
        daemon.restart();
        let again = Connection::open(daemon.uri(TEST)).await.unwrap();
        assert!(again.domain_by_name("test").await.is_ok());
    });
}

#[test]
fn a_client_that_the_administrator_disconnects_is_told() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let clients = clients(&daemon);
        assert_eq!(clients.len(), 1);
        daemon.virt_admin(&["client-disconnect", "libvirtd", &clients[0]]);
        assert!(matches!(connection.closed().await, CloseReason::Eof | CloseReason::Io(_)));
    });
}

#[test]
fn a_closed_connection_is_gone_from_the_daemon() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        assert_eq!(clients(&daemon).len(), 1);
        connection.close().await.unwrap();
        wait_until(|| clients(&daemon).is_empty()).await;
        let error = domain.info().await.unwrap_err();
        assert!(matches!(error.close_reason(), Some(CloseReason::Client)), "{error:?}");
    });
}

#[test]
fn a_dropped_connection_is_gone_from_the_daemon() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        drop(connection);
        assert!(domain.info().await.is_ok(), "a domain keeps its connection open");
        assert_eq!(clients(&daemon).len(), 1);
        drop(domain);
        wait_until(|| clients(&daemon).is_empty()).await;
    });
}

/// The numbers of the clients that the daemon serves now.
fn clients(daemon: &Daemon) -> Vec<String> {
    let list = daemon.virt_admin(&["srv-clients-list", "libvirtd"]);
    list.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}
