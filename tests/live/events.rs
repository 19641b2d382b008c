//! Lifecycle events: what we receive and what libvirt's Python binding receives of the same acts.

use std::{fs, time::Duration};

use libvirt_client::{CloseReason, Connection, DomainEvent, Event};

use crate::{
    TEST,
    support::{Daemon, live, wait_until},
    test_domain,
};

/// Prints each lifecycle event as name, number of the event and number of its detail.
pub(crate) const LISTENER: &str = "\
connection.domainEventRegisterAny(None, 0, lambda c, domain, event, detail, _: print(domain.name(), event, detail), None)
print('ready')
while True: libvirt.virEventRunDefaultImpl()";

#[test]
fn lifecycle_events_are_those_that_others_receive() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        let heard = daemon.directory().join("heard");
        let _listener = daemon.spawn_python(TEST, LISTENER, &heard);
        let heard = || fs::read_to_string(&heard).unwrap();
        wait_until(|| heard().starts_with("ready\n")).await;

        let file = daemon.file("domain.xml", &test_domain("web"));
        daemon.virsh(TEST, &["define", &file.display().to_string()]);
        for act in ["start", "suspend", "resume", "shutdown", "start", "destroy", "undefine"] {
            daemon.virsh(TEST, &[act, "web"]);
        }
        let mut ours = String::from("ready\n");
        for _ in 0..8 {
            ours += &line(events.next().await.unwrap().unwrap());
        }
        wait_until(|| heard().lines().count() > 8).await;
        assert_eq!(ours, heard());
    });
}

#[test]
fn every_subscription_gets_every_event_until_it_is_dropped() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let mut stays = connection.events().domain_lifecycle().subscribe().await.unwrap();
        let mut leaves = connection.events().domain_lifecycle().subscribe().await.unwrap();
        daemon.virsh(TEST, &["suspend", "test"]);
        assert_eq!(line(leaves.next().await.unwrap().unwrap()), "test 3 0\n");
        drop(leaves);
        daemon.virsh(TEST, &["resume", "test"]);
        for expected in ["test 3 0\n", "test 4 0\n"] {
            assert_eq!(line(stays.next().await.unwrap().unwrap()), expected);
        }
        let extra = tokio::time::timeout(Duration::from_millis(200), stays.next()).await;
        assert!(extra.is_err(), "{extra:?}");
    });
}

#[test]
fn a_subscription_can_follow_another_at_once() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        // The daemon carries out calls in any order, and refuses to register anew before the cancelling is done.
        for _ in 0..50 {
            drop(connection.events().domain_lifecycle().subscribe().await.unwrap());
        }
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        daemon.virsh(TEST, &["suspend", "test"]);
        assert_eq!(line(events.next().await.unwrap().unwrap()), "test 3 0\n");
    });
}

#[test]
fn events_that_nobody_takes_are_counted_and_calls_go_on() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::builder(daemon.uri(TEST)).event_queue(4).open().await.unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        daemon.virsh(TEST, &[&"suspend test; resume test; ".repeat(5)]);
        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
        let (mut received, mut lost) = (0, 0);
        while received + lost < 10 {
            match events.next().await.unwrap().unwrap() {
                Event::Domain(_) => received += 1,
                Event::Lagged { missed } => lost += missed,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((received, lost), (4, 6));
    });
}

#[test]
fn events_end_with_the_reason_why_the_connection_did() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        daemon.signal("KILL");
        let error = events.next().await.unwrap().unwrap_err();
        assert!(matches!(error.close_reason(), Some(CloseReason::Eof | CloseReason::Io(_))), "{error:?}");
        assert!(events.next().await.is_none());
    });
}

/// Writes an event as the listener does.
pub(crate) fn line(event: Event) -> String {
    match event {
        Event::Domain(DomainEvent::Lifecycle { domain, event, detail }) => {
            format!("{} {} {}\n", domain.name(), event.0, detail.number())
        }
        other => panic!("no lifecycle event: {other:?}"),
    }
}
