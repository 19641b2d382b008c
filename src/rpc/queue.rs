//! The queue between the driver, which never waits, and one reader of events.
//!
//! A queue of a supervised connection outlives the loss of it. The gap is put at its place at once, and held back with all
//! that comes behind it until everything is registered again: whoever sees it can rely on nothing being missed from then on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use super::events::{Notice, RawEvent};
use crate::error::{CloseReason, Error};

/// How many bytes of messages may wait in one place.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A bounded queue of events, as one conversation sees it, or the reader.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Mutex<State>>,
    /// Which of the conversations that follow each other. An older one has no say any more, however long it takes to end.
    generation: u64,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    /// How many of them are events, and the bytes of their messages.
    events: usize,
    bytes: usize,
    capacity: usize,
    /// How many events were dropped after the items.
    missed: u64,
    /// The end of a connection is a gap, and not the end.
    lasting: bool,
    generation: u64,
    /// The last gap among the items is held back, with all that is behind it.
    held: bool,
    /// This generation's conversation has ended.
    lost: bool,
    /// Since the gap that begins then, not all is registered that was before: some of it was refused.
    unwatched_since: Option<SystemTime>,
    closed: Option<CloseReason>,
    ended: bool,
    reader: Option<Waker>,
}

#[derive(Debug)]
enum Item {
    Event(RawEvent),
    Lagged(u64),
    Gap(SystemTime),
    Refused(Error),
}

impl Queue {
    /// Makes a queue of one connection, which ends with that.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Self::with(capacity, false)
    }

    /// Makes a queue that outlives its connections.
    pub(super) fn lasting(capacity: usize) -> Arc<Self> {
        Self::with(capacity, true)
    }

    fn with(capacity: usize, lasting: bool) -> Arc<Self> {
        let state = State {
            items: VecDeque::new(),
            events: 0,
            bytes: 0,
            capacity: capacity.max(1),
            missed: 0,
            lasting,
            generation: 0,
            held: false,
            lost: false,
            unwatched_since: None,
            closed: None,
            ended: false,
            reader: None,
        };
        Arc::new(Self { shared: Arc::new(Mutex::new(state)), generation: 0 })
    }

    /// Returns the same queue for the next conversation, behind a gap that is held back.
    pub(super) fn renewed(&self) -> Arc<Self> {
        let mut state = self.lock();
        state.generation += 1;
        // If nobody has said so: the one before has not ended, or nothing was registered in it.
        state.interrupt(SystemTime::now());
        state.lost = false;
        Arc::new(Self { shared: self.shared.clone(), generation: state.generation })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic; a poisoned state would still be whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what a conversation says: nothing, if another one has followed it.
    fn lock_for_news(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.lock()).filter(|state| state.generation == self.generation)
    }

    pub(super) fn push(&self, event: RawEvent) {
        let Some(mut state) = self.lock_for_news() else { return };
        // Once something is lost, the loss is reported before anything newer is taken.
        let full = state.events == state.capacity || state.bytes + event.payload.len() > MOST_BYTES;
        if state.missed > 0 || full {
            state.missed += 1;
        } else {
            state.events += 1;
            state.bytes += event.payload.len();
            state.items.push_back(Item::Event(event));
        }
        state.wake();
    }

    pub(super) fn miss(&self, count: u64) {
        let Some(mut state) = self.lock_for_news() else { return };
        state.missed += count;
        state.wake();
    }

    /// Says that a registration, which was there before the gap, was refused.
    pub(super) fn refuse(&self, error: Error) {
        let Some(mut state) = self.lock_for_news() else { return };
        state.unwatched_since = state.last_gap();
        state.items.push_back(Item::Refused(error));
        state.wake();
    }

    /// Says that the connection has ended.
    pub(super) fn close(&self, reason: &CloseReason) {
        let Some(mut state) = self.lock_for_news() else { return };
        if !state.lasting {
            return state.end(reason);
        }
        state.lost = true;
        state.interrupt(since(reason));
    }

    /// Says that everything is registered again. In vain, if what it was registered in has ended already.
    pub(super) fn resume(&self) {
        let Some(mut state) = self.lock_for_news() else { return };
        state.held &= state.lost;
        state.wake();
    }

    /// Says that there will be no other connection.
    pub(super) fn end(&self, reason: &CloseReason) {
        self.lock().end(reason);
    }

    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Notice, Error>>> {
        let mut state = self.lock();
        if let Some(item) = state.take() {
            return Poll::Ready(Some(match item {
                Item::Event(event) => Ok(Notice::Event(event)),
                Item::Lagged(missed) => Ok(Notice::Lagged { missed }),
                Item::Gap(since) => Ok(Notice::Gap { since }),
                Item::Refused(error) => Err(error),
            }));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if let Some(reason) = state.closed.clone() {
            state.ended = true;
            return Poll::Ready(Some(Err(Error::Closed(reason))));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    /// Takes what the reader may have.
    fn take(&mut self) -> Option<Item> {
        if self.is_held_back() {
            return None;
        }
        match self.items.pop_front() {
            Some(Item::Event(event)) => {
                self.events -= 1;
                self.bytes -= event.payload.len();
                Some(Item::Event(event))
            }
            None if self.missed > 0 => Some(Item::Lagged(std::mem::take(&mut self.missed))),
            other => other,
        }
    }

    /// Tells whether the gap that is held back is next. One before it has been released.
    fn is_held_back(&self) -> bool {
        let is_gap = |item: &Item| matches!(item, Item::Gap(_));
        self.held && self.items.front().is_some_and(is_gap) && !self.items.iter().skip(1).any(is_gap)
    }

    fn last_gap(&self) -> Option<SystemTime> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Gap(since) => Some(*since),
            _ => None,
        })
    }

    /// Marks the place where events are missing, once.
    fn interrupt(&mut self, since: SystemTime) {
        if self.closed.is_some() {
            return;
        }
        if self.held {
            // What came since then was registered for in vain.
            self.cut();
            return;
        }
        self.held = true;
        let since = self.unwatched_since.take().map_or(since, |unwatched| unwatched.min(since));
        // What is refused is said again with the next conversation.
        while matches!(self.items.back(), Some(Item::Refused(_))) {
            self.items.pop_back();
        }
        // A gap that nobody has seen yet, with no event behind it, is the same one, and there is room for it.
        if matches!(self.items.back(), Some(Item::Gap(_))) {
            self.missed = 0;
            return;
        }
        if self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            self.items.push_back(Item::Lagged(missed));
        }
        self.items.push_back(Item::Gap(since));
    }

    /// Drops what is behind the gap that is held back.
    fn cut(&mut self) {
        while let Some(item) = self.items.back().filter(|item| !matches!(item, Item::Gap(_))) {
            if let Item::Event(event) = item {
                self.events -= 1;
                self.bytes -= event.payload.len();
            }
            self.items.pop_back();
        }
        self.missed = 0;
        self.unwatched_since = None;
    }

    fn end(&mut self, reason: &CloseReason) {
        if self.held {
            // There is nothing behind it that it would have to be told for.
            self.cut();
            self.items.pop_back();
            self.held = false;
        }
        self.closed.get_or_insert_with(|| reason.clone());
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Returns when something was last heard of a daemon whose connection has ended now.
fn since(reason: &CloseReason) -> SystemTime {
    let now = SystemTime::now();
    match reason {
        CloseReason::Keepalive { silence } => now.checked_sub(*silence).unwrap_or(now),
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::error::{ErrorCode, ErrorDomain, ErrorLevel, RemoteError};

    fn event(number: u8) -> RawEvent {
        RawEvent { program: 0, procedure: 0, payload: Bytes::copy_from_slice(&[number]) }
    }

    fn drain(queue: &Queue) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Some(next)) = queue.poll_next(&mut cx) {
            seen.push(match next {
                Ok(Notice::Event(event)) => event.payload[0].to_string(),
                Ok(Notice::Lagged { missed }) => format!("lagged {missed}"),
                Ok(Notice::Gap { .. }) => "gap".to_owned(),
                Err(error) => error.to_string(),
            });
        }
        seen
    }

    /// Lets another conversation follow, in which everything is registered again.
    fn resume(queue: &Queue) -> Arc<Queue> {
        let renewed = queue.renewed();
        renewed.resume();
        renewed
    }

    #[test]
    fn a_gap_is_held_back_until_all_is_registered_again() {
        let queue = Queue::lasting(8);
        queue.push(event(1));
        queue.close(&CloseReason::Eof);
        queue.close(&CloseReason::Eof);
        assert_eq!(drain(&queue), ["1"]);
        let queue = queue.renewed();
        queue.push(event(2));
        assert!(drain(&queue).is_empty());
        queue.resume();
        queue.push(event(3));
        assert_eq!(drain(&queue), ["gap", "2", "3"]);
    }

    #[test]
    fn what_came_from_a_connection_that_was_lost_at_once_is_in_the_gap() {
        let queue = Queue::lasting(2);
        queue.close(&CloseReason::Eof);
        let queue = queue.renewed();
        for number in 0..5 {
            queue.push(event(number));
        }
        queue.refuse(Error::Closed(CloseReason::Eof));
        queue.close(&CloseReason::Eof);
        // All was registered, and lost before that was said.
        queue.resume();
        assert!(drain(&queue).is_empty());
        let queue = queue.renewed();
        queue.push(event(8));
        queue.push(event(9));
        queue.resume();
        assert_eq!(drain(&queue), ["gap", "8", "9"]);
    }

    #[test]
    fn losses_that_nobody_has_seen_between_are_one_gap() {
        let mut queue = Queue::lasting(8);
        for _ in 0..3 {
            queue.close(&CloseReason::Eof);
            queue = resume(&queue);
        }
        assert_eq!(drain(&queue), ["gap"]);
        queue.close(&CloseReason::Eof);
        let queue = resume(&queue);
        queue.push(event(1));
        queue.close(&CloseReason::Eof);
        let queue = resume(&queue);
        assert_eq!(drain(&queue), ["gap", "1", "gap"]);
    }

    #[test]
    fn what_was_released_before_another_loss_is_not_held_back_by_it() {
        let queue = Queue::lasting(8);
        queue.close(&CloseReason::Eof);
        let queue = resume(&queue);
        queue.push(event(1));
        queue.close(&CloseReason::Eof);
        assert_eq!(drain(&queue), ["gap", "1"]);
        assert_eq!(drain(&resume(&queue)), ["gap"]);
    }

    #[test]
    fn what_was_dropped_is_told_before_the_gap() {
        let queue = Queue::lasting(1);
        queue.push(event(1));
        queue.push(event(2));
        queue.push(event(3));
        queue.close(&CloseReason::Eof);
        let queue = resume(&queue);
        queue.push(event(4));
        // The first one has not been taken, so there was no room.
        assert_eq!(drain(&queue), ["1", "lagged 2", "gap", "lagged 1"]);
    }

    #[test]
    fn a_conversation_that_another_one_has_followed_has_no_say() {
        let first = Queue::lasting(8);
        first.push(event(1));
        let second = first.renewed();
        first.push(event(2));
        first.miss(3);
        second.push(event(4));
        first.resume();
        assert_eq!(drain(&first), ["1"]);
        second.resume();
        // However late it ends.
        first.close(&CloseReason::Eof);
        first.refuse(Error::Closed(CloseReason::Eof));
        second.push(event(5));
        assert_eq!(drain(&first), ["gap", "4", "5"]);
        second.close(&CloseReason::Eof);
        let third = second.renewed();
        third.push(event(6));
        third.resume();
        assert_eq!(drain(&first), ["gap", "6"]);
    }

    #[test]
    fn losses_that_nobody_reads_of_take_no_more_and_more_room() {
        let mut queue = Queue::lasting(1);
        queue.push(event(1));
        for _ in 0..100 {
            queue.push(event(2));
            queue.refuse(Error::Closed(CloseReason::Eof));
            queue.close(&CloseReason::Eof);
            queue = resume(&queue);
        }
        assert!(queue.lock().items.len() < 5);
    }

    #[test]
    fn a_registration_that_is_refused_now_is_told_behind_the_gap() {
        let queue = Queue::lasting(1);
        queue.close(&CloseReason::Eof);
        let queue = queue.renewed();
        queue.refuse(RemoteError::new("X", ErrorCode(38), ErrorDomain::NONE, ErrorLevel::ERROR).into());
        queue.resume();
        let seen = drain(&queue);
        assert_eq!((seen.len(), seen[0].as_str()), (2, "gap"));
    }

    #[test]
    fn what_was_refused_is_missing_since_the_gap_before() {
        let gap = |queue: &Queue| match queue.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(Notice::Gap { since }))) => since,
            other => panic!("{other:?}"),
        };
        let queue = Queue::lasting(8);
        queue.close(&CloseReason::Keepalive { silence: Duration::from_secs(30) });
        let queue = queue.renewed();
        queue.refuse(RemoteError::new("X", ErrorCode(38), ErrorDomain::NONE, ErrorLevel::ERROR).into());
        queue.resume();
        let refused = gap(&queue);
        assert_eq!(drain(&queue).len(), 1);
        // The connection is lost and comes back, and nothing was registered for that would tell this queue of it.
        let queue = resume(&queue);
        assert_eq!(gap(&queue), refused);
        queue.close(&CloseReason::Eof);
        assert!(gap(&resume(&queue)) > refused);
    }

    #[test]
    fn the_end_of_supervision_is_the_end_without_a_gap() {
        let queue = Queue::lasting(8);
        queue.push(event(1));
        queue.close(&CloseReason::Eof);
        queue.push(event(2));
        queue.end(&CloseReason::Client);
        queue.close(&CloseReason::Eof);
        queue.end(&CloseReason::Eof);
        assert_eq!(drain(&queue), ["1", "the connection is closed: closed by this client"]);
        assert!(matches!(queue.poll_next(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
    }

    #[test]
    fn the_silence_before_a_loss_is_part_of_the_gap() {
        let now = SystemTime::now();
        let silence = Duration::from_secs(30);
        let heard = since(&CloseReason::Keepalive { silence });
        let earlier = now.duration_since(heard).unwrap();
        assert!(earlier <= silence && earlier > silence - Duration::from_secs(10), "{earlier:?}");
    }
}
