//! What the host has used.

use std::time::Duration;

use crate::objects::params::declare::{Nanos, params};

params! {
    /// What the CPUs of the host were busy with since it was started.
    #[non_exhaustive]
    pub struct NodeCpuStats {
        /// Time in the kernel.
        kernel: Duration as Nanos = "kernel",
        /// Time in programs.
        user: Duration as Nanos = "user",
        /// Time without anything to do.
        idle: Duration as Nanos = "idle",
        /// Time without anything to do but to wait for disks.
        iowait: Duration as Nanos = "iowait",
        /// Time with interrupts.
        interrupts: Duration as Nanos = "intr",
        /// How busy they are, in percent, where that is all that the host knows.
        utilization_percent: u64 = "utilization",
    }
}

params! {
    /// The memory of the host, or of a NUMA cell, which knows only some of it.
    #[non_exhaustive]
    pub struct NodeMemoryStats {
        /// All of it, in KiB.
        total_kib: u64 = "total",
        /// What is not used, in KiB.
        free_kib: u64 = "free",
        /// What buffers hold, in KiB.
        buffers_kib: u64 = "buffers",
        /// What caches hold, in KiB.
        cached_kib: u64 = "cached",
    }
}
