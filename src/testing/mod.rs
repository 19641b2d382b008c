//! Recordings of conversations between clients and daemons: making them, reading them, playing them.
//!
//! * [`Recorder`] sits between any libvirt client and a daemon and writes down each frame; `cargo run --example
//!   recorder` is a program around it.
//! * [`Recording`] is what it makes: text that can be reviewed and kept beside the tests.
//! * [`Message`] is what a recorded frame says; `cargo run --example frames` prints it.
//! * [`Replay`] plays the daemon's side of a recording, so that tests need no daemon.
//!
//! # A test without a daemon
//!
//! Record what your program does once, keep the file beside your tests, and play it:
//!
//! ```
//! use libvirt_client::{Connection, testing::Replay};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let daemon = Replay::parse(include_str!("../../fixtures/recordings/tour.rec"))?;
//! let builder = Connection::builder("test:///default");
//! let connection = builder.open_over(daemon.start(), "test:///default".to_owned()).await?;
//!
//! let domains = connection.domains().await?;
//! assert_eq!(domains.len(), 5);
//! # Ok(())
//! # }
//! ```
//!
//! # The text format
//!
//! ```text
//! libvirt recording 1
//! about: virsh list
//! client: virsh 9.0.0
//!
//! # 1 remote CONNECT_OPEN call, serial 1, ok, 56 bytes
//! #   ConnectOpenArgs { name: Some("test:///default"), flags: 0 }
//! > 00000038 20008086 00000001 00000001 00000000 00000001 00000000
//!   00000001 0000000f 74657374 3a2f2f2f 64656661 756c7400 00000000
//!
//! # 2 remote CONNECT_OPEN reply, serial 1, ok, 28 bytes
//! < 0000001c 20008086 00000001 00000001 00000001 00000001 00000000
//!
//! end >
//! ```
//!
//! After the first line comes what is said about the recording, a `key: value` on each line. A frame starts with
//! `>` (from the client) or `<` (from the daemon) and its length word and header; lines that start with two spaces
//! continue it. Bytes stand in groups of four, as the encoding has them; `00000078 * 50` is a group fifty times.
//! Lines of a frame may also say `fds 2` (two descriptors went with it), `redacted` (secrets in it were overwritten
//! with `x`) and `pause 1500` (both sides were silent for 1,500 ms before it). The last line says who closed the
//! connection. Lines that start with `#` are comments: the recorder explains each frame in them, nobody reads them.

mod describe;
mod message;
mod player;
#[cfg(unix)]
mod recorder;
mod recording;
mod redact;
mod replay;
mod slicer;
mod text;

pub use message::{Body, Message, MessageError};
#[cfg(unix)]
pub use recorder::Recorder;
pub use recording::{Direction, NotAFrame, ParseError, RecordedFrame, Recording};
pub use replay::Replay;
