//! Statistics as structs: what domains have used, what their jobs have done, what their guests tell.
//!
//! Each is made of [`TypedParams`](crate::TypedParams) and becomes them again. What a daemon does not tell is `None`, or an
//! empty list; what it tells and is not known here is in `rest`.
//!
//! What is numbered on the wire (`block.0.rd.bytes`) is a list here, whose elements carry their number: there may be gaps.

mod domain;
mod guest;
mod job;

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
