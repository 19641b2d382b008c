//! Linux containers: a second driver that does real things, compared with Python's binding.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use libvirt_client::{
    Connection, Domain, ErrorCode,
    enums::{DomainMetadataType, DomainModificationImpact, DomainShutdownFlags, DomainState, DomainXmlFlags},
};

use crate::support::{
    Daemon,
    compare::{Comparison, typed},
    daemon::said,
    guest,
    listener::Listener,
    live,
    python::dictionary,
    wait_until,
};

pub(crate) const LXC: &str = "lxc:///system";

/// Describes a container in which nothing runs but a shell that waits.
fn container(daemon: &Daemon, name: &str) -> String {
    let root = daemon.directory().join("root");
    for directory in ["bin", "dev", "proc", "sys"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy(guest::busybox(), root.join("bin/busybox")).unwrap();
    let init = "#!/bin/busybox sh\ntrap 'exit 0' TERM INT PWR\nwhile :; do busybox sleep 0.1; done\n";
    let init = daemon.file("root/init", init);
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    format!(
        "<domain type='lxc'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type>exe</type><init>/init</init></os><devices>\
         <filesystem type='mount'><source dir='{}'/><target dir='/'/></filesystem>\
         <console type='pty'/></devices></domain>",
        root.display()
    )
}

/// Starts a container whose console is a shell, and returns its name as well.
pub(crate) async fn with_a_shell(daemon: &Daemon, connection: &Connection) -> (String, Domain) {
    let name = daemon.unique("talk");
    let xml = container(daemon, &name);
    let shell = "#!/bin/busybox sh\nwhile busybox true; do busybox sh; done\n";
    fs::write(daemon.directory().join("root/init"), shell).unwrap();
    let domain = connection.define_domain(xml).await.unwrap();
    domain.start().await.unwrap();
    (name, domain)
}

/// How many containers are started, at most, until the daemon knows the first process of one.
pub(crate) const CONTAINERS: u32 = 10;

/// Waits until the daemon knows the first process of a container, as namespaces, labels and signals need, and tells
/// whether it came to know it.
///
/// It is told once, as soon as its connection to the container's controller is made. The libvirtd of this version takes
/// messages of that connection before it has set whom to pass them to: one that comes in between is lost, which
/// happens on a busy machine. Then it never knows, and nothing but another container helps.
pub(crate) async fn knows_first_process(container: &Domain) -> bool {
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        match container.lxc_open_namespace().await {
            Err(error) if error.code() == Some(ErrorCode::OPERATION_INVALID) && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) if error.code() == Some(ErrorCode::OPERATION_INVALID) => return false,
            files => return !files.unwrap().is_empty(),
        }
    }
}

async fn state(domain: &Domain) -> DomainState {
    domain.state().await.unwrap().state
}

#[test]
fn a_container_is_started_frozen_and_stopped() {
    live(async {
        let daemon = Daemon::builder().lxc().start();
        let connection = Connection::open(daemon.uri(LXC)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, LXC).await;
        let name = daemon.unique("box");
        let domain = connection.define_domain(container(&daemon, &name)).await.unwrap();
        domain.set_autostart(true).await.unwrap();
        domain.start().await.unwrap();
        let mut started = 1;
        while !knows_first_process(&domain).await {
            assert!(started < CONTAINERS, "the daemon learnt the first process of none of {started}");
            domain.destroy().await.unwrap();
            domain.start().await.unwrap();
            started += 1;
        }
        domain.set_metadata(DomainMetadataType::DESCRIPTION, Some("a box"), None, None).await.unwrap();

        let mut both = Comparison::of_domain(&daemon, LXC, &name);
        both.same("connection.getType()", connection.hypervisor().await.unwrap());
        both.same("connection.getVersion()", u64::from(connection.hypervisor_version().await.unwrap()));
        both.same("connection.getCapabilities()", connection.capabilities().await.unwrap());
        both.same("connection.getHostname()", connection.hostname().await.unwrap());
        both.same("domain.XMLDesc()", domain.xml().await.unwrap());
        both.same("domain.XMLDesc(2)", domain.xml_with(DomainXmlFlags::INACTIVE).await.unwrap());
        both.same("domain.OSType()", domain.os_type().await.unwrap());
        both.same("domain.maxMemory()", domain.max_memory().await.unwrap());
        let told = domain.state().await.unwrap();
        assert_eq!(told.state, DomainState::RUNNING);
        both.same("domain.state()", format!("[{}, {}]", told.state.0, told.reason.number()));
        both.same_bool("domain.autostart()", domain.autostart().await.unwrap());
        both.same_bool("domain.isActive()", domain.is_active().await.unwrap());
        both.same_bool("domain.isPersistent()", domain.is_persistent().await.unwrap());
        both.same_bool("domain.isUpdated()", domain.is_updated().await.unwrap());
        both.same("domain.metadata(0, None)", {
            domain.metadata(DomainMetadataType::DESCRIPTION, None).await.unwrap().unwrap()
        });
        both.same("len(connection.listAllDomains())", connection.domains().await.unwrap().len());
        both.either("domain.schedulerType()[0]", domain.scheduler_type().await, |scheduler| scheduler.kind);
        both.either("params(domain.schedulerParameters())", domain.scheduler_parameters().await, dictionary);
        both.either("params(domain.blkioParameters())", domain.blkio_parameters().await, dictionary);
        both.either("params(domain.memoryParameters())", domain.memory_parameters().await, dictionary);
        both.either("len(domain.memoryStats())", domain.memory_stats().await, |stats| {
            libvirt_client::TypedParams::from(stats).len().to_string()
        });
        both.either("domain.securityLabel()", domain.security_label().await, |label| {
            format!("['{}', {}]", label.label, if label.enforcing { "True" } else { "False" })
        });
        both.refused("connection.getAllDomainStats()", {
            connection.domain_stats(&[], libvirt_client::enums::DomainStatsTypes::empty()).await
        });
        both.refused("domain.saveFlags('/tmp/none')", domain.save("/tmp/none", None).await);
        both.refused("domain.reset()", domain.reset().await);
        both.refused("domain.vcpus()", domain.vcpus().await);
        both.refused("domain.hostname()", domain.hostname().await);
        both.refused("domain.snapshotCreateXML('<x/>')", domain.create_snapshot("<x/>").await);
        both.refused("domain.undefineFlags(1)", {
            domain.undefine_with(libvirt_client::enums::DomainUndefineFlags::MANAGED_SAVE).await
        });
        both.refused("domain.create()", domain.start().await);
        both.check();

        domain.suspend().await.unwrap();
        assert_eq!(daemon.virsh(LXC, &["domstate", &name]), "paused");
        domain.resume().await.unwrap();
        assert_eq!(state(&domain).await, DomainState::RUNNING);
        if domain.scheduler_parameters().await.is_ok() {
            let live = DomainModificationImpact::LIVE;
            domain.set_scheduler_parameters_with([("cpu_shares", 512_u64)], live).await.unwrap();
            let told = domain.scheduler_parameters().await.unwrap();
            assert_eq!(typed(told).u64("cpu_shares"), Some(512));
        }
        domain.shutdown_with(DomainShutdownFlags::SIGNAL).await.unwrap();
        wait_until(|| daemon.virsh(LXC, &["domstate", &name]) == "shut off").await;
        listener.wait_for(&format!("domain {name} lifecycle 5 0")).await;
        domain.start().await.unwrap();
        domain.destroy().await.unwrap();
        domain.undefine().await.unwrap();
        let missing = connection.domain_by_name(&name).await.unwrap_err();
        assert!(missing.is_not_found());
        let theirs = daemon.python_error(LXC, &format!("connection.lookupByName('{name}')"));
        assert_eq!(said(&missing), theirs);
        listener.wait_for(&format!("domain {name} lifecycle 1 0")).await;
        for line in ["0 0", "2 0", "3 0", "4 0"] {
            listener.wait_for(&format!("domain {name} lifecycle {line}")).await;
        }
        listener.agree().await;
    });
}

#[test]
fn a_transient_container_is_gone_when_it_ends() {
    live(async {
        let daemon = Daemon::builder().lxc().start();
        let connection = Connection::open(daemon.uri(LXC)).await.unwrap();
        let name = daemon.unique("brief");
        let domain = connection.create_domain(container(&daemon, &name)).await.unwrap();
        let id = domain.id().unwrap();
        assert_eq!(daemon.virsh(LXC, &["domname", &id.to_string()]), name);
        assert_eq!(connection.domain_by_id(id).await.unwrap(), domain);
        domain.destroy().await.unwrap();
        assert!(connection.find_domain_by_uuid(domain.uuid()).await.unwrap().is_none());
        assert_eq!(daemon.virsh(LXC, &["list", "--all", "--name"]), "");
    });
}
