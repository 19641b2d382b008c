//! What a stream's handle and the driver share: what waits to be read, what waits to be written, and how it ended.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;

use super::stream::Piece;
use crate::{
    error::{Error, Result},
    protocol::ProcedureInfo,
};

/// How many bytes of data may wait in one stream to be written.
pub(super) const MOST_QUEUED: usize = 1 << 20;
/// Data up to this many bytes is copied out of the read buffer, since a slice keeps the whole of that in memory: some 540 KiB
/// at most. The frames of bulk data have 256 KiB.
const SMALL: usize = 128 * 1024;
/// What a waiting piece or frame takes besides its bytes of data.
const OVERHEAD: usize = 64;

/// One stream, as its handle and the driver see it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) procedure: &'static ProcedureInfo,
    /// The opening call had the flag that lets holes be sent.
    pub(super) carries_holes: bool,
    flow: Arc<Flow>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The serial of the opening call, once it has been sent.
    serial: Option<u32>,
    /// What has come and was not taken yet.
    inbox: VecDeque<Piece>,
    /// Nobody will take what comes.
    deaf: bool,
    /// The daemon has no more data.
    ended: bool,
    /// The daemon has confirmed that the stream is closed.
    closed: bool,
    /// Why the stream has failed. The first reason stays.
    error: Option<Error>,
    /// The reader was told of the error.
    told: bool,
    /// Bytes of data that wait to be written.
    queued: usize,
    /// When the reader last took something, or began to have something to take.
    touched: Instant,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Both halves of a stream may wait for its end.
    closers: Vec<Waker>,
}

impl Link {
    pub(super) fn new(procedure: &'static ProcedureInfo, carries_holes: bool, flow: Arc<Flow>) -> Self {
        Self {
            procedure,
            carries_holes,
            flow,
            state: Mutex::new(State {
                serial: None,
                inbox: VecDeque::new(),
                deaf: false,
                ended: false,
                closed: false,
                error: None,
                told: false,
                queued: 0,
                touched: now(),
                reader: None,
                writer: None,
                closers: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic; a poisoned state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serial(&self) -> Option<u32> {
        self.lock().serial
    }

    /// Returns the error that the stream has failed with.
    pub(super) fn error(&self) -> Option<Error> {
        self.lock().error.clone()
    }
}

/// For the handle.
impl Link {
    /// Takes what waits. The second value tells whether the driver has to hear that there is room, or that somebody waits.
    pub(super) fn poll_piece(&self, cx: &mut Context<'_>) -> (Poll<Option<Result<Piece>>>, bool) {
        let mut state = self.lock();
        if let Some(piece) = state.inbox.pop_front() {
            state.touched = now();
            drop(state);
            let resume = self.flow.take(cost(&piece));
            return (Poll::Ready(Some(Ok(piece))), resume);
        }
        if let Some(error) = state.error.clone().filter(|_| !state.told) {
            state.told = true;
            return (Poll::Ready(Some(Err(error))), false);
        }
        if state.ended || state.closed || state.error.is_some() {
            return (Poll::Ready(None), false);
        }
        register(&mut state.reader, cx);
        drop(state);
        (Poll::Pending, self.flow.is_waited_for())
    }

    /// Says that nobody waits for what comes next, for now.
    pub(super) fn forget_reader(&self) {
        self.lock().reader = None;
    }

    /// Waits for room to write.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock();
        if let Some(error) = &state.error {
            return Poll::Ready(Err(error.clone()));
        }
        if state.queued < MOST_QUEUED {
            return Poll::Ready(Ok(()));
        }
        register(&mut state.writer, cx);
        Poll::Pending
    }

    /// Waits until all that was queued has been handed to the connection.
    pub(super) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock();
        if let Some(error) = &state.error {
            return Poll::Ready(Err(error.clone()));
        }
        if state.queued == 0 {
            return Poll::Ready(Ok(()));
        }
        register(&mut state.writer, cx);
        Poll::Pending
    }

    /// Says that a frame with this many bytes of data is on its way to the driver.
    pub(super) fn queue(&self, data: usize) {
        self.lock().queued += OVERHEAD + data;
    }

    /// Says that nobody will take what comes. Tells whether the driver has to hear that there is room.
    pub(super) fn stop_reading(&self) -> bool {
        let inbox = {
            let mut state = self.lock();
            state.deaf = true;
            // Nobody waits any more, either.
            state.reader = None;
            std::mem::take(&mut state.inbox)
        };
        self.flow.take(inbox.iter().map(cost).sum())
    }

    /// Waits for the daemon's word that the stream is closed.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock();
        if let Some(error) = &state.error {
            return Poll::Ready(Err(error.clone()));
        }
        if state.closed {
            return Poll::Ready(Ok(()));
        }
        if !state.closers.iter().any(|closer| closer.will_wake(cx.waker())) {
            state.closers.push(cx.waker().clone());
        }
        drop(state);
        Poll::Pending
    }

    /// Tells whether the daemon, too, knows that the stream is over.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.closed || state.error.is_some()
    }
}

/// For the driver.
impl Link {
    pub(super) fn set_serial(&self, serial: u32) {
        self.lock().serial = Some(serial);
    }

    pub(super) fn push(&self, piece: Piece) {
        let piece = match piece {
            Piece::Data(data) if data.len() <= SMALL => Piece::Data(Bytes::copy_from_slice(&data)),
            other => other,
        };
        let mut state = self.lock();
        if state.deaf {
            return;
        }
        self.flow.add(cost(&piece));
        if state.inbox.is_empty() {
            state.touched = now();
        }
        state.inbox.push_back(piece);
        wake(&mut state.reader);
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        wake(&mut state.reader);
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.wake_all();
    }

    pub(super) fn fail(&self, error: Error) {
        let mut state = self.lock();
        state.error.get_or_insert(error);
        state.wake_all();
    }

    /// Says that a frame with this many bytes of data was written, or will never be.
    pub(super) fn sent(&self, data: usize) {
        let mut state = self.lock();
        state.queued = state.queued.saturating_sub(OVERHEAD + data);
        wake(&mut state.writer);
    }

    /// Tells whether somebody waits for something that the daemon says about this stream.
    pub(super) fn is_awaited(&self) -> bool {
        let state = self.lock();
        !state.closers.is_empty() || (state.inbox.is_empty() && state.reader.is_some())
    }

    /// Returns since when the reader has had something to take and has taken nothing.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (!state.inbox.is_empty()).then_some(state.touched)
    }
}

impl State {
    fn wake_all(&mut self) {
        for waker in [&mut self.reader, &mut self.writer] {
            wake(waker);
        }
        self.closers.drain(..).for_each(Waker::wake);
    }
}

fn register(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        other => *other = Some(cx.waker().clone()),
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn cost(piece: &Piece) -> usize {
    OVERHEAD
        + match piece {
            Piece::Data(data) => data.len(),
            Piece::Hole(_) => 0,
        }
}

/// How much waits in all the inboxes of a connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    waiting: AtomicUsize,
    /// The driver reads nothing until there is room, and wants to hear of it.
    paused: AtomicBool,
    /// How often reading was stopped, and begun again: odd while it is stopped.
    pauses: AtomicUsize,
}

impl Flow {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    pub(super) fn count_pause(&self) {
        self.pauses.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn pauses(&self) -> usize {
        self.pauses.load(Ordering::SeqCst)
    }

    fn add(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Makes room. Tells whether the driver has to hear of it.
    fn take(&self, bytes: usize) -> bool {
        self.waiting.fetch_sub(bytes, Ordering::SeqCst);
        self.paused.swap(false, Ordering::SeqCst)
    }

    /// Tells whether the driver has to hear that somebody waits.
    fn is_waited_for(&self) -> bool {
        self.paused.swap(false, Ordering::SeqCst)
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU32, task::Wake};

    use super::*;
    use crate::protocol::remote;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn link() -> Link {
        let upload = &remote::PROCEDURES[remote::Procedure::STORAGE_VOL_UPLOAD.0 as usize - 1];
        Link::new(upload, false, Arc::default())
    }

    #[test]
    fn everyone_who_waits_for_the_end_hears_of_it() {
        let link = link();
        let halves = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        for half in &halves {
            let waker = Waker::from(half.clone());
            assert!(link.poll_closed(&mut Context::from_waker(&waker)).is_pending());
            assert!(link.poll_closed(&mut Context::from_waker(&waker)).is_pending());
        }
        link.close();
        assert_eq!(halves.map(|half| half.0.load(Ordering::SeqCst)), [1, 1]);
    }

    #[test]
    fn who_reads_no_more_waits_no_more() {
        let link = link();
        let (polled, _) = link.poll_piece(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending() && link.is_awaited());
        link.stop_reading();
        assert!(!link.is_awaited());
    }

    #[test]
    fn small_pieces_do_not_keep_the_buffer_that_they_came_in() {
        let link = link();
        let buffer = Bytes::from(vec![7; 256 * 1024]);
        link.push(Piece::Data(buffer.slice(..4096)));
        link.push(Piece::Data(buffer.slice(4096..)));
        let next = || link.poll_piece(&mut Context::from_waker(Waker::noop())).0;
        let inside = |data: &Bytes| buffer.as_ptr_range().contains(&data.as_ptr());
        let Poll::Ready(Some(Ok(Piece::Data(small)))) = next() else { panic!() };
        let Poll::Ready(Some(Ok(Piece::Data(large)))) = next() else { panic!() };
        assert_eq!((small.len(), inside(&small), inside(&large)), (4096, false, true));
    }
}
