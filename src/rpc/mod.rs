//! One conversation with a daemon: calls and their replies, events, keepalive, over any byte stream.
//!
//! ```text
//! Client::call ── permit ── encode ──> Command ──> Driver ── writes ──> daemon
//!      ^                                             │ owns Session (pure) and the stream
//!      └──────── oneshot <──── Session::receive <────┘ reads
//! ```
//!
//! Handles hold a conversation: the way to its driver, its permits, its registrations for events. A supervised client goes from
//! one conversation to the next: see `supervised.rs`.
//!
//! Only the driver's task touches the stream, so dropping any future never leaves half a frame on it, and
//! reading never waits for a user: a reply goes into a oneshot, an event into a bounded queue that reports
//! what it had to drop, the data of a stream into an inbox of bounded size: see [`stream`].

mod client;
mod command;
mod config;
mod conversation;
mod driver;
mod events;
mod hook;
mod lanes;
mod link;
mod links;
mod outbox;
mod queue;
mod registrations;
mod secrets;
pub mod session;
pub mod stream;
mod supervised;
mod suspects;
mod wire;

pub use client::{Client, Reply};
pub use config::{Config, KeepaliveConfig};
pub use events::{Family, Notice, RawEvent, Subscription};
pub use hook::ErrorHook;
pub use registrations::EventSource;
pub use stream::{Piece, Stream};
pub use wire::{ByteStream, Wire};

pub(crate) use hook::expecting;
pub(crate) use stream::Handle;
pub(crate) use supervised::{Patience, Supervisor};
