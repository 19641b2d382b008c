//! Conversations with a guest.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::source::Source;
use crate::{
    error::Result,
    rpc::{self, Handle},
};

/// A console or a channel of a guest, for reading and writing at the same time: `AsyncRead`, `AsyncWrite`, and a `Stream` of
/// chunks.
///
/// Reading waits as long as the guest is silent, and comes to its end when the guest ends or somebody else takes the device.
/// [`close`](Self::close) ends it, and when that returns the next one is let in. Dropping it breaks it off, which takes the
/// daemon a moment that nobody waits for.
#[derive(Debug)]
#[must_use = "dropping it closes the device"]
pub struct GuestStream {
    reader: GuestReader,
    writer: GuestWriter,
}

/// The reading half of a [`GuestStream`]. Dropped, what comes is dropped as well.
#[derive(Debug)]
pub struct GuestReader {
    source: Source,
}

/// The writing half of a [`GuestStream`].
#[derive(Debug)]
pub struct GuestWriter {
    handle: Arc<Handle>,
}

impl GuestStream {
    pub(super) fn new(stream: rpc::Stream) -> Self {
        let handle = stream.into_handle();
        let reader = GuestReader { source: Source::new(handle.clone()) };
        Self { reader, writer: GuestWriter { handle } }
    }

    /// Waits for the next chunk. `None` when the guest has ended, and after an error.
    ///
    /// # Errors
    /// What the daemon reports, or why the connection ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.reader.next().await
    }

    /// Takes it apart into halves for two tasks. The device is closed when both are dropped, or the writer shut down.
    #[must_use]
    pub fn into_split(self) -> (GuestReader, GuestWriter) {
        (self.reader, self.writer)
    }

    /// Ends it, and waits until the daemon confirms that.
    ///
    /// # Errors
    /// What the daemon reports, why the connection ended, or the deadline for calls.
    ///
    /// # Cancel safety
    /// Dropping the future closes it as well.
    pub async fn close(self) -> Result<()> {
        self.writer.close().await
    }
}

impl GuestReader {
    /// Does what [`GuestStream::next`] does.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.source.next_bytes().await
    }
}

impl Drop for GuestReader {
    fn drop(&mut self) {
        // The writer may live on, and nobody must wait for what is read no more.
        self.source.handle().stop_reading();
    }
}

impl GuestWriter {
    /// Does what [`GuestStream::close`] does.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Once the future has been polled, it is closed.
    pub async fn close(self) -> Result<()> {
        self.handle.in_time(poll_fn(|cx| self.handle.poll_finish(cx))).await
    }
}

impl Stream for GuestReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.source.poll_bytes(cx)
    }
}

impl AsyncRead for GuestReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.source.poll_read(cx, buffer)
    }
}

impl AsyncWrite for GuestWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.handle.poll_write(cx, data).map_err(Into::into)
    }

    /// Waits until all has been handed to the operating system. Whether the guest has read it nobody tells.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.poll_drained(cx).map_err(Into::into)
    }

    /// Closes the device, for the reader as well.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.poll_finish(cx).map_err(Into::into)
    }
}

impl Stream for GuestStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.reader.source.poll_bytes(cx)
    }
}

impl AsyncRead for GuestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reader.source.poll_read(cx, buffer)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
