//! The objects of a daemon, as handles: what names one of them, and the connection that it was found on.
//!
//! With the feature `serde` they are written as what they are known by, such as name and UUID. They are not read back:
//! a handle needs a connection, so look the object up.

use std::sync::atomic::Ordering;

use super::{Connection, Uuid, enums::SecretUsageType};
use crate::protocol::remote;

/// Defines a handle: the struct that goes over the wire, the fields that make two of them the same, and those that are
/// shown, and written by serde; perhaps a field that calls change, for all clones of the handle.
macro_rules! handle {
    (
        $(#[$attribute:meta])*
        $name:ident($connection:ty, $wire:ty), same: $identity:expr, shows: $($shown:ident)*
        $(, changes: $changed:ident)?
    ) => {
        $(#[$attribute])*
        #[derive(Clone)]
        pub struct $name {
            pub(super) connection: $connection,
            pub(super) wire: $wire,
            $(pub(super) $changed: std::sync::Arc<std::sync::atomic::AtomicI32>,)?
        }

        impl $name {
            pub(super) fn new(wire: $wire, connection: &$connection) -> Self {
                Self {
                    connection: connection.clone(),
                    $($changed: std::sync::Arc::new(wire.$changed.into()),)?
                    wire,
                }
            }

            /// What goes over the wire, as it is now.
            #[allow(dead_code, reason = "some objects are sent by their name only")]
            pub(super) fn to_wire(&self) -> $wire {
                let wire = self.wire.clone();
                $(let wire = {
                    let mut wire = wire;
                    wire.$changed = self.$changed.load(std::sync::atomic::Ordering::Relaxed);
                    wire
                };)?
                wire
            }

            /// Returns the connection that it was found on.
            #[must_use]
            pub fn connection(&self) -> &$connection {
                &self.connection
            }

            /// Returns the same object, whose calls have another deadline, or none.
            #[must_use]
            pub fn with_timeout(&self, timeout: impl Into<Option<std::time::Duration>>) -> Self {
                Self { connection: self.connection.with_timeout(timeout), ..self.clone() }
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                let identity: fn(&$wire) -> _ = $identity;
                identity(&self.wire) == identity(&other.wire) && self.connection.uri() == other.connection.uri()
            }
        }

        impl Eq for $name {}

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                let identity: fn(&$wire) -> _ = $identity;
                std::hash::Hash::hash(&identity(&self.wire), state);
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), &self.$shown()))*
                    .field("connection", &self.connection.uri())
                    .finish()
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;

                let shown = [$(stringify!($shown)),*].len();
                let mut fields = serializer.serialize_struct(stringify!($name), shown)?;
                $(fields.serialize_field(stringify!($shown), &self.$shown())?;)*
                fields.end()
            }
        }
    };
}

pub(super) use handle;

/// Defines what returns a name, or a UUID.
macro_rules! named {
    ($($name:ident)*) => {
        $(impl $name {
            /// Returns the name.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.wire.name
            }
        })*
    };
}

macro_rules! with_uuid {
    ($($name:ident)*) => {
        $(impl $name {
            /// Returns the UUID.
            #[must_use]
            pub fn uuid(&self) -> Uuid {
                self.wire.uuid.into()
            }
        })*
    };
}

handle! {
    /// A guest of the hypervisor, running or not. Cheap to clone. Two of them are equal if they have the same UUID on the
    /// same kind of connection, whatever their names and ids were when they were looked up.
    ///
    /// C: `virDomainPtr`.
    #[doc(alias = "virDomainPtr")]
    Domain(Connection, remote::NonnullDomain), same: |wire| wire.uuid, shows: name uuid id, changes: id
}

handle! {
    /// A point in a domain's life that it can be reverted to. Equal if name and domain are.
    ///
    /// C: `virDomainSnapshotPtr`.
    #[doc(alias = "virDomainSnapshotPtr")]
    DomainSnapshot(Connection, remote::NonnullDomainSnapshot), same: |wire| (wire.name.clone(), wire.dom.uuid), shows: name domain
}

handle! {
    /// A point in a domain's life since which the changes of its disks are known, for incremental backups. Equal if
    /// name and domain are.
    ///
    /// C: `virDomainCheckpointPtr`.
    #[doc(alias = "virDomainCheckpointPtr")]
    DomainCheckpoint(Connection, remote::NonnullDomainCheckpoint), same: |wire| (wire.name.clone(), wire.dom.uuid), shows: name domain
}

handle! {
    /// A network that domains are plugged into. Equal if the UUID is.
    ///
    /// C: `virNetworkPtr`.
    #[doc(alias = "virNetworkPtr")]
    Network(Connection, remote::NonnullNetwork), same: |wire| wire.uuid, shows: name uuid
}

handle! {
    /// A place where something is plugged into a network. Equal if its UUID and that of the network are.
    ///
    /// C: `virNetworkPortPtr`.
    #[doc(alias = "virNetworkPortPtr")]
    NetworkPort(Connection, remote::NonnullNetworkPort), same: |wire| (wire.uuid, wire.net.uuid), shows: uuid network
}

handle! {
    /// Rules about which packets domains may send and receive. Equal if the UUID is.
    ///
    /// C: `virNWFilterPtr`.
    #[doc(alias = "virNWFilterPtr")]
    NetworkFilter(Connection, remote::NonnullNwfilter), same: |wire| wire.uuid, shows: name uuid
}

handle! {
    /// A network filter that is in force on a host's device. Equal if the device is.
    ///
    /// C: `virNWFilterBindingPtr`.
    #[doc(alias = "virNWFilterBindingPtr")]
    NetworkFilterBinding(Connection, remote::NonnullNwfilterBinding), same: |wire| wire.portdev.clone(), shows: port_dev filter_name
}

handle! {
    /// A network interface of the host. Equal if the name is: several may share a MAC address.
    ///
    /// C: `virInterfacePtr`.
    #[doc(alias = "virInterfacePtr")]
    Interface(Connection, remote::NonnullInterface), same: |wire| wire.name.clone(), shows: name mac
}

handle! {
    /// A place for volumes: a directory, a volume group, a network share. Equal if the UUID is.
    ///
    /// C: `virStoragePoolPtr`.
    #[doc(alias = "virStoragePoolPtr")]
    StoragePool(Connection, remote::NonnullStoragePool), same: |wire| wire.uuid, shows: name uuid
}

handle! {
    /// A disk image or something else that holds data, in a pool. Equal if the key is.
    ///
    /// C: `virStorageVolPtr`.
    #[doc(alias = "virStorageVolPtr")]
    StorageVol(Connection, remote::NonnullStorageVol), same: |wire| wire.key.clone(), shows: name pool_name key
}

handle! {
    /// A device of the host, or one that can be made there. Equal if the name is.
    ///
    /// C: `virNodeDevicePtr`.
    #[doc(alias = "virNodeDevicePtr")]
    NodeDevice(Connection, remote::NonnullNodeDevice), same: |wire| wire.name.clone(), shows: name
}

handle! {
    /// A password or key that the daemon keeps for volumes and the like. Equal if the UUID is.
    ///
    /// C: `virSecretPtr`.
    #[doc(alias = "virSecretPtr")]
    Secret(Connection, remote::NonnullSecret), same: |wire| wire.uuid, shows: uuid usage_type usage_id
}

named! { Domain DomainSnapshot DomainCheckpoint Network NetworkFilter Interface StoragePool StorageVol NodeDevice }
with_uuid! { Domain Network NetworkPort NetworkFilter StoragePool Secret }

impl Domain {
    /// Returns the number that it has as a running domain, or `None` if it is not running, as far as this handle knows.
    ///
    /// It knows what was so when it was made, and what its own [`start`](Self::start), [`destroy`](Self::destroy) and
    /// [`save`](Self::save) or [`managed_save`](Self::managed_save) made of it, through itself or a clone. What others do it
    /// does not hear of, nor when the guest shuts down: look the domain up again, or ask whether it
    /// [is active](Self::is_active).
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        u32::try_from(self.id.load(Ordering::Relaxed)).ok()
    }

    /// Takes note of a number, or of none, which is −1.
    pub(super) fn set_id(&self, id: i32) {
        self.id.store(id, Ordering::Relaxed);
    }
}

impl DomainSnapshot {
    /// Returns the domain that it belongs to.
    #[must_use]
    pub fn domain(&self) -> Domain {
        Domain::new(self.wire.dom.clone(), &self.connection)
    }
}

impl DomainCheckpoint {
    /// Returns the domain that it belongs to.
    #[must_use]
    pub fn domain(&self) -> Domain {
        Domain::new(self.wire.dom.clone(), &self.connection)
    }
}

impl NetworkPort {
    /// Returns the network that it belongs to.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::new(self.wire.net.clone(), &self.connection)
    }
}

impl NetworkFilterBinding {
    /// Returns the host's device that the filter is in force on.
    #[must_use]
    pub fn port_dev(&self) -> &str {
        &self.wire.portdev
    }

    /// Returns the name of the filter.
    #[must_use]
    pub fn filter_name(&self) -> &str {
        &self.wire.filtername
    }
}

impl Interface {
    /// Returns the MAC address, as in `52:54:00:12:34:56`; empty if it has none.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.wire.mac
    }
}

impl StorageVol {
    /// Returns the name of the pool that it is in.
    #[must_use]
    pub fn pool_name(&self) -> &str {
        &self.wire.pool
    }

    /// Returns what names it among all volumes of the host: often its path.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.wire.key
    }
}

impl Secret {
    /// Returns what kind of thing it is for.
    #[must_use]
    pub fn usage_type(&self) -> SecretUsageType {
        SecretUsageType(self.wire.usage_type)
    }

    /// Returns what it is for, as in a volume's path.
    #[must_use]
    pub fn usage_id(&self) -> &str {
        &self.wire.usage_id
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, hash::Hash};

    use super::*;

    fn assert_handle<T: Clone + Send + Sync + Eq + Hash + fmt::Debug + 'static>() {}

    #[test]
    fn handles_go_anywhere() {
        assert_handle::<Domain>();
        assert_handle::<DomainSnapshot>();
        assert_handle::<DomainCheckpoint>();
        assert_handle::<Network>();
        assert_handle::<NetworkPort>();
        assert_handle::<NetworkFilter>();
        assert_handle::<NetworkFilterBinding>();
        assert_handle::<Interface>();
        assert_handle::<StoragePool>();
        assert_handle::<StorageVol>();
        assert_handle::<NodeDevice>();
        assert_handle::<Secret>();
    }
}
