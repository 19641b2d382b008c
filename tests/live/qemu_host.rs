//! What QEMU's driver says of the host and its processors, and machines that are not running.

use libvirt_client::{
    Connection, Domain, Error, TypedParams,
    enums::{
        ConnectBaselineCpuFlags, ConnectListAllDomainsFlags, CpuCompareResult, DomainCreateFlags,
        DomainDefineFlags, DomainDestroyFlags, DomainUndefineFlags, NodeSuspendTarget,
    },
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::{Comparison, typed},
        listener::Listener,
        live,
        machine::machine,
        python::{dictionary, list, sorted},
    },
};

const CPU: &str = "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>";

#[test]
fn the_host_is_told_as_it_is_told_to_others() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let mut both = Comparison::new(&daemon, QEMU, "");
        both.same("connection.getType()", connection.hypervisor().await.unwrap());
        both.same("connection.getVersion()", u64::from(connection.hypervisor_version().await.unwrap()));
        both.same("connection.getLibVersion()", u64::from(connection.lib_version().await.unwrap()));
        both.same("connection.getHostname()", connection.hostname().await.unwrap());
        both.same("connection.getMaxVcpus('qemu')", connection.max_vcpus(Some("qemu")).await.unwrap());
        both.same("connection.getCapabilities()", connection.capabilities().await.unwrap());
        both.same_bool("connection.isSecure()", connection.is_secure().await.unwrap());
        let info = connection.node_info().await.unwrap();
        both.same("connection.getInfo()", {
            let (memory, numbers) = (info.memory_kib / 1024, (info.cpus, info.mhz, info.nodes));
            let numbers = format!("{}, {}, {}", numbers.0, numbers.1, numbers.2);
            let (sockets, cores, threads) = (info.sockets, info.cores, info.threads);
            format!("['{}', {memory}, {numbers}, {sockets}, {cores}, {threads}]", info.model)
        });
        let map = connection.node_cpu_map().await.unwrap();
        both.same("connection.getCPUMap()[0]", map.cpus);
        both.same("cpus(connection.getCPUMap()[1])", list(map.online.iter()));
        let times = connection.node_cpu_stats(None).await.unwrap();
        assert!(times.rest.is_empty(), "{times:?}");
        let times = TypedParams::from(times);
        both.same("names(connection.getCPUStats(-1))", sorted(times.iter().map(|(name, _)| name)));
        let memory = connection.node_memory_stats(None).await.unwrap();
        both.same("connection.getMemoryStats(-1)['total']", memory.total_kib.unwrap());
        let memory = TypedParams::from(memory);
        both.same("names(connection.getMemoryStats(-1))", sorted(memory.iter().map(|(name, _)| name)));
        both.same("len(connection.getCellsFreeMemory(0, 1))", {
            connection.node_cells_free_memory(0, 1).await.unwrap().len()
        });
        assert!(connection.node_free_memory().await.unwrap() > 1 << 20);
        let pages = connection.node_free_pages([4], 0, 1).await.unwrap();
        both.same("{0: len(connection.getFreePages([4], 0, 1)[0])}", format!("{{0: {}}}", pages.len()));
        both.refused("connection.getFreePages([5], 0, 1)", connection.node_free_pages([5], 0, 1).await);
        both.either(
            "connection.allocPages({2048: 0}, 0, 1)",
            connection.node_alloc_pages([2048], [0], 0, 1).await,
            |cells| cells.to_string(),
        );
        both.either(
            "params(connection.getMemoryParameters())",
            connection.node_memory_parameters().await,
            dictionary,
        );
        both.either("connection.getSysinfo()", connection.sysinfo().await, |xml| xml);
        both.either("params(connection.getSEVInfo())", connection.node_sev_info().await, dictionary);
        let too_short = std::time::Duration::from_secs(1);
        both.refused("connection.suspendForDuration(0, 1)", {
            connection.node_suspend_for_duration(NodeSuspendTarget::MEM, too_short).await
        });
        both.refused("connection.setMemoryParameters({'shm_pages_shared': 1})", {
            connection.set_node_memory_parameters([("shm_pages_shared", 1_u64)]).await
        });
        both.same("connection.setIdentity({'user-name': 'fred'})", {
            connection.set_identity(TypedParams::new().with("user-name", "fred")).await.unwrap();
            0
        });
        both.check();
    });
}

/// Kernel samepage merging is set to what it is already.
#[test]
fn the_hosts_memory_settings_are_taken() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let before = connection.node_memory_parameters().await.unwrap();
        let pages = typed(before).u32("shm_pages_to_scan").unwrap();
        connection.set_node_memory_parameters([("shm_pages_to_scan", pages)]).await.unwrap();
        let mut both = Comparison::new(&daemon, QEMU, "");
        both.same("connection.getMemoryParameters()['shm_pages_to_scan']", pages);
        both.check();
    });
}

#[test]
fn processors_are_compared_and_reduced() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let guest = "<cpu><model>qemu64</model></cpu>";
        let (x86, qemu) = (Some("x86_64"), Some("qemu"));
        let mut both = Comparison::new(&daemon, QEMU, format!("cpu = {CPU:?}\nguest = {guest:?}"));
        both.same("names(connection.getCPUModelNames('x86_64'))", {
            sorted(connection.cpu_model_names("x86_64").await.unwrap())
        });
        both.refused("connection.getCPUModelNames('none')", connection.cpu_model_names("none").await);
        both.same("connection.getDomainCapabilities(None, 'x86_64')", {
            connection.domain_capabilities(None, x86, None, None).await.unwrap()
        });
        both.refused("connection.getDomainCapabilities(None, 'none')", {
            connection.domain_capabilities(None, Some("none"), None, None).await
        });
        both.either("connection.compareCPU(cpu)", connection.compare_cpu(CPU).await, |result| {
            result.0.to_string()
        });
        both.same("connection.baselineCPU([cpu])", connection.baseline_cpu([CPU]).await.unwrap());
        let expand = ConnectBaselineCpuFlags::EXPAND_FEATURES;
        both.same(
            "connection.baselineCPU([cpu], 1)",
            connection.baseline_cpu_with([CPU], expand).await.unwrap(),
        );
        both.refused("connection.baselineCPU([])", connection.baseline_cpu([] as [&str; 0]).await);
        let compared = connection.compare_hypervisor_cpu(None, x86, None, qemu, guest).await.unwrap();
        assert!(compared == CpuCompareResult::SUPERSET || compared == CpuCompareResult::IDENTICAL);
        both.same("connection.compareHypervisorCPU(None, 'x86_64', None, 'qemu', guest)", compared.0);
        both.same("connection.baselineHypervisorCPU(None, 'x86_64', None, 'qemu', [guest])", {
            connection.baseline_hypervisor_cpu(None, x86, None, qemu, [guest]).await.unwrap()
        });
        both.refused("connection.compareHypervisorCPU(None, 'x86_64', None, 'qemu', '<x/>')", {
            connection.compare_hypervisor_cpu(None, x86, None, qemu, "<x/>").await
        });
        let uuid = "</name><uuid>aaaaaaaa-0000-0000-0000-000000000001</uuid>";
        let xml = machine("native", 64, "", "").replace("</name>", uuid);
        both.same(format!("connection.domainXMLToNative('qemu-argv', {xml:?})"), {
            connection.domain_xml_to_native("qemu-argv", &xml).await.unwrap()
        });
        both.refused("connection.domainXMLFromNative('qemu-argv', 'qemu-system-x86_64')", {
            connection.domain_xml_from_native("qemu-argv", "qemu-system-x86_64").await
        });
        both.check();
    });
}

fn by_name(domains: &[Domain]) -> String {
    sorted(domains.iter().map(|domain| format!("{} {}", domain.name(), domain.uuid())))
}

#[test]
fn machines_are_defined_listed_renamed_and_undefined() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let one = connection.define_domain(machine("one", 64, "", "")).await.unwrap();
        let xml = machine("other", 64, "", "");
        let other = connection.define_domain_with(xml, DomainDefineFlags::VALIDATE).await.unwrap();
        one.set_autostart(true).await.unwrap();
        one.rename("first").await.unwrap();
        let first = connection.domain_by_name("first").await.unwrap();
        assert_eq!(first, one, "a domain is its UUID");
        let transient = connection
            .create_domain_with(machine("transient", 64, "", ""), DomainCreateFlags::PAUSED)
            .await
            .unwrap();
        other.start_with(DomainCreateFlags::PAUSED).await.unwrap();

        let mut both = Comparison::of_domain(&daemon, QEMU, "first");
        both.same("domain.XMLDesc()", first.xml().await.unwrap());
        both.same_bool("domain.autostart()", first.autostart().await.unwrap());
        assert!(first.autostart().await.unwrap());
        let theirs = "names(f'{one.name()} {one.UUIDString()}' for one in connection.listAllDomains(FLAGS))";
        both.same(theirs.replace("FLAGS", "0"), by_name(&connection.domains().await.unwrap()));
        for (flag, count) in [
            (ConnectListAllDomainsFlags::ACTIVE, 2),
            (ConnectListAllDomainsFlags::INACTIVE, 1),
            (ConnectListAllDomainsFlags::PAUSED, 2),
            (ConnectListAllDomainsFlags::TRANSIENT, 1),
            (ConnectListAllDomainsFlags::AUTOSTART, 1),
            (ConnectListAllDomainsFlags::HAS_SNAPSHOT, 0),
        ] {
            let ours = connection.domains().matching(flag).await.unwrap();
            assert_eq!(ours.len(), count, "{flag:?}");
            both.same(theirs.replace("FLAGS", &flag.bits().to_string()), by_name(&ours));
        }
        let id = transient.id().unwrap();
        assert_eq!(connection.domain_by_id(id).await.unwrap(), transient);
        assert_eq!(connection.domain_by_uuid(other.uuid()).await.unwrap(), other);
        both.same(format!("connection.lookupByID({id}).name()"), "transient");
        for missing in [
            (connection.domain_by_name("one").await, "connection.lookupByName('one')"),
            (connection.domain_by_id(4711).await, "connection.lookupByID(4711)"),
        ] {
            assert!(missing.0.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
            both.refused(missing.1, missing.0);
        }
        both.refused("domain.rename('other')", first.rename("other").await);
        both.refused("domain.shutdown()", first.shutdown().await);
        both.refused("domain.suspend()", first.suspend().await);
        both.refused("domain.reset()", first.reset().await);
        both.refused("domain.memoryStats()", first.memory_stats().await);
        both.refused("domain.controlInfo()", first.control_info().await);
        both.refused("connection.defineXML('<domain/>')", connection.define_domain("<domain/>").await);
        both.refused("connection.createXML('<domain')", connection.create_domain("<domain").await);
        let clash = machine("first", 64, "", "");
        both.refused(format!("connection.defineXML({clash:?})"), connection.define_domain(&clash).await);
        both.check();

        transient.destroy_with(DomainDestroyFlags::GRACEFUL).await.unwrap();
        other.resume().await.unwrap();
        other.destroy().await.unwrap();
        other.undefine_with(DomainUndefineFlags::MANAGED_SAVE).await.unwrap();
        first.undefine().await.unwrap();
        assert_eq!(connection.domains().await.unwrap(), []);
        listener.wait_for("domain first lifecycle 1 0").await;
        let heard = listener.agree().await;
        let lifecycle = |name: &str| -> Vec<String> {
            let begins = format!("domain {name} lifecycle ");
            heard.iter().filter_map(|line| line.strip_prefix(&begins)).map(str::to_owned).collect()
        };
        // Defined; undefined and defined as it is renamed; undefined.
        assert_eq!([lifecycle("one"), lifecycle("first")].concat(), ["0 0", "1 1", "0 2", "1 0"]);
        assert_eq!(lifecycle("transient").first().map(String::as_str), Some("2 0"));
    });
}
