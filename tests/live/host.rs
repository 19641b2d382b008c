//! Opening, and what the daemon says about its host.

use libvirt_client::{
    Connection, ErrorCode,
    enums::{ConnectBaselineCpuFlags, DomainXmlFlags},
    rpc::ByteStream,
};
use tokio::net::TcpStream;

use crate::{
    TEST, simulated,
    support::{
        Daemon, live,
        python::{dictionary, list, sorted},
        wait_until,
    },
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
        let (daemon, connection, mut python) = simulated().await;
        let flag = Connection::builder(daemon.uri(TEST)).read_only().open().await.unwrap();
        let socket = Connection::open(daemon.read_only_uri(TEST)).await.unwrap();
        python.run("reader = libvirt.openReadOnly(sys.argv[1])\ndomain = reader.lookupByName('test')");
        python.run("pool = reader.storagePoolLookupByName('default-pool')");
        python.run("network = reader.networkLookupByName('default')");
        for reader in [flag, socket] {
            let domain = reader.domain_by_name("test").await.unwrap();
            let pool = reader.storage_pool_by_name("default-pool").await.unwrap();
            let network = reader.network_by_name("default").await.unwrap();
            python.agrees("domain.state()[0]", domain.info().await.unwrap().state.0);
            python.agrees("domain.XMLDesc()", domain.xml().await.unwrap());
            let secure = DomainXmlFlags::SECURE;
            for (statement, error) in [
                ("domain.destroyFlags()", domain.destroy().await.err()),
                ("domain.suspend()", domain.suspend().await.err()),
                ("domain.shutdownFlags()", domain.shutdown().await.err()),
                ("domain.setMemoryFlags(1)", domain.set_memory(1).await.err()),
                ("domain.setAutostart(1)", domain.set_autostart(true).await.err()),
                ("domain.undefineFlags()", domain.undefine().await.err()),
                ("domain.snapshotCreateXML('<a/>')", domain.create_snapshot("<a/>").await.err()),
                ("domain.memoryPeek(0, 1, 1)", domain.memory_peek(0, 1).await.err()),
                ("domain.XMLDesc(1)", domain.xml_with(secure).await.err()),
                ("reader.defineXMLFlags('<a/>', 0)", reader.define_domain("<a/>").await.err()),
                ("reader.createXML('<a/>', 0)", reader.create_domain("<a/>").await.err()),
                ("reader.changeBegin()", reader.begin_interface_change().await.err()),
                ("pool.destroy()", pool.destroy().await.err()),
                ("pool.createXML('<a/>')", pool.create_volume("<a/>").await.err()),
                ("network.destroy()", network.destroy().await.err()),
                ("reader.networkCreateXML('<a/>')", reader.create_network("<a/>").await.err()),
            ] {
                let error = error.unwrap_or_else(|| panic!("{statement} is not refused"));
                assert_eq!(error.code(), Some(ErrorCode::OPERATION_DENIED), "{statement}: {error}");
                python.is_refused(statement, &error);
            }
        }
        assert!(connection.domain_by_name("test").await.unwrap().is_active().await.unwrap());
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

/// A daemon that listens on a port. Another program may take the port before it does: then it is tried with another.
async fn listening() -> (Daemon, u16) {
    for _ in 0..5 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = Daemon::builder()
            .setting("listen_tls", 0)
            .setting("listen_tcp", 1)
            .setting("listen_addr", "127.0.0.1")
            .setting("tcp_port", port.to_string())
            .setting("auth_tcp", "none")
            .listen()
            .try_start();
        let Ok(daemon) = daemon else { continue };
        // It opens its ports after its Unix sockets.
        let is_open = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until(|| is_open() || daemon.has_ended()).await;
        if !daemon.has_ended() {
            return (daemon, port);
        }
    }
    panic!("no daemon could listen on a port that was free a moment before");
}

#[test]
fn any_byte_stream_to_a_daemon_will_do() {
    live(async {
        let (daemon, port) = listening().await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let builder = Connection::builder("");
        let connection = builder.open_over(ByteStream(stream), TEST.to_owned()).await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), daemon.virsh(TEST, &["hostname"]));
        assert_eq!(connection.domains().await.unwrap()[0].name(), "test");
        connection.close().await.unwrap();
    });
}

#[test]
fn what_the_host_has_is_what_others_are_told() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let info = connection.node_info().await.unwrap();
        let numbers = [info.cpus, info.mhz, info.nodes, info.sockets, info.cores, info.threads];
        let ours = format!("[{}, {}, {}", info.model, info.memory_kib / 1024, &list(numbers)[1..]);
        python.agrees("connection.getInfo()", ours);
        let map = connection.node_cpu_map().await.unwrap();
        let ours = format!("[{}, {}, {}]", map.cpus, list(map.online.iter()), map.online.count());
        python.agrees("(lambda all, on, count: [all, cpus(on), count])(*connection.getCPUMap())", ours);
        python.agrees("connection.getVersion()", u64::from(connection.hypervisor_version().await.unwrap()));
        python.agrees("connection.getMaxVcpus(None)", connection.max_vcpus(None).await.unwrap());
        python.agrees("connection.getMaxVcpus('kvm')", connection.max_vcpus(Some("kvm")).await.unwrap());
        python.agrees("connection.getFreeMemory()", connection.node_free_memory().await.unwrap());
        let cells = connection.node_cells_free_memory(0, 2).await.unwrap();
        python.agrees("connection.getCellsFreeMemory(0, 2)", list(cells));
        python.agrees("connection.isSecure()", i32::from(connection.is_secure().await.unwrap()));
        python.agrees("connection.getSysinfo()", connection.sysinfo().await.unwrap());
        let model = connection.node_security_model().await.unwrap();
        python.agrees("connection.getSecurityModel()", list([model.model, model.doi]));

        let all = connection.node_cpu_stats(None).await.unwrap();
        assert!(all.iowait.is_some() && all.rest.is_empty(), "{all:?}");
        python.agrees("connection.getCPUStats(-1)", dictionary(all));
        python.agrees("connection.getCPUStats(1)", dictionary(connection.node_cpu_stats(1).await.unwrap()));
    });
}

#[test]
fn cpu_models_are_compared_as_others_compare_them() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        python.agrees(
            "sorted(connection.getCPUModelNames('x86_64'))",
            sorted(connection.cpu_model_names("x86_64").await.unwrap()),
        );
        let cpus = [
            "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>",
            "<cpu><arch>x86_64</arch><model>kvm64</model></cpu>",
        ];
        python.run(&format!("models = {cpus:?}"));
        python.agrees("connection.baselineCPU(models)", connection.baseline_cpu(cpus).await.unwrap());
        let expanded = ConnectBaselineCpuFlags::EXPAND_FEATURES;
        let ours = connection.baseline_cpu_with(cpus, expanded).await.unwrap();
        python.agrees("connection.baselineCPU(models, 1)", ours);
        let none: [&str; 0] = [];
        let refused = connection.baseline_cpu(none).await.unwrap_err();
        python.is_refused("connection.baselineCPU([])", &refused);
    });
}

#[test]
fn an_identity_is_taken_on() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        connection.set_identity([("user-name", "fred")]).await.unwrap();
        python.agrees("connection.setIdentity({'user-name': 'fred'}, 0)", 0);
        let refused = connection.set_identity([("nonsense", "fred")]).await.unwrap_err();
        python.is_refused("connection.setIdentity({'nonsense': 'fred'}, 0)", &refused);
    });
}
