//! Starting the daemon of a user's session where nobody listens on its socket, as libvirt's own client does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
};
use tokio::{
    sync::{Mutex, oneshot},
    time::sleep,
};

use crate::{
    error::{Error, Result, phase},
    transport::unix::{self, UnixSocket},
    uri::Autostart,
};

/// How often a daemon that was started is looked for, and how long after each other.
const ATTEMPTS: usize = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// What is kept of what a daemon says that cannot start.
const SAID_MAX: u64 = 1024;

/// The tasks of this process take turns, since the lock on the file is the whole process's.
static TURN: Mutex<()> = Mutex::const_new(());

/// Tells whether an error means that no daemon is there.
pub(super) fn nobody_listens(error: &Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error, Error::Connect { source, .. } if matches!(source.kind(), NotFound | ConnectionRefused))
}

/// Starts the daemon, unless somebody else has meanwhile, and connects to it.
pub(super) async fn connect(path: &Path, autostart: &Autostart) -> Result<UnixSocket> {
    let cannot = |hint: String, source: io::Error| Error::Connect {
        address: path.display().to_string(),
        hint,
        source: Arc::new(source),
    };
    let _turn = TURN.lock().await;
    let locking = phase::during("another program that starts the session's daemon", lock(&autostart.lock));
    let _lock = locking.await.map_err(|error| {
        cannot(format!("nobody listens, and {} cannot be locked: {error}", autostart.lock.display()), error)
    })?;
    match unix::connect(path).await {
        Err(error) if nobody_listens(&error) => {}
        connected => return connected,
    }
    let program = autostart.program.display();
    tracing::debug!(%program, "starting the session's daemon");
    let started = phase::during("starting the session's daemon", start(autostart)).await;
    let mut attempts = 0;
    loop {
        match (unix::connect(path).await, &started) {
            (Err(error), Ok(())) if nobody_listens(&error) && attempts < ATTEMPTS => {}
            (Err(Error::Connect { source, .. }), Err(said)) => {
                let hint = format!("nobody listens, and {program} cannot be started: {said}");
                return Err(Error::Connect { address: path.display().to_string(), hint, source });
            }
            (connected, _) => return connected,
        }
        attempts += 1;
        sleep(PAUSE).await;
    }
}

/// Takes the lock that clients of the C library take, too. Closing the file gives it back.
async fn lock(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    let opening =
        phase::aside("opening the file that programs lock to start the session's daemon", move || {
            open_lock(&path)
        });
    let file = opening.await.map_err(io::Error::other)??;
    loop {
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::AGAIN | Errno::ACCESS) => sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Waits until the program has put itself into the background; otherwise says what it said. A thread waits for it, since
/// a library has no business with its user's `SIGCHLD`.
async fn start(autostart: &Autostart) -> Result<(), String> {
    let mut command = Command::new(&autostart.program);
    // A group of its own, so that an interrupt from the terminal is not for it.
    command.args(&autostart.arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (done, ended) = oneshot::channel();
    let waiting = thread::Builder::new().name("libvirt-autostart".to_owned());
    let started = waiting.spawn(move || done.send(run(command)));
    started.map_err(|error| error.to_string())?;
    ended.await.unwrap_or_else(|_| Err("nobody waited for it".to_owned()))
}

fn run(mut command: Command) -> Result<(), String> {
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.by_ref().take(SAID_MAX).read_to_end(&mut said);
        // Closed now, the pipe would end a daemon that goes on writing.
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}: {}", String::from_utf8_lossy(&said).trim().replace('\n', "; "))),
        Err(error) => Err(error.to_string()),
    }
}
