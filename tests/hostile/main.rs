//! What a daemon can do to a client that it wishes ill: SECURITY.md promises what is shown here.
//!
//! The daemon is a thread that writes what it likes to a real socket. The client runs on a thread of its own, whose
//! allocations are counted.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test ends it"
)]

mod commands;
mod descriptors;
mod events;
mod memory;
mod openings;
mod peer;
mod replies;
#[cfg(feature = "sasl")]
mod secrets;
mod streams;

/// 1 MiB.
const MIB: u64 = 1 << 20;
