#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! ```text
//! objects ──> rpc ──> protocol ──> xdr          error: used by all, uses none
//!    └──> uri, auth, transport (only where a connection is opened); transport ──> auth (for credentials)
//! testing ──> rpc, protocol, transport          (feature `testing`)
//! serde_impl: used by all data, uses none       (feature `serde`)
//! ```
//!
//! Left uses right, nothing else. [`rpc`] and [`transport`] do not know each other: `rpc` takes any byte stream.
//!
//! # Features
//!
//! `ssh`, `tls` and `sasl` are on by default. None changes what is there without it.
//!
//! - `ssh`: daemons of other hosts by SSH, as in `qemu+ssh://host/system`, and tunnels through the host: [`transport::ssh`].
//! - `tls`: daemons of other hosts by TLS, as in `qemu://host/system`: [`transport::tls`]. It is rustls's, with ring, which takes a
//!   C compiler to build.
//! - `sasl`: the authentication by name and password that daemons may ask for.
//! - `serde`: `Serialize` and `Deserialize` on all public data, for JSON and configuration. Enums are names (`"RUNNING"`, or
//!   the number where it has none), flags are `"PAUSED | 0x40"`, UUIDs and sets of CPUs are text, a [`Duration`](std::time::Duration)
//!   is what serde makes of it. Handles such as [`Domain`] are written as what they are known by, and not read: they need a
//!   connection. Also `Domain::qmp` and `Domain::agent`, the commands of QEMU's monitor and of the guest's agent, and what needs them:
//!   programs and files in a [`guest`].
//! - `uuid`: conversions between [`Uuid`] and the type of the crate uuid.
//! - `testing`: recordings of daemons, and what replays them, for tests.
#![warn(missing_docs)]

// First, since it defines macros.
#[cfg(feature = "serde")]
#[macro_use]
mod serde_impl;

pub mod auth;
pub mod error;
mod objects;
pub mod protocol;
pub mod rpc;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
pub mod uri;
pub mod xdr;

pub use error::{CloseReason, Error, ErrorCode, ErrorDomain, ErrorLevel, RemoteError, Result, Waiting};
pub use objects::{
    Builder, Connection, CpuMap, CpuMapError, Domain, DomainCheckpoint, DomainEvent, DomainSnapshot,
    DomainStateReason, Event, Events, Interface, MigrateOptions, Network, NetworkFilter,
    NetworkFilterBinding, NetworkPort, NodeDevice, Secret, StoragePool, StorageVol, TypedParams, TypedValue,
    Uuid, UuidError, Version, VersionError, admin, collections, enums, events, fields, fleet, guest, guide,
    ledger, migration, params, results, stats, streams, supervision,
};
pub use rpc::KeepaliveConfig;
