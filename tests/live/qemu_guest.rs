//! A small Linux under QEMU: what its agent does and tells, and the events that only a guest can cause.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use libvirt_client::{
    Connection, Domain, TypedValue,
    enums::{
        DomainGetHostnameFlags, DomainGuestInfoTypes, DomainInterfaceAddressesSource, DomainMemoryModFlags,
        DomainModificationImpact, DomainRebootFlags, DomainShutdownFlags, DomainState, NodeSuspendTarget,
    },
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::{Comparison, typed},
        guest,
        listener::Listener,
        live_within,
        machine::{disk, image, machine},
        python::sorted,
    },
};

/// Emulated processors are slow, and other tests run at the same time.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);
pub(crate) const AGENT: &str =
    "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
pub(crate) const MAC: &str = "52:54:00:00:00:01";

/// Defines a machine with this guest and starts it.
pub(crate) async fn boot(connection: &Connection, name: &str, devices: &str) -> Domain {
    let devices = format!("{AGENT}<memballoon model='virtio'/>{devices}");
    let more = "</os><pm><suspend-to-mem enabled='yes'/></pm>\
                <cpu><numa><cell id='0' cpus='0-1' memory='256' unit='MiB'/></numa></cpu>";
    let xml = machine(name, 256, &guest::boot(), &devices).replace("</os>", more).replace(
        "<memory unit='MiB'>256",
        "<maxMemory slots='2' unit='MiB'>1024</maxMemory><memory unit='MiB'>256",
    );
    let domain = connection.define_domain(xml).await.unwrap();
    domain.start().await.unwrap();
    domain
}

/// Memory that the guest takes as it is asked to; at first nothing of it.
const MEMORY: &str = "<memory model='virtio-mem'><target><size unit='MiB'>128</size><node>0</node>\
                      <block unit='MiB'>2</block><requested unit='MiB'>0</requested></target></memory>";

#[test]
fn the_guests_agent_is_asked() {
    live_within(LIMIT, async {
        let daemon = Daemon::builder().virtlogd().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let network = "<network><name>guests</name><bridge name='virbr90'/>\
                       <ip address='192.168.90.1' netmask='255.255.255.0'>\
                       <dhcp><range start='192.168.90.2' end='192.168.90.99'/></dhcp></ip></network>";
        let network = connection.create_network(network).await.unwrap();
        image(&daemon, "vda.qcow2", "qcow2", "32M");
        let vda = disk(&daemon, "vda.qcow2", "qcow2", "vda");
        let card = format!(
            "<interface type='network'><mac address='{MAC}'/><source network='guests'/><target dev='tap-guest'/>\
             <model type='virtio'/><rom enabled='no'/></interface>"
        );
        let domain = boot(&connection, "asked", &format!("{vda}{card}")).await;
        guest::wait_for_agent(&daemon, &domain).await;
        // Running, since started; and the agent came.
        listener.wait_for("domain asked agent-lifecycle 1 ").await;
        while network.dhcp_leases(Some(MAC)).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        domain.set_agent_response_timeout(20).await.unwrap();
        domain.set_user_password("root", "s3cret").await.unwrap();
        domain
            .set_authorized_ssh_keys("root", ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB other"])
            .await
            .unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        domain.set_time(time).await.unwrap();
        let passed = domain.time().await.unwrap().duration_since(time).unwrap();
        assert!(passed < Duration::from_secs(60), "{passed:?}");
        listener.wait_for("domain asked rtc-change ").await;
        assert_eq!(domain.fs_freeze(["/disk"]).await.unwrap(), 1);
        assert_eq!(domain.fs_thaw([] as [&str; 0]).await.unwrap(), 1);
        domain.fs_trim(None, 0).await.unwrap();
        domain.set_guest_vcpus("0", true).await.unwrap();
        domain.set_memory_stats_period_with(1, DomainMemoryModFlags::LIVE).await.unwrap();

        let setup = "import libvirt_qemu, json\ndomain = connection.lookupByName('asked')\n\
                     network = connection.networkLookupByName('guests')\n\
                     def agent(command): return libvirt_qemu.qemuAgentCommand(domain, command, 5, 0)";
        let mut both = Comparison::new(&daemon, QEMU, setup);
        both.same("domain.hostname(2)", domain.hostname_with(DomainGetHostnameFlags::AGENT).await.unwrap());
        both.same("domain.hostname(1)", domain.hostname_with(DomainGetHostnameFlags::LEASE).await.unwrap());
        both.same("domain.getTime()['seconds'] // 100", 17_000_000);
        let systems = domain.fs_info().await.unwrap();
        both.same("domain.fsInfo()", {
            let one = |info: &libvirt_client::results::DomainFsInfo| {
                let aliases = format!("{:?}", info.device_aliases).replace('"', "'");
                format!("('{}', '{}', '{}', {aliases})", info.mount_point, info.name, info.fs_type)
            };
            format!("[{}]", systems.iter().map(one).collect::<Vec<_>>().join(", "))
        });
        assert_eq!((systems.len(), systems[0].mount_point.as_str()), (1, "/disk"));
        both.same_params("domain.guestVcpus()", domain.guest_vcpus().await.unwrap());
        // What the guest is: its load and the bytes that it uses change.
        let types = DomainGuestInfoTypes::OS | DomainGuestInfoTypes::HOSTNAME | DomainGuestInfoTypes::DISKS;
        let info = domain.guest_info(types).await.unwrap();
        both.same_params(&format!("domain.guestInfo({})", types.bits()), info.clone());
        assert!(
            typed(info).iter().any(|(name, value)| name == "hostname" && *value == TypedValue::from("guest"))
        );
        for source in [DomainInterfaceAddressesSource::LEASE, DomainInterfaceAddressesSource::AGENT] {
            let interfaces = domain.interface_addresses(source).await.unwrap();
            assert!(interfaces.iter().any(|one| one.mac.as_deref() == Some(MAC)), "{interfaces:?}");
            let ours = interfaces.iter().flat_map(|one| {
                one.addresses.iter().map(move |address| {
                    let mac = one.mac.as_deref().unwrap_or("None");
                    format!("{} {mac} {} {} {}", one.name, address.kind.0, address.address, address.prefix)
                })
            });
            let theirs = format!(
                "names(f\"{{name}} {{one['hwaddr']}} {{address['type']}} {{address['addr']}} {{address['prefix']}}\" \
                 for name, one in domain.interfaceAddresses({}).items() for address in one['addrs'] or [])",
                source.0
            );
            both.same(theirs, sorted(ours));
        }
        both.either(
            "len(domain.interfaceAddresses(2))",
            domain.interface_addresses(DomainInterfaceAddressesSource::ARP).await,
            |interfaces| interfaces.len().to_string(),
        );
        let leases = network.dhcp_leases(None).await.unwrap();
        both.same("network.DHCPLeases()", {
            let text =
                |text: &Option<String>| text.as_ref().map_or("None".to_owned(), |text| format!("'{text}'"));
            let one = |lease: &libvirt_client::results::NetworkDhcpLease| {
                format!(
                    "{{'iface': '{}', 'expirytime': {}, 'type': {}, 'mac': {}, 'ipaddr': '{}', 'prefix': {}, \
                     'hostname': {}, 'clientid': {}, 'iaid': {}}}",
                    lease.interface_name,
                    lease.expires_at_s,
                    lease.kind.0,
                    text(&lease.mac),
                    lease.address,
                    lease.prefix,
                    text(&lease.hostname),
                    text(&lease.client_id),
                    text(&lease.iaid)
                )
            };
            format!("[{}]", leases.iter().map(one).collect::<Vec<_>>().join(", "))
        });
        let stats = domain.memory_stats().await.unwrap();
        assert!(stats.usable_kib.is_some(), "the guest's driver tells of its memory: {stats:?}");
        // In the order of the guest's agent.
        let keys = domain.authorized_ssh_keys("root").await.unwrap();
        assert_eq!(sorted(keys.clone()), "[ssh-ed25519 AAAA one, ssh-ed25519 BBBB other]");
        both.same("domain.authorizedSSHKeysGet('root')", format!("{keys:?}").replace('"', "'"));
        both.refused("domain.authorizedSSHKeysGet('nobody')", domain.authorized_ssh_keys("nobody").await);
        let ping = domain.qemu_agent_command(r#"{"execute": "guest-ping"}"#, 5).await.unwrap();
        both.same(r#"agent('{"execute": "guest-ping"}')"#, ping.unwrap());
        both.refused(r#"agent('{"execute": "nonsense"}')"#, {
            domain.qemu_agent_command(r#"{"execute": "nonsense"}"#, 5).await
        });
        both.refused("domain.setGuestVcpus('9', 1)", domain.set_guest_vcpus("9", true).await);
        both.refused("domain.fSTrim('/disk', 0)", domain.fs_trim(Some("/disk"), 0).await);
        both.check();

        // Asleep and awake again.
        domain.pm_suspend_for_duration(NodeSuspendTarget::MEM, Duration::ZERO).await.unwrap();
        listener.wait_for("domain asked pm-suspend 0").await;
        assert_eq!(daemon.virsh(QEMU, &["domstate", "asked"]), "pmsuspended");
        assert_eq!(domain.state().await.unwrap().state, DomainState::PMSUSPENDED);
        domain.pm_wakeup().await.unwrap();
        listener.wait_for("domain asked pm-wakeup 0").await;
        guest::wait_for_agent(&daemon, &domain).await;
        domain.shutdown_with(DomainShutdownFlags::GUEST_AGENT).await.unwrap();
        listener.wait_for("domain asked lifecycle 6 ").await;
        listener.wait_for("domain asked lifecycle 5 0").await;
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", "asked"]), "shut off (shutdown)");
        listener.agree().await;
    });
}

#[test]
fn a_guest_causes_events() {
    live_within(LIMIT, async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        image(&daemon, "vda.qcow2", "qcow2", "32M");
        // A file system that is full before the disk on it is.
        let small = daemon.directory().join("small");
        fs::create_dir(&small).unwrap();
        daemon.shell(&format!(
            "mount -t tmpfs -o size=2m tmpfs {0} && truncate -s 8M {0}/vdb.img",
            small.display()
        ));
        let vdb = disk(&daemon, "small/vdb.img", "raw", "vdb")
            .replace("type='raw'/>", "type='raw' error_policy='stop'/>");
        let disks = format!("{}{vdb}", disk(&daemon, "vda.qcow2", "qcow2", "vda"));
        let domain = boot(&connection, "busy", &format!("{disks}{MEMORY}")).await;
        guest::wait_for_agent(&daemon, &domain).await;

        domain.set_block_threshold("vda", 1 << 20).await.unwrap();
        guest::run(&domain, "dd if=/dev/urandom of=/disk/file bs=64k count=64 conv=fsync").await;
        listener.wait_for("domain busy block-threshold vda ").await;
        domain.set_memory_with(200_000, DomainMemoryModFlags::LIVE).await.unwrap();
        listener.wait_for("domain busy balloon-change ").await;
        // The device as it is, but for the size.
        let xml = domain.xml().await.unwrap();
        let memory =
            xml.split("<memory model").nth(1).and_then(|rest| rest.split("</memory>").next()).unwrap();
        let memory = memory.replace("<requested unit='KiB'>0<", "<requested unit='KiB'>65536<");
        domain.update_device(format!("<memory model{memory}</memory>")).await.unwrap();
        listener.wait_for("domain busy memory-device-size-change virtiomem0 65536").await;
        domain.set_vcpus(2).await.unwrap();
        guest::run(&domain, "dd if=/dev/urandom of=/dev/vdb bs=64k count=100 conv=fsync").await;
        listener.wait_for("domain busy io-error ").await;
        listener.wait_for("domain busy io-error-reason ").await;
        listener.wait_for("domain busy lifecycle 3 2").await;
        let errors = domain.disk_errors().await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, "busy");
        both.same("domain.diskErrors()", format!("{{'{}': {}}}", errors[0].disk, errors[0].error.0));
        assert_eq!((errors.len(), errors[0].disk.as_str()), (1, "vdb"));
        let state = domain.state().await.unwrap();
        assert_eq!(state.state, DomainState::PAUSED);
        both.same("domain.state()", format!("[{}, {}]", state.state.0, state.reason.number()));
        both.check();
        daemon.shell(&format!("mount -o remount,size=16m {}", small.display()));
        domain.resume().await.unwrap();
        guest::wait_for_agent(&daemon, &domain).await;
        domain.set_vcpu_with("1", false, DomainModificationImpact::CONFIG).await.ok();

        domain.reboot_with(DomainRebootFlags::GUEST_AGENT).await.unwrap();
        listener.wait_for("domain busy reboot").await;
        listener.wait_for("domain busy agent-lifecycle 2 ").await;
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}
