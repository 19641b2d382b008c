//! What the driver needs of a connection's byte stream.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::protocol::frame::Descriptor;

/// A byte stream to a daemon, with the descriptors that Unix sockets can pass beside it.
///
/// [`ByteStream`] makes one of anything that is `AsyncRead + AsyncWrite`.
pub trait Wire: Send + 'static {
    /// Reads into `buffer`, handing descriptors that come with the bytes to `descriptors`. Zero is the end.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        descriptors: &mut dyn FnMut(Descriptor),
    ) -> Poll<io::Result<usize>>;

    /// Writes the start of `bytes`, and `descriptor` with its first byte.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        descriptor: Option<&Descriptor>,
    ) -> Poll<io::Result<usize>>;

    /// Writes the start of `head` followed by `body`, in one go where that is possible. As many bytes are written as it says,
    /// of both together.
    fn poll_send_both(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, if head.is_empty() { body } else { head }, None)
    }

    /// Passes on what layers in between have kept.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that nothing more will be written.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells whether several frames may be handed over in one write.
    ///
    /// Not over TLS: a libvirtd takes one frame out of what a write has become, a record, and leaves the next one where it
    /// is until something more comes.
    fn joins_frames(&self) -> bool {
        false
    }

    /// Tells whether descriptors can be passed.
    fn passes_descriptors(&self) -> bool {
        false
    }
}

/// Any asynchronous byte stream: an in-memory pipe, a TCP or TLS connection, an SSH channel.
#[derive(Debug)]
pub struct ByteStream<T>(pub T);

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for ByteStream<T> {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        _: &mut dyn FnMut(Descriptor),
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut self.0).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        descriptor: Option<&Descriptor>,
    ) -> Poll<io::Result<usize>> {
        if descriptor.is_some() {
            return Poll::Ready(Err(io::Error::other("only Unix sockets pass descriptors")));
        }
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_send_both(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        if self.0.is_write_vectored() {
            return Pin::new(&mut self.0).poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]);
        }
        Pin::new(&mut self.0).poll_write(cx, if head.is_empty() { body } else { head })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
