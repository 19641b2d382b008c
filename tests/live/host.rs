//! Opening, and what the daemon says about its host.

use libvirt_client::{Connection, ErrorCode, rpc::ByteStream};
use tokio::net::TcpStream;

use crate::{
    TEST,
    support::{Daemon, live, wait_until},
};

#[test]
fn the_host_is_described_as_virsh_describes_it() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
        assert_eq!(
            connection.capabilities().await.unwrap().trim_end(),
            daemon.virsh(TEST, &["capabilities"])
        );
        let ours =
            (u64::from(connection.lib_version().await.unwrap()), connection.hypervisor().await.unwrap());
        let theirs = daemon.python(TEST, "print(connection.getLibVersion(), connection.getType())");
        assert_eq!(format!("{} {}", ours.0, ours.1), theirs);
        let said = daemon.virsh(TEST, &["version", "--daemon"]);
        let version = connection.lib_version().await.unwrap();
        assert!(said.contains(&format!("Running against daemon: {version}")), "{said}");
        connection.close().await.unwrap();
    });
}

#[test]
fn readers_are_refused_writes_with_the_daemons_words() {
    live(async {
        let daemon = Daemon::start();
        let flag = Connection::builder(daemon.uri(TEST)).read_only().open().await.unwrap();
        let socket = Connection::open(daemon.read_only_uri(TEST)).await.unwrap();
        for connection in [flag, socket] {
            let domain = connection.domain_by_name("test").await.unwrap();
            assert!(domain.info().await.is_ok(), "reading is allowed");
            let error = domain.destroy().await.unwrap_err();
            assert_eq!(error.code(), Some(ErrorCode::OPERATION_DENIED));
            assert!(error.to_string().contains("read only access prevents virDomainDestroy"), "{error}");
            assert_eq!(daemon.virsh(TEST, &["domstate", "test"]), "running");
        }
    });
}

#[test]
fn the_daemon_chooses_a_driver_where_the_uri_names_none() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri("remote:///")).await.unwrap();
        assert_eq!(connection.uri(), "qemu:///system", "root's first choice here");
        let theirs = daemon.python("remote:///", "print(connection.getType())");
        assert_eq!(connection.hypervisor().await.unwrap(), theirs);
    });
}

#[test]
fn any_byte_stream_to_a_daemon_will_do() {
    live(async {
        // Nobody else takes the port in the moment between: tests that listen are few, and ports are handed out in turn.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = Daemon::builder()
            .setting("listen_tls", 0)
            .setting("listen_tcp", 1)
            .setting("listen_addr", "127.0.0.1")
            .setting("tcp_port", port.to_string())
            .setting("auth_tcp", "none")
            .listen()
            .start();
        // The daemon opens its ports after its Unix sockets.
        wait_until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let builder = Connection::builder("");
        let connection = builder.open_over(ByteStream(stream), TEST.to_owned()).await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
        assert_eq!(connection.domains().await.unwrap()[0].name(), "test");
        connection.close().await.unwrap();
    });
}
