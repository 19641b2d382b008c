//! Records the conversations of any libvirt client with a daemon.
//!
//! Start it, and let the client connect to its socket instead of the daemon's:
//!
//! ```text
//! cargo run --example recorder -- /tmp/through /run/libvirt/libvirt-sock recordings
//! virsh -c 'qemu+unix:///system?socket=/tmp/through' list
//! ```
//!
//! Each connection becomes a file, written when the connection ends or the recorder is told to stop (Ctrl-C, TERM).

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use libvirt_client::testing::{Recorder, Recording};
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

const USAGE: &str = "usage: recorder LISTEN_SOCKET DAEMON_SOCKET OUT_DIR [OPTION...]
  --once             end after the first connection
  --name NAME        write OUT_DIR/NAME-1.rec, NAME-2.rec, ...; with --once OUT_DIR/NAME.rec (default: connection)
  --note KEY=VALUE   say something about the recording in its head; may be given several times
  --pauses           note for how long both sides were silent, from 0.1 s on
  --keep-secrets     do not overwrite SASL data, values of secrets and passwords of guests' users";

/// What the command line asks for.
#[derive(Default)]
struct Options {
    listen: PathBuf,
    daemon: PathBuf,
    directory: PathBuf,
    once: bool,
    name: String,
    notes: Vec<(String, String)>,
    recorder: Recorder,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => Arc::new(options),
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recorder: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Arc<Options>) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.directory).map_err(at(&options.directory))?;
    let listener = UnixListener::bind(&options.listen).map_err(at(&options.listen))?;
    let listening = RemoveOnDrop(options.listen.clone());
    let (stop, stopped) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut connections = JoinSet::new();

    for number in 1.. {
        let (client, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
        let daemon = UnixStream::connect(&options.daemon).await.map_err(at(&options.daemon))?;
        connections.spawn(record(Arc::clone(options), number, client, daemon, stopped.clone()));
        if options.once {
            break;
        }
    }

    drop(listening);
    loop {
        let ended = tokio::select! {
            ended = connections.join_next() => ended,
            _ = interrupt.recv() => { stop.send_replace(true); continue }
            _ = terminate.recv() => { stop.send_replace(true); continue }
            // Not after the first connection, which is to be recorded to its end.
            () = std::future::ready(()), if !options.once && !*stop.borrow() => { stop.send_replace(true); continue }
        };
        match ended {
            Some(written) => written??,
            None => return Ok(()),
        }
    }
}

async fn record(
    options: Arc<Options>,
    number: usize,
    client: UnixStream,
    daemon: UnixStream,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut recording = Recording::default();
    for (key, value) in &options.notes {
        recording.set(key, value);
    }
    tokio::select! {
        recorded = options.recorder.record(&mut recording, client, daemon) => recorded?,
        // The sender outlives the connections, so this ends when it says so.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }

    let name = if options.once { options.name.clone() } else { format!("{}-{number}", options.name) };
    let path = options.directory.join(name + ".rec");
    fs::write(&path, recording.to_string()).map_err(at(&path))?;
    println!("{}: {} frames", path.display(), recording.frames().len());
    Ok(())
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { name: "connection".to_owned(), ..Options::default() };
    let mut places = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} lacks its value"));
        match argument.as_str() {
            "--once" => options.once = true,
            "--name" => options.name = value()?,
            "--note" => {
                let note = value()?;
                let (key, value) =
                    note.split_once('=').ok_or_else(|| format!("--note {note} lacks a \"=\""))?;
                options.notes.push((key.to_owned(), value.to_owned()));
            }
            "--pauses" => options.recorder = options.recorder.clone().note_pauses(true),
            "--keep-secrets" => options.recorder = options.recorder.clone().keep_secrets(true),
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => places.push(PathBuf::from(argument)),
        }
    }
    let count = places.len();
    let [listen, daemon, directory] =
        <[PathBuf; 3]>::try_from(places).map_err(|_| format!("expected 3 arguments, found {count}"))?;
    Ok(Options { listen, daemon, directory, ..options })
}

/// Says which path an error is about.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The socket's file, which nobody else removes.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
