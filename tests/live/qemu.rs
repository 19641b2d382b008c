//! A real QEMU, emulated and without a disk: it gets as far as its BIOS.

use std::{collections::BTreeSet, fs};

use libvirt_client::{
    Connection, CpuMap, TypedParams,
    enums::{DomainMetadataType, DomainState, DomainStatsTypes, KeycodeSet},
};

use crate::{
    QEMU,
    events::{LISTENER, line},
    support::{Daemon, daemon::said, live, wait_until},
};

pub(crate) const BIOS_ONLY: &str = "\
<domain type='qemu'><name>bios</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><serial type='pty'/>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>";

/// The names of parameters, in an order, one a line.
fn names(params: impl Into<TypedParams>) -> String {
    let params = params.into();
    let names: BTreeSet<&str> = params.iter().map(|(name, _)| name).collect();
    names.into_iter().collect::<Vec<_>>().join("\n")
}

#[test]
fn a_machine_is_defined_started_and_destroyed() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        let heard = daemon.directory().join("heard");
        let _listener = daemon.spawn_python(QEMU, LISTENER, &heard);
        let heard = || fs::read_to_string(&heard).unwrap();
        wait_until(|| heard().starts_with("ready\n")).await;

        let file = daemon.file("bios.xml", BIOS_ONLY);
        daemon.virsh(QEMU, &["define", &file.display().to_string()]);
        let domain = connection.domain_by_name("bios").await.unwrap();
        assert_eq!(domain.id(), None);
        domain.start().await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", "bios"]), "running (booted)");
        let info = domain.info().await.unwrap();
        assert_eq!((info.state.0, info.memory_kib, info.vcpus), (1, 65536, 1));
        let processes = daemon.shell("ps -C qemu-system-x86_64 -o args=");
        assert!(processes.contains("guest=bios"), "{processes}");
        assert_eq!(domain.xml().await.unwrap().trim_end(), daemon.virsh(QEMU, &["dumpxml", "bios"]));
        domain.destroy().await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", "bios"]), "shut off (destroyed)");

        // Defined; resumed and started as the processors first run; stopped.
        wait_until(|| heard().lines().count() > 4).await;
        let mut ours = String::from("ready\n");
        while ours.lines().count() < heard().lines().count() {
            ours += &line(events.next().await.unwrap().unwrap());
        }
        assert_eq!(ours, heard());
    });
}

#[test]
fn a_running_machine_tells_its_statistics_and_takes_settings() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain = connection.create_domain(BIOS_ONLY).await.unwrap();
        let python =
            |print: &str| daemon.python(QEMU, &format!("domain = connection.lookupByName('bios')\n{print}"));

        // Where the daemon has no control groups, it can tell nobody about CPU times.
        for (error, call) in [
            (domain.cpu_stats().await.unwrap_err(), "getCPUStats(False)"),
            (domain.cpu_stats_total().await.unwrap_err(), "getCPUStats(True)"),
            (domain.scheduler_parameters().await.unwrap_err(), "schedulerParametersFlags()"),
        ] {
            let statement = format!("connection.lookupByName('bios').{call}");
            assert_eq!(said(&error), daemon.python_error(QEMU, &statement));
        }

        // The numbers grow; what there is to tell does not.
        let stats =
            connection.domain_stats(std::slice::from_ref(&domain), DomainStatsTypes::empty()).await.unwrap();
        let theirs = python("print(*sorted(connection.domainListGetStats([domain])[0][1]), sep='\\n')");
        assert_eq!(names(stats[0].stats.clone()), theirs);
        assert_eq!(stats[0].stats.balloon.current_kib, Some(65536));

        let memory = TypedParams::from(domain.memory_stats().await.unwrap());
        assert_eq!(memory.len().to_string(), python("print(len(domain.memoryStats()))"));
        let perf = domain.perf_events().await.unwrap();
        assert_eq!(names(perf.clone()), python("print(*sorted(domain.perfEvents()), sep='\\n')"));
        assert_eq!(perf.bool("cmt"), Some(false));
        let vcpus = domain.vcpus().await.unwrap();
        assert_eq!((vcpus.len(), vcpus[0].number), (1, 0));
        domain.pin_emulator([0]).await.unwrap();
        assert_eq!(domain.emulator_pin_info().await.unwrap(), CpuMap::from([0]));
        assert_eq!(python("print(domain.emulatorPinInfo()[:2])").split(',').next(), Some("(True"));

        assert!(domain.job_info().await.unwrap().kind.0 == 0, "no job");
        assert!(domain.block_job_info("vda").await.unwrap_err().remote().is_some(), "there is no disk");
        assert!(domain.time().await.unwrap_err().remote().is_some(), "there is no agent");
        let status = domain.qemu_monitor_command("{\"execute\": \"query-status\"}").await.unwrap();
        assert!(status.contains("\"running\""), "{status}");
        let label = domain.security_label().await.unwrap();
        assert_eq!(
            format!("['{}', {}]", label.label, if label.enforcing { "True" } else { "False" }),
            python("print(domain.securityLabel())")
        );

        domain.set_metadata(DomainMetadataType::TITLE, Some("A BIOS"), None, None).await.unwrap();
        let title = domain.metadata(DomainMetadataType::TITLE, None).await.unwrap().unwrap();
        assert_eq!(domain.metadata(DomainMetadataType::DESCRIPTION, None).await.unwrap(), None);
        assert_eq!(
            (title.as_str(), title.as_str()),
            ("A BIOS", python("print(domain.metadata(1, None))").as_str())
        );
        domain.suspend().await.unwrap();
        assert_eq!(domain.state().await.unwrap().state, DomainState::PAUSED);
        domain.resume().await.unwrap();
        domain.send_key(KeycodeSet::LINUX, std::time::Duration::from_millis(50), [28]).await.unwrap();
        domain.destroy().await.unwrap();
        assert!(connection.find_domain_by_name("bios").await.unwrap().is_none());
    });
}
