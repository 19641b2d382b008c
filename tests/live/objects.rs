//! The objects and their methods, compared with what libvirt's Python binding says of the same daemon.

use std::collections::BTreeSet;

use libvirt_client::{
    Connection, CpuMap, TypedParams, TypedValue,
    enums::{
        DomainCheckpointXmlFlags, DomainDeviceModifyFlags, DomainModificationImpact, DomainSnapshotXmlFlags,
        DomainVcpuFlags, NetworkUpdateCommand, NetworkUpdateFlags, NetworkUpdateSection, StorageVolType,
    },
    fields,
};

use crate::{
    TEST,
    support::{Daemon, daemon::said, live},
    test_domain,
};

/// Puts names in an order, one a line.
pub(crate) fn sorted<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: BTreeSet<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    names.into_iter().collect::<Vec<_>>().join("\n")
}

/// What Python prints, a name a line, in an order.
fn theirs(daemon: &Daemon, program: &str) -> String {
    sorted(daemon.python(TEST, program).lines())
}

/// As Python prints a dictionary of parameters.
pub(crate) fn as_python(params: impl Into<TypedParams>) -> String {
    sorted(params.into().iter().map(|(name, value)| match value {
        TypedValue::Bool(value) => format!("{name}={}", i32::from(*value)),
        value => format!("{name}={value}"),
    }))
}

/// Prints the dictionary `params` so.
pub(crate) const PRINT: &str = "for key, value in params.items(): print(key, '=', int(value) if value is True or value is False else value, sep='')";

#[test]
fn objects_of_every_kind_are_listed_and_found_again() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();

        let networks = connection.networks().await.unwrap();
        let ours = sorted(networks.iter().map(|network| format!("{} {}", network.name(), network.uuid())));
        let program = "for one in connection.listAllNetworks(): print(one.name(), one.UUIDString())";
        assert_eq!(ours, theirs(&daemon, program));
        let network = connection.network_by_name("default").await.unwrap();
        assert_eq!(network, connection.network_by_uuid(network.uuid()).await.unwrap());
        assert_eq!(networks, [network]);
        let inactive = connection.networks().inactive().await.unwrap();
        assert_eq!(inactive, []);

        let pools = connection.storage_pools().await.unwrap();
        let ours = sorted(pools.iter().map(|pool| format!("{} {}", pool.name(), pool.uuid())));
        let program = "for one in connection.listAllStoragePools(): print(one.name(), one.UUIDString())";
        assert_eq!(ours, theirs(&daemon, program));

        let interfaces = connection.interfaces().await.unwrap();
        let ours =
            sorted(interfaces.iter().map(|interface| format!("{} {}", interface.name(), interface.mac())));
        let program = "for one in connection.listAllInterfaces(): print(one.name(), one.MACString())";
        assert_eq!(ours, theirs(&daemon, program));
        assert_eq!(interfaces[0], connection.interface_by_mac(interfaces[0].mac()).await.unwrap());

        let devices = connection.node_devices().await.unwrap();
        let mut ours = Vec::new();
        for device in &devices {
            let parent = device.parent_name().await.unwrap().unwrap_or_else(|| "None".to_owned());
            ours.push(format!("{} {parent} {:?}", device.name(), device.caps().await.unwrap()));
        }
        let program = "for one in connection.listAllDevices():\n    \
                       caps = '[' + ', '.join('\"' + cap + '\"' for cap in one.listCaps()) + ']'\n    \
                       print(one.name(), one.parent(), caps)";
        assert_eq!(sorted(ours), theirs(&daemon, program));
        assert!(!devices.is_empty() && !pools.is_empty());

        assert!(connection.find_network_by_name("none").await.unwrap().is_none());
        assert!(connection.find_storage_pool_by_name("none").await.unwrap().is_none());
        assert!(connection.find_node_device_by_name("none").await.unwrap().is_none());
        assert!(connection.find_interface_by_name("none").await.unwrap().is_none());
        assert!(connection.find_storage_vol_by_path("/none").await.unwrap().is_none());
    });
}

#[test]
fn the_host_is_described_as_it_is_to_others() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let info = connection.node_info().await.unwrap();
        let ours = format!(
            "{} {} {} {} {} {} {} {}",
            info.model,
            info.memory_kib / 1024,
            info.cpus,
            info.mhz,
            info.nodes,
            info.sockets,
            info.cores,
            info.threads
        );
        assert_eq!(ours, daemon.python(TEST, "print(*connection.getInfo())"));
        let map = connection.node_cpu_map().await.unwrap();
        let program = "cpus, online, count = connection.getCPUMap()\n\
                       print(cpus, count, [index for index, is_on in enumerate(online) if is_on])";
        let online: Vec<u32> = map.online.iter().collect();
        assert_eq!(format!("{} {} {online:?}", map.cpus, map.online.count()), daemon.python(TEST, program));
        assert_eq!(
            u64::from(connection.hypervisor_version().await.unwrap()).to_string(),
            daemon.python(TEST, "print(connection.getVersion())")
        );
        assert_eq!(
            sorted(connection.cpu_model_names("x86_64").await.unwrap()),
            theirs(&daemon, "for name in connection.getCPUModelNames('x86_64'): print(name)")
        );
        let cells = connection.node_cells_free_memory(0, 2).await.unwrap();
        assert_eq!(format!("{cells:?}"), daemon.python(TEST, "print(connection.getCellsFreeMemory(0, 2))"));
    });
}

#[test]
fn a_domains_settings_are_set_and_read_back() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let web = connection.define_domain(test_domain("web")).await.unwrap();
        let python =
            |print: &str| daemon.python(TEST, &format!("domain = connection.lookupByName('web')\n{print}"));
        assert!(!web.is_active().await.unwrap() && web.is_persistent().await.unwrap());
        assert!(!web.autostart().await.unwrap());
        web.set_autostart(true).await.unwrap();
        assert_eq!(python("print(domain.autostart())"), "1");
        assert!(web.autostart().await.unwrap());

        web.start().await.unwrap();
        assert!(web.is_active().await.unwrap());
        web.set_memory(2048).await.unwrap();
        let info = web.info().await.unwrap();
        assert_eq!(
            format!("{} {}", info.max_memory_kib, info.memory_kib),
            python("print(*domain.info()[1:3])")
        );
        assert_eq!(info.memory_kib, 2048);
        assert_eq!(web.max_memory().await.unwrap().to_string(), python("print(domain.maxMemory())"));
        assert_eq!(web.os_type().await.unwrap(), python("print(domain.OSType())"));
        let live = web.vcpu_count_with(DomainVcpuFlags::LIVE | DomainVcpuFlags::MAXIMUM).await.unwrap();
        assert_eq!(live.to_string(), python("print(domain.maxVcpus())"));

        let vcpus = web.vcpus().await.unwrap();
        let program = "for info, allowed in zip(*domain.vcpus()):\n    \
                       print(info[0], info[1], info[3], ','.join(str(cpu) for cpu, on in enumerate(allowed) if on))";
        let ours: Vec<String> = vcpus
            .iter()
            .map(|vcpu| {
                let allowed: Vec<String> = vcpu.allowed.iter().map(|cpu| cpu.to_string()).collect();
                format!("{} {} {} {}", vcpu.number, vcpu.state.0, vcpu.cpu.unwrap(), allowed.join(","))
            })
            .collect();
        assert_eq!(ours.join("\n"), python(program));
        web.pin_vcpu(0, [1]).await.unwrap();
        assert_eq!(web.vcpu_pin_info().await.unwrap(), [CpuMap::from([1])]);
        assert_eq!(web.vcpus().await.unwrap()[0].allowed, CpuMap::from([1]));
        let program = "print([[cpu for cpu, on in enumerate(map) if on] for map in domain.vcpuPinInfo()])";
        assert_eq!(python(program), "[[1]]");
    });
}

#[test]
fn typed_parameters_of_all_getters_are_those_that_others_get() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let python = |call: &str| {
            let program = format!("domain = connection.lookupByName('test')\nparams = {call}\n{PRINT}");
            sorted(daemon.python(TEST, &program).lines())
        };
        let config = DomainModificationImpact::CONFIG;
        for (ours, call) in [
            (domain.memory_parameters().await.map(TypedParams::from), "domain.memoryParameters()"),
            (
                domain.memory_parameters_with(config).await.map(TypedParams::from),
                "domain.memoryParameters(2)",
            ),
            (domain.blkio_parameters().await.map(TypedParams::from), "domain.blkioParameters()"),
            (domain.numa_parameters().await.map(TypedParams::from), "domain.numaParameters()"),
        ] {
            let ours = ours.unwrap_or_else(|error| panic!("{call}: {error}"));
            assert!(!ours.is_empty(), "{call}");
            assert_eq!(as_python(ours), python(call), "{call}");
        }

        // The simulated hypervisor refuses the flag that the daemon itself adds.
        let error = domain.scheduler_parameters().await.unwrap_err();
        let statement = "connection.lookupByName('test').schedulerParametersFlags()";
        assert_eq!(said(&error), daemon.python_error(TEST, statement));

        let settings = TypedParams::new().with(fields::DOMAIN_MEMORY_HARD_LIMIT, 700_000_u64);
        domain.set_memory_parameters(settings).await.unwrap();
        let read = domain.memory_parameters().await.unwrap();
        assert_eq!(read.hard_limit_kib, Some(700_000));
        assert_eq!(as_python(read), python("domain.memoryParameters()"));
        let wrong =
            domain.set_memory_parameters([(fields::DOMAIN_MEMORY_HARD_LIMIT, "much")]).await.unwrap_err();
        assert!(wrong.to_string().contains("hard_limit"), "{wrong}");

        for record in
            connection.domain_stats(std::slice::from_ref(&domain), Default::default()).await.unwrap()
        {
            assert_eq!(record.domain, domain);
            assert_eq!(record.stats.state, Some(domain.state().await.unwrap().state), "{record:?}");
        }
    });
}

#[test]
fn pools_and_volumes_come_and_go() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let pool = connection
            .define_storage_pool(
                "<pool type='dir'><name>images</name><target><path>/images</path></target></pool>",
            )
            .await
            .unwrap();
        assert!(!pool.is_active().await.unwrap());
        pool.build().await.unwrap();
        pool.start().await.unwrap();
        pool.refresh().await.unwrap();
        let xml = "<volume><name>disk</name><capacity unit='MiB'>2</capacity></volume>";
        let volume = pool.create_volume(xml).await.unwrap();
        assert_eq!((volume.name(), volume.pool_name()), ("disk", "images"));
        let info = volume.info().await.unwrap();
        assert_eq!((info.kind, info.capacity), (StorageVolType::FILE, 2 * 1024 * 1024));
        let path = volume.path().await.unwrap();
        assert_eq!(
            path,
            daemon.python(
                TEST,
                "print(connection.storagePoolLookupByName('images').storageVolLookupByName('disk').path())"
            )
        );
        for found in [
            pool.volume_by_name("disk").await.unwrap(),
            connection.storage_vol_by_path(&path).await.unwrap(),
            connection.storage_vol_by_key(volume.key()).await.unwrap(),
        ] {
            assert_eq!(found, volume);
        }
        assert_eq!(volume.storage_pool().await.unwrap(), pool);
        let copy = pool.create_volume_from(xml.replace("disk", "copy"), &volume).await.unwrap();
        let ours = sorted(pool.volumes().await.unwrap().iter().map(|volume| volume.name()));
        let program =
            "for one in connection.storagePoolLookupByName('images').listAllVolumes(): print(one.name())";
        assert_eq!((ours.as_str(), ours.as_str()), ("copy\ndisk", theirs(&daemon, program).as_str()));
        let info = pool.info().await.unwrap();
        let program = "print(*connection.storagePoolLookupByName('images').info())";
        let ours = format!("{} {} {} {}", info.state.0, info.capacity, info.allocation, info.available);
        assert_eq!(ours, daemon.python(TEST, program));
        copy.delete().await.unwrap();
        assert!(pool.find_volume_by_name("copy").await.unwrap().is_none());
        pool.destroy().await.unwrap();
        pool.undefine().await.unwrap();
        assert!(connection.find_storage_pool_by_name("images").await.unwrap().is_none());
    });
}

#[test]
fn networks_are_changed_while_they_run() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let network = connection.network_by_name("default").await.unwrap();
        assert_eq!(
            network.bridge_name().await.unwrap(),
            daemon.python(TEST, "print(connection.networkLookupByName('default').bridgeName())")
        );
        let host = "<host mac='52:54:00:00:00:01' name='web' ip='192.168.122.10'/>";
        let (add, section) = (NetworkUpdateCommand::ADD_LAST, NetworkUpdateSection::IP_DHCP_HOST);
        network.update_with(add, section, -1, host, NetworkUpdateFlags::LIVE).await.unwrap();
        let xml = network.xml().await.unwrap();
        assert!(xml.contains("52:54:00:00:00:01"), "{xml}");
        assert_eq!(xml.trim_end(), daemon.virsh(TEST, &["net-dumpxml", "default"]));
        network.destroy().await.unwrap();
        assert!(!network.is_active().await.unwrap());
    });
}

#[test]
fn snapshots_and_checkpoints_make_trees() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let xml = |name: &str| format!("<domainsnapshot><name>{name}</name></domainsnapshot>");
        let first = domain.create_snapshot(xml("first")).await.unwrap();
        let second = domain.create_snapshot(xml("second")).await.unwrap();
        assert_eq!((second.name(), second.domain()), ("second", domain.clone()));
        assert_eq!(second.parent().await.unwrap().as_ref(), Some(&first));
        assert_eq!(first.parent().await.unwrap(), None);
        assert!(second.is_current().await.unwrap() && !first.is_current().await.unwrap());
        assert_eq!(first.children().await.unwrap(), std::slice::from_ref(&second));
        assert_eq!(domain.snapshot_by_name("first").await.unwrap(), first);
        assert!(domain.find_snapshot_by_name("third").await.unwrap().is_none());
        let names = sorted(domain.snapshots().await.unwrap().iter().map(|one| one.name()));
        assert_eq!(names, daemon.virsh(TEST, &["snapshot-list", "test", "--name"]));
        let described = first.xml_with(DomainSnapshotXmlFlags::empty()).await.unwrap();
        assert_eq!(described.trim_end(), daemon.virsh(TEST, &["snapshot-dumpxml", "test", "first"]));
        domain.destroy().await.unwrap();
        first.revert().await.unwrap();
        assert!(domain.is_active().await.unwrap());
        second.delete().await.unwrap();
        first.delete().await.unwrap();
        assert!(!domain.has_current_snapshot().await.unwrap());

        let disk = "<disk type='file' device='disk'><driver type='qcow2'/><source file='/guest.img'/><target dev='vdx'/></disk>";
        match domain.attach_device_with(disk, DomainDeviceModifyFlags::LIVE).await {
            Err(error) => assert!(error.is_unsupported(), "{error}"),
            Ok(()) => assert!(domain.xml().await.unwrap().contains("vdx")),
        }
        let made = domain.create_checkpoint("<domaincheckpoint><name>begin</name></domaincheckpoint>").await;
        let theirs = daemon.python(TEST, "print(len(connection.lookupByName('test').listAllCheckpoints()))");
        let ours = domain.checkpoints().await.unwrap();
        assert_eq!(ours.len().to_string(), theirs);
        if let Ok(checkpoint) = made {
            assert_eq!(ours, std::slice::from_ref(&checkpoint));
            let described = checkpoint.xml_with(DomainCheckpointXmlFlags::NO_DOMAIN).await.unwrap();
            assert!(described.contains("<name>begin</name>"), "{described}");
            checkpoint.delete().await.unwrap();
        }
    });
}
