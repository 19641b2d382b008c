//! SSH: who the other side is, and what the user's files say about it.

pub mod config;
pub mod known_hosts;
mod pattern;
