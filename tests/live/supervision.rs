//! Supervised connections: daemons that are killed, frozen and started again, and what goes on.

use std::time::{Duration, Instant};

use libvirt_client::{
    CloseReason, Connection, DomainEvent, Error, Event, Events, KeepaliveConfig, Waiting,
    supervision::{LinkState, Policy, Supervision},
};

use crate::{
    TEST,
    ssh::Far,
    support::{Daemon, PATIENCE, live},
};

async fn supervised(daemon: &Daemon) -> Connection {
    Connection::open(daemon.uri(TEST)).await.unwrap().supervised(Policy::default()).unwrap()
}

/// Returns the next thing that a stream says.
async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("there is no event").unwrap().unwrap()
}

/// Waits until the connection is seen to be lost, and returns why.
async fn until_lost(supervision: &mut Supervision) -> Error {
    let lost = async {
        loop {
            if let LinkState::Down { error, .. } = supervision.state() {
                return error;
            }
            supervision.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, lost).await.expect("the loss is not noticed")
}

#[test]
fn a_daemon_that_is_restarted_is_found_again_by_calls_and_by_ten_subscriptions() {
    live(async {
        let mut daemon = Daemon::start();
        let connection = supervised(&daemon).await;
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(connection.events().domain_lifecycle().subscribe().await.unwrap());
            all.push(connection.events().all_domain_events().network_lifecycle().subscribe().await.unwrap());
        }
        let domain = connection.domain_by_name("test").await.unwrap();
        domain.suspend().await.unwrap();
        for events in &mut all {
            assert!(matches!(next(events).await, Event::Domain(DomainEvent::Lifecycle { .. })));
        }
        for _ in 0..2 {
            daemon.signal("KILL");
            until_lost(&mut connection.supervision().unwrap()).await;
            // Long enough for the longest delay between attempts.
            tokio::time::sleep(Duration::from_secs(3)).await;
            daemon.restart();
            let returned = Instant::now();
            assert_eq!(domain.info().await.unwrap().state.0, 1, "the simulated hypervisor forgets all");
            let after = returned.elapsed();
            assert!(after < Duration::from_secs(2), "{after:?}");
            for events in &mut all {
                assert!(matches!(next(events).await, Event::Gap { .. }));
            }
            domain.suspend().await.unwrap();
            for events in &mut all {
                let event = next(events).await;
                assert!(matches!(event, Event::Domain(DomainEvent::Lifecycle { .. })), "{event:?}");
            }
        }
        let more = tokio::time::timeout(Duration::from_millis(200), all[0].next()).await;
        assert!(more.is_err(), "{more:?}");
        connection.close().await.unwrap();
    });
}

#[test]
fn a_frozen_daemon_is_left_and_found_again_when_it_thaws() {
    live(async {
        let daemon = Daemon::start();
        let interval = Duration::from_secs(1);
        let builder = Connection::builder(daemon.uri(TEST));
        let builder = builder.keepalive(KeepaliveConfig { interval, count: 1 }).open_timeout(interval * 5);
        let connection = builder.open().await.unwrap().supervised(Policy::default()).unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        let mut supervision = connection.supervision().unwrap();
        daemon.signal("STOP");
        let asked = tokio::spawn({
            let connection = connection.clone();
            async move { connection.domains().await }
        });
        let error = until_lost(&mut supervision).await;
        assert!(matches!(error.close_reason(), Some(CloseReason::Keepalive { .. })), "{error:?}");
        let hurried = connection.with_timeout(Duration::from_millis(100)).hostname().await.unwrap_err();
        assert!(matches!(hurried, Error::Timeout { waiting: Waiting::ForReconnection, .. }), "{hurried:?}");
        daemon.signal("CONT");
        assert_eq!(asked.await.unwrap().unwrap().len(), 1);
        let Event::Gap { since } = next(&mut events).await else { panic!("no gap") };
        assert!(since.elapsed().unwrap() >= interval, "the silence before the loss is part of it: {since:?}");
    });
}

#[test]
fn it_authenticates_again() {
    live(async {
        let mut daemon = Daemon::builder().sasl("scram-sha-256").start();
        let builder = Connection::builder(daemon.uri(TEST)).credentials(async |request| {
            Some(if request.user.is_none() { "fred".into() } else { "secret".into() })
        });
        let connection = builder.supervised(Policy::default()).unwrap();
        assert_eq!(connection.domains().await.unwrap().len(), 1);
        daemon.restart();
        assert_eq!(connection.domains().await.unwrap().len(), 1);
    });
}

#[test]
fn a_lost_ssh_session_is_opened_again() {
    live(async {
        let far = Far::start();
        let connection = far.open().await.supervised(Policy::default()).unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        far.sshd.kill_sessions();
        assert_eq!(connection.domains().await.unwrap().len(), 1);
        assert!(matches!(next(&mut events).await, Event::Gap { .. }));
        let tunnel = connection.ssh().unwrap().exec("echo again").await;
        assert!(tunnel.is_ok(), "it is the new session: {tunnel:?}");
    });
}

#[test]
fn an_object_that_is_gone_with_the_daemon_is_told_so_and_nothing_else() {
    live(async {
        let mut daemon = Daemon::start();
        let connection = supervised(&daemon).await;
        let domain = connection.define_domain(&crate::test_domain("web")).await.unwrap();
        daemon.restart();
        let error = domain.info().await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        assert!(connection.find_domain_by_name("web").await.unwrap().is_none());
    });
}
