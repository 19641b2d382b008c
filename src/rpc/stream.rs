//! Data streams: bytes that go on beside the calls, in one direction or both, after a call has opened them.
//!
//! # How much waits in memory
//!
//! **Reading.** What a reader has not taken waits in its inbox. All inboxes of a connection together hold
//! [`Config::stream_buffer`](super::Config::stream_buffer) bytes (4 MiB). When they are full, nothing more is read from the
//! connection, so its socket fills and the daemon stops sending. Replies and events would wait behind the data, too: so as
//! long as a call waits for its reply, or a reader of another stream for data, reading goes on up to three times the bound.
//! A loop that makes a quick call for each piece that it takes does not lock itself out that way. One whose calls take longer than
//! it takes for twice the bound of data to come does: it makes them over another connection, or in a task of their own.
//!
//! When even that is full, somebody waits, and a reader has taken nothing for 30 seconds, its stream is aborted and the
//! reader gets an [`Error::Timeout`] that says so. Nobody is held up for ever by a reader who has gone to sleep. Events do
//! not count as waited for: they come once reading goes on. A program with readers that are slow, and calls or events that
//! must not wait, gives the readers a connection of their own.
//!
//! While reading is paused, the silence is ours, and keepalive does not count it. The daemon is told every second that we
//! live.
//!
//! **Writing.** At most about 1 MiB of each stream waits to be written; a writer beyond that is pending. Frames have at most
//! 262,120 bytes, streams take turns frame by frame, and calls and signs of life overtake them all. What the daemon does not
//! take, it does not read, and with it nothing else from this connection: a program that writes to a guest that does not
//! listen gives that stream a connection of its own. The daemon hears no signs of life then, either, and cuts the connection after
//! its own time of silence, 30 seconds by default.
//!
//! # How a stream ends
//!
//! * The daemon has **no more data**: [`next`](Stream::next) yields `None`. The stream stays open until it is finished.
//! * [`finish`](Stream::finish) says that we have no more data, and returns when the daemon confirms that it has all.
//! * [`abort`](Stream::abort) breaks the stream off, and **dropping** it does the same without waiting. What is on its way
//!   is dropped when it comes.
//! * The daemon reports **an error**: everyone who waits on the stream gets it, a writer at once, a reader after what came
//!   before it.
//! * The **connection ends**: likewise, with [`Error::Closed`].

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    Client,
    command::Command,
    link::{Link, MOST_QUEUED},
};
use crate::{
    error::{Error, Result, Waiting},
    protocol::{ProcedureInfo, net},
};

/// The most bytes of data that go into one frame.
pub const MOST_PER_FRAME: usize = net::MESSAGE_LEGACY_PAYLOAD_MAX as usize;

/// A part of what goes over a data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Piece {
    /// Bytes.
    Data(Bytes),
    /// This many zeroes, in a stream that was opened with the flag for holes.
    Hole(u64),
}

/// A data stream that a call has opened: see [`Client::open_stream`]. Dropping it aborts it.
///
/// It is known by the serial of its call; the module says how much waits in memory, and how it ends.
#[must_use = "dropping a stream aborts it"]
#[derive(Debug)]
pub struct Stream {
    handle: Arc<Handle>,
}

/// What the driver is to send in a stream.
#[derive(Debug)]
pub(super) enum Outgoing {
    Data(Bytes),
    Hole(i64),
    Finish,
    Abort,
}

impl Outgoing {
    /// Returns how many bytes of data it is.
    pub(super) fn data(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Hole(_) | Self::Finish | Self::Abort => 0,
        }
    }
}

impl Stream {
    pub(super) fn new(client: Client, link: Arc<Link>) -> Self {
        let (closing, told) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { handle: Arc::new(Handle { client, link, closing, told }) }
    }

    /// Waits for the next piece. `None` when the daemon has no more, or after the error that the stream has failed with.
    ///
    /// # Errors
    /// What the daemon reports, or why the connection ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Piece>> {
        let _waits = self.handle.reader();
        poll_fn(|cx| self.handle.poll_next(cx)).await
    }

    /// Does what [`next`](Self::next) does, for futures that are written by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece>>> {
        self.handle.poll_next(cx)
    }

    /// Waits until there is room, and queues data: nothing is copied.
    ///
    /// # Errors
    /// What the daemon reports, why the connection ended, or that the stream was finished before.
    ///
    /// # Cancel safety
    /// When the future is dropped, the start of the data may have been queued.
    pub async fn send(&mut self, data: impl Into<Bytes>) -> Result<()> {
        let mut data = data.into();
        while !data.is_empty() {
            poll_fn(|cx| self.handle.poll_send(cx, &mut data)).await?;
        }
        Ok(())
    }

    /// Waits until there is room, and says that this many zeroes follow.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the stream was not opened with the flag for holes: a daemon would end the connection. As
    /// [`send`](Self::send).
    ///
    /// # Cancel safety
    /// When the future is dropped, nothing was queued.
    pub async fn send_hole(&mut self, length: u64) -> Result<()> {
        poll_fn(|cx| self.handle.poll_room(cx)).await?;
        self.handle.hole(length)
    }

    /// Waits until there is room for more data.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.handle.poll_room(cx)
    }

    /// Says that no more data comes from us, and waits until the daemon confirms that. What the daemon still sends is
    /// dropped: a reader takes everything first.
    ///
    /// # Errors
    /// What the daemon reports, why the connection ended, or the deadline for calls.
    ///
    /// # Cancel safety
    /// The stream is finished once the future has been polled. Calling it again waits on.
    pub async fn finish(&mut self) -> Result<()> {
        self.handle.in_time(poll_fn(|cx| self.handle.poll_finish(cx))).await
    }

    /// Does what [`finish`](Self::finish) does, without the deadline, for futures that are written by hand.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.handle.poll_finish(cx)
    }

    /// Breaks the stream off, and waits until the daemon confirms that.
    ///
    /// # Errors
    /// Why the connection ended, or the deadline for calls. That the stream has failed already is none.
    ///
    /// # Cancel safety
    /// Dropped before it was polled, the stream is aborted all the same.
    pub async fn abort(self) -> Result<()> {
        let aborted = self.handle.in_time(poll_fn(|cx| self.handle.poll_abort(cx))).await;
        match aborted {
            Err(Error::Remote(_)) => Ok(()),
            other => other,
        }
    }

    /// Tells whether holes may be sent, or come.
    #[must_use]
    pub fn carries_holes(&self) -> bool {
        self.handle.link.carries_holes
    }

    /// Gives the handle away, which may be shared.
    pub(crate) fn into_handle(self) -> Arc<Handle> {
        self.handle
    }
}

/// Whoever waits for the next piece. Once it is dropped, nobody does.
pub(crate) struct Reader<'a>(&'a Link);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.forget_reader();
    }
}

/// A stream as all that hold a part of it see it. The last to be dropped aborts it.
#[derive(Debug)]
pub(crate) struct Handle {
    client: Client,
    link: Arc<Link>,
    /// It was asked to finish, or to abort.
    closing: AtomicBool,
    /// The hook was told of an error: once is enough, however many ask.
    told: AtomicBool,
}

impl Handle {
    /// Returns what a future holds that polls for the next piece.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader(&self.link)
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece>>> {
        let (polled, resume) = self.link.poll_piece(cx);
        if resume {
            self.client.command(Command::Resume);
        }
        polled.map(|next| next.map(|piece| self.observed(piece)))
    }

    /// Says that nobody will take what comes: it is dropped, and holds up nobody.
    pub(crate) fn stop_reading(&self) {
        if self.link.stop_reading() {
            self.client.command(Command::Resume);
        }
    }

    /// Returns the error that the stream has failed with.
    pub(crate) fn error(&self) -> Option<Error> {
        self.link.error()
    }

    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let room = ready!(self.link.poll_room(cx));
        if room.is_ok() && self.closing.load(Ordering::Relaxed) {
            return Poll::Ready(self.observed(Err(self.is_finished())));
        }
        Poll::Ready(self.observed(room))
    }

    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.poll_drained(cx).map(|drained| self.observed(drained))
    }

    /// Takes the start of `data` into a frame, when there is room.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<()>> {
        ready!(self.poll_room(cx))?;
        let part = data.split_to(data.len().min(MOST_PER_FRAME));
        self.queue(Outgoing::Data(part));
        Poll::Ready(Ok(()))
    }

    /// Copies the start of `data` into a frame, when there is room. Returns how much of it.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_room(cx))?;
        let part = data.get(..MOST_PER_FRAME).unwrap_or(data);
        self.queue(Outgoing::Data(Bytes::copy_from_slice(part)));
        Poll::Ready(Ok(part.len()))
    }

    /// Hands over what there is room for.
    fn queue(&self, outgoing: Outgoing) {
        self.link.queue(outgoing.data());
        self.client.command(Command::Send { link: self.link.clone(), outgoing });
    }

    pub(crate) fn hole(&self, length: u64) -> Result<()> {
        let refused = |why: &str| {
            let reason = format!("{}: {why}", self.procedure().name);
            self.observed(Err(Error::Unsupported(reason)))
        };
        if !self.link.carries_holes {
            return refused("the stream was not opened with the flag that lets holes be sent");
        }
        match i64::try_from(length) {
            Ok(0) => Ok(()),
            Ok(length) => {
                self.queue(Outgoing::Hole(length));
                Ok(())
            }
            Err(_) => refused("a hole has at most 2⁶³ − 1 bytes"),
        }
    }

    pub(crate) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_close(cx, Outgoing::Finish).map(|closed| self.observed(closed))
    }

    fn poll_abort(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_close(cx, Outgoing::Abort)
    }

    fn poll_close(&self, cx: &mut Context<'_>, how: Outgoing) -> Poll<Result<()>> {
        // The waker is there before the driver hears of it, so that it knows that somebody waits.
        let closed = self.link.poll_closed(cx);
        if closed.is_pending() && !self.closing.swap(true, Ordering::Relaxed) {
            self.queue(how);
        }
        closed
    }

    /// Waits no longer than a call may take.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(after) = self.client.timeout() else { return future.await };
        let what = self.procedure().name;
        tokio::time::timeout(after, future).await.unwrap_or_else(|_| {
            self.observed(Err(Error::Timeout { what, after, waiting: Waiting::ForAnswer }))
        })
    }

    fn observed<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() && !self.told.swap(true, Ordering::Relaxed) {
            return self.client.observed(result);
        }
        result
    }

    pub(crate) fn procedure(&self) -> &'static ProcedureInfo {
        self.link.procedure
    }

    fn is_finished(&self) -> Error {
        Error::Unsupported(format!(
            "{}: the stream is finished and takes no more data",
            self.procedure().name
        ))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // What nobody has taken, of a stream that is over as well, must not keep others from reading.
        self.stop_reading();
        if !self.link.is_over() {
            self.client.command(Command::Abandon(self.link.clone()));
        }
    }
}

/// Data that fits is queued at once.
const _: () = assert!(MOST_PER_FRAME < MOST_QUEUED);
