//! A proxy between a client and a daemon that writes down what goes over.

use std::{
    future::poll_fn,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::net::UnixStream;

use super::{
    recording::{Direction, RecordedFrame, Recording},
    redact::redact,
    slicer::Slicer,
};
use crate::transport::unix::UnixSocket;

/// Silence shorter than this is not noted.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How connections are recorded.
///
/// ```no_run
/// use libvirt_client::testing::{Recorder, Recording};
/// use tokio::net::UnixStream;
///
/// # async fn record(client: UnixStream) -> std::io::Result<()> {
/// let daemon = UnixStream::connect("/run/libvirt/libvirt-sock").await?;
/// let mut recording = Recording::default();
/// Recorder::new().record(&mut recording, client, daemon).await?;
/// println!("{recording}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    keep_secrets: bool,
    note_pauses: bool,
}

impl Recorder {
    /// Makes a recorder that overwrites secrets and does not note pauses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves secrets in the recording. Otherwise SASL data, the values of secrets and the passwords of guests'
    /// users are overwritten with `x`, before they are written down and not on the way to the other side. Text
    /// is not searched: a password in a domain's XML stays.
    #[must_use]
    pub fn keep_secrets(self, keep: bool) -> Self {
        Self { keep_secrets: keep, ..self }
    }

    /// Notes for how long both sides were silent, from 0.1 s on.
    #[must_use]
    pub fn note_pauses(self, note: bool) -> Self {
        Self { note_pauses: note, ..self }
    }

    /// Passes everything between `client` and `daemon`, descriptors too, until one of them closes the
    /// connection, and adds what goes over to `recording`.
    ///
    /// Where bytes are not frames, as under the encryption of a SASL mechanism, the recording ends; the head's
    /// `stopped` says why. The connection goes on.
    ///
    /// # Errors
    /// Sockets that cannot be used. Failures of a connection end it, and the recording.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; what went over until then is in `recording`.
    pub async fn record(
        &self,
        recording: &mut Recording,
        client: UnixStream,
        daemon: UnixStream,
    ) -> io::Result<()> {
        let (client, daemon) = (Mutex::new(UnixSocket::new(client)?), Mutex::new(UnixSocket::new(daemon)?));
        let log = Mutex::new(Log {
            recorder: self,
            recording,
            slicers: [Slicer::default(), Slicer::default()],
            last: Instant::now(),
            stopped: false,
        });
        let ended_by = tokio::select! {
            biased;
            () = pump(&daemon, &client, Direction::FromDaemon, &log) => Direction::FromDaemon,
            () = pump(&client, &daemon, Direction::FromClient, &log) => Direction::FromClient,
        };
        log.into_inner().unwrap_or_else(PoisonError::into_inner).recording.set_ended_by(Some(ended_by));
        Ok(())
    }
}

/// What both directions write to.
struct Log<'a> {
    recorder: &'a Recorder,
    recording: &'a mut Recording,
    slicers: [Slicer; 2],
    last: Instant,
    stopped: bool,
}

impl Log<'_> {
    fn add(&mut self, direction: Direction, bytes: &[u8], descriptors: usize) {
        if self.stopped {
            return;
        }
        let [client, daemon] = &mut self.slicers;
        let slicer = if direction == Direction::FromClient { client } else { daemon };
        slicer.push(bytes, descriptors);
        loop {
            let (bytes, descriptors) = match slicer.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(length) => {
                    let side = if direction == Direction::FromClient { "client" } else { "daemon" };
                    self.recording.set("stopped", &format!("the {side} sent a length word of {}", length.0));
                    self.stopped = true;
                    return;
                }
            };
            let Ok(mut frame) = RecordedFrame::new(direction, bytes) else { return };
            frame = frame.with_descriptors(descriptors);
            if !self.recorder.keep_secrets {
                frame = redact(frame);
            }
            let pause = self.last.elapsed();
            if self.recorder.note_pauses && pause >= PAUSE_MIN {
                frame = frame.with_pause(pause);
            }
            self.last = Instant::now();
            self.recording.push(frame);
        }
    }
}

/// Passes one direction on until either socket is closed.
async fn pump(from: &Mutex<UnixSocket>, to: &Mutex<UnixSocket>, direction: Direction, log: &Mutex<Log<'_>>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok((count, descriptors)) = receive(from, &mut buffer).await else { return };
        let received = buffer.get(..count).unwrap_or_default();
        if received.is_empty() {
            return;
        }
        // Before it is passed on, so that an answer can never be written down before its question.
        lock(log).add(direction, received, descriptors.len());
        if send(to, received, &descriptors).await.is_err() {
            return;
        }
    }
}

/// Reads what has come, with its descriptors.
async fn receive(socket: &Mutex<UnixSocket>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut descriptors = Vec::new();
    let count =
        poll_fn(|cx| lock(socket).poll_receive(cx, buffer, &mut |passed| descriptors.push(passed))).await?;
    Ok((count, descriptors))
}

/// Writes all of `bytes`. A read ends with the byte that carried a descriptor, so the last bytes carry them on.
async fn send(socket: &Mutex<UnixSocket>, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let plain = bytes.len().saturating_sub(descriptors.len());
    let (mut rest, carriers) = bytes.split_at_checked(plain).unwrap_or((bytes, &[]));
    while !rest.is_empty() {
        let count = poll_fn(|cx| lock(socket).poll_send(cx, rest, None)).await?;
        rest = rest.get(count..).unwrap_or_default();
    }
    for (byte, descriptor) in carriers.iter().zip(descriptors) {
        poll_fn(|cx| lock(socket).poll_send(cx, &[*byte], Some(descriptor.as_fd()))).await?;
    }
    Ok(())
}

/// Locks for the time of one poll. Nothing that holds a lock can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
