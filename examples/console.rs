//! Connects this terminal to a domain's console, until Ctrl-] is pressed or the domain ends.
//!
//! ```text
//! cargo run --example console -- web                            at qemu:///system
//! cargo run --example console -- web lxc:///system              or elsewhere
//! ```

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use libvirt_client::{
    Connection,
    streams::{GuestReader, GuestWriter},
};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: console DOMAIN [URI]      (without a URI: qemu:///system)";
/// Ctrl-].
const LEAVE: u8 = 0x1d;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (domain, uri) = match arguments.as_slice() {
        [domain] if !domain.starts_with('-') => (domain, "qemu:///system"),
        [domain, uri] => (domain, uri.as_str()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let ended = runtime.block_on(converse(uri, domain));
    // A thread may still wait for the next key.
    runtime.shutdown_timeout(Duration::ZERO);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    eprintln!("console: {error}");
    ExitCode::FAILURE
}

async fn converse(uri: &str, domain: &str) -> AnyResult<()> {
    let connection = Connection::open(uri).await?;
    let console = connection.domain_by_name(domain).await?.open_console().await?;
    let (reader, mut writer) = console.into_split();
    eprintln!("connected to {domain}; Ctrl-] leaves");
    let terminal = RawTerminal::begin()?;
    let ended = tokio::select! {
        shown = show(reader) => shown,
        left = type_in(&mut writer) => left,
    };
    drop(terminal);
    eprintln!();
    ended?;
    // The daemon is told, so that the next one is let in at once. It may have ended by itself.
    let _ = writer.close().await;
    connection.close().await?;
    Ok(())
}

/// Shows what the guest says, until it ends.
async fn show(mut console: GuestReader) -> io::Result<()> {
    let mut screen = tokio::io::stdout();
    while let Some(chunk) = console.next().await {
        screen.write_all(&chunk?).await?;
        screen.flush().await?;
    }
    Ok(())
}

/// Passes on what is typed, until the key that leaves, or the end of the input.
async fn type_in(console: &mut GuestWriter) -> io::Result<()> {
    let mut keyboard = tokio::io::stdin();
    let mut typed = [0; 1024];
    loop {
        let count = keyboard.read(&mut typed).await?;
        let keys = typed.get(..count).unwrap_or_default();
        let leaves = keys.iter().position(|key| *key == LEAVE);
        console.write_all(keys.get(..leaves.unwrap_or(count)).unwrap_or_default()).await?;
        if count == 0 || leaves.is_some() {
            return console.flush().await;
        }
    }
}

/// A terminal that passes on each key as it is pressed; as it was before when this is dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn begin() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
