//! What is read from and done to a running guest: statistics, memory, keys, its agent.

use std::time::{Duration, SystemTime};

use libvirt_client::{
    TypedParams,
    enums::{
        DomainGetHostnameFlags, DomainInterfaceAddressesSource, DomainMemoryFlags, DomainMessageType,
        DomainProcessSignal, DomainSetUserPasswordFlags, KeycodeSet,
    },
    results::DomainSecurityLabel,
};

use crate::{
    simulated,
    support::{
        live,
        python::{dictionary, list},
    },
    test_machine,
};

const WEB: &str = "domain = connection.lookupByName('web')";

/// Fails unless each number lies between those that were asked for before and after.
#[track_caller]
fn between(before: &str, ours: &[Option<u64>], after: &str) {
    let numbers = |text: &str| -> Vec<i64> {
        text.trim_matches(['[', ']']).split(", ").map(|number| number.parse().unwrap()).collect()
    };
    let (before, after) = (numbers(before), numbers(after));
    assert_eq!((before.len(), after.len()), (ours.len(), ours.len()));
    for ((before, ours), after) in before.iter().zip(ours).zip(&after) {
        let ours = ours.map_or(-1, |ours| i64::try_from(ours).unwrap());
        assert!(*before <= ours && ours <= *after, "{before} {ours} {after}");
    }
}

#[test]
fn counters_of_disks_and_interfaces_are_what_others_read() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        python.run(WEB);
        // They grow with the clock.
        let before = python.value("domain.blockStats('vda')");
        let ours = web.block_stats("vda").await.unwrap();
        let ours = [ours.read_requests, ours.read_bytes, ours.write_requests, ours.write_bytes, ours.errors];
        between(&before, &ours, &python.value("domain.blockStats('vda')"));

        let before = python.value("domain.interfaceStats('testnet0')");
        let ours = web.interface_stats("testnet0").await.unwrap();
        let ours = [
            ours.rx_bytes,
            ours.rx_packets,
            ours.rx_errors,
            ours.rx_dropped,
            ours.tx_bytes,
            ours.tx_packets,
            ours.tx_errors,
            ours.tx_dropped,
        ];
        between(&before, &ours, &python.value("domain.interfaceStats('testnet0')"));

        let info = web.block_info("vda").await.unwrap();
        python.agrees("domain.blockInfo('vda')", list([info.capacity, info.allocation, info.physical]));
        let errors = web.disk_errors().await.unwrap();
        assert!(!errors.is_empty());
        let errors: TypedParams = errors.into_iter().map(|one| (one.disk, one.error.0)).collect();
        python.agrees("domain.diskErrors()", dictionary(errors));
        let addresses = web.interface_addresses(DomainInterfaceAddressesSource::LEASE).await.unwrap();
        assert_eq!(addresses.len(), 1);
        let ours = addresses.iter().map(|one| {
            let each = one
                .addresses
                .iter()
                .map(|each| format!("[{}, {}, {}]", each.address, each.prefix, each.kind.0));
            format!("[{}, {}, {}]", one.name, one.mac.as_deref().unwrap_or("None"), list(each))
        });
        let theirs = "[[name, one['hwaddr'], [[each['addr'], each['prefix'], each['type']] for each in one['addrs']]] \
                      for name, one in domain.interfaceAddresses(0).items()]";
        python.agrees(theirs, list(ours));
    });
}

#[test]
fn cpu_time_and_memory_are_what_others_read() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        python.run(WEB);
        let total = dictionary(web.cpu_stats_total().await.unwrap());
        python.agrees("domain.getCPUStats(True)[0]", total);
        let each = web.cpu_stats().await.unwrap();
        assert!(!each.is_empty());
        python.agrees("domain.getCPUStats(False)", list(each.into_iter().map(dictionary)));

        let stats = web.memory_stats().await.unwrap();
        let mut values: Vec<u64> =
            TypedParams::from(stats).iter().filter_map(|(_, value)| value.as_u64()).collect();
        values.sort_unstable();
        python.agrees("sorted(domain.memoryStats().values())", list(values));

        let bytes = web.memory_peek_with(0, 512, DomainMemoryFlags::VIRTUAL).await.unwrap();
        assert_eq!(bytes.len(), 512);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        python.agrees("domain.memoryPeek(0, 512, 1)", hex);
        let refused = web.memory_peek(0, 512).await.unwrap_err();
        python.is_refused("domain.memoryPeek(0, 512, 0)", &refused);

        let control = web.control_info().await.unwrap();
        let ours = [i64::from(control.state.0), i64::from(control.details.0)];
        python.agrees("domain.controlInfo()[:2]", list(ours));
        python.agrees("domain.controlInfo()[2]", control.state_time.as_millis());
    });
}

#[test]
fn labels_and_messages_are_what_others_read() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        python.run(WEB);
        let show = |label: &DomainSecurityLabel| format!("[{}, {}]", label.label, i32::from(label.enforcing));
        python.agrees("domain.securityLabel()", show(&web.security_label().await.unwrap()));
        assert_eq!(web.security_labels().await.unwrap(), []);
        // This is what the binding makes of an empty list.
        python.agrees(
            "domain.securityLabelList()",
            "the error 1 0 An error occurred, but the cause is unknown",
        );
        python.agrees("domain.messages()", list(web.messages().await.unwrap()));
        let tainting = web.messages_with(DomainMessageType::TAINTING).await.unwrap();
        python.agrees("domain.messages(2)", list(tainting));
    });
}

#[test]
fn the_agent_in_the_guest_does_as_it_is_told() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        python.run(WEB);
        python.agrees("domain.hostname()", web.hostname().await.unwrap());
        let refused = web.hostname_with(DomainGetHostnameFlags::AGENT).await.unwrap_err();
        python.is_refused("domain.hostname(2)", &refused);

        web.set_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).await.unwrap();
        let since = web.time().await.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let ours = [since.as_secs(), u64::from(since.subsec_nanos())];
        python.agrees("[domain.getTime()[part] for part in ('seconds', 'nseconds')]", list(ours));
        web.sync_time().await.unwrap();

        let systems = web.fs_info().await.unwrap();
        assert!(!systems.is_empty());
        let ours = systems.iter().map(|one| {
            format!("[{}, {}, {}, {}]", one.mount_point, one.name, one.fs_type, list(&one.device_aliases))
        });
        python.agrees("domain.fsInfo()", list(ours));
        // What is frozen already is not frozen again.
        let frozen = web.fs_freeze([systems[0].mount_point.as_str()]).await.unwrap();
        assert_eq!(frozen, 1);
        let all: [&str; 0] = [];
        assert_eq!(web.fs_freeze(all).await.unwrap() as usize, systems.len() - 1);
        python.agrees("domain.fsFreeze()", 0);
        python.agrees("domain.fsThaw()", systems.len());
        python.agrees("domain.fsFreeze()", systems.len());
        assert_eq!(web.fs_thaw(all).await.unwrap() as usize, systems.len());
        web.fs_trim(None, 0).await.unwrap();
        let refused = web.fs_trim(Some("/not/there"), 0).await.unwrap_err();
        python.is_refused("domain.fSTrim('/not/there', 0)", &refused);

        web.set_user_password("root", "secret").await.unwrap();
        let encrypted = DomainSetUserPasswordFlags::ENCRYPTED;
        web.set_user_password_with("root", "$6$x", encrypted).await.unwrap();
    });
}

#[test]
fn keys_and_signals_reach_the_guest() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        python.run(WEB);
        let hold = Duration::from_millis(1);
        let refused = web.send_key(KeycodeSet::LINUX, hold, [28]).await.unwrap_err();
        python.is_refused("domain.sendKey(0, 1, [28], 1)", &refused);
        web.start().await.unwrap();
        web.send_key(KeycodeSet::LINUX, hold, [28, 29]).await.unwrap();
        web.inject_nmi().await.unwrap();
        python.agrees("domain.state()", "[1, 1]");
        // The simulated guest has one process, which does not care.
        web.send_process_signal(1, DomainProcessSignal::USR1).await.unwrap();
        python.agrees("domain.sendProcessSignal(1, 10)", 0);
        let refused = web.send_process_signal(2, DomainProcessSignal::USR1).await.unwrap_err();
        python.is_refused("domain.sendProcessSignal(2, 10)", &refused);
        python.agrees("domain.state()", "[1, 1]");
    });
}
