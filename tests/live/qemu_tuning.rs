//! Settings of a running QEMU machine: processors, memory, shares, threads, and what it tells of itself.

use std::time::Duration;

use libvirt_client::{
    Connection, CpuMap, Domain, TypedParams,
    enums::{
        DomainDirtyRateStatus, DomainLifecycle, DomainLifecycleAction, DomainMemoryModFlags,
        DomainMetadataType, DomainModificationImpact, DomainProcessSignal, DomainStatsTypes, DomainVcpuFlags,
    },
    protocol::remote,
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::Comparison,
        listener::Listener,
        live,
        machine::{disk, image, machine},
        python::{dictionary, list},
    },
};

/// Starts a machine with a disk, a balloon and a network card, and nothing to boot.
async fn start(daemon: &Daemon, connection: &Connection) -> (Domain, String) {
    image(daemon, "vda.qcow2", "qcow2", "16M");
    daemon.shell("ip link add br0 type bridge && ip link set br0 up");
    let card = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>\
                <target dev='tap-tuned'/><model type='virtio'/><rom enabled='no'/></interface>";
    let devices = format!("{}{card}<memballoon model='virtio'/>", disk(daemon, "vda.qcow2", "qcow2", "vda"));
    let name = daemon.unique("tuned");
    let domain = connection.define_domain(machine(&name, 128, "", &devices)).await.unwrap();
    domain.start().await.unwrap();
    (connection.domain_by_name(&name).await.unwrap(), name)
}

#[test]
fn processors_and_threads_are_counted_changed_and_pinned() {
    live(async {
        let daemon = Daemon::builder().cgroups().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let (domain, name) = start(&daemon, &connection).await;
        let (live, config) = (DomainModificationImpact::LIVE, DomainModificationImpact::CONFIG);

        domain.set_vcpus(2).await.unwrap();
        domain.set_vcpus_with(2, DomainVcpuFlags::CONFIG).await.unwrap();
        domain.pin_vcpu(0, [0]).await.unwrap();
        domain.pin_vcpu_with(1, [0], live | config).await.unwrap();
        domain.pin_emulator_with([0], live).await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        for flags in [
            DomainVcpuFlags::LIVE,
            DomainVcpuFlags::CONFIG,
            DomainVcpuFlags::LIVE | DomainVcpuFlags::MAXIMUM,
            DomainVcpuFlags::CONFIG | DomainVcpuFlags::MAXIMUM,
        ] {
            let ours = domain.vcpu_count_with(flags).await.unwrap();
            assert_eq!(ours, 2);
            both.same(format!("domain.vcpusFlags({})", flags.bits()), ours);
        }
        let vcpus = domain.vcpus().await.unwrap();
        assert_eq!(vcpus.len(), 2);
        for vcpu in &vcpus {
            let number = vcpu.number;
            both.same(format!("domain.vcpus()[0][{number}][:2]"), format!("({number}, {})", vcpu.state.0));
            both.same(format!("cpus(domain.vcpus()[1][{number}])"), list(vcpu.allowed.iter()));
        }
        for flags in [live, config] {
            for (number, map) in domain.vcpu_pin_info_with(flags).await.unwrap().iter().enumerate() {
                let theirs = format!("cpus(domain.vcpuPinInfo({})[{number}])", flags.bits());
                both.same(theirs, list(map.iter()));
            }
        }
        let emulator = domain.emulator_pin_info_with(live).await.unwrap();
        assert_eq!(emulator, CpuMap::from([0]));
        both.same("cpus(domain.emulatorPinInfo(1))", list(emulator.iter()));
        both.refused("domain.setVcpusFlags(3, 1)", domain.set_vcpus_with(3, DomainVcpuFlags::LIVE).await);
        both.refused("domain.pinVcpu(7, (True,))", domain.pin_vcpu(7, [0]).await);
        // The first processor cannot be taken out.
        both.refused("domain.setVcpu('0', 0, 1)", domain.set_vcpu_with("0", false, live).await);
        both.check();

        domain.add_iothread_with(7, live).await.unwrap();
        domain.pin_iothread_with(7, [0], live).await.unwrap();
        let polling = TypedParams::new().with("poll_max_ns", 1000_u64);
        domain.set_iothread_parameters_with(7, polling, live).await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        let threads = domain.iothread_info_with(live).await.unwrap();
        assert_eq!((threads.len(), threads[0].iothread_id), (1, 7));
        both.same("domain.ioThreadInfo(1)[0][0]", threads[0].iothread_id);
        both.same("cpus(domain.ioThreadInfo(1)[0][1])", list(threads[0].cpus.iter()));
        let stats =
            connection.domain_stats(std::slice::from_ref(&domain), DomainStatsTypes::IOTHREAD).await.unwrap();
        both.same_params(
            "connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_IOTHREAD)[0][1]",
            stats[0].stats.clone(),
        );
        both.refused("domain.addIOThread(7, 1)", domain.add_iothread_with(7, live).await);
        both.check();
        domain.delete_iothread_with(7, live).await.unwrap();
        assert_eq!(domain.iothread_info_with(live).await.unwrap(), []);
        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        both.refused("domain.delIOThread(7, 1)", domain.delete_iothread_with(7, live).await);
        both.check();
        domain.destroy().await.unwrap();
    });
}

#[test]
fn shares_and_limits_are_set_and_told() {
    live(async {
        let daemon = Daemon::builder().cgroups().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let (domain, name) = start(&daemon, &connection).await;
        let config = DomainModificationImpact::CONFIG;

        let shares = domain.set_scheduler_parameters([("cpu_shares", 1024_u64)]).await;
        let quota = domain
            .set_scheduler_parameters_with([("vcpu_quota", -1_i64)], DomainModificationImpact::LIVE)
            .await;
        domain.set_numa_parameters_with([("numa_nodeset", "0")], config).await.unwrap();
        domain.set_blkio_parameters_with([("weight", 500_u32)], config).await.unwrap();
        domain.set_memory_parameters_with([("soft_limit", 1_u64 << 21)], config).await.unwrap();
        let bandwidth = domain
            .set_interface_parameters_with("52:54:00:00:00:01", [("inbound.average", 1000_u32)], config)
            .await;
        bandwidth.unwrap();

        // The older call, which the method has no use for, does the same.
        let arguments = remote::DomainLookupByNameArgs { name: name.clone() };
        let dom = connection.client().call(arguments).await.unwrap().dom;
        let param = remote::TypedParam {
            field: "cpu_shares".to_owned(),
            value: remote::TypedParamValue::Ullong(1024),
        };
        let older = remote::DomainSetSchedulerParametersArgs { dom, params: vec![param] };
        let older = connection.client().call(older).await;
        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        both.either("domain.setSchedulerParameters({'cpu_shares': 1024})", older, |_| "0".to_owned());
        both.either("domain.setSchedulerParameters({'cpu_shares': 1024})", shares, |()| "0".to_owned());
        both.either("domain.setSchedulerParametersFlags({'vcpu_quota': -1}, 1)", quota, |()| "0".to_owned());
        both.either("domain.schedulerType()[0]", domain.scheduler_type().await, |scheduler| scheduler.kind);
        both.either("params(domain.schedulerParameters())", domain.scheduler_parameters().await, dictionary);
        both.either("params(domain.blkioParameters(0))", domain.blkio_parameters().await, dictionary);
        both.either("params(domain.memoryParameters(0))", domain.memory_parameters().await, dictionary);
        both.either("params(domain.numaParameters(0))", domain.numa_parameters().await, dictionary);
        let with = domain.scheduler_parameters_with(config).await.unwrap();
        both.same_params("domain.schedulerParametersFlags(2)", with);
        both.same_params("domain.blkioParameters(2)", domain.blkio_parameters_with(config).await.unwrap());
        both.same_params("domain.memoryParameters(2)", domain.memory_parameters_with(config).await.unwrap());
        both.same_params("domain.numaParameters(2)", domain.numa_parameters_with(config).await.unwrap());
        let card = "52:54:00:00:00:01";
        let limits = domain.interface_parameters_with(card, config).await.unwrap();
        both.same_params("domain.interfaceParameters('52:54:00:00:00:01', 2)", limits);
        both.refused(
            "domain.setMemoryParameters({'swap_hard_limit': 1, 'hard_limit': 2}, 2)",
            domain.set_memory_parameters_with([("swap_hard_limit", 1_u64), ("hard_limit", 2)], config).await,
        );
        both.refused(
            "domain.setNumaParameters({'numa_nodeset': '99'}, 1)",
            domain.set_numa_parameters_with([("numa_nodeset", "99")], DomainModificationImpact::LIVE).await,
        );
        both.either("[sorted(domain.getCPUStats(True)[0])]", domain.cpu_stats_total().await, |stats| {
            let names: Vec<String> = dictionary(stats)
                .lines()
                .filter_map(|line| line.split_once('=').map(|(name, _)| format!("'{name}'")))
                .collect();
            format!("[[{}]]", names.join(", "))
        });
        both.either("len(domain.getCPUStats(False))", domain.cpu_stats().await, |cpus| {
            cpus.len().to_string()
        });
        both.check();
        if domain.scheduler_parameters().await.is_ok() {
            let line = format!("domain {name} tunable {{cputune.cpu_shares=1024}}");
            listener.wait_for(&line).await;
        }
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn memory_is_ballooned_and_watched() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let (domain, name) = start(&daemon, &connection).await;
        domain.set_memory_stats_period(1).await.unwrap();
        domain.set_memory_stats_period_with(2, DomainMemoryModFlags::CONFIG).await.unwrap();
        domain.set_memory(120_000).await.unwrap();
        domain.set_memory_with(100_000, DomainMemoryModFlags::CONFIG).await.unwrap();
        domain.start_dirty_rate_calc(1).await.unwrap();

        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        let info = domain.info().await.unwrap();
        let ours =
            format!("[{}, {}, {}, {}]", info.state.0, info.max_memory_kib, info.memory_kib, info.vcpus);
        both.same("domain.info()[:4]", ours);
        both.same("domain.maxMemory()", domain.max_memory().await.unwrap());
        both.same("domain.XMLDesc(2)", {
            domain.xml_with(libvirt_client::enums::DomainXmlFlags::INACTIVE).await.unwrap()
        });
        let stats = domain.memory_stats().await.unwrap();
        both.same("domain.memoryStats()['actual']", stats.current_kib.unwrap());
        assert!(stats.rest.is_empty(), "{stats:?}");
        both.same("len(domain.memoryStats())", TypedParams::from(stats).len());
        let peeked = domain
            .memory_peek_with(0xffff_ffc0, 64, libvirt_client::enums::DomainMemoryFlags::PHYSICAL)
            .await
            .unwrap();
        // The BIOS below 4 GiB is the same at every read; that below 1 MiB is zeros while it is copied into memory.
        both.same("list(domain.memoryPeek(0xffffffc0, 64, 2))", list(peeked.iter().copied()));
        assert!(peeked.len() == 64 && peeked.iter().any(|byte| *byte != 0));
        let limit = DomainMemoryModFlags::LIVE | DomainMemoryModFlags::MAXIMUM;
        both.refused("domain.setMemoryFlags(262144, 5)", domain.set_memory_with(262_144, limit).await);
        both.refused("domain.setMemory(1 << 30)", domain.set_memory(1 << 30).await);
        both.check();

        // While it is measured, it changes.
        let stats = loop {
            let only = std::slice::from_ref(&domain);
            let stats = connection.domain_stats(only, DomainStatsTypes::DIRTYRATE).await.unwrap();
            if stats[0].stats.dirty_rate.status == Some(DomainDirtyRateStatus::MEASURED) {
                break stats;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        let theirs = "connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_DIRTYRATE)[0][1]";
        both.same_params(theirs, stats[0].stats.clone());
        both.check();
        domain.destroy().await.unwrap();
    });
}

#[test]
fn a_machine_tells_of_itself() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let (domain, name) = start(&daemon, &connection).await;
        let (live, config) = (DomainModificationImpact::LIVE, DomainModificationImpact::CONFIG);
        domain.set_metadata_with(DomainMetadataType::TITLE, Some("A BIOS"), None, None, live).await.unwrap();
        domain
            .set_metadata_with(
                DomainMetadataType::ELEMENT,
                Some("<app/>"),
                Some("x"),
                Some("urn:x"),
                live | config,
            )
            .await
            .unwrap();
        domain
            .set_lifecycle_action_with(DomainLifecycle::REBOOT, DomainLifecycleAction::DESTROY, config)
            .await
            .unwrap();
        domain.set_perf_events([("cmt", false)]).await.unwrap();
        domain.set_migrate_max_speed(100).await.unwrap();
        domain.set_migrate_max_downtime(Duration::from_millis(300)).await.unwrap();
        domain.set_migrate_compression_cache(1 << 26).await.unwrap();

        let mut both = Comparison::of_domain(&daemon, QEMU, &name);
        let state = domain.state().await.unwrap();
        both.same("domain.state()", format!("[{}, {}]", state.state.0, state.reason.number()));
        let control = domain.control_info().await.unwrap();
        both.same("domain.controlInfo()[:2]", format!("[{}, {}]", control.state.0, control.details.0));
        both.same("domain.OSType()", domain.os_type().await.unwrap());
        both.same("domain.XMLDesc()", domain.xml().await.unwrap());
        both.same("domain.ID()", domain.id().unwrap());
        both.same_bool("domain.isActive()", domain.is_active().await.unwrap());
        both.same_bool("domain.isPersistent()", domain.is_persistent().await.unwrap());
        both.same_bool("domain.isUpdated()", domain.is_updated().await.unwrap());
        let label = domain.security_label().await.unwrap();
        let flag = if label.enforcing { "True" } else { "False" };
        both.same("domain.securityLabel()", format!("['{}', {flag}]", label.label));
        both.same("len(domain.securityLabelList())", domain.security_labels().await.unwrap().len());
        let model = connection.node_security_model().await.unwrap();
        both.same("connection.getSecurityModel()", format!("['{}', '{}']", model.model, model.doi));
        let title = domain.metadata_with(DomainMetadataType::TITLE, None, live).await.unwrap().unwrap();
        assert_eq!(title, "A BIOS");
        both.same("domain.metadata(1, None, 1)", title);
        both.same(
            "domain.metadata(2, 'urn:x', 2)",
            domain.metadata_with(DomainMetadataType::ELEMENT, Some("urn:x"), config).await.unwrap().unwrap(),
        );
        assert_eq!(
            domain.metadata_with(DomainMetadataType::ELEMENT, Some("urn:none"), live).await.unwrap(),
            None
        );
        both.same_params("domain.perfEvents()", domain.perf_events().await.unwrap());
        both.same_params("domain.launchSecurityInfo()", domain.launch_security_info().await.unwrap());
        both.same("len(domain.messages())", domain.messages().await.unwrap().len());
        both.same("domain.messages()[0]", &domain.messages().await.unwrap()[0]);
        both.same("len(domain.diskErrors())", domain.disk_errors().await.unwrap().len());
        both.same("domain.jobInfo()[0]", domain.job_info().await.unwrap().kind.0);
        let job = domain.job_stats().await.unwrap();
        both.same_params("{k: v for k, v in domain.jobStats().items() if k != 'type'}", job.stats);
        both.same("domain.jobStats()['type']", job.kind.0);
        both.same("domain.migrateGetMaxSpeed()", domain.migrate_max_speed().await.unwrap());
        both.same("domain.migrateGetMaxDowntime()", domain.migrate_max_downtime().await.unwrap().as_millis());
        both.same("domain.migrateGetCompressionCache()", domain.migrate_compression_cache().await.unwrap());
        both.refused("domain.migrateStartPostCopy()", domain.migrate_start_post_copy().await);
        both.refused("domain.abortJob()", domain.abort_job().await);
        let postcopy = libvirt_client::enums::DomainAbortJobFlags::POSTCOPY;
        both.refused("domain.abortJobFlags(1)", domain.abort_job_with(postcopy).await);
        both.refused(
            "domain.sendProcessSignal(1, 10)",
            domain.send_process_signal(1, DomainProcessSignal::USR1).await,
        );
        both.refused(
            "domain.setLaunchSecurityState({'sev-secret': 'x', 'sev-secret-header': 'x'})",
            domain.set_launch_security_state([("sev-secret", "x"), ("sev-secret-header", "x")]).await,
        );
        both.refused("domain.hostname(2)", domain.hostname().await);
        both.refused("domain.pMWakeup()", domain.pm_wakeup().await);
        let stats = domain.interface_stats("tap-tuned").await.unwrap();
        assert_eq!((stats.rx_errors, stats.tx_errors), (Some(0), Some(0)));
        both.refused("domain.interfaceStats('none')", domain.interface_stats("none").await);
        both.check();

        domain.inject_nmi().await.unwrap();
        domain.suspend().await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", &name]), "paused (user)");
        domain.resume().await.unwrap();
        domain.reset().await.unwrap();
        domain.reboot().await.unwrap();
        domain.shutdown().await.unwrap();
        listener.wait_for(&format!("domain {name} reboot")).await;
        let expected = [
            format!("domain {name} metadata-change 1 None"),
            format!("domain {name} metadata-change 2 urn:x"),
            format!("domain {name} lifecycle 3 0"),
            format!("domain {name} lifecycle 4 0"),
        ];
        for line in expected {
            listener.wait_for(&line).await;
        }
        domain.destroy().await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", &name]), "shut off (destroyed)");
        listener.agree().await;
    });
}
