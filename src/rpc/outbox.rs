//! What is waiting to be written, in order: calls and signs of life first, then the frames of streams in turn.

use std::{
    collections::{HashMap, VecDeque},
    io,
    task::{Context, Poll, ready},
};

use zeroize::Zeroize;

use super::{Wire, command::Sent, lanes::Lanes};
use crate::protocol::frame::{self, Descriptor};

/// Frames up to this many bytes in all are joined, so that many waiting calls take one system call.
const JOINED: usize = 64 * 1024;

/// Pings and pongs are all that is ever urgent.
const MOST_URGENT: usize = 2;

/// The frames that wait for the stream to take them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    /// The frames of streams.
    pub(super) lanes: Lanes,
    /// Each frame is written by itself.
    apart: bool,
    /// Something was written that a layer in between may have kept.
    unflushed: bool,
}

#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: VecDeque<Descriptor>,
    /// It is overwritten once it is written, or will never be.
    secret: bool,
    /// A sign of life, whose serial is no call's.
    urgent: bool,
}

impl Outbox {
    /// Starts empty. Small frames that wait are written together if `joins`.
    pub(super) fn new(joins: bool) -> Self {
        Self { apart: !joins, ..Self::default() }
    }

    /// Adds a frame behind all others but those of streams.
    pub(super) fn push(&mut self, frame: Vec<u8>, descriptors: Vec<Descriptor>) {
        match self.entries.back_mut() {
            Some(last)
                if !self.apart
                    && !last.secret
                    && descriptors.is_empty()
                    && last.descriptors.is_empty()
                    && last.bytes.len() + frame.len() <= JOINED =>
            {
                last.bytes.extend_from_slice(&frame);
            }
            _ => self.entries.push_back(Entry::new(frame, descriptors)),
        }
    }

    /// Does what [`push`](Self::push) does with a frame that is overwritten in memory afterwards.
    pub(super) fn push_secret(&mut self, frame: Vec<u8>, descriptors: Vec<Descriptor>) {
        let mut entry = Entry::new(frame, descriptors);
        entry.secret = true;
        self.entries.push_back(entry);
    }

    /// Adds a frame before all others that have not been begun. One that waits already is not added again, so that a
    /// daemon that asks for signs of life without reading them does not fill our memory.
    pub(super) fn push_urgent(&mut self, frame: Vec<u8>) {
        let begun = self.entries.front().is_some_and(Entry::is_begun);
        if self.entries.iter().skip(usize::from(begun)).take(MOST_URGENT).any(|entry| entry.bytes == frame) {
            return;
        }
        let mut entry = Entry::new(frame, Vec::new());
        entry.urgent = true;
        self.entries.insert(usize::from(begun), entry);
    }

    /// Returns how much was written of the calls that were not written whole, with all descriptors, by their serials.
    pub(super) fn unsent(&self) -> HashMap<u32, Sent> {
        self.entries.iter().filter(|entry| !entry.urgent).flat_map(Entry::unsent).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lanes.is_empty() && !self.unflushed
    }

    /// Writes until all is written or the stream takes no more.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        loop {
            // What has been begun has to be ended first.
            self.unflushed |= self.lanes.is_mid_frame();
            ready!(self.lanes.poll_rest(cx, wire))?;
            if let Some(entry) = self.entries.front_mut() {
                self.unflushed = true;
                ready!(entry.poll_write(cx, wire))?;
                self.entries.pop_front();
            } else if !self.lanes.begin_next() {
                break;
            }
        }
        if self.unflushed {
            ready!(wire.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Entry {
    fn new(bytes: Vec<u8>, descriptors: Vec<Descriptor>) -> Self {
        Self { bytes, sent: 0, descriptors: descriptors.into(), secret: false, urgent: false }
    }

    fn is_begun(&self) -> bool {
        self.sent > 0
    }

    /// Returns how much was written of the frames that were not written whole, by their serials.
    fn unsent(&self) -> impl Iterator<Item = (u32, Sent)> {
        let mut rest = self.bytes.as_slice();
        let mut end = 0;
        std::iter::from_fn(move || {
            let (length, serial) = frame::length_and_serial(rest)?;
            rest = rest.get(length..)?;
            let begin = end;
            end += length;
            Some((begin..end, serial))
        })
        .filter(|(frame, _)| frame.end > self.sent || !self.descriptors.is_empty())
        .map(|(frame, serial)| (serial, if frame.start < self.sent { Sent::Partly } else { Sent::Nothing }))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            self.sent += progress(ready!(wire.poll_send(cx, rest, None))?)?;
        }
        // The daemon takes exactly one byte for each descriptor.
        while let Some(descriptor) = self.descriptors.front() {
            ready!(wire.poll_send(cx, &[0], Some(descriptor)))?;
            self.descriptors.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.secret {
            self.bytes.as_mut_slice().zeroize();
        }
    }
}

/// Nothing written is nothing that could be waited for.
pub(super) fn progress(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Waker};

    use bytes::Bytes;

    use super::*;
    use crate::{
        protocol::{
            frame::{call_header, encode},
            keepalive,
            net::MessageHeader,
            remote,
        },
        rpc::link::Link,
    };

    /// Takes a number of bytes, then no more until it is given room.
    #[derive(Default)]
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl Wire for Narrow {
        fn poll_receive(
            &mut self,
            _: &mut Context<'_>,
            _: &mut [u8],
            _: &mut dyn FnMut(Descriptor),
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_send(
            &mut self,
            _: &mut Context<'_>,
            bytes: &[u8],
            _: Option<&Descriptor>,
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Poll::Pending;
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn an_urgent_frame_overtakes_what_has_not_been_begun() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut wire = Narrow { room: 2, taken: Vec::new() };
        let mut outbox = Outbox::default();
        outbox.push(b"first".to_vec(), Vec::new());
        outbox.push(vec![b'x'; JOINED], Vec::new());
        assert!(outbox.poll_write(&mut cx, &mut wire).is_pending());
        outbox.push_urgent(b"PONG".to_vec());
        wire.room = 2 * JOINED;
        assert!(outbox.poll_write(&mut cx, &mut wire).is_ready());
        assert!(wire.taken.starts_with(b"firstPONGxx"));
        assert!(outbox.is_empty());
    }

    #[test]
    fn streams_take_turns_and_are_overtaken_between_frames() {
        let link = || Arc::new(Link::new(&remote::PROCEDURES[207], false, Arc::default()));
        let (one, other) = (link(), link());
        let mut cx = Context::from_waker(Waker::noop());
        let mut wire = Narrow { room: 3, taken: Vec::new() };
        let mut outbox = Outbox::default();
        for data in ["aa", "bb", "cc"] {
            one.queue(2);
            outbox.lanes.push_data(1, &one, b"1>".to_vec(), Bytes::from_static(data.as_bytes()));
        }
        other.queue(2);
        outbox.lanes.push_data(2, &other, b"2>".to_vec(), Bytes::from_static(b"dd"));
        outbox.lanes.push(2, &other, b"2.".to_vec());
        assert!(outbox.poll_write(&mut cx, &mut wire).is_pending());
        assert_eq!(wire.taken, b"1>a");

        outbox.push(b"call".to_vec(), Vec::new());
        outbox.push_urgent(b"PONG".to_vec());
        wire.room = 5;
        assert!(outbox.poll_write(&mut cx, &mut wire).is_pending());
        assert_eq!(wire.taken, b"1>aaPONG");
        // What was not begun can be taken back.
        outbox.lanes.drop_lane(1);
        wire.room = 100;
        assert!(outbox.poll_write(&mut cx, &mut wire).is_ready());
        assert_eq!(wire.taken, b"1>aaPONGcall2>dd2.");
        assert!(outbox.is_empty());
        assert!(one.poll_drained(&mut cx).is_ready() && other.poll_drained(&mut cx).is_ready());
    }

    fn frame(program: u32, serial: u32) -> Vec<u8> {
        let header = MessageHeader { prog: program, serial, ..call_header(&remote::PROCEDURES[0], 0) };
        encode(&header, 0, &()).unwrap()
    }

    #[test]
    fn calls_that_were_written_in_part_are_told_from_others() {
        let mut wire = Narrow { room: 30, taken: Vec::new() };
        let mut outbox = Outbox::new(true);
        for serial in 0..3 {
            outbox.push(frame(remote::PROGRAM.number, serial), Vec::new());
        }
        assert!(outbox.poll_write(&mut Context::from_waker(Waker::noop()), &mut wire).is_pending());
        // A frame without arguments has 28 bytes.
        assert_eq!(outbox.unsent(), HashMap::from([(1, Sent::Partly), (2, Sent::Nothing)]));
    }

    #[test]
    fn a_sign_of_life_that_waits_is_not_taken_for_a_call() {
        let mut outbox = Outbox::default();
        outbox.push(frame(remote::PROGRAM.number, 7), Vec::new());
        outbox.push_urgent(frame(keepalive::PROGRAM.number, 0));
        assert_eq!(outbox.unsent(), HashMap::from([(7, Sent::Nothing)]));
    }

    #[test]
    fn an_urgent_frame_waits_once() {
        let mut outbox = Outbox::default();
        outbox.push(vec![0; 60], Vec::new());
        for _ in 0..1000 {
            outbox.push_urgent(b"PONG".to_vec());
            outbox.push_urgent(b"PING".to_vec());
        }
        assert_eq!(outbox.entries.len(), 3);
    }

    #[test]
    fn small_frames_are_joined_where_that_is_allowed() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(vec![0; 60], Vec::new());
        }
        assert_eq!(outbox.entries.len(), 1);
        let mut outbox = Outbox::new(false);
        for _ in 0..100 {
            outbox.push(vec![0; 60], Vec::new());
        }
        assert_eq!(outbox.entries.len(), 100, "where the stream does not join them");
    }
}
