//! Byte streams to a daemon. Nothing here knows what is said over them.
//!
//! To add a transport: give it a module with a function that connects and returns something that is
//! `AsyncRead + AsyncWrite`, with errors that say where it tried to connect and what to do; let `uri` name it in
//! its plan; and start it in `objects::open`, where a plan becomes a connection.

#[cfg(unix)]
pub mod command;
mod farewell;
#[cfg(feature = "ssh")]
pub mod ssh;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
pub mod unix;

pub use farewell::{Complaint, Exit, Farewell};
