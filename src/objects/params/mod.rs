//! Settings as structs: what the setters take and the getters return, with named fields.
//!
//! Each is made of [`TypedParams`] and becomes them again, and each keeps what it has no field for: a newer daemon's values
//! are in `rest`, and what is put there is sent too.
//!
//! ```no_run
//! # async fn example(domain: libvirt_client::Domain) -> libvirt_client::Result<()> {
//! use libvirt_client::params::BlockIoTune;
//!
//! let tune = domain.block_io_tune(Some("vda")).await?;
//! println!("{:?} bytes/s, {:?} bytes/s in bursts", tune.total_bytes_sec, tune.total_bytes_sec_max);
//!
//! // What is `None` is not sent, and stays as it is.
//! let limits = BlockIoTune { total_bytes_sec: Some(10 << 20), ..Default::default() };
//! domain.set_block_io_tune("vda", limits).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Setters take `impl Into<TypedParams>`, so that these structs, [`TypedParams`] and arrays of names and values will all do.
//!
//! Structs that are sent are written as above, with `..Default::default()`: a later version of this crate may have more
//! fields, which does not count as a breaking change. That is why they are not `#[non_exhaustive]`, which would forbid it.
//! Those that only come from the daemon are.
//!
//! [`TypedParams`]: crate::TypedParams

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
