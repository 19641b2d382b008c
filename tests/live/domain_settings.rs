//! The settings of domains: what we set, libvirt's Python binding reads, and what it reads, we read.

use libvirt_client::{
    CpuMap,
    enums::{
        DomainLifecycle, DomainLifecycleAction, DomainMemoryModFlags, DomainMetadataType,
        DomainModificationImpact, DomainStatsTypes, DomainVcpuFlags,
    },
    fields,
    results::{DomainIothreadInfo, DomainStatsRecord},
};

use crate::{
    simulated,
    support::{
        daemon::said,
        live,
        python::{dictionary, list},
    },
    test_domain, test_machine,
};

const WEB: &str = "domain = connection.lookupByName('web')";
const TEST: &str = "domain = connection.lookupByName('test')";
const LIVE: DomainModificationImpact = DomainModificationImpact::LIVE;
const CONFIG: DomainModificationImpact = DomainModificationImpact::CONFIG;

#[test]
fn memory_and_autostart_are_set_and_read_back() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_domain("web")).await.unwrap();
        python.run(WEB);
        assert!(!web.autostart().await.unwrap());
        web.set_autostart(true).await.unwrap();
        python.agrees("domain.autostart()", 1);
        assert!(web.autostart().await.unwrap());
        web.set_autostart(false).await.unwrap();
        python.agrees("domain.autostart()", 0);

        let maximum = DomainMemoryModFlags::MAXIMUM | DomainMemoryModFlags::CONFIG;
        web.set_memory_with(8192, maximum).await.unwrap();
        web.set_memory_with(6144, DomainMemoryModFlags::CONFIG).await.unwrap();
        python.agrees("domain.info()[1:3]", "[8192, 6144]");
        python.agrees("domain.maxMemory()", web.max_memory().await.unwrap());
        web.start().await.unwrap();
        web.set_memory(2048).await.unwrap();
        let info = web.info().await.unwrap();
        assert_eq!((info.max_memory_kib, info.memory_kib), (8192, 2048));
        python.agrees("domain.info()[1:3]", list([info.max_memory_kib, info.memory_kib]));
        python.agrees("domain.OSType()", web.os_type().await.unwrap());
    });
}

#[test]
fn virtual_cpus_are_set_and_pinned() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let four = test_domain("web").replace("<vcpu>1</vcpu>", "<vcpu>4</vcpu>");
        let web = connection.define_domain(four).await.unwrap();
        python.run(WEB);
        web.set_vcpus_with(3, DomainVcpuFlags::CONFIG).await.unwrap();
        python.agrees("domain.vcpusFlags(2)", 3);
        assert_eq!(web.vcpu_count_with(DomainVcpuFlags::CONFIG).await.unwrap(), 3);
        assert_eq!(web.vcpu_count_with(DomainVcpuFlags::CONFIG | DomainVcpuFlags::MAXIMUM).await.unwrap(), 4);
        web.start().await.unwrap();
        web.set_vcpus(2).await.unwrap();
        python.agrees("domain.vcpusFlags(1)", web.vcpu_count().await.unwrap());
        python.agrees("domain.maxVcpus()", 4);

        let vcpus = web.vcpus().await.unwrap();
        assert_eq!(vcpus.len(), 2);
        let ours = vcpus.iter().map(|vcpu| {
            let allowed = list(vcpu.allowed.iter());
            format!("[{}, {}, {}, {allowed}]", vcpu.number, vcpu.state.0, vcpu.cpu.unwrap())
        });
        python.agrees(
            "[[one[0], one[1], one[3], cpus(allowed)] for one, allowed in zip(*domain.vcpus())]",
            list(ours),
        );
        web.pin_vcpu(0, [1]).await.unwrap();
        let refused = web.pin_vcpu_with(1, [0, 1], LIVE).await.unwrap_err();
        python.is_refused("domain.pinVcpuFlags(1, (True, True), 1)", &refused);
        let pins = web.vcpu_pin_info().await.unwrap();
        assert_eq!(pins[0], CpuMap::from([1]));
        // Python leaves out those that are not plugged in; virsh does not.
        assert_eq!(pinned(&pins), words(&daemon.virsh(crate::TEST, &["vcpupin", "web"])));
        assert_eq!(web.vcpus().await.unwrap()[0].allowed, CpuMap::from([1]));
        let pins = web.vcpu_pin_info_with(CONFIG).await.unwrap();
        assert_eq!(pins.len(), 4);
        assert_eq!(pinned(&pins), words(&daemon.virsh(crate::TEST, &["vcpupin", "web", "--config"])));

        web.pin_emulator([0]).await.unwrap();
        assert_eq!(web.emulator_pin_info().await.unwrap(), CpuMap::from([0]));
        python.agrees("cpus(domain.emulatorPinInfo())", "[0]");
        web.pin_emulator_with([1], CONFIG).await.unwrap();
        assert_eq!(web.emulator_pin_info_with(CONFIG).await.unwrap(), CpuMap::from([1]));
        python.agrees("cpus(domain.emulatorPinInfo(2))", "[1]");
    });
}

/// Writes on which CPUs each virtual CPU may run, as virsh does, but for spaces.
fn pinned(pins: &[CpuMap]) -> Vec<String> {
    pins.iter().enumerate().map(|(cpu, map)| format!("{cpu} {map}")).collect()
}

fn words(listed: &str) -> Vec<String> {
    listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn threads_for_disks_come_and_go() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        python.run(WEB);
        web.add_iothread_with(7, CONFIG).await.unwrap();
        python.agrees("[one[0] for one in domain.ioThreadInfo(2)]", "[7]");
        web.delete_iothread_with(7, CONFIG).await.unwrap();
        python.agrees("domain.ioThreadInfo(2)", "[]");

        web.start().await.unwrap();
        web.add_iothread(1).await.unwrap();
        web.add_iothread_with(2, LIVE).await.unwrap();
        web.pin_iothread(1, [1]).await.unwrap();
        web.pin_iothread_with(2, [0], LIVE).await.unwrap();
        let show = |threads: Vec<DomainIothreadInfo>| {
            list(threads.iter().map(|one| format!("[{}, {}]", one.iothread_id, list(one.cpus.iter()))))
        };
        let threads = show(web.iothread_info().await.unwrap());
        assert!(threads.starts_with("[[1, [") && threads.contains(", [2, ["), "{threads}");
        let theirs = "[[one[0], cpus(one[1])] for one in domain.ioThreadInfo()]";
        python.agrees(theirs, threads);
        let threads = show(web.iothread_info_with(LIVE).await.unwrap());
        python.agrees("[[one[0], cpus(one[1])] for one in domain.ioThreadInfo(1)]", threads);
        // Nothing reads these back in this libvirt.
        let longest = [(fields::DOMAIN_IOTHREAD_POLL_MAX_NS, 1000_u64)];
        web.set_iothread_parameters(1, longest).await.unwrap();
        web.set_iothread_parameters_with(1, longest, LIVE).await.unwrap();
        let refused = web.set_iothread_parameters(9, longest).await.unwrap_err();
        python.is_refused("domain.setIOThreadParams(9, {'poll_max_ns': 1000})", &refused);
        web.delete_iothread(1).await.unwrap();
        python.agrees("[one[0] for one in domain.ioThreadInfo()]", "[2]");
    });
}

#[test]
fn a_domain_is_described_in_its_own_words() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_domain("web")).await.unwrap();
        python.run(WEB);
        let (description, title) = (DomainMetadataType::DESCRIPTION, DomainMetadataType::TITLE);
        web.set_metadata(description, Some("Sells\nthings"), None, None).await.unwrap();
        web.set_metadata_with(title, Some("Ümläut"), None, None, CONFIG).await.unwrap();
        python.agrees("domain.metadata(0, None)", web.metadata(description, None).await.unwrap().unwrap());
        python.agrees(
            "domain.metadata(1, None, 2)",
            web.metadata_with(title, None, CONFIG).await.unwrap().unwrap(),
        );
        assert_eq!(web.metadata(title, None).await.unwrap().as_deref(), Some("Ümläut"));
        let (element, uri) = (DomainMetadataType::ELEMENT, Some("http://shop/1"));
        web.set_metadata(element, Some("<owner>me</owner>"), Some("shop"), uri).await.unwrap();
        let ours = web.metadata(element, uri).await.unwrap().unwrap();
        assert!(ours.contains("me"), "{ours}");
        python.agrees("domain.metadata(2, 'http://shop/1')", ours);
        web.set_metadata(element, None, Some("shop"), uri).await.unwrap();
        assert_eq!(web.metadata(element, uri).await.unwrap(), None);

        let (reboot, preserve) = (DomainLifecycle::REBOOT, DomainLifecycleAction::PRESERVE);
        web.set_lifecycle_action(reboot, preserve).await.unwrap();
        python.agrees("domain.XMLDesc().count('<on_reboot>preserve</on_reboot>')", 1);
        let (crash, restart) = (DomainLifecycle::CRASH, DomainLifecycleAction::RESTART);
        web.set_lifecycle_action_with(crash, restart, CONFIG).await.unwrap();
        python.agrees("domain.XMLDesc(2).count('<on_crash>restart</on_crash>')", 1);
    });
}

#[test]
fn typed_parameters_of_all_getters_are_those_that_others_get() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        python.run(WEB);
        let mac = "52:54:00:00:00:01";
        // Set, then compared: the getters below read these values.
        let hard = [(fields::DOMAIN_MEMORY_HARD_LIMIT, 700_000_u64)];
        web.set_memory_parameters(hard).await.unwrap();
        web.set_memory_parameters_with(hard, CONFIG).await.unwrap();
        let weight = [(fields::DOMAIN_BLKIO_WEIGHT, 500_u32)];
        web.set_blkio_parameters(weight).await.unwrap();
        web.set_blkio_parameters_with(weight, CONFIG).await.unwrap();
        let nodes = [(fields::DOMAIN_NUMA_NODESET, "0")];
        web.set_numa_parameters(nodes).await.unwrap();
        web.set_numa_parameters_with(nodes, CONFIG).await.unwrap();
        let limit = [
            (fields::DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, 1_000_000_u64),
            (fields::DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX, 2_000_000),
        ];
        web.set_block_io_tune("vda", limit).await.unwrap();
        web.set_block_io_tune_with("vda", limit, CONFIG).await.unwrap();
        let average = [(fields::DOMAIN_BANDWIDTH_IN_AVERAGE, 1000_u32)];
        web.set_interface_parameters(mac, average).await.unwrap();
        web.set_interface_parameters_with(mac, average, CONFIG).await.unwrap();
        web.set_perf_events([("cmt", true)]).await.unwrap();
        web.set_perf_events_with([("mbmt", true)], CONFIG).await.unwrap();

        for (ours, theirs) in [
            (dictionary(web.memory_parameters().await.unwrap()), "domain.memoryParameters()"),
            (dictionary(web.memory_parameters_with(CONFIG).await.unwrap()), "domain.memoryParameters(2)"),
            (dictionary(web.blkio_parameters().await.unwrap()), "domain.blkioParameters()"),
            (dictionary(web.blkio_parameters_with(CONFIG).await.unwrap()), "domain.blkioParameters(2)"),
            (dictionary(web.numa_parameters().await.unwrap()), "domain.numaParameters()"),
            (dictionary(web.numa_parameters_with(CONFIG).await.unwrap()), "domain.numaParameters(2)"),
            (dictionary(web.block_io_tune(Some("vda")).await.unwrap()), "domain.blockIoTune('vda')"),
            (
                dictionary(web.block_io_tune_with(Some("vda"), CONFIG).await.unwrap()),
                "domain.blockIoTune('vda', 2)",
            ),
            (
                dictionary(web.interface_parameters(mac).await.unwrap()),
                "domain.interfaceParameters('52:54:00:00:00:01')",
            ),
            (
                dictionary(web.interface_parameters_with(mac, CONFIG).await.unwrap()),
                "domain.interfaceParameters('52:54:00:00:00:01', 2)",
            ),
            (dictionary(web.perf_events().await.unwrap()), "domain.perfEvents()"),
            (dictionary(web.perf_events_with(CONFIG).await.unwrap()), "domain.perfEvents(2)"),
        ] {
            assert!(!ours.is_empty(), "{theirs}");
            python.agrees(theirs, ours);
        }
        python.agrees("domain.memoryParameters()['hard_limit']", 700_000);
        python.agrees("domain.blkioParameters(2)['weight']", 500);
        python.agrees("domain.blockIoTune('vda')['total_bytes_sec']", 1_000_000);
        python.agrees(&format!("domain.interfaceParameters('{mac}')['inbound.average']"), 1000);
        python.agrees("domain.perfEvents(2)['mbmt']", 1);
        let wrong =
            web.set_memory_parameters([(fields::DOMAIN_MEMORY_HARD_LIMIT, "much")]).await.unwrap_err();
        assert!(wrong.to_string().contains("hard_limit"), "{wrong}");
    });
}

#[test]
fn the_scheduler_is_asked_for_and_its_settings_are_refused_as_others_are() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let domain = connection.domain_by_name("test").await.unwrap();
        python.run(TEST);
        let scheduler = domain.scheduler_type().await.unwrap();
        python.agrees("domain.schedulerType()", list([scheduler.kind, scheduler.nparams.to_string()]));
        // The simulated hypervisor refuses the flag that the daemon itself adds.
        let error = domain.scheduler_parameters().await.unwrap_err();
        python.is_refused("domain.schedulerParametersFlags()", &error);
        let error = domain.scheduler_parameters_with(LIVE).await.unwrap_err();
        python.is_refused("domain.schedulerParametersFlags(1)", &error);
        let weight = [(fields::DOMAIN_SCHEDULER_WEIGHT, 50_u32)];
        domain.set_scheduler_parameters(weight).await.unwrap();
        let refused = domain.set_scheduler_parameters_with(weight, LIVE).await.unwrap_err();
        // Python asks for the parameters first, and does not get as far.
        assert!(
            said(&refused)
                .ends_with("unsupported flags (0x1) in function testDomainSetSchedulerParametersFlags")
        );
    });
}

#[test]
fn statistics_of_many_domains_come_at_once() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let test = connection.domain_by_name("test").await.unwrap();
        let web = connection.define_domain(test_domain("web")).await.unwrap();
        let some = [test.clone(), web];
        let all = connection.domain_stats(&[], DomainStatsTypes::empty()).await.unwrap();
        let named = connection.domain_stats(&some, DomainStatsTypes::STATE).await.unwrap();
        let show = |records: &[DomainStatsRecord]| {
            let mut shown: Vec<String> = Vec::new();
            for record in records {
                shown.push(format!("[{}, {}]", record.domain.name(), dictionary(record.stats.clone())));
            }
            shown.sort();
            list(shown)
        };
        python.agrees(
            "sorted([one.name(), show(stats)] for one, stats in connection.getAllDomainStats())",
            show(&all),
        );
        let python_named = "sorted([one.name(), show(stats)] for one, stats in \
                            connection.domainListGetStats(connection.listAllDomains(), 1))";
        python.agrees(python_named, show(&named));
        assert_eq!(named.len(), 2);
        let record = named.iter().find(|record| record.domain == test).unwrap();
        let state = format!("state.state={}", test.state().await.unwrap().state.0);
        assert!(dictionary(record.stats.clone()).lines().any(|line| line == state));
    });
}
