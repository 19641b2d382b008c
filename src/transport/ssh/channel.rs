//! One channel of a session as a byte stream.

use std::{
    fmt,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::Session;
use crate::transport::{Exit, Farewell};

/// How long a remote program that has closed its output may take to end, before its stream ends without knowing how.
const ENDING: Duration = Duration::from_secs(2);
/// What comes on a channel beside the data: standard error.
const STANDARD_ERROR: u32 = 1;

/// A program at the other end of an SSH session, or a socket that it is connected to, as a byte stream.
///
/// Of a program, what is written is its standard input and what is read its standard output. The stream's end is an error
/// with a [`Farewell`] inside, unless the program ended well and silently. Dropped, it closes the channel, and the server
/// ends the program.
///
/// Read what comes, without long pauses: everything else on the session waits for the reader. A
/// [`Tunnel`](super::Tunnel) does not have that weakness.
pub struct ChannelStream {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

/// What comes.
pub(super) struct Incoming {
    channel: ChannelReadHalf,
    session: Session,
    farewell: Farewell,
    end: End,
    /// What was taken and not read yet.
    rest: Bytes,
}

/// How far the end has come.
enum End {
    NotYet,
    /// No more data comes; how the program ends is waited for.
    Closed(Pin<Box<Sleep>>),
    /// The reader knows.
    Told,
}

/// What goes, and what closes the channel in the end.
pub(super) struct Outgoing {
    writer: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    channel: Option<ChannelWriteHalf<Msg>>,
    /// The session lives as long as its channels.
    session: Session,
}

impl ChannelStream {
    pub(super) fn new(channel: Channel<Msg>, session: Session, what: impl Into<String>) -> Self {
        let (read, write) = channel.split();
        Self {
            incoming: Incoming {
                channel: read,
                session: session.clone(),
                farewell: Farewell::new(what),
                end: End::NotYet,
                rest: Bytes::new(),
            },
            outgoing: Outgoing { writer: Box::pin(write.make_writer()), channel: Some(write), session },
        }
    }

    /// Asks the server to run a command on this channel.
    pub(super) async fn exec(&self, command: String) -> Result<(), russh::Error> {
        match &self.outgoing.channel {
            Some(channel) => channel.exec(true, command).await,
            None => Err(russh::Error::Disconnect),
        }
    }
}

impl Incoming {
    /// Takes the next piece of what comes. An empty one is the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            if matches!(self.end, End::Told) {
                return Poll::Ready(Ok(Bytes::new()));
            }
            // The future of a queue's next message keeps nothing between polls, so that a new one is as good.
            let message = pin!(self.channel.wait()).poll(cx);
            match message {
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    return Poll::Ready(self.finish());
                }
                Poll::Ready(Some(ChannelMsg::Data { data })) if !data.is_empty() => {
                    return Poll::Ready(Ok(data));
                }
                Poll::Ready(Some(message)) => {
                    if self.take(message)? {
                        return Poll::Ready(self.finish());
                    }
                }
                Poll::Ready(None) => return Poll::Ready(self.lost()),
            }
        }
    }

    /// Waits no longer than a while for the rest of an end.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.end {
            End::Closed(patience) => patience.as_mut().poll(cx),
            End::NotYet | End::Told => Poll::Pending,
        }
    }

    /// Takes what is no data, and tells whether it was the last message.
    fn take(&mut self, message: ChannelMsg) -> io::Result<bool> {
        match message {
            ChannelMsg::ExtendedData { data, ext: STANDARD_ERROR } => {
                tracing::debug!(program = %self.farewell.program, said = ?String::from_utf8_lossy(&data));
                self.farewell.complaint.push(&data);
            }
            ChannelMsg::ExitStatus { exit_status } => self.farewell.exit = Some(Exit::Status(exit_status)),
            ChannelMsg::ExitSignal { signal_name, error_message, .. } => {
                self.farewell.exit = Some(Exit::Signal(signal_text(&signal_name)));
                self.farewell.complaint.push(error_message.as_bytes());
            }
            ChannelMsg::Eof => self.end = End::Closed(Box::pin(tokio::time::sleep(ENDING))),
            ChannelMsg::Failure => {
                self.end = End::Told;
                let why =
                    format!("the SSH server {} does not run commands for this user", self.session.place());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            ChannelMsg::Close => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    /// Ends the stream as the program ended.
    fn finish(&mut self) -> io::Result<Bytes> {
        self.end = End::Told;
        match self.farewell.is_silent() {
            true => Ok(Bytes::new()),
            false => Err(self.farewell.clone().into_io_error()),
        }
    }

    /// Ends the stream because the session has ended under it.
    fn lost(&mut self) -> io::Result<Bytes> {
        match std::mem::replace(&mut self.end, End::Told) {
            End::NotYet => Err(self.session.ended().into()),
            End::Closed(_) | End::Told => self.finish(),
        }
    }
}

fn signal_text(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

impl Outgoing {
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // russh takes it for an error.
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(cx, bytes)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let Some(channel) = self.channel.take() else { return };
        let session = self.session.clone();
        self.session.runtime().spawn(async move {
            // After what was written before, since it goes through the same queue.
            let _ = channel.close().await;
            drop(session);
        });
    }
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let incoming = &mut self.get_mut().incoming;
        if incoming.rest.is_empty() {
            incoming.rest = ready!(incoming.poll_piece(cx))?;
        }
        hand_over(&mut incoming.rest, buffer);
        Poll::Ready(Ok(()))
    }
}

/// Moves as much as there is room for.
pub(super) fn hand_over(piece: &mut Bytes, buffer: &mut ReadBuf<'_>) {
    let count = piece.len().min(buffer.remaining());
    buffer.put_slice(piece.get(..count).unwrap_or_default());
    piece.advance(count);
}

impl AsyncWrite for ChannelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().outgoing.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outgoing.poll_flush(cx)
    }

    /// The end of the program's standard input.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outgoing.poll_shutdown(cx)
    }
}

impl fmt::Debug for ChannelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelStream")
            .field("to", &self.incoming.farewell.program)
            .field("session", &self.incoming.session)
            .finish_non_exhaustive()
    }
}
