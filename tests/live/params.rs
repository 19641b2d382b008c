//! Typed parameters as structs, compared with what libvirt's Python binding says.

use std::{collections::BTreeSet, time::Duration};

use libvirt_client::{
    Connection, Domain, ErrorCode, TypedParams, TypedValue,
    enums::{
        ConnectGetAllDomainStatsFlags, DomainCreateFlags, DomainDirtyRateStatus, DomainGetJobStatsFlags,
        DomainJobOperation, DomainModificationImpact, DomainNumatuneMemMode, DomainState, DomainStatsTypes,
        NetworkPortCreateFlags,
    },
    params::{
        Bandwidth, BlkioParameters, BlockCopyParameters, BlockIoTune, Identity, IothreadParameters,
        LaunchSecurityState, MemoryParameters, MigrationParameters, NodeMemoryParameters, NumaParameters,
        SaveParameters,
    },
    protocol::remote,
};

use crate::{
    QEMU, TEST,
    support::{Daemon, daemon::said, live, wait_until},
};

/// Prints the dictionary `params` as [`as_python`] writes ours.
const PRINT: &str = "for key, value in params.items(): print(key, '=', int(value) if value is True or value is False else value, sep='')";

/// Puts names in an order, one a line.
fn sorted<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: BTreeSet<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    names.into_iter().collect::<Vec<_>>().join("\n")
}

/// Writes parameters as [`PRINT`] does.
fn as_python(params: impl Into<TypedParams>) -> String {
    sorted(params.into().iter().map(|(name, value)| match value {
        TypedValue::Bool(value) => format!("{name}={}", i32::from(*value)),
        value => format!("{name}={value}"),
    }))
}

/// What a call in Python returns for this domain, a name and its value a line, in an order.
fn theirs(daemon: &Daemon, uri: &str, domain: &Domain, call: &str) -> String {
    let program = format!("domain = connection.lookupByName('{}')\nparams = {call}\n{PRINT}", domain.name());
    sorted(daemon.python(uri, &program).lines())
}

#[test]
fn settings_are_given_by_name_and_read_by_name() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let xml = "<domain type='test'><name>disks</name><memory>8192</memory><os><type>hvm</type></os><devices>\
                   <disk type='file' device='disk'><source file='/guest.img'/><target dev='vda'/></disk>\
                   <interface type='bridge'><mac address='52:54:00:00:00:07'/><source bridge='br0'/><target dev='tap7'/>\
                   </interface></devices></domain>";
        let domain = connection.create_domain(xml).await.unwrap();
        let theirs = |call: &str| theirs(&daemon, TEST, &domain, call);

        let limits = MemoryParameters { hard_limit_kib: Some(600_000), ..Default::default() };
        domain.set_memory_parameters(limits).await.unwrap();
        let memory = domain.memory_parameters().await.unwrap();
        assert_eq!(memory.hard_limit_kib, Some(600_000));
        assert_eq!(memory.swap_hard_limit_kib, Some(MemoryParameters::UNLIMITED));
        assert_eq!(as_python(memory), theirs("domain.memoryParameters()"));

        let numa = NumaParameters {
            nodeset: Some("0".to_owned()),
            mode: Some(DomainNumatuneMemMode::STRICT),
            ..Default::default()
        };
        domain.set_numa_parameters(numa.clone()).await.unwrap();
        assert_eq!(domain.numa_parameters().await.unwrap(), numa);
        assert_eq!(as_python(numa), theirs("domain.numaParameters()"));

        let tune = BlockIoTune {
            total_bytes_sec: Some(1_000_000),
            total_bytes_sec_max: Some(2_000_000),
            total_bytes_sec_max_length: Some(Duration::from_secs(7)),
            group_name: Some("slow".to_owned()),
            ..Default::default()
        };
        domain.set_block_io_tune("vda", tune.clone()).await.unwrap();
        let read = domain.block_io_tune(Some("vda")).await.unwrap();
        let expected = BlockIoTune {
            total_bytes_sec: tune.total_bytes_sec,
            total_bytes_sec_max: tune.total_bytes_sec_max,
            total_bytes_sec_max_length: tune.total_bytes_sec_max_length,
            group_name: tune.group_name,
            ..read.clone()
        };
        assert_eq!(read, expected);
        assert!(read.rest.is_empty() && read.read_iops_sec_max_length.is_some(), "{read:?}");
        assert_eq!(as_python(read), theirs("domain.blockIoTune('vda')"));

        // Set by others, and read by us.
        daemon.python(
            TEST,
            "connection.lookupByName('disks').setInterfaceParameters('tap7', \
             {'inbound.average': 100, 'inbound.burst': 30, 'outbound.average': 50, 'outbound.peak': 60})",
        );
        let bandwidth = domain.interface_parameters("tap7").await.unwrap();
        assert_eq!((bandwidth.inbound_average_kb_per_s, bandwidth.inbound_burst_kib), (Some(100), Some(30)));
        assert_eq!(
            (bandwidth.outbound_average_kb_per_s, bandwidth.outbound_peak_kb_per_s),
            (Some(50), Some(60))
        );
        assert!(bandwidth.rest.is_empty(), "{bandwidth:?}");
        assert_eq!(as_python(bandwidth), theirs("domain.interfaceParameters('tap7')"));
        let bandwidth = Bandwidth {
            inbound_average_kb_per_s: Some(7),
            outbound_average_kb_per_s: Some(8),
            ..Default::default()
        };
        domain.set_interface_parameters("tap7", bandwidth).await.unwrap();
        let said = theirs("domain.interfaceParameters('tap7')");
        assert!(said.contains("inbound.average=7\n") && said.contains("outbound.average=8\n"), "{said}");

        // A value of a type that is not the daemon's own goes out as it is, and is refused.
        let wrong = MemoryParameters { rest: [("hard_limit", 1)].into(), ..Default::default() };
        let error = domain.set_memory_parameters(wrong).await.unwrap_err();
        assert!(error.to_string().contains("hard_limit"), "{error}");
    });
}

/// A machine that gets as far as its BIOS, with two disks' images in a chain, an interface without statistics and one with.
fn machine(daemon: &Daemon) -> String {
    let images = daemon.directory().join("lib/images").display().to_string();
    daemon.shell(&format!(
        "cd {images} && qemu-img create -q -f qcow2 base.qcow2 16M && \
         qemu-img create -q -f qcow2 -b {images}/base.qcow2 -F qcow2 top.qcow2"
    ));
    format!(
        "<domain type='qemu'><name>machine</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><iothreads>2</iothreads>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\
         <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{images}/top.qcow2'/>\
         <target dev='vda' bus='virtio'/></disk>\
         <interface type='user'><model type='virtio'/></interface>\
         <interface type='ethernet'><mac address='52:54:00:00:00:02'/><model type='virtio'/></interface>\
         <serial type='pty'/><controller type='usb' model='none'/><memballoon model='virtio'/></devices></domain>"
    )
}

/// Says where a number that others read lies between what we read before and after it; other values are the same.
fn check_between(before: TypedParams, theirs: &str, after: TypedParams) {
    assert_eq!(before.len(), theirs.lines().count());
    assert_eq!(after.len(), before.len());
    for line in theirs.lines() {
        let (name, value) = line.split_once('=').unwrap();
        match (before.get(name), after.get(name)) {
            (Some(TypedValue::Bool(before)), Some(_)) => {
                assert_eq!(i32::from(*before).to_string(), value, "{name}")
            }
            (Some(first), Some(last)) if first == last => assert_eq!(first.to_string(), value, "{name}"),
            (Some(first), Some(last)) => {
                let value: i64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
                let (first, last) = (first.as_i64().unwrap(), last.as_i64().unwrap());
                let range = first.min(last)..=first.max(last);
                assert!(range.contains(&value), "{name} is {value} to them, {range:?} to us");
            }
            _ => panic!("{name} is missing in {before:?}"),
        }
    }
}

#[test]
fn statistics_of_a_machine_are_those_that_others_get() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain =
            connection.create_domain_with(machine(&daemon), DomainCreateFlags::PAUSED).await.unwrap();
        let poll = IothreadParameters {
            poll_max: Some(Duration::from_nanos(1000)),
            poll_grow: Some(2),
            poll_shrink: Some(3),
            ..Default::default()
        };
        domain.set_iothread_parameters(2, poll).await.unwrap();
        domain.start_dirty_rate_calc(1).await.unwrap();
        let only = std::slice::from_ref(&domain);
        let read = async |types, flags| {
            let records = connection.domain_stats_with(only, types, flags).await.unwrap();
            let [record] = &records[..] else { panic!("{records:?}") };
            assert_eq!(record.domain, domain);
            record.stats.clone()
        };
        let none = ConnectGetAllDomainStatsFlags::empty();
        let all = DomainStatsTypes::empty();
        while read(DomainStatsTypes::DIRTYRATE, none).await.dirty_rate.status
            != Some(DomainDirtyRateStatus::MEASURED)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        let before = read(all, none).await;
        let said = theirs(&daemon, QEMU, &domain, "connection.domainListGetStats([domain])[0][1]");
        let after = read(all, none).await;
        check_between(before.into(), &said, after.clone().into());

        // All of it has found its field.
        assert!(!format!("{after:?}").contains("rest:"), "{after:?}");
        assert_eq!((after.state, after.vcpu_maximum), (Some(DomainState::PAUSED), Some(2)));
        assert!(
            after.cpu.time > Some(Duration::ZERO) && after.balloon.current_kib == Some(65536),
            "{after:?}"
        );
        assert_eq!(after.vcpus.iter().map(|vcpu| vcpu.number).collect::<Vec<_>>(), [0, 1]);
        let threads: Vec<_> =
            after.iothreads.iter().map(|one| (one.number, one.poll_max, one.poll_grow)).collect();
        assert_eq!(threads[1], (2, Some(Duration::from_nanos(1000)), Some(2)));
        assert_eq!(after.dirty_rate.period, Some(Duration::from_secs(1)));
        // The first interface has no statistics.
        let interfaces: Vec<_> = after.interfaces.iter().map(|one| (one.number, one.name.clone())).collect();
        assert_eq!((after.interface_count, interfaces), (Some(2), vec![(1, Some("vnet0".to_owned()))]));

        let chain = read(DomainStatsTypes::BLOCK, ConnectGetAllDomainStatsFlags::BACKING).await;
        let call = "connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_BLOCK, \
                    libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING)[0][1]";
        assert_eq!(as_python(chain.clone()), theirs(&daemon, QEMU, &domain, call));
        let images: Vec<_> = chain.blocks.iter().map(|one| (one.name.as_deref(), one.capacity)).collect();
        assert_eq!(images, [(Some("vda"), Some(16 << 20)); 2]);
        assert!(chain.blocks[1].path.as_deref().unwrap().ends_with("/base.qcow2"), "{chain:?}");
        assert_eq!((chain.state, chain.vcpus.len()), (None, 0), "only what was asked for");

        let counters = domain.detailed_block_stats("vda").await.unwrap();
        assert!(counters.read_requests.is_some() && counters.rest.is_empty(), "{counters:?}");
        assert_eq!(as_python(counters), theirs(&daemon, QEMU, &domain, "domain.blockStatsFlags('vda')"));
    });
}

#[test]
fn a_machine_takes_settings_and_tells_of_its_jobs() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain = connection.define_domain(machine(&daemon)).await.unwrap();
        let theirs = |call: &str| theirs(&daemon, QEMU, &domain, call);
        let config = DomainModificationImpact::CONFIG;

        let weight = BlkioParameters { weight: Some(500), ..Default::default() };
        domain.set_blkio_parameters_with(weight, config).await.unwrap();
        let blkio = domain.blkio_parameters_with(config).await.unwrap();
        assert_eq!((blkio.weight, blkio.rest.len()), (Some(500), 0), "{blkio:?}");
        assert_eq!(as_python(blkio), theirs("domain.blkioParameters(2)"));
        let limits = MemoryParameters { soft_limit_kib: Some(50_000), ..Default::default() };
        domain.set_memory_parameters_with(limits, config).await.unwrap();
        let memory = domain.memory_parameters_with(config).await.unwrap();
        assert_eq!((memory.soft_limit_kib, memory.rest.len()), (Some(50_000), 0), "{memory:?}");
        assert_eq!(as_python(memory), theirs("domain.memoryParameters(2)"));

        domain.start().await.unwrap();
        let tune = BlockIoTune { read_iops_sec: Some(300), size_iops_sec: Some(4096), ..Default::default() };
        domain.set_block_io_tune("vda", tune).await.unwrap();
        let tune = domain.block_io_tune(Some("vda")).await.unwrap();
        assert_eq!((tune.read_iops_sec, tune.size_iops_sec), (Some(300), Some(4096)));
        assert_eq!(as_python(tune), theirs("domain.blockIoTune('vda')"));

        let host = connection.node_memory_parameters().await.unwrap();
        assert!(
            host.sleep.is_some() && host.merge_across_nodes.is_some() && host.rest.is_empty(),
            "{host:?}"
        );
        let program = format!("params = connection.getMemoryParameters()\n{PRINT}");
        assert_eq!(as_python(host), sorted(daemon.python(QEMU, &program).lines()));
        let error = connection.node_sev_info().await.unwrap_err();
        assert_eq!(said(&error), daemon.python_error(QEMU, "connection.getSEVInfo()"));
        let security = domain.launch_security_info().await.unwrap();
        assert_eq!(as_python(security), theirs("domain.launchSecurityInfo()"));

        let copy = daemon.directory().join("lib/images/copy.qcow2").display().to_string();
        let target = format!("<disk type='file'><driver type='qcow2'/><source file='{copy}'/></disk>");
        let slowly = BlockCopyParameters {
            bandwidth_bytes_per_s: Some(4 << 20),
            granularity: Some(65536),
            buf_size: Some(1 << 20),
            ..Default::default()
        };
        let transient = libvirt_client::enums::DomainBlockCopyFlags::TRANSIENT_JOB;
        domain.block_copy_with("vda", target, slowly, transient).await.unwrap();
        let mirror = domain.qemu_monitor_command("{\"execute\": \"query-block-jobs\"}").await.unwrap();
        assert!(mirror.contains("\"speed\":4194304"), "{mirror}");
        domain.abort_block_job("vda").await.unwrap();

        let file = daemon.directory().join("saved").display().to_string();
        let place = SaveParameters { file: Some(file), ..Default::default() };
        domain.save_by_parameters(place.clone()).await.unwrap();
        let completed = DomainGetJobStatsFlags::COMPLETED | DomainGetJobStatsFlags::KEEP_COMPLETED;
        let job = domain.job_stats_with(completed).await.unwrap();
        assert_eq!(job.stats.operation, Some(DomainJobOperation::SAVE), "{job:?}");
        assert!(job.stats.time_elapsed > Some(Duration::ZERO) && job.stats.rest.is_empty(), "{job:?}");
        let ours =
            sorted(as_python(job.stats).lines().map(str::to_owned).chain([format!("type={}", job.kind.0)]));
        assert_eq!(ours, theirs("domain.jobStats(1 | 2)"));

        connection.restore_domain_by_parameters(place).await.unwrap();
        assert!(domain.is_active().await.unwrap());
        let idle = domain.job_stats().await.unwrap();
        assert_eq!((idle.kind.0, TypedParams::from(idle.stats).len()), (0, 0));
        wait_until(|| daemon.virsh(QEMU, &["domstate", "machine"]) == "running").await;
    });
}

#[test]
fn a_network_port_has_a_bandwidth() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let network = "<network><name>bare</name><bridge name='virbr9'/></network>";
        let network = connection.create_network(network).await.unwrap();
        let uuid = "7ae53fa4-0d3e-4d5b-a4a4-0123456789ab";
        let port = format!(
            "<networkport><uuid>{uuid}</uuid><owner><name>web</name><uuid>12345678-1234-1234-1234-123456789012</uuid></owner>\
             <mac address='52:54:00:00:00:08'/><bandwidth><inbound average='100' burst='30'/></bandwidth>\
             <plug type='network' bridge='virbr9'/></networkport>"
        );
        let port = network.create_port_with(port, NetworkPortCreateFlags::RECLAIM).await.unwrap();
        let theirs = || {
            let port = format!("connection.networkLookupByName('bare').portLookupByUUIDString('{uuid}')");
            sorted(daemon.python(QEMU, &format!("params = {port}.parameters()\n{PRINT}")).lines())
        };
        let bandwidth = port.parameters().await.unwrap();
        assert_eq!((bandwidth.inbound_average_kb_per_s, bandwidth.inbound_burst_kib), (Some(100), Some(30)));
        assert_eq!(as_python(bandwidth.clone()), theirs());
        let faster = Bandwidth { inbound_average_kb_per_s: Some(200), ..bandwidth };
        port.set_parameters(faster).await.unwrap();
        let bandwidth = port.parameters().await.unwrap();
        assert_eq!(
            (bandwidth.inbound_average_kb_per_s, bandwidth.rest.len()),
            (Some(200), 0),
            "{bandwidth:?}"
        );
        assert_eq!(as_python(bandwidth), theirs());
    });
}

/// A daemon takes each name in one type only, and says so where it is another.
#[test]
fn all_settings_are_sent_in_the_types_that_daemons_take() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain = connection.define_domain(machine(&daemon)).await.unwrap();
        let config = DomainModificationImpact::CONFIG;

        // What was read can be set again.
        let memory = domain.memory_parameters_with(config).await.unwrap();
        domain.set_memory_parameters_with(memory, config).await.unwrap();
        let blkio = domain.blkio_parameters_with(config).await.unwrap();
        domain.set_blkio_parameters_with(blkio, config).await.unwrap();
        let mut numa = domain.numa_parameters_with(config).await.unwrap();
        numa.nodeset = Some("0".to_owned());
        domain.set_numa_parameters_with(numa, config).await.unwrap();
        let bandwidth = domain.interface_parameters_with("52:54:00:00:00:02", config).await.unwrap();
        domain.set_interface_parameters_with("52:54:00:00:00:02", bandwidth, config).await.unwrap();
        domain.start().await.unwrap();
        let mut tune = domain.block_io_tune(Some("vda")).await.unwrap();
        (tune.total_bytes_sec, tune.total_iops_sec) = (Some(1_000_000), Some(300));
        domain.set_block_io_tune("vda", tune).await.unwrap();
        let host = connection.node_memory_parameters().await.unwrap();
        let settable = NodeMemoryParameters {
            pages_to_scan: host.pages_to_scan,
            sleep: host.sleep,
            merge_across_nodes: host.merge_across_nodes,
            ..Default::default()
        };
        connection.set_node_memory_parameters(settable).await.unwrap();

        let threads = IothreadParameters {
            poll_max: Some(Duration::from_micros(5)),
            poll_grow: Some(1),
            poll_shrink: Some(1),
            thread_pool_min: Some(1),
            thread_pool_max: Some(4),
            ..Default::default()
        };
        domain.set_iothread_parameters(1, threads).await.unwrap();

        let text = || Some("text".to_owned());
        let identity = Identity {
            user_name: text(),
            unix_user_id: Some(0),
            group_name: text(),
            unix_group_id: Some(0),
            process_id: Some(1),
            process_time: Some(1),
            sasl_user_name: text(),
            x509_distinguished_name: text(),
            selinux_context: text(),
            ..Default::default()
        };
        connection.set_identity(identity).await.unwrap();

        let secret = LaunchSecurityState {
            sev_secret_header: text(),
            sev_secret: text(),
            sev_secret_set_address: Some(1),
            ..Default::default()
        };
        let error = domain.set_launch_security_state(secret).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::OPERATION_UNSUPPORTED), "{error}");
        let error = domain.set_launch_security_state([("sev-secret-set-address", 1)]).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_ARG), "of another type: {error}");

        let by_name = remote::DomainLookupByNameArgs { name: "machine".to_owned() };
        let dom = connection.client().call(by_name).await.unwrap().dom;
        let begin = async |params: TypedParams| {
            let params = params.into_iter().map(Into::into).collect();
            let arguments = remote::DomainMigrateBegin3ParamsArgs { dom: dom.clone(), params, flags: 0 };
            connection.client().call(arguments).await.unwrap_err()
        };
        let error = begin(migration().into()).await;
        assert_eq!(error.code(), Some(ErrorCode::MIGRATE_UNSAFE), "{error}");
        let error = begin(TypedParams::from(MigrationParameters::default()).with("disks_port", 1_u32)).await;
        assert_eq!(error.code(), Some(ErrorCode::INVALID_ARG), "of another type: {error}");
    });
}

/// All that libvirt 9.0 knows.
fn migration() -> MigrationParameters {
    let text = || Some("text".to_owned());
    MigrationParameters {
        migrate_uri: text(),
        destination_name: text(),
        destination_xml: text(),
        persistent_xml: text(),
        bandwidth_mib_per_s: Some(1),
        postcopy_bandwidth_mib_per_s: Some(1),
        graphics_uri: text(),
        listen_address: text(),
        disks_port: Some(1),
        disks_uri: text(),
        compression_mt_level: Some(1),
        compression_mt_threads: Some(1),
        compression_mt_dthreads: Some(1),
        compression_xbzrle_cache: Some(1),
        auto_converge_initial: Some(1),
        auto_converge_increment: Some(1),
        parallel_connections: Some(1),
        tls_destination: text(),
        migrate_disks: vec!["vda".to_owned(), "vdb".to_owned()],
        compression: vec!["mt".to_owned(), "xbzrle".to_owned()],
        ..Default::default()
    }
}
