//! What comes from the daemon.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::source::Source;
use crate::{
    error::Result,
    rpc::{self, Piece},
};

/// Bytes that come from the daemon: `AsyncRead`, or a `Stream` of chunks that are not copied. Dropping it before its end
/// breaks the transfer off.
///
/// The end is told once the daemon has confirmed that it was all.
#[derive(Debug)]
#[must_use = "dropping a download breaks it off"]
pub struct Download {
    source: Source,
}

impl Download {
    pub(super) fn new(stream: rpc::Stream) -> Self {
        Self { source: Source::new(stream.into_handle()) }
    }

    /// Waits for the next chunk, of at most 262,120 bytes. `None` at the end, and after an error.
    ///
    /// # Errors
    /// What the daemon reports, or why the connection ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.source.next_bytes().await
    }

    /// Reads all that is left into memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn bytes(mut self) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }
}

impl Stream for Download {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.source.poll_bytes(cx)
    }
}

impl AsyncRead for Download {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.source.poll_read(cx, buffer)
    }
}

/// Data and holes that come from the daemon, as a `Stream` of [`Piece`]s. Dropping it before its end breaks the transfer
/// off.
///
/// A volume may end with a hole: whoever writes the pieces to a file sets its length at the end.
#[derive(Debug)]
#[must_use = "dropping a download breaks it off"]
pub struct SparseDownload {
    source: Source,
}

impl SparseDownload {
    pub(super) fn new(stream: rpc::Stream) -> Self {
        Self { source: Source::new(stream.into_handle()) }
    }

    /// Waits for the next piece. `None` at the end, and after an error.
    ///
    /// # Errors
    /// What the daemon reports, or why the connection ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Piece>> {
        self.source.next_piece().await
    }
}

impl Stream for SparseDownload {
    type Item = Result<Piece>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.source.poll_piece(cx)
    }
}
