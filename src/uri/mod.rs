//! What a connection URI means: where to connect to, and what to ask for there.
//!
//! Pure functions: the environment and the sockets that exist are described to them, so that every case is a
//! row of a table in the tests.

mod parse;
mod plan;

pub use parse::{Transport, Uri};
pub use plan::{Environment, Plan, Socket, admin_socket};
