//! What goes to the daemon.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::{
    error::Result,
    rpc::{self, Handle},
};

/// Bytes that go to the daemon: `AsyncWrite`. Dropping it before it is finished breaks the transfer off, and what was written
/// stays in the volume.
///
/// Writing returns as soon as there is room in memory, so errors come later: with another write, or with
/// [`finish`](Self::finish), which alone says that all has arrived. `shutdown` does the same.
#[derive(Debug)]
#[must_use = "dropping an upload breaks it off"]
pub struct Upload {
    handle: Arc<Handle>,
}

impl Upload {
    pub(super) fn new(stream: rpc::Stream) -> Self {
        let handle = stream.into_handle();
        // No daemon sends data here; one that does must not fill our memory.
        handle.stop_reading();
        Self { handle }
    }

    /// Waits for room in memory, and takes bytes without copying them.
    ///
    /// # Errors
    /// What the daemon reports, or why the connection ended.
    ///
    /// # Cancel safety
    /// When the future is dropped, the start of the bytes may have been taken.
    pub async fn write_bytes(&mut self, bytes: impl Into<Bytes>) -> Result<()> {
        let mut bytes = bytes.into();
        while !bytes.is_empty() {
            poll_fn(|cx| self.handle.poll_send(cx, &mut bytes)).await?;
        }
        Ok(())
    }

    /// Waits for room in memory, and says that this many zeroes follow, as a hole where the volume's storage has such. In a
    /// volume that is a file, the daemon passes over them and cuts the file behind them: what it had there before stays, and
    /// what it had further on is lost.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the upload was opened without the flag `SPARSE_STREAM`. As
    /// [`write_bytes`](Self::write_bytes).
    ///
    /// # Cancel safety
    /// When the future is dropped, nothing was taken.
    pub async fn write_hole(&mut self, length: u64) -> Result<()> {
        poll_fn(|cx| self.handle.poll_room(cx)).await?;
        self.handle.hole(length)
    }

    /// Says that this is all, and waits until the daemon confirms that it has arrived.
    ///
    /// # Errors
    /// What the daemon reports, why the connection ended, or the deadline for calls.
    ///
    /// # Cancel safety
    /// Once the future has been polled, what was written is not broken off any more.
    pub async fn finish(self) -> Result<()> {
        self.handle.in_time(poll_fn(|cx| self.handle.poll_finish(cx))).await
    }
}

impl AsyncWrite for Upload {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.handle.poll_write(cx, data).map_err(Into::into)
    }

    /// Waits until all has been handed to the operating system. Whether it has arrived only the end tells.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.poll_drained(cx).map_err(Into::into)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.poll_finish(cx).map_err(Into::into)
    }
}
