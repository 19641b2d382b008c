//! The frames of streams that wait to be written: each stream has a lane, and the lanes take turns.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{Wire, link::Link, outbox::progress};

/// What waits to be written of each stream.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// The frame that is being written, which nothing may break off.
    begun: Option<Frame>,
    /// The streams that have something to write, the next one first.
    waiting: VecDeque<Lane>,
}

#[derive(Debug)]
struct Lane {
    serial: u32,
    frames: VecDeque<Frame>,
}

/// A frame in two parts, so that data need not be copied behind its header.
#[derive(Debug)]
struct Frame {
    head: Vec<u8>,
    body: Bytes,
    sent: usize,
    link: Arc<Link>,
}

impl Lanes {
    /// Adds data behind what else waits of its stream.
    pub(super) fn push_data(&mut self, serial: u32, link: &Arc<Link>, head: Vec<u8>, body: Bytes) {
        self.add(serial, Frame { head, body, sent: 0, link: link.clone() });
    }

    /// Adds a frame that carries no data.
    pub(super) fn push(&mut self, serial: u32, link: &Arc<Link>, frame: Vec<u8>) {
        self.push_data(serial, link, frame, Bytes::new());
    }

    fn add(&mut self, serial: u32, frame: Frame) {
        match self.waiting.iter_mut().find(|lane| lane.serial == serial) {
            Some(lane) => lane.frames.push_back(frame),
            None => self.waiting.push_back(Lane { serial, frames: [frame].into() }),
        }
    }

    /// Forgets what waits of a stream, but for a frame that has been begun.
    pub(super) fn drop_lane(&mut self, serial: u32) {
        self.waiting.retain(|lane| lane.serial != serial);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.waiting.is_empty()
    }

    pub(super) fn is_mid_frame(&self) -> bool {
        self.begun.is_some()
    }

    /// Takes the next frame up; tells whether there is one.
    pub(super) fn begin_next(&mut self) -> bool {
        let Some(mut lane) = self.waiting.pop_front() else { return false };
        self.begun = lane.frames.pop_front();
        if !lane.frames.is_empty() {
            self.waiting.push_back(lane);
        }
        true
    }

    /// Writes the rest of the frame that has been begun.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        if let Some(frame) = &mut self.begun {
            ready!(frame.poll_write(cx, wire))?;
            self.begun = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl Frame {
    fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut impl Wire) -> Poll<io::Result<()>> {
        while let Some(head) = self.head.get(self.sent..).filter(|head| !head.is_empty()) {
            self.sent += progress(ready!(wire.poll_send_both(cx, head, &self.body))?)?;
        }
        while let Some(rest) =
            self.body.get(self.sent - self.head.len()..).filter(|rest: &&[u8]| !rest.is_empty())
        {
            self.sent += progress(ready!(wire.poll_send(cx, rest, None))?)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Frame {
    /// Written or not, it waits no longer.
    fn drop(&mut self) {
        self.link.sent(self.body.len());
    }
}
