#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! ```text
//! objects ──> rpc ──> protocol ──> xdr          error: used by all, uses none
//!    └──> uri, auth, transport (only where a connection is opened)
//! testing ──> rpc, protocol, transport          (feature `testing`)
//! ```
//!
//! Left uses right, nothing else. [`rpc`] and [`transport`] do not know each other: `rpc` takes any byte stream.
#![warn(missing_docs)]

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
    DomainStateReason, Event, Events, Interface, Network, NetworkFilter, NetworkFilterBinding, NetworkPort,
    NodeDevice, Secret, StoragePool, StorageVol, TypedParams, TypedValue, Uuid, UuidError, Version,
    VersionError, admin, collections, enums, events, fields, guide, ledger, params, results, stats,
};
pub use rpc::KeepaliveConfig;
