//! Plain TCP: who is there, who is not, and what is something else.

use std::time::{Duration, Instant};

use libvirt_client::{Connection, Error};

use crate::support::{
    Daemon, live,
    network::{self, wait_for_port},
};

/// A daemon that listens for TCP, on libvirt's port.
fn listening() -> Daemon {
    let builder = Daemon::builder().setting("listen_tls", 0).setting("listen_tcp", 1);
    builder.setting("auth_tcp", "none").ports().start()
}

#[test]
fn names_and_addresses_of_both_families_lead_to_a_daemon() {
    live(async {
        let daemon = listening();
        network::of(&daemon, async || {
            wait_for_port(16509).await;
            for host in ["127.0.0.1", "localhost", "[::1]", "localhost:16509", "127.0.0.2"] {
                let uri = format!("test+tcp://{host}/default");
                let connection =
                    Connection::open(&uri).await.unwrap_or_else(|error| panic!("{uri}: {error}"));
                let hostname = connection.hostname().await.unwrap();
                connection.close().await.unwrap();
                daemon.virsh_connects(&uri).unwrap_or_else(|error| panic!("{uri}: {error}"));
                assert_eq!(hostname, daemon.shell("hostname"), "{uri}");
            }
        });
    });
}

#[test]
fn what_is_not_there_is_told_at_once() {
    live(async {
        let daemon = listening();
        network::of(&daemon, async || {
            wait_for_port(16509).await;
            for (uri, address, essential) in [
                ("test+tcp://127.0.0.1:16500/default", "127.0.0.1:16500", "nobody listens"),
                ("test+tcp://[::1]:16500/default", "[::1]:16500", "nobody listens"),
                ("test+tcp://192.0.2.1/default", "192.0.2.1:16509", "no way to the host"),
                ("test+tcp://no-such-host.invalid/default", "no-such-host.invalid:16509", "resolved"),
            ] {
                let asked = Instant::now();
                let error = Connection::open(uri).await.expect_err(uri);
                assert!(asked.elapsed() < Duration::from_secs(20), "{uri}: {:?}", asked.elapsed());
                let said = error.to_string();
                assert!(said.contains(address) && said.contains(essential), "{essential:?}: {said}");
                assert!(!said.contains('\n') && !said.ends_with('.'), "one sentence: {said}");
                let theirs = daemon.virsh_connects(uri).expect_err(uri);
                // There is no way to a name server, but some machines know without one that there is no such host.
                let transient = !theirs.contains("Name or service not known");
                assert_eq!(error.is_transient(), transient, "{error:?}; virsh: {theirs}");
            }
        });
    });
}

#[test]
fn a_port_that_speaks_tls_is_told() {
    live(async {
        let world = crate::tls::World::new("tcp");
        let daemon = world.daemon(&world.authority.server(&["localhost"])).start();
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            let uri = "test+tcp://127.0.0.1:16514/default";
            let error = Connection::open(uri).await.unwrap_err();
            let Error::Connect { address, .. } = &error else { panic!("{error:?}") };
            assert_eq!(address, "127.0.0.1:16514");
            assert!(error.to_string().contains("TLS"), "{error}");
            assert!(daemon.virsh_connects(uri).is_err());
        });
    });
}
