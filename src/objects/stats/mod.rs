//! Statistics as structs: what domains have used, what their jobs have done, what their guests tell.
//!
//! Each is made of [`TypedParams`](crate::TypedParams) and becomes them again. What a daemon does not tell is `None`, or an
//! empty list; what it tells and is not known here is in `rest`.
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! use libvirt_client::enums::DomainStatsTypes;
//!
//! let types = DomainStatsTypes::STATE | DomainStatsTypes::CPU_TOTAL | DomainStatsTypes::BLOCK;
//! for record in connection.domain_stats(&[], types).await? {
//!     let stats = record.stats;
//!     println!("{}: {:?}, CPU time {:?}", record.domain.name(), stats.state, stats.cpu.time);
//!     for disk in stats.blocks {
//!         println!("  {}: {:?} bytes read", disk.name.as_deref().unwrap_or("?"), disk.read_bytes);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What is numbered on the wire (`block.0.rd.bytes`) is a list here, whose elements carry their number: there may be gaps.

mod domain;
mod guest;
mod job;
mod node;

#[cfg(test)]
mod tests;

pub use domain::{
    BalloonStats, BlockDeviceStats, BlockLimits, BlockStats, CacheBank, CacheMonitor, CpuStats,
    DirtyRateStats, DomainCpuStats, DomainStats, InterfaceStats, IothreadStats, MemoryBandwidthMonitor,
    MemoryBandwidthNode, VcpuDirtyRate, VcpuStats,
};
pub use guest::{
    GuestAddress, GuestDependency, GuestDisk, GuestFilesystem, GuestFilesystemDisk, GuestInfo,
    GuestInterface, GuestLoad, GuestOs, GuestUser, GuestVcpus,
};
pub use job::JobStats;
pub use node::{NodeCpuStats, NodeMemoryStats};
