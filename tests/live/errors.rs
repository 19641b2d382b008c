//! What the questions that users ask of errors answer to what a real daemon says.

use std::sync::{Arc, Mutex};

use libvirt_client::{
    Connection, Error, ErrorCode, Result,
    admin::AdminConnection,
    enums::{DomainXmlFlags, NetworkMetadataType},
};

use crate::{
    QEMU, TEST,
    support::{Daemon, daemon::said, live},
    test_domain,
};

const ONE: &str = "11111111-1111-1111-1111-111111111111";
const OTHER: &str = "22222222-2222-2222-2222-222222222222";

/// Fails where something was expected to be refused.
#[track_caller]
fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) -> Error {
    result.expect_err(what)
}

/// The domain of the simulated hypervisor or of a real one, with a UUID.
fn domain(kind: &str, name: &str, uuid: &str) -> String {
    test_domain(name)
        .replace("type='test'", &format!("type='{kind}'"))
        .replace("</name>", &format!("</name><uuid>{uuid}</uuid>"))
}

#[test]
fn what_exists_already_is_told() {
    live(async {
        for (uri, kind) in [(TEST, "test"), (QEMU, "qemu")] {
            let daemon = Daemon::builder().virtlogd().start();
            let connection = Connection::open(daemon.uri(uri)).await.unwrap();
            let mut errors = Vec::new();

            let first = connection.define_domain(domain(kind, "first", ONE)).await.unwrap();
            connection.define_domain(domain(kind, "first", ONE)).await.expect("the same is changed");
            connection.define_domain(domain(kind, "second", OTHER)).await.unwrap();
            let third = "33333333-3333-3333-3333-333333333333";
            let defined = connection.define_domain(domain(kind, "first", third)).await;
            errors.push(refused("a domain's name", defined));
            errors
                .push(refused("a domain's UUID", connection.define_domain(domain(kind, "third", ONE)).await));
            errors.push(refused("a domain's new name", first.rename("second").await.map(drop)));

            let network = |name: &str, uuid: &str| {
                format!(
                    "<network><name>{name}</name><uuid>{uuid}</uuid>\
                     <ip address='192.168.150.1' netmask='255.255.255.0'/></network>"
                )
            };
            connection.define_network(network("first", ONE)).await.unwrap();
            errors
                .push(refused("a network's name", connection.define_network(network("first", OTHER)).await));
            errors.push(refused("a network's UUID", connection.define_network(network("other", ONE)).await));

            let pool = |name: &str, uuid: &str| {
                let path = daemon.directory().join(name);
                format!(
                    "<pool type='dir'><name>{name}</name><uuid>{uuid}</uuid>\
                     <target><path>{}</path></target></pool>",
                    path.display()
                )
            };
            let images = connection.define_storage_pool(pool("images", ONE)).await.unwrap();
            let defined = connection.define_storage_pool(pool("images", OTHER)).await;
            errors.push(refused("a pool's name", defined));
            errors.push(refused("a pool's UUID", connection.define_storage_pool(pool("other", ONE)).await));
            images.build().await.unwrap();
            images.start().await.unwrap();
            let disk = "<volume><name>disk</name><capacity unit='KiB'>4</capacity></volume>";
            let volume = images.create_volume(disk).await.unwrap();
            errors.push(refused("a volume", images.create_volume(disk).await));
            errors.push(refused("a volume's copy", images.create_volume_from(disk, &volume).await));

            if uri == QEMU {
                let secret = |uuid: &str, path: &str| {
                    format!(
                        "<secret><uuid>{uuid}</uuid><usage type='volume'><volume>{path}</volume></usage></secret>"
                    )
                };
                connection.define_secret(secret(ONE, "/a")).await.unwrap();
                errors.push(refused("a secret's usage", connection.define_secret(secret(OTHER, "/a")).await));
                errors.push(refused("a secret's UUID", connection.define_secret(secret(ONE, "/b")).await));
                let filter =
                    |name: &str, uuid: &str| format!("<filter name='{name}'><uuid>{uuid}</uuid></filter>");
                connection.define_network_filter(filter("first", ONE)).await.unwrap();
                let defined = connection.define_network_filter(filter("first", OTHER)).await;
                errors.push(refused("a filter's name", defined));
                let defined = connection.define_network_filter(filter("other", ONE)).await;
                errors.push(refused("a filter's UUID", defined));
            } else {
                let snapshot = "<domainsnapshot><name>now</name></domainsnapshot>";
                first.create_snapshot(snapshot).await.unwrap();
                errors.push(refused("a snapshot", first.create_snapshot(snapshot).await));
            }
            for error in errors {
                assert!(error.is_already_exists(), "{uri}: {error}");
                assert!(
                    !error.is_invalid_state() && !error.is_not_found() && !error.is_transient(),
                    "{error}"
                );
            }
        }
    });
}

#[test]
fn a_wrong_state_is_told() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let machine = connection.define_domain(domain("qemu", "machine", ONE)).await.unwrap();
        let pool = "<pool type='dir'><name>images</name><target><path>/</path></target></pool>";
        let pool = connection.define_storage_pool(pool).await.unwrap();
        let lookup = "connection.lookupByName('machine')";
        let python = |call: &str| daemon.python_error(QEMU, &format!("{lookup}.{call}"));

        for (call, error) in [
            ("destroy()", refused("destroy", machine.destroy().await)),
            ("suspend()", refused("suspend", machine.suspend().await)),
            ("resume()", refused("resume", machine.resume().await)),
            ("abortJob()", refused("abort", machine.abort_job().await)),
        ] {
            assert!(error.is_invalid_state(), "{call}: {error}");
            assert!(!error.is_already_exists(), "{call}: {error}");
            assert_eq!(said(&error), python(call));
        }
        assert!(refused("an inactive pool", pool.refresh().await).is_invalid_state());
    });
}

#[test]
fn what_a_read_only_connection_refuses_is_told() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::builder(daemon.uri(TEST)).read_only().open().await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        for error in [
            refused("starting", domain.start().await),
            refused("secrets", domain.xml_with(DomainXmlFlags::SECURE).await),
            refused("defining", connection.define_domain(test_domain("new")).await),
        ] {
            assert!(error.is_read_only() && !error.is_auth(), "{error}");
        }
        assert!(domain.xml().await.is_ok());
    });
}

#[test]
fn a_procedure_that_is_newer_than_the_daemon_is_unsupported() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let network = connection.network_by_name("default").await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        for (since, error) in [
            (
                "9.7.0",
                refused(
                    "metadata",
                    network.set_metadata(NetworkMetadataType::TITLE, Some("t"), None, None).await,
                ),
            ),
            ("11.2.0", refused("autostart", domain.autostart_once().await)),
        ] {
            assert!(error.is_unsupported(), "{error}");
            assert_eq!(error.remote().unwrap().since, Some(since));
            assert!(error.to_string().contains(&format!("which libvirt has since {since}")), "{error}");
        }
        // The driver lacks it, whatever its version: none is named.
        let error = refused("no jobs", domain.abort_job().await);
        assert_eq!((error.code(), error.remote().unwrap().since), (Some(ErrorCode::NO_SUPPORT), None));
    });
}

#[test]
fn a_hook_is_told_of_what_the_daemon_refuses_and_of_its_end() {
    live(async {
        let daemon = Daemon::start();
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = {
            let told = told.clone();
            move |error: &Error| told.lock().unwrap().push(error.to_string())
        };
        let told = || std::mem::take(&mut *told.lock().unwrap());
        let builder = |uri: &str| Connection::builder(daemon.uri(uri)).on_error(hook.clone());

        let error = refused("opening", builder("test:///not/there").open().await);
        assert_eq!(told(), [error.to_string()]);
        let connection = builder(TEST).open().await.unwrap();
        let domain = connection.find_domain_by_name("test").await.unwrap().unwrap();
        assert!(connection.find_domain_by_name("nobody").await.unwrap().is_none());
        assert!(connection.find_domain_by_id(4711).await.unwrap().is_none());
        domain.suspend().await.unwrap();
        assert!(told().is_empty(), "what find_x says is no error");
        let error = refused("suspending", domain.suspend().await);
        assert_eq!(told(), [error.to_string()]);
        let error = refused("looking up", domain.snapshot_by_name("none").await);
        assert_eq!(told(), [error.to_string()]);

        let socket = daemon.directory().join("run/libvirt-admin-sock");
        let uri = format!("libvirtd:///system?socket={}", socket.display());
        let administration = AdminConnection::builder(uri).on_error(hook.clone()).open().await.unwrap();
        assert!(administration.find_server_by_name("nobody").await.unwrap().is_none());
        let error = refused("looking up", administration.server_by_name("nobody").await);
        assert_eq!(told(), [error.to_string()]);

        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        daemon.signal("KILL");
        let error = refused("events", events.next().await.unwrap());
        assert_eq!(told(), [error.to_string()]);
        let error = refused("calling", domain.info().await);
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(told(), [error.to_string()]);
    });
}
