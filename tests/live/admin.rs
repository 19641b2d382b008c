//! The administration of a daemon, compared with virt-admin.

use std::{fs, time::Duration};

use libvirt_client::{
    CloseReason, Connection, Error, KeepaliveConfig, TypedParams, admin::AdminConnection,
    enums::ClientTransport,
};

use crate::{
    TEST,
    support::{Daemon, live, python::dictionary, wait_until},
};

async fn administration(daemon: &Daemon) -> AdminConnection {
    AdminConnection::open(uri(daemon)).await.unwrap()
}

fn uri(daemon: &Daemon) -> String {
    format!("libvirtd:///system?socket={}", daemon.directory().join("run/libvirt-admin-sock").display())
}

#[test]
fn servers_and_clients_are_those_that_virt_admin_lists() {
    live(async {
        let daemon = Daemon::start();
        let connection = administration(&daemon).await;
        let mut names: Vec<String> = Vec::new();
        for server in connection.servers().await.unwrap() {
            names.push(server.name().to_owned());
            assert_eq!(connection.server_by_name(server.name()).await.unwrap(), server);
        }
        let listed = daemon.virt_admin(&["server-list"]);
        assert!(names.len() > 1 && names.iter().all(|name| listed.contains(name)), "{names:?}: {listed}");
        assert!(connection.find_server_by_name("nobody").await.unwrap().is_none());

        let server = connection.server_by_name("libvirtd").await.unwrap();
        assert_eq!(server.clients().await.unwrap(), []);
        let user = Connection::open(daemon.uri(TEST)).await.unwrap();
        let [client] = &server.clients().await.unwrap()[..] else { panic!("one client") };
        assert_eq!((client.transport(), client.server()), (ClientTransport::UNIX, server.clone()));
        assert!(client.connected_at().elapsed().unwrap().as_secs() < 60);
        let listed = daemon.virt_admin(&["client-list", "libvirtd"]);
        assert!(
            listed.lines().any(|line| line.trim_start().starts_with(&format!("{} ", client.id()))),
            "{listed}"
        );
        assert_eq!(server.client_by_id(client.id()).await.unwrap(), *client);
        assert!(server.find_client_by_id(4711).await.unwrap().is_none());
        let info = dictionary(client.info().await.unwrap());
        assert!(info.contains("unix_user_id=0") && info.contains("readonly=0"), "{info}");
        let theirs = values(&daemon, &["client-info", "libvirtd", &client.id().to_string()]);
        let of_handle = ["connection_time=", "id=", "transport="];
        let theirs = theirs.lines().filter(|line| !of_handle.iter().any(|name| line.starts_with(name)));
        assert_eq!(info, theirs.collect::<Vec<_>>().join("\n"));

        client.close().await.unwrap();
        user.closed().await;
        // The daemon hangs up first, and forgets the client then.
        wait_until(|| daemon.virt_admin(&["client-list", "libvirtd"]).lines().count() <= 2).await;
        assert_eq!(server.clients().await.unwrap(), []);
        connection.close().await.unwrap();
    });
}

/// What virt-admin lists as `name : value`, as dictionaries are written here.
fn values(daemon: &Daemon, arguments: &[&str]) -> String {
    let listed = daemon.virt_admin(arguments);
    let mut lines: Vec<String> = listed
        .lines()
        .filter_map(|line| line.split_once(" : ").or_else(|| line.split_once(": ")))
        .map(|(name, value)| {
            let value = match value.trim() {
                "yes" => "1",
                "no" => "0",
                value => value,
            };
            format!("{}={value}", name.trim())
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn limits_are_set_and_read_back() {
    live(async {
        let daemon = Daemon::start();
        let connection = administration(&daemon).await;
        let server = connection.server_by_name("libvirtd").await.unwrap();
        let version = connection.lib_version().await.unwrap();
        let said = daemon.virt_admin(&["version"]);
        assert!(said.contains(&format!("Running against daemon: {version}")), "{said}");

        let limits = TypedParams::new().with("nclients_max", 77_u32).with("nclients_unauth_max", 17_u32);
        server.set_client_limits(limits).await.unwrap();
        let limits = dictionary(server.client_limits().await.unwrap());
        assert!(limits.contains("nclients_max=77") && limits.contains("nclients_unauth_max=17"), "{limits}");
        assert_eq!(limits, values(&daemon, &["server-clients-info", "libvirtd"]));
        server.set_thread_pool_parameters([("maxWorkers", 21_u32)]).await.unwrap();
        let pool = dictionary(server.thread_pool_parameters().await.unwrap());
        assert!(pool.contains("maxWorkers=21"), "{pool}");
        assert_eq!(pool, values(&daemon, &["server-threadpool-info", "libvirtd"]));

        let refused = server.set_thread_pool_parameters([("minWorkers", 22_u32)]).await.unwrap_err();
        let theirs = daemon.virt_admin_error(&["server-threadpool-set", "libvirtd", "--min-workers", "22"]);
        assert_eq!(message(&refused), theirs);
        let refused = server.update_tls_files().await.unwrap_err();
        assert_eq!(message(&refused), daemon.virt_admin_error(&["server-update-tls", "libvirtd"]));
        let refused = connection.server_by_name("nobody").await.unwrap_err();
        assert_eq!(message(&refused), daemon.virt_admin_error(&["server-threadpool-info", "nobody"]));
        let refused = server.client_by_id(4711).await.unwrap_err();
        assert_eq!(message(&refused), daemon.virt_admin_error(&["client-info", "libvirtd", "4711"]));
    });
}

fn message(error: &Error) -> String {
    error.remote().unwrap().message.clone().unwrap()
}

#[test]
fn the_log_is_turned_elsewhere() {
    live(async {
        let daemon = Daemon::start();
        let connection = administration(&daemon).await;
        let outputs = connection.logging_outputs().await.unwrap();
        assert_eq!(daemon.virt_admin(&["daemon-log-outputs"]).trim_start(), outputs);
        connection.set_logging_filters(Some("3:util 4:rpc")).await.unwrap();
        let filters = connection.logging_filters().await.unwrap().unwrap();
        assert!(filters.contains("3:*util*") && filters.contains("4:*rpc*"), "{filters}");
        assert_eq!(daemon.virt_admin(&["daemon-log-filters"]).trim_start(), filters.trim_end());
        connection.set_logging_filters(None).await.unwrap();
        assert_eq!(connection.logging_filters().await.unwrap(), None);

        let elsewhere = daemon.directory().join("log/elsewhere");
        let file = format!("1:file:{}", elsewhere.display());
        connection.set_logging_outputs(Some(&file)).await.unwrap();
        assert_eq!(connection.logging_outputs().await.unwrap(), file);
        assert_eq!(daemon.virt_admin(&["daemon-log-outputs"]).trim_start(), file);
        connection.set_logging_filters(Some("1:libvirt")).await.unwrap();
        daemon.virsh(TEST, &["hostname"]);
        assert!(fs::read_to_string(&elsewhere).unwrap().contains("virConnectGetHostname"));
        let refused = connection.set_logging_outputs(Some("nonsense")).await.unwrap_err();
        assert_eq!(message(&refused), daemon.virt_admin_error(&["daemon-log-outputs", "nonsense"]));
    });
}

#[test]
fn an_idle_daemon_ends_itself() {
    live(async {
        let daemon = Daemon::start();
        let user = Connection::open(daemon.uri(TEST)).await.unwrap();
        let connection = administration(&daemon).await;
        connection.set_daemon_timeout(Duration::from_secs(1)).await.unwrap();
        connection.close().await.unwrap();
        assert!(!daemon.has_ended());
        user.close().await.unwrap();
        wait_until(|| daemon.has_ended()).await;
    });
}

#[test]
fn a_frozen_daemon_is_noticed_by_keepalive() {
    live(async {
        let daemon = Daemon::start();
        // A busy machine may take some hundred milliseconds to answer a ping.
        let keepalive = KeepaliveConfig { interval: Duration::from_secs(1), count: 1 };
        let connection = AdminConnection::builder(uri(&daemon)).keepalive(keepalive).open().await.unwrap();
        tokio::time::sleep(keepalive.interval * 4).await;
        connection.servers().await.expect("the daemon answers pings");
        daemon.signal("STOP");
        let error = connection.servers().await.unwrap_err();
        assert!(matches!(error.close_reason(), Some(CloseReason::Keepalive { .. })), "{error:?}");
        assert!(matches!(connection.closed().await, CloseReason::Keepalive { .. }));
        daemon.signal("CONT");
    });
}

#[test]
fn an_administration_that_is_not_there() {
    live(async {
        let error = AdminConnection::open("libvirtd:///system?socket=/not/there").await.unwrap_err();
        assert!(error.to_string().contains("/not/there"), "{error}");
        let error = AdminConnection::open("libvirtd://host/system").await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
    });
}
