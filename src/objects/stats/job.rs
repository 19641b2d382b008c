//! What jobs tell of themselves.

use std::time::Duration;

use crate::objects::{
    enums::DomainJobOperation,
    params::declare::{Millis, params},
};

params! {
    /// How far a job of a domain is, such as a migration, or how it went.
    #[non_exhaustive]
    pub struct JobStats {
        /// What is done.
        operation: DomainJobOperation = "operation",
        /// How long it has taken.
        time_elapsed: Duration as Millis = "time_elapsed",
        /// The same without the time that the two daemons needed for each other.
        time_elapsed_net: Duration as Millis = "time_elapsed_net",
        /// How long it will still take, by an estimate.
        time_remaining: Duration as Millis = "time_remaining",
        /// How long the domain stood still or, before the end, will by an estimate.
        downtime: Duration as Millis = "downtime",
        /// The same without the time that the two daemons needed for each other.
        downtime_net: Duration as Millis = "downtime_net",
        /// How long it took to begin.
        setup_time: Duration as Millis = "setup_time",
        /// Memory and disks in all, in bytes; it may grow.
        data_total: u64 = "data_total",
        /// Memory and disks done, in bytes.
        data_processed: u64 = "data_processed",
        /// Memory and disks left, in bytes; what the guest changes has to be sent anew.
        data_remaining: u64 = "data_remaining",
        /// Memory in all, in bytes.
        memory_total: u64 = "memory_total",
        /// Memory done, in bytes.
        memory_processed: u64 = "memory_processed",
        /// Memory left, in bytes.
        memory_remaining: u64 = "memory_remaining",
        /// Pages that were filled with one byte each, and so not sent.
        memory_constant: u64 = "memory_constant",
        /// Pages that were sent whole.
        memory_normal: u64 = "memory_normal",
        /// The same in bytes.
        memory_normal_bytes: u64 = "memory_normal_bytes",
        /// The speed of memory, in bytes/s.
        memory_bytes_per_s: u64 = "memory_bps",
        /// Pages that the guest changes, in pages/s.
        memory_dirty_rate: u64 = "memory_dirty_rate",
        /// The size of a page, in bytes.
        memory_page_size: u64 = "memory_page_size",
        /// How often all changed memory has been gone through.
        memory_iteration: u64 = "memory_iteration",
        /// How often the guest had to wait for a page from the source.
        memory_postcopy_requests: u64 = "memory_postcopy_requests",
        /// Disks in all, in bytes.
        disk_total: u64 = "disk_total",
        /// Disks done, in bytes.
        disk_processed: u64 = "disk_processed",
        /// Disks left, in bytes.
        disk_remaining: u64 = "disk_remaining",
        /// The speed of disks, in bytes/s.
        disk_bytes_per_s: u64 = "disk_bps",
        /// What a backup uses of temporary files, in bytes.
        disk_temp_used: u64 = "disk_temp_used",
        /// The size of a backup's temporary files, in bytes.
        disk_temp_total: u64 = "disk_temp_total",
        /// The cache of pages for compression, in bytes.
        compression_cache: u64 = "compression_cache",
        /// What was sent compressed, in bytes.
        compression_bytes: u64 = "compression_bytes",
        /// Pages that were sent compressed.
        compression_pages: u64 = "compression_pages",
        /// Pages that were not in the cache.
        compression_cache_misses: u64 = "compression_cache_misses",
        /// Pages that would have been larger compressed.
        compression_overflow: u64 = "compression_overflow",
        /// By how many percent the guest's CPUs are slowed down.
        auto_converge_throttle: i32 = "auto_converge_throttle",
        /// What passed-through devices have sent of their state, in bytes.
        vfio_data_transferred: u64 = "vfio_data_transferred",
        /// Whether it went well, once it has ended.
        success: bool = "success",
        /// Why it did not.
        error_message: String = "errmsg",
    }
}
