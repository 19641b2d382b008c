//! What users hold: a [`Connection`] and the objects of its daemon.

pub mod admin;
mod by_hand;
pub mod collections;
mod connection;
mod cpu_map;
pub mod enums;
pub mod events;
pub mod fields;
#[cfg(unix)]
mod files;
pub mod fleet;
mod goodbye;
pub mod guest;
pub mod guide;
mod handles;
pub mod ledger;
mod methods;
pub mod migration;
mod open;
pub mod params;
mod paths;
#[cfg(feature = "serde")]
mod qmp;
mod reasons;
pub mod results;
#[cfg(feature = "serde")]
mod serde_impl;
pub mod stats;
pub mod streams;
pub mod supervision;
mod uuid;
mod version;

pub use connection::{Builder, Connection};
pub use cpu_map::{CpuMap, CpuMapError};
pub use events::{DomainEvent, Event, Events};
pub use handles::{
    Domain, DomainCheckpoint, DomainSnapshot, Interface, Network, NetworkFilter, NetworkFilterBinding,
    NetworkPort, NodeDevice, Secret, StoragePool, StorageVol,
};
pub use migration::MigrateOptions;
pub use params::typed::{TypedParams, TypedValue};
pub use reasons::DomainStateReason;
pub use uuid::{Uuid, UuidError};
pub use version::{Version, VersionError};

use crate::{
    error::{Error, ErrorCode, Result},
    rpc::expecting,
};

/// Reads what the wire has as characters of C, up to their end.
fn text(characters: &[u8]) -> String {
    let end = characters.iter().position(|&c| c == 0).unwrap_or(characters.len());
    String::from_utf8_lossy(characters.get(..end).unwrap_or(characters)).into_owned()
}

/// Makes `None` of the daemon's answer that there is no such object.
async fn found<T>(looking: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    none_where(Error::is_not_found, looking).await
}

/// Makes `None` of the one error that says that there is nothing.
async fn there_is<T>(nothing: ErrorCode, asking: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    none_where(move |error| error.code() == Some(nothing), asking).await
}

/// Makes `None` of errors that are answers; hooks are not told of these.
async fn none_where<T>(
    is_answer: impl Fn(&Error) -> bool + Copy + Send + Sync + 'static,
    asking: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    match expecting(is_answer, asking).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_answer(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a number as it is or, where it does not fit, the largest that does.
fn saturating<T: TryFrom<u128>>(number: u128, max: T) -> T {
    T::try_from(number).unwrap_or(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_where_c_ends_it() {
        assert_eq!(text(b"x86_64\0\0garbage"), "x86_64");
        assert_eq!(text(b"no end"), "no end");
        assert_eq!(text(b"\xff\0"), "\u{fffd}");
    }

    #[test]
    fn what_is_too_large_becomes_the_largest() {
        assert_eq!(saturating(70_000, u16::MAX), u16::MAX);
        assert_eq!(saturating(7, u16::MAX), 7);
    }
}
