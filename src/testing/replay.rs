//! Plays the daemon's side of a recording.

use std::{collections::VecDeque, io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    time::Instant,
};

use super::{
    ParseError,
    player::{Player, Script},
    recording::Recording,
    slicer::{BadLength, Slicer},
};
use crate::rpc::ByteStream;

/// A daemon that knows one conversation.
///
/// It answers calls by what they say: a call gets the reply that the same call (procedure and arguments) got in
/// the recording, whenever it comes and under whatever serial. Where the same call was made several times, the
/// replies come in their order, and the last one again and again after that. A call that is not in the recording
/// gets the error that a daemon gives for a procedure it does not know, `VIR_ERR_RPC`; its message names the call.
///
/// Events come at their place: after the reply, or between the call and the reply, that they followed when they
/// were recorded, the first time that this call is made. If the recorder noted pauses, they come as late as they
/// did then. Data streams are played as recorded: what the daemon sent only after the client had written, or
/// finished, comes as soon as as much has been written now, or the stream has been finished. Pings are answered.
/// Descriptors are not passed: a reply that had some becomes an error that says so.
///
/// ```
/// use libvirt_client::{Connection, testing::Replay};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let replay = Replay::parse(include_str!("../../fixtures/recordings/virsh-test-list.rec"))?;
/// let connection =
///     Connection::builder("test:///default").open_over(replay.start(), "test:///default".to_owned()).await?;
/// let error = connection.hostname().await.unwrap_err();
/// assert!(error.to_string().contains("the recording has no such call"), "virsh list does not ask for it: {error}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Replay {
    script: Arc<Script>,
}

impl Replay {
    /// Reads a recording in the text form.
    ///
    /// # Errors
    /// Text that is not a recording, with line and column.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Recording::parse(text).map(|recording| Self::new(&recording))
    }

    /// Plays `recording`.
    #[must_use]
    pub fn new(recording: &Recording) -> Self {
        Self { script: Arc::new(Script::new(recording)) }
    }

    /// Starts a daemon on a task of its own, and returns the client's end of an in-memory connection to it. Each
    /// connection plays the recording from its start.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(&self) -> ByteStream<DuplexStream> {
        let (client, daemon) = tokio::io::duplex(1 << 16);
        let replay = self.clone();
        tokio::spawn(async move {
            // A client that breaks the protocol sees the connection end, as with a daemon.
            if let Err(error) = replay.serve(daemon).await {
                tracing::debug!(%error, "the replay ended");
            }
        });
        ByteStream(client)
    }

    /// Is the daemon at the other end of `stream`, until the client closes it, or the daemon does in the recording.
    ///
    /// # Errors
    /// A stream that fails, and bytes from the client that are no frames.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut player = Player::new(&self.script);
        let mut slicer = Slicer::default();
        let mut buffer = vec![0; 1 << 16];
        let mut later: VecDeque<(Instant, Arc<[u8]>)> = VecDeque::new();
        loop {
            let due = later.front().map(|(due, _)| *due);
            let count = tokio::select! {
                biased;
                () = sleep_until(due), if due.is_some() => {
                    if let Some((_, bytes)) = later.pop_front() {
                        writer.write_all(&bytes).await?;
                    }
                    continue;
                }
                count = reader.read(&mut buffer) => count?,
            };
            if count == 0 {
                return Ok(());
            }
            // Where a descriptor was passed, the byte that carried it comes all the same.
            slicer.push(buffer.get(..count).unwrap_or_default(), 0);
            while let Some((frame, _)) = slicer.next().map_err(no_frame)? {
                for answer in player.receive(&frame) {
                    if !answer.pause.is_zero() || (answer.is_event && !later.is_empty()) {
                        let after = later.back().map_or_else(Instant::now, |(due, _)| *due);
                        later.push_back((after + answer.pause, answer.bytes));
                    } else {
                        writer.write_all(&answer.bytes).await?;
                    }
                }
                if player.has_hung_up() {
                    return writer.shutdown().await;
                }
            }
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

fn no_frame(length: BadLength) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the client sent a length word of {}", length.0))
}
