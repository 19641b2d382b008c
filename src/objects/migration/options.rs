//! What a migration is asked to do.

use crate::objects::{enums::DomainMigrateFlags, params::MigrationParameters};

/// What a migration is asked to do: its flags, and the parameters beyond them.
///
/// The methods are for what is asked for most; the rest is in [`flags`](Self::flags) and
/// [`parameters`](Self::parameters).
///
/// ```
/// use libvirt_client::{MigrateOptions, enums::DomainMigrateFlags};
///
/// let mut options = MigrateOptions::live()
///     .persist_destination()
///     .undefine_source()
///     .copy_disks(["vda"])
///     .bandwidth_mib_per_s(100)
///     .destination_name("web-2");
/// options.parameters.auto_converge_initial = Some(30);
/// assert!(options.flags.contains(DomainMigrateFlags::LIVE | DomainMigrateFlags::NON_SHARED_DISK));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct MigrateOptions {
    /// The flags.
    pub flags: DomainMigrateFlags,
    /// What else is asked for.
    pub parameters: MigrationParameters,
}

/// Defines methods that set a flag.
macro_rules! flag_methods {
    ($($(#[$attribute:meta])* $name:ident: $flag:ident,)*) => {
        $(
            $(#[$attribute])*
            #[must_use]
            pub fn $name(self) -> Self {
                self.with_flags(DomainMigrateFlags::$flag)
            }
        )*
    };
}

/// Defines methods that set a parameter.
macro_rules! parameter_methods {
    ($($(#[$attribute:meta])* $name:ident: $ty:ty => $field:ident,)*) => {
        $(
            $(#[$attribute])*
            #[must_use]
            pub fn $name(mut self, value: $ty) -> Self {
                self.parameters.$field = Some(value.into());
                self
            }
        )*
    };
}

impl MigrateOptions {
    /// Asks for a migration that stops the domain while it is sent, or that of a domain which is paused already.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a migration during which the domain runs on, but for a moment at the end (`VIR_MIGRATE_LIVE`).
    #[must_use]
    pub fn live() -> Self {
        DomainMigrateFlags::LIVE.into()
    }

    /// Asks for the definition of a domain that does not run to be moved (`VIR_MIGRATE_OFFLINE`). Disks are not copied;
    /// it needs [`persist_destination`](Self::persist_destination), which is asked for too.
    #[must_use]
    pub fn offline() -> Self {
        (DomainMigrateFlags::OFFLINE | DomainMigrateFlags::PERSIST_DEST).into()
    }

    /// Adds flags.
    #[must_use]
    pub fn with_flags(mut self, flags: DomainMigrateFlags) -> Self {
        self.flags |= flags;
        self
    }

    flag_methods! {
        /// Has the domain defined on the destination, too (`VIR_MIGRATE_PERSIST_DEST`).
        persist_destination: PERSIST_DEST,
        /// Removes the definition from the source once the domain has moved (`VIR_MIGRATE_UNDEFINE_SOURCE`).
        undefine_source: UNDEFINE_SOURCE,
        /// Leaves the domain paused on the destination (`VIR_MIGRATE_PAUSED`).
        paused: PAUSED,
        /// Has the source's daemon send the domain through its connection to the destination's daemon, and not from
        /// hypervisor to hypervisor (`VIR_MIGRATE_TUNNELLED`). Only [peer to peer](crate::Domain::migrate_to_uri).
        tunnelled: TUNNELLED,
        /// Refuses to begin where the domain cannot be protected from changes (`VIR_MIGRATE_CHANGE_PROTECTION`). It is
        /// protected in any case where the source is able to, which is since libvirt 0.9.4.
        change_protection: CHANGE_PROTECTION,
        /// Migrates even where data may get lost, as with disks that are cached on both hosts (`VIR_MIGRATE_UNSAFE`).
        allow_unsafe: UNSAFE,
        /// Gives up where a disk has an error meanwhile (`VIR_MIGRATE_ABORT_ON_ERROR`).
        abort_on_error: ABORT_ON_ERROR,
        /// Slows the guest's CPUs down where it changes its memory faster than it is sent (`VIR_MIGRATE_AUTO_CONVERGE`).
        auto_converge: AUTO_CONVERGE,
        /// Lets the domain be switched to post-copy (`VIR_MIGRATE_POSTCOPY`): it then runs on the destination, and fetches
        /// what has not been sent yet. See [`start_post_copy`](super::RunningMigration::start_post_copy).
        post_copy: POSTCOPY,
        /// Goes on with a migration that was interrupted in post-copy (`VIR_MIGRATE_POSTCOPY_RESUME`).
        resume_post_copy: POSTCOPY_RESUME,
        /// Encrypts what the hypervisors send to each other (`VIR_MIGRATE_TLS`); both need certificates for it.
        tls: TLS,
        /// Sends memory without copying it first (`VIR_MIGRATE_ZEROCOPY`); with [`parallel`](Self::parallel).
        zero_copy: ZEROCOPY,
        /// Has each write of the guest to a disk that is copied go to both sides at once, so that the copy is sure to end
        /// (`VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES`).
        synchronous_disk_writes: NON_SHARED_SYNCHRONOUS_WRITES,
    }

    /// Copies disks that the hosts do not share, by their targets (`vda`); without any, all that are not shared and can be
    /// written (`VIR_MIGRATE_NON_SHARED_DISK`, `VIR_MIGRATE_PARAM_MIGRATE_DISKS`). The destination needs images of the
    /// same names and sizes.
    #[must_use]
    pub fn copy_disks(self, targets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.copy(DomainMigrateFlags::NON_SHARED_DISK, targets)
    }

    /// Does what [`copy_disks`](Self::copy_disks) does, but for the backing images, which the destination has
    /// (`VIR_MIGRATE_NON_SHARED_INC`).
    #[must_use]
    pub fn copy_top_images(self, targets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.copy(DomainMigrateFlags::NON_SHARED_INC, targets)
    }

    fn copy(
        mut self,
        flag: DomainMigrateFlags,
        targets: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.parameters.migrate_disks.extend(targets.into_iter().map(Into::into));
        self.with_flags(flag)
    }

    /// Compresses what is sent, by methods such as `xbzrle`, `mt`, `zstd`; without any, by the hypervisor's own choice
    /// (`VIR_MIGRATE_COMPRESSED`, `VIR_MIGRATE_PARAM_COMPRESSION`).
    #[must_use]
    pub fn compressed(mut self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.parameters.compression.extend(methods.into_iter().map(Into::into));
        self.with_flags(DomainMigrateFlags::COMPRESSED)
    }

    /// Sends over so many connections at once (`VIR_MIGRATE_PARALLEL`, `VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS`).
    #[must_use]
    pub fn parallel(mut self, connections: u16) -> Self {
        self.parameters.parallel_connections = Some(connections.into());
        self.with_flags(DomainMigrateFlags::PARALLEL)
    }

    parameter_methods! {
        /// Sets where the source's hypervisor sends the domain to: `tcp://host`, `tcp://host:port`, `unix:///path`. Without
        /// it, the destination says (`VIR_MIGRATE_PARAM_URI`).
        migrate_uri: impl Into<String> => migrate_uri,
        /// Sets the domain's name on the destination (`VIR_MIGRATE_PARAM_DEST_NAME`).
        destination_name: impl Into<String> => destination_name,
        /// Sets the definition that the domain has on the destination, which may differ in what the guest does not see
        /// (`VIR_MIGRATE_PARAM_DEST_XML`). The XML of the source with
        /// [`MIGRATABLE`](crate::enums::DomainXmlFlags::MIGRATABLE) is the one to change.
        destination_xml: impl Into<String> => destination_xml,
        /// Sets the definition that stays on the destination (`VIR_MIGRATE_PARAM_PERSIST_XML`).
        persistent_xml: impl Into<String> => persistent_xml,
        /// Limits what is sent, in MiB/s (`VIR_MIGRATE_PARAM_BANDWIDTH`).
        bandwidth_mib_per_s: u64 => bandwidth_mib_per_s,
        /// Limits what is sent in post-copy, in MiB/s (`VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY`).
        postcopy_bandwidth_mib_per_s: u64 => postcopy_bandwidth_mib_per_s,
        /// Sets the address that the destination listens on (`VIR_MIGRATE_PARAM_LISTEN_ADDRESS`).
        listen_address: impl Into<String> => listen_address,
        /// Sets where viewers of the domain's screen shall go (`VIR_MIGRATE_PARAM_GRAPHICS_URI`).
        graphics_uri: impl Into<String> => graphics_uri,
        /// Sets the port that the destination receives disks on (`VIR_MIGRATE_PARAM_DISKS_PORT`).
        disks_port: u16 => disks_port,
        /// Sets where disks are sent to: `tcp://host:port`, `unix:///path` (`VIR_MIGRATE_PARAM_DISKS_URI`).
        disks_uri: impl Into<String> => disks_uri,
        /// Sets the name that the destination's certificate must have (`VIR_MIGRATE_PARAM_TLS_DESTINATION`).
        tls_destination: impl Into<String> => tls_destination,
    }
}

impl From<DomainMigrateFlags> for MigrateOptions {
    fn from(flags: DomainMigrateFlags) -> Self {
        Self { flags, ..Self::default() }
    }
}

impl From<MigrationParameters> for MigrateOptions {
    fn from(parameters: MigrationParameters) -> Self {
        Self { parameters, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::TypedParams;

    #[test]
    fn options_become_flags_and_parameters() {
        let options = MigrateOptions::live()
            .parallel(4)
            .copy_top_images(["vda", "vdb"])
            .compressed(["zstd"])
            .destination_name("other")
            .disks_port(49_000)
            .bandwidth_mib_per_s(7);
        assert_eq!(options.flags.bits(), 1 | 128 | 2048 | 131_072);
        let params = TypedParams::from(options.parameters);
        assert_eq!((params.str("destination_name"), params.i32("disks_port")), (Some("other"), Some(49_000)));
        assert_eq!((params.u64("bandwidth"), params.i32("parallel.connections")), (Some(7), Some(4)));
        assert_eq!((params.get_all("migrate_disks").count(), params.str("compression")), (2, Some("zstd")));
        assert_eq!(MigrateOptions::offline().flags.bits(), 1024 | 8);
        let all = MigrateOptions::new().copy_disks([] as [&str; 0]);
        assert_eq!(
            (all.flags, all.parameters),
            (DomainMigrateFlags::NON_SHARED_DISK, MigrationParameters::default())
        );
    }
}
