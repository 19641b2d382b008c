//! What a guest tells through its agent.

use std::time::SystemTime;

use crate::objects::params::declare::{Millis, params};

params! {
    /// What the agent in a guest knows of it.
    #[non_exhaustive]
    pub struct GuestInfo {
        /// The guest's host name.
        hostname: String = "hostname",
        /// The name of its time zone.
        timezone_name: String = "timezone.name",
        /// Its time zone's distance from UTC, in s, positive to the east.
        timezone_offset_s: i32 = "timezone.offset",
        /// How many users are logged in.
        user_count: u32 = "user.count",
        /// How many file systems are mounted.
        filesystem_count: u32 = "fs.count",
        /// How many disks and partitions there are.
        disk_count: u32 = "disk.count",
        /// How many network interfaces there are.
        interface_count: u32 = "if.count",
    }
    groups {
        /// Users that are logged in.
        users: GuestUser = "user.",
        /// Mounted file systems.
        filesystems: GuestFilesystem = "fs.",
        /// Disks and partitions.
        disks: GuestDisk = "disk.",
        /// Network interfaces.
        interfaces: GuestInterface = "if.",
    }
    parts {
        /// The operating system.
        os: GuestOs = "os.",
        /// How busy it is.
        load: GuestLoad = "load.",
    }
}

params! {
    /// A user who is logged in.
    #[non_exhaustive]
    pub struct GuestUser[number] {
        /// The name.
        name: String = "name",
        /// The domain of Windows that the name is in.
        domain: String = "domain",
        /// Since when.
        login_time: SystemTime as Millis = "login-time",
    }
}

params! {
    /// A guest's operating system.
    #[non_exhaustive]
    pub struct GuestOs {
        /// What it is called in scripts: `debian`, `mswindows`.
        id: String = "id",
        /// Its name.
        name: String = "name",
        /// Its name with its version.
        pretty_name: String = "pretty-name",
        /// Its version, with a name.
        version: String = "version",
        /// Its version, as a number.
        version_id: String = "version-id",
        /// The architecture.
        machine: String = "machine",
        /// The variant: `Server`.
        variant: String = "variant",
        /// What the variant is called in scripts.
        variant_id: String = "variant-id",
        /// The kernel's release: `6.1.0-13-amd64`.
        kernel_release: String = "kernel-release",
        /// The kernel's version, with the date of its build.
        kernel_version: String = "kernel-version",
    }
}

params! {
    /// How many processes run or wait to run, on average.
    #[non_exhaustive]
    pub struct GuestLoad {
        /// In the last minute.
        last_minute: f64 = "1m",
        /// In the last five minutes.
        last_5_minutes: f64 = "5m",
        /// In the last fifteen minutes.
        last_15_minutes: f64 = "15m",
    }
}

params! {
    /// A mounted file system.
    #[non_exhaustive]
    pub struct GuestFilesystem[number] {
        /// Its name in the guest: `vda1`.
        name: String = "name",
        /// Where it is mounted.
        mountpoint: String = "mountpoint",
        /// What kind it is of: `ext4`.
        kind: String = "fstype",
        /// Its size, in bytes.
        total_bytes: u64 = "total-bytes",
        /// What is in use, in bytes.
        used_bytes: u64 = "used-bytes",
        /// How many disks it is on.
        disk_count: u32 = "disk.count",
    }
    groups {
        /// The disks that it is on.
        disks: GuestFilesystemDisk = "disk.",
    }
}

params! {
    /// A disk that a file system is on.
    #[non_exhaustive]
    pub struct GuestFilesystemDisk[number] {
        /// What the domain's definition calls it: `vda`.
        alias: String = "alias",
        /// Its serial number.
        serial: String = "serial",
        /// Its device in the guest: `/dev/vda1`.
        device: String = "device",
    }
}

params! {
    /// A disk or partition.
    #[non_exhaustive]
    pub struct GuestDisk[number] {
        /// Its device in the guest: `/dev/vda1`.
        name: String = "name",
        /// Whether it is a partition.
        is_partition: bool = "partition",
        /// What the domain's definition calls it: `vda`.
        alias: String = "alias",
        /// Its serial number.
        serial: String = "serial",
        /// What the guest calls it besides, such as the name of an encrypted volume.
        guest_alias: String = "guest_alias",
        /// The bus that the guest sees it on.
        guest_bus: String = "guest_bus",
        /// How many disks it is on.
        dependency_count: u32 = "dependency.count",
    }
    groups {
        /// The disks that it is on.
        dependencies: GuestDependency = "dependency.",
    }
}

params! {
    /// A disk that another is on.
    #[non_exhaustive]
    pub struct GuestDependency[number] {
        /// Its device in the guest.
        name: String = "name",
    }
}

params! {
    /// A network interface.
    #[non_exhaustive]
    pub struct GuestInterface[number] {
        /// Its name in the guest: `eth0`.
        name: String = "name",
        /// Its MAC address.
        mac: String = "hwaddr",
        /// How many addresses it has.
        address_count: u32 = "addr.count",
    }
    groups {
        /// Its addresses.
        addresses: GuestAddress = "addr.",
    }
}

params! {
    /// An address of a network interface.
    #[non_exhaustive]
    pub struct GuestAddress[number] {
        /// `ipv4` or `ipv6`.
        kind: String = "type",
        /// The address.
        address: String = "addr",
        /// How many bits of it name the network.
        prefix: u32 = "prefix",
    }
}

params! {
    /// The virtual CPUs of a guest, as lists such as `0-3,5`.
    #[non_exhaustive]
    pub struct GuestVcpus {
        /// Those that it sees.
        vcpus: String = "vcpus",
        /// Those that are online.
        online: String = "online",
        /// Those that can be taken offline.
        offlinable: String = "offlinable",
    }
}
