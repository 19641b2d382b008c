//! The byte stream under an SSH session.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// What a session can run over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that can be cut from outside, and that remembers how the other side began and how it ended.
///
/// The session's task ends when its stream does. That is how a task that waits for a silent server is ended.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    cut: oneshot::Receiver<()>,
    fate: Arc<Fate>,
}

/// Cuts its line when it is dropped.
#[derive(Debug)]
pub(super) struct Leash {
    _line: oneshot::Sender<()>,
}

/// What became of a session: its first bytes, and why it ended.
#[derive(Debug, Default)]
pub(super) struct Fate(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    greeting: Vec<u8>,
    end: Option<End>,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) kind: io::ErrorKind,
    pub(super) why: String,
}

/// RFC 4253 allows so much for the line in which a server says what it is.
const GREETING_MAX: usize = 255;

impl Line {
    pub(super) fn new(stream: Box<dyn Stream>, fate: Arc<Fate>) -> (Self, Leash) {
        let (leash, cut) = oneshot::channel();
        (Self { stream, cut, fate }, Leash { _line: leash })
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // Nothing is ever sent, so an answer means that the leash is gone. It is asked only once: it does not come back.
        if self.cut.is_terminated() || Pin::new(&mut self.cut).poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "nobody uses the connection"));
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer));
        let heard = buffer.filled().get(before..).unwrap_or_default();
        match &read {
            Ok(()) if heard.is_empty() => this.fate.end_if_unknown("the server closed it"),
            Ok(()) => this.fate.hear(heard),
            Err(error) => this.fate.end_if_unknown(&error.to_string()),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        match ready!(Pin::new(&mut this.stream).poll_write(cx, bytes)) {
            // The other side takes no more, but what it said before is still there to be read, and says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(bytes.len())),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(cx)?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Fate {
    fn hear(&self, bytes: &[u8]) {
        let mut told = self.told();
        let room = GREETING_MAX.saturating_sub(told.greeting.len());
        told.greeting.extend(bytes.iter().take(room));
    }

    /// Tells whether the other side said that it speaks SSH. It may say other lines before.
    pub(super) fn is_ssh(&self) -> bool {
        self.told().greeting.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"SSH-"))
    }

    /// Returns the first line, without what moves a terminal's cursor.
    pub(super) fn first_line(&self) -> String {
        let told = self.told();
        let line = told.greeting.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        String::from_utf8_lossy(line).replace(char::is_control, "?")
    }

    /// Says why it ended, if nobody has said so.
    fn end_if_unknown(&self, why: &str) {
        let end = || End { kind: io::ErrorKind::ConnectionAborted, why: why.to_owned() };
        self.told().end.get_or_insert_with(end);
    }

    /// Says why it ended, by one who knows better.
    pub(super) fn end(&self, end: End) {
        self.told().end = Some(end);
    }

    /// Returns why it ended.
    pub(super) fn why(&self) -> Option<End> {
        self.told().end.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_line_whose_leash_is_gone_ends() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let fate = Arc::new(Fate::default());
        let (mut line, leash) = Line::new(Box::new(ours), Arc::clone(&fate));
        theirs.write_all(b"220 mail\r\nSSH-2.0-x\r\n").await.unwrap();
        let mut buffer = [0; 21];
        line.read_exact(&mut buffer).await.unwrap();
        assert_eq!(fate.first_line(), "220 mail");
        assert!(fate.is_ssh());

        let waiting = tokio::spawn(async move { (line.read_u8().await, line.write_u8(1).await) });
        tokio::task::yield_now().await;
        drop(leash);
        let (read, written) = waiting.await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
