use std::time::{Duration, SystemTime};

use super::*;
use crate::{TypedParams, TypedValue, enums::VcpuState};

/// What QEMU's driver tells, of libvirt 9.0 and of newer ones, in its own types.
fn told() -> TypedParams {
    let counted = |names: &[&str]| -> Vec<(String, TypedValue)> {
        names.iter().zip(1_u64..).map(|(name, count)| ((*name).to_owned(), count.into())).collect()
    };
    let mut params = TypedParams::from([("state.state", 1), ("state.reason", 5)]);
    params.extend([("vcpu.current", 2_u32), ("vcpu.maximum", 4), ("net.count", 1), ("block.count", 2)]);
    params.extend(counted(&[
        "cpu.time",
        "cpu.user",
        "cpu.system",
        "cpu.haltpoll.success.time",
        "cpu.haltpoll.fail.time",
        "balloon.current",
        "balloon.maximum",
        "balloon.swap_in",
        "balloon.swap_out",
        "balloon.major_fault",
        "balloon.minor_fault",
        "balloon.unused",
        "balloon.available",
        "balloon.usable",
        "balloon.last-update",
        "balloon.disk_caches",
        "balloon.hugetlb_pgalloc",
        "balloon.hugetlb_pgfail",
        "balloon.rss",
        "vcpu.3.time",
        "vcpu.3.wait",
        "vcpu.3.delay",
        "net.0.rx.bytes",
        "net.0.rx.pkts",
        "net.0.rx.errs",
        "net.0.rx.drop",
        "net.0.tx.bytes",
        "net.0.tx.pkts",
        "net.0.tx.errs",
        "net.0.tx.drop",
        "block.1.rd.reqs",
        "block.1.rd.bytes",
        "block.1.rd.times",
        "block.1.wr.reqs",
        "block.1.wr.bytes",
        "block.1.wr.times",
        "block.1.fl.reqs",
        "block.1.fl.times",
        "block.1.errors",
        "block.1.allocation",
        "block.1.capacity",
        "block.1.physical",
        "block.1.threshold",
        "block.1.limits.request_alignment",
        "block.1.limits.discard_max",
        "block.1.limits.discard_alignment",
        "block.1.limits.write_zeroes_max",
        "block.1.limits.write_zeroes_alignment",
        "block.1.limits.transfer_optimal",
        "block.1.limits.transfer_max",
        "block.1.limits.transfer_hw_max",
        "block.1.limits.iov_max",
        "block.1.limits.iov_hw_max",
        "block.1.limits.memory_alignment_minimal",
        "block.1.limits.memory_alignment_optimal",
        "iothread.7.poll-max-ns",
        "iothread.7.poll-grow",
        "iothread.7.poll-shrink",
        "memory.bandwidth.monitor.0.node.1.bytes.local",
        "memory.bandwidth.monitor.0.node.1.bytes.total",
        "dirtyrate.megabytes_per_second",
        "dirtyrate.vcpu.0.megabytes_per_second",
        "perf.cache_misses",
        "vm.remote_tlb_flush.sum",
    ]));
    params.extend([
        ("vcpu.0.state", TypedValue::I32(1)),
        ("vcpu.3.state", TypedValue::I32(2)),
        ("vcpu.3.halted", true.into()),
        ("net.0.name", "vnet0".into()),
        ("block.0.name", "vda".into()),
        ("block.1.name", "vda".into()),
        ("block.1.path", "/images/base.qcow2".into()),
        ("block.1.backingIndex", 1_u32.into()),
        ("iothread.count", 1_u32.into()),
        ("cpu.cache.monitor.count", 1_u32.into()),
        ("cpu.cache.monitor.0.name", "vcpus_0-1".into()),
        ("cpu.cache.monitor.0.vcpus", "0-1".into()),
        ("cpu.cache.monitor.0.bank.count", 2_u32.into()),
        ("cpu.cache.monitor.0.bank.0.id", 0_u32.into()),
        ("cpu.cache.monitor.0.bank.0.bytes", 4096_u32.into()),
        ("memory.bandwidth.monitor.count", 1_u32.into()),
        ("memory.bandwidth.monitor.0.name", "vcpus_0-1".into()),
        ("memory.bandwidth.monitor.0.vcpus", "0-1".into()),
        ("memory.bandwidth.monitor.0.node.count", 2_u32.into()),
        ("memory.bandwidth.monitor.0.node.1.id", 1_u32.into()),
        ("dirtyrate.calc_status", 2.into()),
        ("dirtyrate.calc_start_time", 1234_i64.into()),
        ("dirtyrate.calc_period", 1.into()),
        ("dirtyrate.calc_mode", "dirty-ring".into()),
    ]);
    params
}

#[test]
fn statistics_of_a_domain_have_names_units_and_numbers() {
    let stats = DomainStats::from(told());
    assert!(!format!("{stats:?}").contains("rest"), "all have fields: {stats:?}");
    assert_eq!((stats.vcpu_current, stats.vcpu_maximum), (Some(2), Some(4)));
    assert_eq!(stats.cpu.time, Some(Duration::from_nanos(1)));
    assert_eq!((stats.balloon.current_kib, stats.balloon.rss_kib), (Some(6), Some(19)));
    assert_eq!(stats.balloon.last_update, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(15)));
    let vcpus: Vec<_> = stats.vcpus.iter().map(|vcpu| (vcpu.number, vcpu.state, vcpu.halted)).collect();
    assert_eq!(vcpus, [(0, Some(VcpuState(1)), None), (3, Some(VcpuState(2)), Some(true))]);
    let [active, backing] = &stats.blocks[..] else { panic!("{:?}", stats.blocks) };
    assert_eq!((active.name.as_deref(), active.backing_index), (Some("vda"), None));
    assert_eq!((backing.number, backing.backing_index, backing.read_requests), (1, Some(1), Some(31)));
    assert_eq!((backing.threshold, backing.limits.request_alignment), (Some(43), Some(44)));
    assert_eq!(stats.iothreads.first().map(|thread| (thread.number, thread.poll_grow)), Some((7, Some(57))));
    assert_eq!(stats.dirty_rate.vcpus.first().and_then(|vcpu| vcpu.mib_per_s), Some(62));
    assert_eq!((stats.perf.u64("cache_misses"), stats.vm.u64("remote_tlb_flush.sum")), (Some(63), Some(64)));
    assert_eq!(TypedParams::from(stats).len(), told().len());
}

#[test]
fn counters_of_the_hypervisor_stay_with_their_cpu() {
    let stats = DomainStats::from(TypedParams::new().with("vcpu.1.halt_exits.sum", 5_u64));
    let vcpu = stats.vcpus.first().unwrap();
    assert_eq!((vcpu.number, vcpu.rest.u64("halt_exits.sum")), (1, Some(5)));
}

#[test]
fn a_guest_tells_lists_of_lists() {
    let info = GuestInfo::from(
        TypedParams::new()
            .with("hostname", "web")
            .with("timezone.offset", -3600)
            .with("load.15m", 0.25)
            .with("user.0.login-time", 1_700_000_000_123_u64)
            .with("os.kernel-release", "6.1.0")
            .with("fs.0.disk.1.alias", "vdb")
            .with("fs.0.disk.0.alias", "vda")
            .with("disk.0.partition", false)
            .with("disk.0.dependency.0.name", "/dev/vda")
            .with("if.1.addr.0.prefix", 24_u32),
    );
    assert_eq!(info.timezone_offset_s, Some(-3600));
    assert_eq!(info.load.last_15_minutes, Some(0.25));
    assert_eq!(info.os.kernel_release.as_deref(), Some("6.1.0"));
    let since = Duration::from_millis(1_700_000_000_123);
    assert_eq!(info.users.first().unwrap().login_time, Some(SystemTime::UNIX_EPOCH + since));
    let disks = &info.filesystems.first().unwrap().disks;
    let aliases: Vec<_> = disks.iter().map(|disk| disk.alias.as_deref()).collect();
    assert_eq!(aliases, [Some("vda"), Some("vdb")]);
    let disk = info.disks.first().unwrap();
    assert_eq!((disk.is_partition, disk.dependencies.len()), (Some(false), 1));
    let interface = info.interfaces.first().unwrap();
    assert_eq!((interface.number, interface.addresses.first().unwrap().prefix), (1, Some(24)));
}
