//! What the simulated hypervisor does not have: our error says what libvirt's Python binding says of the same call.

use std::time::Duration;

use libvirt_client::{
    Connection, Domain, Error, ErrorCode, TypedParams, Uuid,
    enums::{
        DomainAbortJobFlags, DomainDeviceModifyFlags, DomainGraphicsReloadType, DomainGuestInfoTypes,
        DomainModificationImpact, NetworkMetadataType, NodeSuspendTarget, NwFilterDefineFlags,
        SecretUsageType, StorageVolInfoFlags, StorageVolWipeAlgorithm,
    },
    ledger,
};

use crate::{
    simulated,
    support::{Python, daemon::said, live},
    test_machine,
};

/// Makes calls that fail, and Python's beside them.
macro_rules! refused {
    ($python:expr; $($call:expr => $statement:expr,)*) => {
        $(match $call.await {
            Ok(_) => panic!("not refused, unlike {}", $statement),
            Err(error) => $python.is_refused($statement, &error),
        })*
    };
}

const DISK: &str = "<disk type='file' device='disk'><source file='/a.img'/><target dev='vdb'/></disk>";
const CPU: &str = "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>";
const UUID: &str = "00000000-1111-2222-3333-444444444444";

/// A running domain with a disk, `domain` in Python.
async fn running(connection: &Connection, python: &mut Python) -> Domain {
    let web = connection.define_domain(test_machine("web")).await.unwrap();
    web.start().await.unwrap();
    let texts = format!("disk = \"{DISK}\"\ncpu = '{CPU}'\nuuid = '{UUID}'");
    python.run(&format!("import libvirt_qemu\ndomain = connection.lookupByName('web')\n{texts}"));
    web
}

#[test]
fn devices_and_their_jobs() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = running(&connection, &mut python).await;
        let (live, config) = (DomainDeviceModifyFlags::LIVE, DomainDeviceModifyFlags::CONFIG);
        refused! { python;
            web.attach_device(DISK) => "domain.attachDeviceFlags(disk, 0)",
            web.attach_device_with(DISK, live) => "domain.attachDeviceFlags(disk, 1)",
            web.detach_device(DISK) => "domain.detachDeviceFlags(disk, 0)",
            web.detach_device_with(DISK, config) => "domain.detachDeviceFlags(disk, 2)",
            web.update_device(DISK) => "domain.updateDeviceFlags(disk, 0)",
            web.update_device_with(DISK, live) => "domain.updateDeviceFlags(disk, 1)",
            web.detach_device_by_alias("disk0") => "domain.detachDeviceAlias('disk0')",
            web.block_peek("vda", 0, 512) => "domain.blockPeek('vda', 0, 512)",
            web.detailed_block_stats("vda") => "domain.blockStatsFlags('vda')",
            web.block_resize("vda", 1024) => "domain.blockResize('vda', 1024)",
            web.block_job_info("vda") => "domain.blockJobInfo('vda')",
            web.abort_block_job("vda") => "domain.blockJobAbort('vda')",
            web.set_block_job_speed("vda", 1) => "domain.blockJobSetSpeed('vda', 1)",
            web.block_pull("vda", 0) => "domain.blockPull('vda')",
            web.block_rebase("vda", None, 0) => "domain.blockRebase('vda', None)",
            web.block_commit("vda", None, None, 0) => "domain.blockCommit('vda', None, None)",
            web.block_copy("vda", DISK, TypedParams::new()) => "domain.blockCopy('vda', disk)",
            web.set_block_threshold("vda", 1 << 20) => "domain.setBlockThreshold('vda', 1 << 20)",
            web.begin_backup("<domainbackup/>", None) => "domain.backupBegin('<domainbackup/>', None)",
            web.backup_xml() => "domain.backupGetXMLDesc()",
            web.job_info() => "domain.jobInfo()",
            web.job_stats() => "domain.jobStats()",
            web.abort_job() => "domain.abortJob()",
            web.abort_job_with(DomainAbortJobFlags::POSTCOPY) => "domain.abortJobFlags(1)",
        }
    });
}

#[test]
fn settings_of_running_domains() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = running(&connection, &mut python).await;
        let config = DomainModificationImpact::CONFIG;
        refused! { python;
            web.set_vcpu("0", true) => "domain.setVcpu('0', 1)",
            web.set_vcpu_with("0", true, config) => "domain.setVcpu('0', 1, 2)",
            web.set_memory_stats_period(1) => "domain.setMemoryStatsPeriod(1)",
            web.managed_save_xml() => "domain.managedSaveGetXMLDesc()",
            web.define_managed_save(Some("<domain/>")) => "domain.managedSaveDefineXML('<domain/>')",
            web.save_by_parameters([("file", "/saved")]) => "domain.saveParams({'file': '/saved'})",
            connection.restore_domain_by_parameters([("file", "/saved")])
                => "connection.restoreParams({'file': '/saved'})",
            web.launch_security_info() => "domain.launchSecurityInfo()",
            web.set_launch_security_state([("sev-secret", "a")])
                => "domain.setLaunchSecurityState({'sev-secret': 'a'})",
            web.start_dirty_rate_calc(1) => "domain.startDirtyRateCalc(1)",
            web.set_migrate_max_downtime(Duration::from_millis(300)) => "domain.migrateSetMaxDowntime(300)",
            web.migrate_max_downtime() => "last(domain.migrateGetMaxDowntime())",
            web.set_migrate_max_speed(100) => "domain.migrateSetMaxSpeed(100)",
            web.migrate_max_speed() => "domain.migrateGetMaxSpeed()",
            web.migrate_compression_cache() => "last(domain.migrateGetCompressionCache())",
            web.set_migrate_compression_cache(1 << 26) => "domain.migrateSetCompressionCache(1 << 26)",
            web.migrate_start_post_copy() => "domain.migrateStartPostCopy()",
        }
    });
}

#[test]
fn the_agent_and_qemus_monitor() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = running(&connection, &mut python).await;
        let mem = NodeSuspendTarget::MEM;
        refused! { python;
            web.guest_vcpus() => "last(domain.guestVcpus())",
            web.set_guest_vcpus("0", true) => "domain.setGuestVcpus('0', 1)",
            web.guest_info(DomainGuestInfoTypes::OS) => "domain.guestInfo(2)",
            web.set_agent_response_timeout(5) => "domain.agentSetResponseTimeout(5)",
            web.authorized_ssh_keys("root") => "domain.authorizedSSHKeysGet('root')",
            web.set_authorized_ssh_keys("root", ["ssh-ed25519 AAA"])
                => "domain.authorizedSSHKeysSet('root', ['ssh-ed25519 AAA'])",
            web.pm_suspend_for_duration(mem, Duration::ZERO) => "domain.pMSuspendForDuration(0, 0)",
            web.pm_wakeup() => "domain.pMWakeup()",
            web.qemu_monitor_command("{}") => "libvirt_qemu.qemuMonitorCommand(domain, '{}', 0)",
            web.qemu_agent_command("{}", 5) => "libvirt_qemu.qemuAgentCommand(domain, '{}', 5, 0)",
            connection.attach_qemu_process(4711) => "libvirt_qemu.qemuAttach(connection, 4711, 0)",
        }
    });
}

#[test]
fn questions_about_the_host() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        running(&connection, &mut python).await;
        let pages = [("shm_pages_to_scan", 100_u32)];
        refused! { python;
            connection.compare_cpu(CPU) => "connection.compareCPU(cpu)",
            connection.compare_hypervisor_cpu(None, None, None, None, CPU)
                => "connection.compareHypervisorCPU(None, None, None, None, cpu)",
            connection.baseline_hypervisor_cpu(None, None, None, None, [CPU])
                => "connection.baselineHypervisorCPU(None, None, None, None, [cpu])",
            connection.domain_capabilities(None, Some("x86_64"), None, None)
                => "connection.getDomainCapabilities(None, 'x86_64', None, None)",
            connection.storage_pool_capabilities() => "connection.getStoragePoolCapabilities()",
            connection.domain_xml_from_native("qemu-argv", "qemu") => "connection.domainXMLFromNative('qemu-argv', 'qemu')",
            connection.domain_xml_to_native("qemu-argv", "<domain/>")
                => "connection.domainXMLToNative('qemu-argv', '<domain/>')",
            connection.node_memory_stats(None) => "connection.getMemoryStats(-1)",
            connection.node_memory_parameters() => "connection.getMemoryParameters()",
            connection.node_alloc_pages([2048], [0], 0, 1) => "connection.allocPages({2048: 0}, 0, 1)",
            connection.node_suspend_for_duration(NodeSuspendTarget::MEM, Duration::from_secs(60))
                => "connection.suspendForDuration(0, 60)",
            connection.node_sev_info() => "connection.getSEVInfo()",
        }
        // Python asks for them first, and does not get as far.
        let error = connection.set_node_memory_parameters(pages).await.unwrap_err();
        assert_eq!(
            said(&error),
            "3 20 this function is not supported by the connection driver: virNodeSetMemoryParameters"
        );
        // The driver fails without saying why.
        let error = connection.node_free_pages([4], 0, 1).await.unwrap_err();
        python.is_refused("connection.getFreePages([4], 0, 1)", &error);
        assert_eq!(error.code(), Some(ErrorCode::INTERNAL_ERROR));
    });
}

#[test]
fn secrets_and_filters() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        running(&connection, &mut python).await;
        let uuid = UUID.parse::<Uuid>().unwrap();
        let ceph = SecretUsageType::CEPH;
        let flags = NwFilterDefineFlags::VALIDATE;
        refused! { python;
            connection.secrets() => "connection.listAllSecrets()",
            connection.define_secret("<secret/>") => "connection.secretDefineXML('<secret/>')",
            connection.secret_by_uuid(uuid) => "connection.secretLookupByUUIDString(uuid)",
            connection.secret_by_usage(ceph, "key") => "connection.secretLookupByUsage(2, 'key')",
            connection.network_filters() => "connection.listAllNWFilters()",
            connection.network_filter_by_name("quiet") => "connection.nwfilterLookupByName('quiet')",
            connection.network_filter_by_uuid(uuid) => "connection.nwfilterLookupByUUIDString(uuid)",
            connection.define_network_filter("<filter/>") => "connection.nwfilterDefineXML('<filter/>')",
            connection.define_network_filter_with("<filter/>", flags)
                => "connection.nwfilterDefineXMLFlags('<filter/>', 1)",
            connection.network_filter_bindings() => "connection.listAllNWFilterBindings()",
            connection.network_filter_binding_by_port_dev("eth0")
                => "connection.nwfilterBindingLookupByPortDev('eth0')",
            connection.create_network_filter_binding("<filterbinding/>")
                => "connection.nwfilterBindingCreateXML('<filterbinding/>')",
        }
    });
}

#[test]
fn networks_volumes_and_devices_of_the_host() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        running(&connection, &mut python).await;
        python.run("network = connection.networkLookupByName('default')");
        let network = connection.network_by_name("default").await.unwrap();
        let xml = "<pool type='dir'><name>images</name><target><path>/images</path></target></pool>";
        let pool = connection.create_storage_pool(xml).await.unwrap();
        let volume = "<volume><name>disk</name><capacity>4096</capacity></volume>";
        let volume = pool.create_volume(volume).await.unwrap();
        python.run("volume = connection.storagePoolLookupByName('images').storageVolLookupByName('disk')");
        let device = connection.node_device_by_name("computer").await.unwrap();
        python.run("device = connection.nodeDeviceLookupByName('computer')");
        let (wwnn, wwpn) = ("2000000012341234", "1000000012341234");
        python.run(&format!("wwnn, wwpn = '{wwnn}', '{wwpn}'"));
        refused! { python;
            network.dhcp_leases(None) => "network.DHCPLeases()",
            network.ports() => "network.listAllPorts()",
            network.port_by_uuid(UUID.parse::<Uuid>().unwrap()) => "network.portLookupByUUIDString(uuid)",
            network.create_port("<networkport/>") => "network.portCreateXML('<networkport/>')",
            connection.storage_pool_by_target_path("/none")
                => "connection.storagePoolLookupByTargetPath('/none')",
            volume.wipe(StorageVolWipeAlgorithm::ZERO) => "volume.wipePattern(0)",
            volume.resize(8192) => "volume.resize(8192)",
            volume.info_with(StorageVolInfoFlags::GET_PHYSICAL) => "volume.infoFlags(1)",
            device.reattach() => "device.reAttach()",
            device.reset() => "device.reset()",
            device.detach(None) => "device.detachFlags(None)",
            device.undefine() => "device.undefine()",
            device.start() => "device.create()",
            device.autostart() => "device.autostart()",
            device.set_autostart(true) => "device.setAutostart(1)",
            device.is_persistent() => "device.isPersistent()",
            device.is_active() => "device.isActive()",
            connection.define_node_device("<device/>") => "connection.nodeDeviceDefineXML('<device/>')",
            connection.node_device_by_wwn(wwnn, wwpn) => "connection.nodeDeviceLookupSCSIHostByWWN(wwnn, wwpn)",
        }
    });
}

/// Fails unless a daemon that is too old for a procedure says so, by its number.
fn is_unknown(procedure: &str, error: Option<Error>) {
    let name = format!("REMOTE_PROC_{procedure}");
    let number = ledger::entries().find(|entry| entry.name == name).unwrap().number;
    let error = error.unwrap_or_else(|| panic!("{name} is not refused"));
    assert!(error.is_unsupported(), "{error}");
    assert!(error.to_string().contains(&format!("unknown procedure: {number}")), "{error}");
}

#[test]
fn what_is_newer_than_the_daemon() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = running(&connection, &mut python).await;
        let network = connection.network_by_name("default").await.unwrap();
        let device = connection.node_device_by_name("computer").await.unwrap();
        let version = connection.lib_version().await.unwrap();
        let title = NetworkMetadataType::TITLE;
        let limit = [("total_bytes_sec", 1_u64)];
        for (since, procedure, error) in [
            (
                9_007_000,
                "NETWORK_SET_METADATA",
                network.set_metadata(title, Some("a"), None, None).await.err(),
            ),
            (9_007_000, "NETWORK_GET_METADATA", network.metadata(title, None).await.err()),
            (10_001_000, "NODE_DEVICE_UPDATE", device.update("<device/>").await.err()),
            (
                10_002_000,
                "DOMAIN_GRAPHICS_RELOAD",
                web.reload_graphics(DomainGraphicsReloadType::VNC).await.err(),
            ),
            (11_002_000, "DOMAIN_GET_AUTOSTART_ONCE", web.autostart_once().await.err()),
            (11_002_000, "DOMAIN_SET_AUTOSTART_ONCE", web.set_autostart_once(true).await.err()),
            (11_002_000, "DOMAIN_SET_THROTTLE_GROUP", web.set_throttle_group("slow", limit).await.err()),
            (11_002_000, "DOMAIN_DEL_THROTTLE_GROUP", web.delete_throttle_group("slow").await.err()),
            (
                12_005_000,
                "DOMAIN_ANNOUNCE_INTERFACE",
                web.announce_interface(None, TypedParams::new()).await.err(),
            ),
        ] {
            if version < since.into() {
                is_unknown(procedure, error);
            }
        }
    });
}
