//! What a domain has used.

use std::time::{Duration, SystemTime};

use crate::{
    TypedParams,
    objects::{
        enums::{DomainDirtyRateStatus, DomainState, VcpuState},
        params::declare::{Nanos, Secs, params},
    },
};

params! {
    /// Statistics of a domain. Which of them there are depends on what was asked for, on whether it runs, and on its driver.
    #[non_exhaustive]
    pub struct DomainStats {
        /// What it is doing.
        state: DomainState = "state.state",
        /// Why, by a number that means something else for each state.
        state_reason: i32 = "state.reason",
        /// How many virtual CPUs it has.
        vcpu_current: u32 = "vcpu.current",
        /// How many it can have.
        vcpu_maximum: u32 = "vcpu.maximum",
        /// How many network interfaces it has, with those that have no statistics.
        interface_count: u32 = "net.count",
        /// How many block devices it has.
        block_count: u32 = "block.count",
        /// How many I/O threads it has.
        iothread_count: u32 = "iothread.count",
        /// How many monitors of memory bandwidth there are.
        memory_bandwidth_monitor_count: u32 = "memory.bandwidth.monitor.count",
    }
    groups {
        /// Virtual CPUs that are online.
        vcpus: VcpuStats = "vcpu.",
        /// Network interfaces.
        interfaces: InterfaceStats = "net.",
        /// Block devices: disks and, with `BACKING`, each image of their chains.
        blocks: BlockDeviceStats = "block.",
        /// I/O threads.
        iothreads: IothreadStats = "iothread.",
        /// Monitors of memory bandwidth.
        memory_bandwidth_monitors: MemoryBandwidthMonitor = "memory.bandwidth.monitor.",
    }
    parts {
        /// CPU times and caches.
        cpu: DomainCpuStats = "cpu.",
        /// Memory.
        balloon: BalloonStats = "balloon.",
        /// How fast memory changes.
        dirty_rate: DirtyRateStats = "dirtyrate.",
        /// Counters of the host's CPUs that are turned on, by their names: `cache_misses`.
        perf: TypedParams = "perf.",
        /// The hypervisor's own counters, by its own names: `remote_tlb_flush.sum`.
        vm: TypedParams = "vm.",
    }
}

params! {
    /// CPU times of a domain, with those of its emulator.
    #[non_exhaustive]
    pub struct DomainCpuStats {
        /// CPU time in all.
        time: Duration as Nanos = "time",
        /// CPU time in user space.
        user: Duration as Nanos = "user",
        /// CPU time in the kernel.
        system: Duration as Nanos = "system",
        /// How long virtual CPUs that had nothing to do polled until something came.
        haltpoll_success: Duration as Nanos = "haltpoll.success.time",
        /// How long they polled in vain.
        haltpoll_fail: Duration as Nanos = "haltpoll.fail.time",
        /// How many monitors of caches there are.
        cache_monitor_count: u32 = "cache.monitor.count",
    }
    groups {
        /// Monitors of caches.
        cache_monitors: CacheMonitor = "cache.monitor.",
    }
}

params! {
    /// What some virtual CPUs use of the host's caches.
    #[non_exhaustive]
    pub struct CacheMonitor[number] {
        /// The monitor's name.
        name: String = "name",
        /// The virtual CPUs, such as `0-3`.
        vcpus: String = "vcpus",
        /// How many banks there are.
        bank_count: u32 = "bank.count",
    }
    groups {
        /// The banks of the cache.
        banks: CacheBank = "bank.",
    }
}

params! {
    /// A bank of a cache.
    #[non_exhaustive]
    pub struct CacheBank[number] {
        /// The host's number of it.
        id: u32 = "id",
        /// What is in use, in bytes.
        bytes: u64 = "bytes",
    }
}

params! {
    /// Memory of a domain. Most of it is told by the guest's balloon driver, at `last_update`.
    #[non_exhaustive]
    pub struct BalloonStats {
        /// What the domain has, in KiB.
        current_kib: u64 = "current",
        /// What it can have, in KiB.
        maximum_kib: u64 = "maximum",
        /// What was read from swap, in KiB.
        swap_in_kib: u64 = "swap_in",
        /// What was written to swap, in KiB.
        swap_out_kib: u64 = "swap_out",
        /// How often the guest had to wait for its disk to have a page.
        major_fault: u64 = "major_fault",
        /// How often it did not.
        minor_fault: u64 = "minor_fault",
        /// What the guest does not use at all, in KiB.
        unused_kib: u64 = "unused",
        /// What the guest sees, in KiB.
        available_kib: u64 = "available",
        /// What the guest could use without swapping, in KiB.
        usable_kib: u64 = "usable",
        /// What holds copies of the disk, in KiB.
        disk_caches_kib: u64 = "disk_caches",
        /// What the domain's process uses of the host's memory, in KiB.
        rss_kib: u64 = "rss",
        /// When the guest told this; 1970 if it never did.
        last_update: SystemTime as Secs = "last-update",
        /// How often the guest got a huge page.
        hugetlb_pgalloc: u64 = "hugetlb_pgalloc",
        /// How often it did not get one.
        hugetlb_pgfail: u64 = "hugetlb_pgfail",
    }
}

params! {
    /// A virtual CPU. The hypervisor's own counters are in `rest`, by its own names: `halt_exits.sum`.
    #[non_exhaustive]
    pub struct VcpuStats[number] {
        /// What it is doing.
        state: VcpuState = "state",
        /// The CPU time that it has used.
        time: Duration as Nanos = "time",
        /// How long it waited for input and output.
        wait: Duration as Nanos = "wait",
        /// How long it waited for a CPU of the host.
        delay: Duration as Nanos = "delay",
        /// Whether it has nothing to do.
        halted: bool = "halted",
    }
}

params! {
    /// A network interface, as the host sees it: received is what the guest receives.
    #[non_exhaustive]
    pub struct InterfaceStats[number] {
        /// Its name on the host: `vnet0`.
        name: String = "name",
        /// Bytes received.
        rx_bytes: u64 = "rx.bytes",
        /// Packets received.
        rx_packets: u64 = "rx.pkts",
        /// Errors in receiving.
        rx_errors: u64 = "rx.errs",
        /// Packets that were to be received and were dropped.
        rx_dropped: u64 = "rx.drop",
        /// Bytes sent.
        tx_bytes: u64 = "tx.bytes",
        /// Packets sent.
        tx_packets: u64 = "tx.pkts",
        /// Errors in sending.
        tx_errors: u64 = "tx.errs",
        /// Packets that were to be sent and were dropped.
        tx_dropped: u64 = "tx.drop",
    }
}

params! {
    /// A block device, or an image that one is on.
    #[non_exhaustive]
    pub struct BlockDeviceStats[number] {
        /// Its target in the domain: `vda`.
        name: String = "name",
        /// Its file or device on the host.
        path: String = "path",
        /// The image's number in the chain of the device, as the domain's XML has it.
        backing_index: u32 = "backingIndex",
        /// Requests to read.
        read_requests: u64 = "rd.reqs",
        /// Bytes read.
        read_bytes: u64 = "rd.bytes",
        /// How long reads took, in all.
        read_time: Duration as Nanos = "rd.times",
        /// Requests to write.
        write_requests: u64 = "wr.reqs",
        /// Bytes written.
        write_bytes: u64 = "wr.bytes",
        /// How long writes took, in all.
        write_time: Duration as Nanos = "wr.times",
        /// Requests to flush.
        flush_requests: u64 = "fl.reqs",
        /// How long flushes took, in all.
        flush_time: Duration as Nanos = "fl.times",
        /// Errors (Xen).
        errors: u64 = "errors",
        /// The end of what has been written, in bytes.
        allocation: u64 = "allocation",
        /// The size that the guest sees, in bytes.
        capacity: u64 = "capacity",
        /// The size of the file or device, in bytes.
        physical: u64 = "physical",
        /// The end of writing, in bytes, at which an event is sent.
        threshold: u64 = "threshold",
    }
    parts {
        /// What requests may be like.
        limits: BlockLimits = "limits.",
    }
}

params! {
    /// What requests to a block device may be like.
    #[non_exhaustive]
    pub struct BlockLimits {
        /// What they are aligned to, in bytes.
        request_alignment: u64 = "request_alignment",
        /// How much may be discarded at once, in bytes.
        discard_max: u64 = "discard_max",
        /// What discarding is aligned to, in bytes.
        discard_alignment: u64 = "discard_alignment",
        /// How many zeros may be written at once, in bytes.
        write_zeroes_max: u64 = "write_zeroes_max",
        /// What writing zeros is aligned to, in bytes.
        write_zeroes_alignment: u64 = "write_zeroes_alignment",
        /// How much is best read or written at once, in bytes.
        transfer_optimal: u64 = "transfer_optimal",
        /// How much may be read or written at once, in bytes.
        transfer_max: u64 = "transfer_max",
        /// How much the hardware can read or write at once, in bytes.
        transfer_hw_max: u64 = "transfer_hw_max",
        /// How many pieces of memory a request may have.
        iov_max: u64 = "iov_max",
        /// How many pieces of memory the hardware can take.
        iov_hw_max: u64 = "iov_hw_max",
        /// What memory has to be aligned to, in bytes.
        memory_alignment_minimal: u64 = "memory_alignment_minimal",
        /// What memory is best aligned to, in bytes.
        memory_alignment_optimal: u64 = "memory_alignment_optimal",
    }
}

params! {
    /// An I/O thread, by its own number.
    #[non_exhaustive]
    pub struct IothreadStats[number] {
        /// The longest time that it polls for work, zero for not at all.
        poll_max: Duration as Nanos = "poll-max-ns",
        /// By what the time is multiplied where longer polling would pay; 0 for the hypervisor's own factor.
        poll_grow: u64 = "poll-grow",
        /// By what the time is divided where polling does not pay; 0 for setting it to nothing.
        poll_shrink: u64 = "poll-shrink",
    }
}

params! {
    /// What some virtual CPUs use of the host's memory bandwidth.
    #[non_exhaustive]
    pub struct MemoryBandwidthMonitor[number] {
        /// The monitor's name.
        name: String = "name",
        /// The virtual CPUs, such as `0-3`.
        vcpus: String = "vcpus",
        /// How many nodes there are.
        node_count: u32 = "node.count",
    }
    groups {
        /// The controllers of the host's memory.
        nodes: MemoryBandwidthNode = "node.",
    }
}

params! {
    /// A controller of the host's memory.
    #[non_exhaustive]
    pub struct MemoryBandwidthNode[number] {
        /// The host's number of it.
        id: u32 = "id",
        /// What went through it from its own node, in bytes.
        local_bytes: u64 = "bytes.local",
        /// What went through it, in bytes.
        total_bytes: u64 = "bytes.total",
    }
}

params! {
    /// How fast a domain's memory changes, as [`Domain::start_dirty_rate_calc`](crate::Domain::start_dirty_rate_calc) measures it.
    #[non_exhaustive]
    pub struct DirtyRateStats {
        /// How far it is.
        status: DomainDirtyRateStatus = "calc_status",
        /// When it was begun, in s of a clock of the host that does not begin in 1970.
        start_time_s: i64 = "calc_start_time",
        /// How long memory was watched.
        period: Duration as Secs<i32> = "calc_period",
        /// How it was measured: `page-sampling`, `dirty-bitmap`, `dirty-ring`.
        mode: String = "calc_mode",
        /// How much changed, in MiB/s.
        mib_per_s: i64 = "megabytes_per_second",
    }
    groups {
        /// How much each virtual CPU changed; only measured with `dirty-ring`.
        vcpus: VcpuDirtyRate = "vcpu.",
    }
}

params! {
    /// How fast a virtual CPU changes memory.
    #[non_exhaustive]
    pub struct VcpuDirtyRate[number] {
        /// In MiB/s.
        mib_per_s: u64 = "megabytes_per_second",
    }
}

params! {
    /// What a disk of a domain was asked for.
    #[non_exhaustive]
    pub struct BlockStats {
        /// Bytes read.
        read_bytes: u64 = "rd_bytes",
        /// Requests to read.
        read_requests: u64 = "rd_operations",
        /// How long reads took, in all.
        read_time: Duration as Nanos = "rd_total_times",
        /// Bytes written.
        write_bytes: u64 = "wr_bytes",
        /// Requests to write.
        write_requests: u64 = "wr_operations",
        /// How long writes took, in all.
        write_time: Duration as Nanos = "wr_total_times",
        /// Requests to flush.
        flush_requests: u64 = "flush_operations",
        /// How long flushes took, in all.
        flush_time: Duration as Nanos = "flush_total_times",
        /// Errors (Xen).
        errors: u64 = "errs",
    }
}

params! {
    /// CPU times of a domain, on one CPU of the host or on all.
    #[non_exhaustive]
    pub struct CpuStats {
        /// CPU time in all.
        cpu_time: Duration as Nanos = "cpu_time",
        /// CPU time in user space.
        user_time: Duration as Nanos = "user_time",
        /// CPU time in the kernel.
        system_time: Duration as Nanos = "system_time",
        /// CPU time of the virtual CPUs alone.
        vcpu_time: Duration as Nanos = "vcpu_time",
    }
}
