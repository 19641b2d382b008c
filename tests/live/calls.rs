//! Calls: many at once, dropped ones, and those that the daemon does not answer in time.

use std::{
    fs,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error};

use crate::{
    TEST,
    blocked::Blocked,
    support::{Daemon, live},
    test_host,
};

#[test]
fn fifty_calls_at_once_get_each_its_own_answer() {
    live(async {
        let daemon = Daemon::start();
        fifty_calls(&daemon).await;
    });
}

#[test]
fn fifty_calls_at_once_pass_a_daemon_that_takes_two() {
    live(async {
        let daemon = Daemon::builder().setting("max_client_requests", 2).setting("max_workers", 5).start();
        fifty_calls(&daemon).await;
    });
}

async fn fifty_calls(daemon: &Daemon) {
    let uri = format!("test://{}", daemon.file("host.xml", &test_host(50)).display());
    let connection = Connection::open(daemon.uri(&uri)).await.unwrap();
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let (connection, name) = (connection.clone(), format!("vm{number:05}"));
            tokio::spawn(async move {
                let domain = connection.domain_by_name(&name).await.unwrap();
                assert_eq!(domain.name(), name);
                let xml = domain.xml().await.unwrap();
                assert!(xml.contains(&format!("<name>{name}</name>")), "{xml}");
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[test]
fn a_dropped_call_leaves_the_connection_usable() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let blocked = Blocked::domain(&daemon, "test").await;
        for _ in 0..3 {
            let waiting = tokio::time::timeout(Duration::from_millis(50), domain.info()).await;
            assert!(waiting.is_err(), "the daemon cannot have answered");
        }
        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
        blocked.release();
        // The answers to the dropped calls come now, among those to the next.
        for _ in 0..20 {
            assert_eq!(domain.state().await.unwrap().state.0, 5);
            assert_eq!(domain.info().await.unwrap().state.0, 5);
        }
    });
}

#[test]
fn calls_dropped_at_any_time_do_not_mix_up_answers() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let xml = domain.xml().await.unwrap();
        let mut dropped = 0;
        for turns in 0..400 {
            let patience = async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                answer = domain.xml() => assert_eq!(answer.unwrap(), xml),
                () = patience => dropped += 1,
            }
            assert_eq!(connection.domain_by_name("test").await.unwrap().name(), "test");
        }
        assert!(dropped > 0, "no call was dropped before its answer");
        assert_eq!(domain.xml().await.unwrap(), xml);
    });
}

#[test]
fn a_call_that_is_not_answered_in_time_fails_and_the_connection_goes_on() {
    live(async {
        let daemon = Daemon::start();
        let limit = Duration::from_secs(1);
        let connection = Connection::builder(daemon.uri(TEST)).call_timeout(limit).open().await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let patient = connection.with_timeout(None).domain_by_name("test").await.unwrap();
        let blocked = Blocked::domain(&daemon, "test").await;
        let asked = Instant::now();
        let error = domain.info().await.unwrap_err();
        assert!(asked.elapsed() >= limit && asked.elapsed() < limit * 5, "{:?}", asked.elapsed());
        assert!(matches!(error, Error::Timeout { after, .. } if after == limit), "{error:?}");
        assert!(error.is_timeout());
        assert!(error.to_string().contains("DOMAIN_GET_INFO"), "{error}");

        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
        let patient = tokio::spawn(async move { patient.info().await });
        tokio::time::sleep(limit * 2).await;
        assert!(!patient.is_finished(), "this one has no deadline");
        blocked.release();
        assert_eq!(patient.await.unwrap().unwrap().state.0, 5);
        assert_eq!(domain.info().await.unwrap().state.0, 5);
    });
}

#[test]
fn opening_a_driver_that_does_not_answer_fails_in_time() {
    live(async {
        let daemon = Daemon::start();
        // The daemon reads the simulated host from a pipe that nobody writes to.
        let pipe = daemon.fifo("host.xml");
        let uri = daemon.uri(&format!("test://{}", pipe.display()));
        let limit = Duration::from_secs(1);
        let asked = Instant::now();
        let error = Connection::builder(uri).open_timeout(limit).open().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "opening the connection", .. }), "{error:?}");
        assert!(asked.elapsed() < limit * 5, "{:?}", asked.elapsed());

        let other = Connection::open(daemon.uri(TEST)).await.unwrap();
        assert!(other.hostname().await.is_ok(), "others are served");
        let writing = tokio::task::spawn_blocking(move || fs::write(pipe, "<node/>"));
        writing.await.unwrap().unwrap();
    });
}
