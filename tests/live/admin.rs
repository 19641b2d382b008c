//! The administration of a daemon, compared with virt-admin.

use libvirt_client::{Connection, admin::AdminConnection, enums::ClientTransport, params::ClientLimits};

use crate::{
    TEST,
    support::{Daemon, live},
};

async fn administration(daemon: &Daemon) -> AdminConnection {
    let socket = daemon.directory().join("run/libvirt-admin-sock");
    AdminConnection::open(format!("libvirtd:///system?socket={}", socket.display())).await.unwrap()
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
        let info = client.info().await.unwrap();
        assert_eq!((info.unix_user_id, info.readonly), (Some(0), Some(false)));
        assert!(info.rest.is_empty(), "{info:?}");
        let listed = daemon.virt_admin(&["client-info", "libvirtd", &client.id().to_string()]);
        let line = format!("unix_process_id: {}", info.unix_process_id.unwrap());
        assert!(listed.lines().any(|said| said.replace(' ', "") == line.replace(' ', "")), "{listed}");

        client.close().await.unwrap();
        user.closed().await;
        assert_eq!(server.clients().await.unwrap(), []);
        connection.close().await.unwrap();
    });
}

#[test]
fn limits_and_log_are_set_and_read_back() {
    live(async {
        let daemon = Daemon::start();
        let connection = administration(&daemon).await;
        let server = connection.server_by_name("libvirtd").await.unwrap();
        let version = connection.lib_version().await.unwrap();
        let said = daemon.virt_admin(&["version"]);
        assert!(said.contains(&format!("Running against daemon: {version}")), "{said}");

        let limits = ClientLimits { max_clients: Some(77), ..Default::default() };
        server.set_client_limits(limits).await.unwrap();
        assert_eq!(server.client_limits().await.unwrap().max_clients, Some(77));
        let listed = daemon.virt_admin(&["srv-clients-info", "libvirtd"]);
        assert!(
            listed.lines().any(|line| line.starts_with("nclients_max") && line.ends_with(" 77")),
            "{listed}"
        );
        server.set_thread_pool_parameters([("maxWorkers", 21_u32)]).await.unwrap();
        let pool = server.thread_pool_parameters().await.unwrap();
        assert_eq!(pool.max_workers, Some(21));
        assert!(pool.rest.is_empty(), "{pool:?}");
        let listed = daemon.virt_admin(&["srv-threadpool-info", "libvirtd"]);
        assert!(
            listed.lines().any(|line| line.starts_with("maxWorkers") && line.ends_with(" 21")),
            "{listed}"
        );

        connection.set_logging_filters(Some("3:util 4:rpc")).await.unwrap();
        let filters = connection.logging_filters().await.unwrap().unwrap();
        assert!(filters.contains("3:*util*") && filters.contains("4:*rpc*"), "{filters}");
        assert!(daemon.virt_admin(&["daemon-log-filters"]).ends_with(filters.trim_end()), "{filters}");
        let outputs = connection.logging_outputs().await.unwrap();
        assert!(daemon.virt_admin(&["daemon-log-outputs"]).ends_with(outputs.trim_end()), "{outputs}");
        assert!(server.update_tls_files().await.unwrap_err().remote().is_some(), "this server has no TLS");
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
