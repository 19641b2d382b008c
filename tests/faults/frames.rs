//! Frames as the proxy sees them: bytes, with the descriptors that follow them.

use std::{collections::VecDeque, os::fd::OwnedFd};

use libvirt_client::protocol::{
    frame::PREFIX,
    keepalive,
    net::{MessageHeader, MessageStatus, MessageType},
};

/// A whole frame, and the descriptors that came on the bytes behind it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// The words of a frame, by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Length = 0,
    Program = 1,
    Version = 2,
    Procedure = 3,
    Type = 4,
    Serial = 5,
    Status = 6,
}

impl Frame {
    pub(crate) fn word(&self, word: Word) -> u32 {
        let at = word as usize * 4;
        u32::from_be_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn set_word(&mut self, word: Word, value: u32) {
        let at = word as usize * 4;
        self.bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[PREFIX..]
    }

    pub(crate) fn is_keepalive(&self) -> bool {
        self.word(Word::Program) == keepalive::PROGRAM.number
    }

    pub(crate) fn header(&self) -> MessageHeader {
        MessageHeader {
            prog: self.word(Word::Program),
            vers: self.word(Word::Version),
            proc: self.word(Word::Procedure) as i32,
            type_: MessageType(self.word(Word::Type) as i32),
            serial: self.word(Word::Serial),
            status: MessageStatus(self.word(Word::Status) as i32),
        }
    }

    /// How many descriptors follow it, as it says.
    pub(crate) fn claimed_descriptors(&self) -> usize {
        let count = match self.header().type_ {
            MessageType::CALL_WITH_FDS | MessageType::REPLY_WITH_FDS => self.payload().first_chunk(),
            _ => None,
        };
        count.map_or(0, |count| u32::from_be_bytes(*count) as usize)
    }

    /// The same frame, without its descriptors.
    pub(crate) fn copy(&self) -> Self {
        Self { bytes: self.bytes.clone(), descriptors: Vec::new() }
    }
}

/// Puts frames together out of what comes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    bytes: VecDeque<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Splitter {
    pub(crate) fn push(&mut self, bytes: &[u8], descriptors: Vec<OwnedFd>) {
        self.bytes.extend(bytes);
        self.descriptors.extend(descriptors);
    }

    /// Returns the descriptors that the daemon sent back behind an error about a call that had them, each on a byte of its
    /// own. No frame is there before.
    pub(crate) fn sent_back(&mut self) -> Vec<OwnedFd> {
        if self.bytes != [0] || self.descriptors.is_empty() {
            return Vec::new();
        }
        self.bytes.clear();
        self.descriptors.drain(..).collect()
    }

    /// Returns the next frame, once all of it is there.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let bytes = self.bytes.make_contiguous();
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        assert!(
            (PREFIX..=1 << 26).contains(&length),
            "a client and a daemon do not send frames of {length} bytes: {:02x?}",
            &bytes[..bytes.len().min(80)]
        );
        let frame = Frame { bytes: bytes.get(..length)?.to_vec(), descriptors: Vec::new() };
        let following = frame.claimed_descriptors();
        if bytes.len() < length + following {
            return None;
        }
        self.bytes.drain(..length + following);
        let descriptors = self.descriptors.drain(..following).collect();
        Some(Frame { descriptors, ..frame })
    }
}
