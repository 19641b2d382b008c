//! What a domain may use of its host.

use std::time::Duration;

use super::declare::{Micros, Nanos, Secs, params};
use crate::objects::enums::DomainNumatuneMemMode;

params! {
    /// Limits of a domain's memory. What has no limit is [`UNLIMITED`](Self::UNLIMITED).
    pub struct MemoryParameters {
        /// The most that the domain with its emulator may use, in KiB.
        hard_limit_kib: u64 = "hard_limit",
        /// What the domain is pressed back to when memory is short on the host, in KiB.
        soft_limit_kib: u64 = "soft_limit",
        /// The most that the domain may use of memory and swap together, in KiB.
        swap_hard_limit_kib: u64 = "swap_hard_limit",
        /// What the domain is guaranteed, in KiB.
        min_guarantee_kib: u64 = "min_guarantee",
    }
}

impl MemoryParameters {
    /// The limit that is none, in KiB.
    #[doc(alias = "VIR_DOMAIN_MEMORY_PARAM_UNLIMITED")]
    pub const UNLIMITED: u64 = (i64::MAX as u64) >> 10;
}

params! {
    /// A domain's share of the host's block devices. Those of single devices are texts such as `/dev/sda,500,/dev/sdb,300`.
    pub struct BlkioParameters {
        /// The share of the whole domain, from 10 to 1000 (100 to 1000 on old kernels).
        weight: u32 = "weight",
        /// Shares of single devices: path and weight by turns.
        device_weight: String = "device_weight",
        /// Limits of reading, in requests/s.
        device_read_iops_sec: String = "device_read_iops_sec",
        /// Limits of writing, in requests/s.
        device_write_iops_sec: String = "device_write_iops_sec",
        /// Limits of reading, in bytes/s.
        device_read_bytes_sec: String = "device_read_bytes_sec",
        /// Limits of writing, in bytes/s.
        device_write_bytes_sec: String = "device_write_bytes_sec",
    }
}

params! {
    /// A domain's share of the host's CPUs. A quota is the CPU time in µs that may be used in each period, negative for no
    /// limit.
    pub struct SchedulerParameters {
        /// The share of the domain, compared with those of others.
        cpu_shares: u64 = "cpu_shares",
        /// The period of the limit of each virtual CPU.
        vcpu_period: Duration as Micros = "vcpu_period",
        /// The quota of each virtual CPU, in µs.
        vcpu_quota_us: i64 = "vcpu_quota",
        /// The period of the limit of the emulator's own threads.
        emulator_period: Duration as Micros = "emulator_period",
        /// The quota of the emulator's own threads, in µs.
        emulator_quota_us: i64 = "emulator_quota",
        /// The period of the limit of the whole domain.
        global_period: Duration as Micros = "global_period",
        /// The quota of the whole domain, in µs.
        global_quota_us: i64 = "global_quota",
        /// The period of the limit of each I/O thread.
        iothread_period: Duration as Micros = "iothread_period",
        /// The quota of each I/O thread, in µs.
        iothread_quota_us: i64 = "iothread_quota",
        /// Xen: the weight of the domain.
        weight: u32 = "weight",
        /// Xen: the most that it may use, in hundredths of a CPU.
        cap: u32 = "cap",
        /// ESX: what the domain is guaranteed, in MHz.
        reservation_mhz: i64 = "reservation",
        /// ESX: the most that it may use, in MHz, negative for no limit.
        limit_mhz: i64 = "limit",
        /// ESX: its shares; −1, −2 and −3 are low, normal and high.
        shares: i32 = "shares",
    }
}

params! {
    /// Which memory of the host a domain is on.
    pub struct NumaParameters {
        /// The host's nodes, such as `0-1,3`.
        nodeset: String = "numa_nodeset",
        /// How strictly.
        mode: DomainNumatuneMemMode = "numa_mode",
    }
}

params! {
    /// Limits of a disk or of a group of disks; 0 is no limit. Those of reading or writing exclude those of both together.
    pub struct BlockIoTune {
        /// Reads and writes, in bytes/s.
        total_bytes_sec: u64 = "total_bytes_sec",
        /// Reads, in bytes/s.
        read_bytes_sec: u64 = "read_bytes_sec",
        /// Writes, in bytes/s.
        write_bytes_sec: u64 = "write_bytes_sec",
        /// Reads and writes, in requests/s.
        total_iops_sec: u64 = "total_iops_sec",
        /// Reads, in requests/s.
        read_iops_sec: u64 = "read_iops_sec",
        /// Writes, in requests/s.
        write_iops_sec: u64 = "write_iops_sec",
        /// Reads and writes in bursts, in bytes/s.
        total_bytes_sec_max: u64 = "total_bytes_sec_max",
        /// Reads in bursts, in bytes/s.
        read_bytes_sec_max: u64 = "read_bytes_sec_max",
        /// Writes in bursts, in bytes/s.
        write_bytes_sec_max: u64 = "write_bytes_sec_max",
        /// Reads and writes in bursts, in requests/s.
        total_iops_sec_max: u64 = "total_iops_sec_max",
        /// Reads in bursts, in requests/s.
        read_iops_sec_max: u64 = "read_iops_sec_max",
        /// Writes in bursts, in requests/s.
        write_iops_sec_max: u64 = "write_iops_sec_max",
        /// How many bytes count as one request; 0 for any number.
        size_iops_sec: u64 = "size_iops_sec",
        /// The group of disks that share the limits.
        group_name: String = "group_name",
        /// How long a burst of bytes may last, in whole seconds.
        total_bytes_sec_max_length: Duration as Secs = "total_bytes_sec_max_length",
        /// How long a burst of bytes read may last, in whole seconds.
        read_bytes_sec_max_length: Duration as Secs = "read_bytes_sec_max_length",
        /// How long a burst of bytes written may last, in whole seconds.
        write_bytes_sec_max_length: Duration as Secs = "write_bytes_sec_max_length",
        /// How long a burst of requests may last, in whole seconds.
        total_iops_sec_max_length: Duration as Secs = "total_iops_sec_max_length",
        /// How long a burst of read requests may last, in whole seconds.
        read_iops_sec_max_length: Duration as Secs = "read_iops_sec_max_length",
        /// How long a burst of write requests may last, in whole seconds.
        write_iops_sec_max_length: Duration as Secs = "write_iops_sec_max_length",
    }
}

params! {
    /// Limits of a network interface or of a port of a network; 0 is no limit. Inbound is what the guest receives. Rates
    /// are in units of 1,000 bytes/s and bursts in units of 1,024 bytes, as they are to Linux's `tc`.
    pub struct Bandwidth {
        /// What it may receive for long, in kB/s.
        inbound_average_kb_per_s: u32 = "inbound.average",
        /// What it may receive in bursts, in kB/s.
        inbound_peak_kb_per_s: u32 = "inbound.peak",
        /// How much a burst received may have, in KiB.
        inbound_burst_kib: u32 = "inbound.burst",
        /// What it is guaranteed to receive, in kB/s.
        inbound_floor_kb_per_s: u32 = "inbound.floor",
        /// What it may send for long, in kB/s.
        outbound_average_kb_per_s: u32 = "outbound.average",
        /// What it may send in bursts, in kB/s.
        outbound_peak_kb_per_s: u32 = "outbound.peak",
        /// How much a burst sent may have, in KiB.
        outbound_burst_kib: u32 = "outbound.burst",
    }
}

params! {
    /// How an I/O thread waits for work: by polling first, for a time that adapts itself.
    pub struct IothreadParameters {
        /// The longest time that it polls, zero for not at all.
        poll_max: Duration as Nanos = "poll_max_ns",
        /// By what the time is multiplied where longer polling would pay; 0 for the hypervisor's own factor.
        poll_grow: u32 = "poll_grow",
        /// By what the time is divided where polling does not pay; 0 for setting it to nothing.
        poll_shrink: u32 = "poll_shrink",
        /// The smallest number of worker threads.
        thread_pool_min: i32 = "thread_pool_min",
        /// The largest number of worker threads.
        thread_pool_max: i32 = "thread_pool_max",
    }
}
