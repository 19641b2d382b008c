//! Reading a stream to its end, and then finishing it.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;

use crate::{
    error::Result,
    rpc::{Handle, Piece},
};

/// The reading side of a stream. At the daemon's end of it, it finishes the stream, so that the daemon forgets it, and tells
/// its reader of the end only then: what goes wrong last is not lost.
#[derive(Debug)]
pub(super) struct Source {
    handle: Arc<Handle>,
    phase: Phase,
    /// What was taken and not read yet.
    rest: Rest,
}

#[derive(Debug)]
enum Phase {
    Reading,
    Finishing,
    Over,
}

#[derive(Debug)]
enum Rest {
    Data(Bytes),
    Zeroes(u64),
}

/// What holes are read as.
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

impl Source {
    pub(super) fn new(handle: Arc<Handle>) -> Self {
        Self { handle, phase: Phase::Reading, rest: Rest::Data(Bytes::new()) }
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Waits for the next piece. Dropping the future loses nothing.
    pub(super) async fn next_piece(&mut self) -> Option<Result<Piece>> {
        let handle = self.handle.clone();
        let _waits = handle.reader();
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// Waits for the next bytes. Dropping the future loses nothing.
    pub(super) async fn next_bytes(&mut self) -> Option<Result<Bytes>> {
        let handle = self.handle.clone();
        let _waits = handle.reader();
        poll_fn(|cx| self.poll_bytes(cx)).await
    }

    /// Takes the next piece as it came.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece>>> {
        loop {
            match self.phase {
                Phase::Reading => match ready!(self.handle.poll_next(cx)) {
                    Some(Ok(piece)) => return Poll::Ready(Some(Ok(piece))),
                    Some(Err(error)) => {
                        self.phase = Phase::Over;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => self.phase = Phase::Finishing,
                },
                Phase::Finishing => {
                    let finished = ready!(self.handle.poll_finish(cx));
                    self.phase = Phase::Over;
                    if let Err(error) = finished {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Phase::Over => return Poll::Ready(None),
            }
        }
    }

    /// Takes the next bytes; of a hole, its zeroes.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            match &mut self.rest {
                Rest::Data(data) if !data.is_empty() => return Poll::Ready(Some(Ok(std::mem::take(data)))),
                Rest::Zeroes(left) if *left > 0 => {
                    let zeroes = Bytes::from_static(some(*left));
                    *left -= zeroes.len() as u64;
                    return Poll::Ready(Some(Ok(zeroes)));
                }
                _ => {}
            }
            match ready!(self.poll_piece(cx)) {
                Some(Ok(piece)) => self.rest = piece.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Copies what has come into `buffer`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match &mut self.rest {
                Rest::Data(data) if !data.is_empty() => {
                    let count = data.len().min(buffer.remaining());
                    buffer.put_slice(data.get(..count).unwrap_or_default());
                    data.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Rest::Zeroes(left) if *left > 0 => {
                    let zeroes = some(*left);
                    let zeroes = zeroes.get(..buffer.remaining()).unwrap_or(zeroes);
                    buffer.put_slice(zeroes);
                    *left -= zeroes.len() as u64;
                    return Poll::Ready(Ok(()));
                }
                _ => {}
            }
            match ready!(self.poll_piece(cx)) {
                Some(Ok(piece)) => self.rest = piece.into(),
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                // Whoever reads on after an error must not take that for the end.
                None => return Poll::Ready(self.handle.error().map_or(Ok(()), |error| Err(error.into()))),
            }
        }
    }
}

/// Returns as many zeroes as there are at hand, but no more than are left.
fn some(left: u64) -> &'static [u8] {
    usize::try_from(left).ok().and_then(|left| ZEROES.get(..left)).unwrap_or(&ZEROES)
}

impl From<Piece> for Rest {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Data(data) => Self::Data(data),
            Piece::Hole(length) => Self::Zeroes(length),
        }
    }
}
