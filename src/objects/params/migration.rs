//! What is asked of long jobs: migrations, copies of disks, saving to a file.

use super::declare::params;

params! {
    /// What a migration is asked to do beyond its flags. What is `None` is left to the daemons.
    ///
    /// ```
    /// use libvirt_client::{TypedParams, params::MigrationParameters};
    ///
    /// let migration = MigrationParameters {
    ///     bandwidth_mib_per_s: Some(100),
    ///     migrate_disks: vec!["vda".to_owned(), "vdb".to_owned()],
    ///     ..Default::default()
    /// };
    /// assert_eq!(TypedParams::from(migration).get_all("migrate_disks").count(), 2);
    /// ```
    pub struct MigrationParameters {
        /// Where the source's hypervisor sends the domain to: `tcp://host:port`, `unix:///path`.
        migrate_uri: String = "migrate_uri",
        /// The domain's name on the destination.
        destination_name: String = "destination_name",
        /// The domain's definition on the destination, where it differs in what the guest does not see.
        destination_xml: String = "destination_xml",
        /// The definition that stays on the destination, if the domain is made persistent there.
        persistent_xml: String = "persistent_xml",
        /// The most that it may send, in MiB/s.
        bandwidth_mib_per_s: u64 = "bandwidth",
        /// The most that it may send once the domain runs on the destination, in MiB/s.
        postcopy_bandwidth_mib_per_s: u64 = "bandwidth.postcopy",
        /// What may be counted with when the domain is switched over, in bytes/s.
        switchover_bandwidth_bytes_per_s: u64 = "bandwidth.avail.switchover",
        /// Where viewers of its screen shall connect to afterwards.
        graphics_uri: String = "graphics_uri",
        /// The address that the destination listens on.
        listen_address: String = "listen_address",
        /// The port that the destination receives disks on.
        disks_port: i32 = "disks_port",
        /// Where disks are sent to: `tcp://host:port`, `unix:///path`.
        disks_uri: String = "disks_uri",
        /// The level of multithreaded compression, from 0 for none to 9.
        compression_mt_level: i32 = "compression.mt.level",
        /// The threads that compress.
        compression_mt_threads: i32 = "compression.mt.threads",
        /// The threads that decompress.
        compression_mt_dthreads: i32 = "compression.mt.dthreads",
        /// The cache of pages for XBZRLE, in bytes.
        compression_xbzrle_cache: u64 = "compression.xbzrle.cache",
        /// The level of zlib compression, from 0 for none to 9.
        compression_zlib_level: i32 = "compression.zlib.level",
        /// The level of zstd compression, from 0 for none to 20.
        compression_zstd_level: i32 = "compression.zstd.level",
        /// By how many percent the guest's CPUs are slowed down at first, where it changes memory too fast.
        auto_converge_initial: i32 = "auto_converge.initial",
        /// By how many percent more each time.
        auto_converge_increment: i32 = "auto_converge.increment",
        /// The number of parallel connections.
        parallel_connections: i32 = "parallel.connections",
        /// The name that is expected in the destination's certificate.
        tls_destination: String = "tls.destination",
    }
    lists {
        /// The disks that are copied, by their target: `vda`. Without any, those that are not shared and can be written.
        migrate_disks: String = "migrate_disks",
        /// The disks whose zeros are not sent.
        migrate_disks_detect_zeroes: String = "migrate_disks_detect_zeroes",
        /// The methods of compression: `xbzrle`, `mt`, `zlib`, `zstd`.
        compression: String = "compression",
    }
}

params! {
    /// What a job that copies a disk is asked to do.
    pub struct BlockCopyParameters {
        /// The most that it may copy, in bytes/s.
        bandwidth_bytes_per_s: u64 = "bandwidth",
        /// The unit that changes are noted in, in bytes; a power of 2.
        granularity: u32 = "granularity",
        /// How much may be on its way at once, in bytes.
        buf_size: u64 = "buf-size",
    }
}

params! {
    /// Where a domain is saved to or restored from.
    pub struct SaveParameters {
        /// The file on the daemon's host.
        file: String = "file",
        /// The domain's definition, where it is to differ from the one that is saved.
        xml: String = "dxml",
        /// The format of the file: `raw`, `sparse`, or with compression `gzip`, `zstd`, ….
        image_format: String = "image_format",
        /// How many channels write or read at once; for the format `sparse`.
        parallel_channels: i32 = "parallel.channels",
    }
}
