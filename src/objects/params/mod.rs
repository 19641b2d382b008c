//! Settings as structs: what the setters take and the getters return, with named fields.
//!
//! Each is made of [`TypedParams`](crate::TypedParams) and becomes them again, and each keeps what it has no field for: a newer daemon's
//! values are in `rest`, and what is put there is sent too.
//!
//! Setters take `impl Into<TypedParams>`, so that these structs, [`TypedParams`](crate::TypedParams) and arrays of names and values will all do.
//!
//! Structs that are sent are written with `..Default::default()`: a later version of this crate may have more
//! fields, which does not count as a breaking change. That is why they are not `#[non_exhaustive]`, which would forbid it.
//! Those that only come from the daemon are.

mod admin;
pub(super) mod declare;
mod domain;
mod host;
mod migration;
pub(super) mod typed;

#[cfg(test)]
mod tests;

pub use admin::{ClientInfo, ClientLimits, ThreadPoolParameters};
pub use domain::{
    Bandwidth, BlkioParameters, BlockIoTune, IothreadParameters, MemoryParameters, NumaParameters,
    SchedulerParameters,
};
pub use host::{Identity, LaunchSecurityInfo, LaunchSecurityState, NodeMemoryParameters, SevInfo};
pub use migration::{BlockCopyParameters, MigrationParameters, SaveParameters};
