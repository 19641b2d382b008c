//! Frames: a length word, a header, a payload, and the descriptors that follow it on Unix sockets.
//!
//! The length counts itself. A descriptor travels on a byte of its own *after* the frame, which the length
//! does not count, so whoever reads must take ancillary data with every read and hand it over here.

use std::{collections::VecDeque, fmt};

use bytes::{Bytes, BytesMut};

use super::{
    ProcedureInfo,
    net::{self, MessageHeader, MessageStatus, MessageType},
};
use crate::xdr::{Bound, Decode, DecodeError, Encode, EncodeError, Reader, Writer};

/// A descriptor that is passed over a Unix socket.
#[cfg(unix)]
pub type Descriptor = std::os::fd::OwnedFd;

/// A descriptor that is passed over a Unix socket. Here there are none.
#[cfg(not(unix))]
#[derive(Debug)]
pub enum Descriptor {}

/// The bytes before the payload: the length word and the header.
pub const PREFIX: usize = LENGTH_WORD + HEADER;

const LENGTH_WORD: usize = net::MESSAGE_LEN_MAX as usize;
const HEADER: usize = net::MESSAGE_HEADER_MAX as usize;
const LONGEST: u32 = net::MESSAGE_MAX + net::MESSAGE_LEN_MAX;
const PAYLOAD: Bound = Bound::new(net::MESSAGE_PAYLOAD_MAX, "VIR_NET_MESSAGE_PAYLOAD_MAX");
const DESCRIPTORS: Bound = Bound::new(net::MESSAGE_NUM_FDS_MAX, "VIR_NET_MESSAGE_NUM_FDS_MAX");
const SERIAL: std::ops::Range<usize> = LENGTH_WORD + 16..LENGTH_WORD + 20;

/// One message of the protocol.
#[derive(Debug)]
pub struct Frame {
    /// What the message is, and which call it belongs to.
    pub header: MessageHeader,
    /// The body: arguments, results, an error, or stream data as it is. The descriptor count of messages with
    /// descriptors is not part of it.
    pub payload: Bytes,
    /// The descriptors that came with it.
    pub descriptors: Vec<Descriptor>,
}

impl Frame {
    /// Returns the frame's bytes. A byte for each descriptor has to follow them.
    ///
    /// # Errors
    /// A payload over the protocol's limit.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode(&self.header, self.descriptors.len(), &self.payload)
    }
}

/// Returns the bytes of a frame with `body` as its payload, to be followed by `descriptors` bytes with a
/// descriptor each.
///
/// # Errors
/// A body that does not encode, or a body or a number of descriptors over the protocol's limit.
pub fn encode<T: Encode + ?Sized>(
    header: &MessageHeader,
    descriptors: usize,
    body: &T,
) -> Result<Vec<u8>, EncodeError> {
    encode_into(Vec::with_capacity(128), header, descriptors, body)
}

/// Does what [`encode`] does, in an empty buffer that has room already.
pub(crate) fn encode_into<T: Encode + ?Sized>(
    buffer: Vec<u8>,
    header: &MessageHeader,
    descriptors: usize,
    body: &T,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::append_to(buffer);
    0u32.encode(&mut writer)?;
    header.encode(&mut writer)?;
    if carries_descriptors(header.type_) {
        match u32::try_from(descriptors) {
            Ok(count) if count <= DESCRIPTORS.max => count.encode(&mut writer)?,
            _ => return Err(EncodeError::too_long(descriptors, DESCRIPTORS).in_field("nfds")),
        }
    }
    body.encode(&mut writer)?;

    let mut bytes = writer.into_inner();
    let length = bytes.len();
    if length > LONGEST as usize {
        return Err(EncodeError::too_long(length - PREFIX, PAYLOAD));
    }
    if let Some(word) = bytes.first_chunk_mut() {
        *word = (length as u32).to_be_bytes();
    }
    Ok(bytes)
}

/// Returns the bytes that go before a payload of `length` bytes, which need not be copied behind them.
///
/// # Errors
/// A payload over the protocol's limit.
pub fn head(header: &MessageHeader, length: usize) -> Result<Vec<u8>, EncodeError> {
    if length > PAYLOAD.max as usize {
        return Err(EncodeError::too_long(length, PAYLOAD));
    }
    let mut head = encode(header, 0, &())?;
    if let Some(word) = head.first_chunk_mut() {
        *word = ((PREFIX + length) as u32).to_be_bytes();
    }
    Ok(head)
}

/// Returns the header of a call, without its serial, which the session gives it.
#[must_use]
pub fn call_header(procedure: &ProcedureInfo, descriptors: usize) -> MessageHeader {
    MessageHeader {
        prog: procedure.program.number,
        vers: procedure.program.version,
        proc: procedure.number,
        type_: if descriptors == 0 { MessageType::CALL } else { MessageType::CALL_WITH_FDS },
        serial: 0,
        status: MessageStatus::OK,
    }
}

/// Writes the serial into an encoded frame.
pub fn set_serial(frame: &mut [u8], serial: u32) {
    if let Some(word) = frame.get_mut(SERIAL) {
        word.copy_from_slice(&serial.to_be_bytes());
    }
}

/// Reads the length of the encoded frame that `frames` starts with, and its serial.
pub(crate) fn length_and_serial(frames: &[u8]) -> Option<(usize, u32)> {
    let length = u32::from_be_bytes(*frames.first_chunk()?);
    let serial = u32::from_be_bytes(frames.get(SERIAL)?.try_into().ok()?);
    Some((usize::try_from(length).ok()?, serial))
}

fn carries_descriptors(kind: MessageType) -> bool {
    matches!(kind, MessageType::CALL_WITH_FDS | MessageType::REPLY_WITH_FDS)
}

/// Takes frames out of a byte stream, however it is cut.
///
/// It owns the buffer that is read into, hands frames out as slices of it, and does no I/O: read into
/// [`spare`](Self::spare), say how much with [`advance`](Self::advance), and take what
/// [`next`](Self::next) gives until it gives nothing.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    /// All of it is initialised; the first `filled` bytes came from the peer.
    buffer: BytesMut,
    filled: usize,
    /// How much to ask for at once: grows while reads fill the buffer, shrinks when they no longer do.
    chunk: usize,
    descriptors: VecDeque<Descriptor>,
    /// A whole frame whose descriptors have not all come.
    incomplete: Option<(Frame, usize)>,
}

const SMALLEST_CHUNK: usize = 16 * 1024;
/// A frame of a data stream has 256 KiB and a little: with room for one and the start of the next, frames need not be moved.
const LARGEST_CHUNK: usize = 256 * 1024 + SMALLEST_CHUNK;
/// Less room than this is not worth a system call.
const LEAST_SPARE: usize = 2 * 1024;

impl FrameDecoder {
    /// Returns room to read into; never empty.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.filled == 0 && self.buffer.len() > 4 * self.chunk.max(SMALLEST_CHUNK) {
            // Left of a time when much came.
            self.buffer = BytesMut::new();
        }
        let length = self.announced();
        let missing = length.saturating_sub(self.filled);
        if length > LARGEST_CHUNK && missing > 0 {
            self.make_room_apart(length);
        } else if self.buffer.len() - self.filled < missing.max(LEAST_SPARE) {
            // Where a frame is on its way, as much as it lacks, so that it is read at once and moved only once.
            let room = self.chunk.clamp(SMALLEST_CHUNK, LARGEST_CHUNK).max(missing);
            self.buffer.truncate(self.filled);
            self.buffer.resize(self.filled + room, 0);
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Makes room for a long frame, and for nothing behind it: whoever keeps a part of another frame would keep this one's
    /// memory, too. It is never given the room that it claims before a quarter has come, only about as much again as has.
    fn make_room_apart(&mut self, length: usize) {
        if self.buffer.len() > self.filled && self.buffer.len() <= length {
            return;
        }
        // All of it after a quarter: the old room and the new one together never have more than one and a half of it.
        let size = match self.filled < length / 4 {
            true => self.filled.saturating_mul(2).clamp(LARGEST_CHUNK, length),
            false => length,
        };
        let mut room = BytesMut::with_capacity(size);
        room.extend_from_slice(self.buffer.get(..self.filled).unwrap_or_default());
        room.resize(size, 0);
        self.buffer = room;
    }

    /// Returns the length of the frame that has begun to come, as far as it is known and possible.
    fn announced(&self) -> usize {
        let received = self.buffer.get(..self.filled).unwrap_or_default();
        let length = received.first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
        length.min(LONGEST) as usize
    }

    /// Says that the first `count` bytes of [`spare`](Self::spare) have been filled.
    pub fn advance(&mut self, count: usize) {
        let room = self.buffer.len() - self.filled;
        let count = count.min(room);
        self.filled += count;
        self.chunk =
            if count == room { self.chunk.max(SMALLEST_CHUNK) * 2 } else { count.max(self.chunk / 2) }
                .min(LARGEST_CHUNK);
    }

    /// Takes a descriptor that came with the bytes just read.
    pub fn push_descriptor(&mut self, descriptor: Descriptor) {
        self.descriptors.push_back(descriptor);
    }

    /// Tells whether the bytes of a frame have come in part, so that the end of the stream would cut it.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.filled > 0 || self.incomplete.is_some()
    }

    /// Returns the next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// What came is no frame. There is no way to find the start of the next one: the connection is lost.
    #[expect(clippy::should_implement_trait, reason = "a decoder is fed between calls, so it is no iterator")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.incomplete.is_none() {
            let Some(frame) = self.take_frame()? else {
                self.drop_unclaimed();
                return Ok(None);
            };
            match self.descriptor_count(frame)? {
                (frame, 0) => return Ok(Some(frame)),
                (frame, count) => self.incomplete = Some((frame, count)),
            }
        }
        self.take_descriptors()
    }

    /// A descriptor comes after the whole of its frame, so nobody will claim those that are left.
    ///
    /// A daemon sends the descriptors of a call back whose procedure it does not know, behind its error, which does not say
    /// so. The byte that one came on was the last of its read, and is all that is there.
    fn drop_unclaimed(&mut self) {
        let is_sent_back = !self.descriptors.is_empty() && self.buffer.get(..self.filled) == Some(&[0]);
        if is_sent_back {
            let _ = self.buffer.split_to(1);
            self.filled = 0;
        }
        self.descriptors.clear();
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let received = self.buffer.get(..self.filled).unwrap_or_default();
        let Some(word) = received.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*word);
        if (length as usize) < PREFIX || length > LONGEST {
            return Err(FrameError::Length { length, word: *word });
        }
        let length = length as usize;
        if received.len() < length {
            return Ok(None);
        }
        self.filled -= length;
        let mut bytes = self.buffer.split_to(length).freeze();
        if length > LARGEST_CHUNK && self.filled == 0 {
            // Or its room would be used again, however little comes next.
            self.buffer = BytesMut::new();
        }
        let payload = bytes.split_off(PREFIX);
        let mut reader = Reader::new(bytes.get(LENGTH_WORD..).unwrap_or_default());
        let header = MessageHeader::decode(&mut reader).map_err(FrameError::Header)?;
        if !(0..=6).contains(&header.type_.0) || !(0..=2).contains(&header.status.0) {
            return Err(FrameError::Unknown { header });
        }
        Ok(Some(Frame { header, payload, descriptors: Vec::new() }))
    }

    /// Takes the descriptor count off the payload of a frame that carries one.
    fn descriptor_count(&self, mut frame: Frame) -> Result<(Frame, usize), FrameError> {
        if !carries_descriptors(frame.header.type_) {
            return Ok((frame, 0));
        }
        let count = Reader::new(&frame.payload).field::<u32>("nfds").map_err(FrameError::Header)?;
        if count > net::MESSAGE_NUM_FDS_MAX {
            return Err(FrameError::TooManyDescriptors { count });
        }
        let _ = frame.payload.split_to(4);
        Ok((frame, count as usize))
    }

    fn take_descriptors(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((mut frame, count)) = self.incomplete.take() else { return Ok(None) };
        let missing = count - frame.descriptors.len();
        let here = missing.min(self.filled);
        for _ in 0..here {
            match self.descriptors.pop_front() {
                Some(descriptor) => frame.descriptors.push(descriptor),
                None => {
                    return Err(FrameError::MissingDescriptor {
                        expected: count,
                        found: frame.descriptors.len(),
                    });
                }
            }
        }
        let _ = self.buffer.split_to(here);
        self.filled -= here;
        if here < missing {
            self.incomplete = Some((frame, count));
            self.descriptors.clear();
            return Ok(None);
        }
        Ok(Some(frame))
    }
}

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// The length word is impossible.
    Length {
        /// The length that it states.
        length: u32,
        /// Its bytes.
        word: [u8; 4],
    },
    /// The header or the descriptor count does not decode.
    Header(DecodeError),
    /// The header's type or status is none that the protocol has.
    Unknown {
        /// The header.
        header: MessageHeader,
    },
    /// A frame claims more descriptors than the protocol allows.
    TooManyDescriptors {
        /// The number claimed.
        count: u32,
    },
    /// The byte that should carry a descriptor came without one.
    MissingDescriptor {
        /// How many the frame claims.
        expected: usize,
        /// How many came.
        found: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length, word } => {
                write!(
                    f,
                    "a frame of {length} bytes was announced, {PREFIX} to {LONGEST} are possible{}",
                    guess(word)
                )
            }
            Self::Header(error) => write!(f, "frame header: {error}"),
            Self::Unknown { header } => write!(
                f,
                "a frame has type {} and status {}, which the protocol does not have",
                header.type_.0, header.status.0
            ),
            Self::TooManyDescriptors { count } => {
                write!(
                    f,
                    "a frame claims {count} descriptors, at most {} are possible",
                    net::MESSAGE_NUM_FDS_MAX
                )
            }
            Self::MissingDescriptor { expected, found } => {
                write!(f, "a frame claims {expected} descriptors, but only {found} came with it")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// Says what an impossible length word looks like.
fn guess(word: &[u8; 4]) -> &'static str {
    match word {
        b"HTTP" | b"<htm" | b"<!DO" => "; this looks like a web server, not a libvirt daemon",
        b"SSH-" => "; this looks like an SSH server, not a libvirt daemon",
        [0x15 | 0x16, 3, 0..=4, _] => "; this looks like TLS: does the URI lack \"+tls\"?",
        _ if is_program(u32::from_be_bytes(*word)) => "; this is a program number: the stream is out of step",
        _ if word.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            "; this is text: the other side is not a libvirt daemon, or a program on the way printed a message"
        }
        _ => "; the other side is probably not a libvirt daemon",
    }
}

fn is_program(number: u32) -> bool {
    use super::{admin, keepalive, lxc, qemu, remote};
    [remote::PROGRAM, qemu::PROGRAM, lxc::PROGRAM, admin::PROGRAM, keepalive::PROGRAM]
        .iter()
        .any(|program| program.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: MessageType) -> MessageHeader {
        MessageHeader {
            prog: 0x1122_3344,
            vers: 1,
            proc: 0x666,
            type_: kind,
            serial: 0x99,
            status: MessageStatus::OK,
        }
    }

    fn feed(decoder: &mut FrameDecoder, bytes: &[u8]) {
        let spare = decoder.spare();
        spare[..bytes.len()].copy_from_slice(bytes);
        decoder.advance(bytes.len());
    }

    #[test]
    fn a_call_has_the_bytes_of_libvirts_own_test() {
        let bytes = encode(&header(MessageType::CALL), 0, &()).unwrap();
        let expected = "0000001c 11223344 00000001 00000666 00000000 00000099 00000000";
        let words: Vec<_> = bytes
            .chunks(4)
            .map(|word| format!("{:08x}", u32::from_be_bytes(word.try_into().unwrap())))
            .collect();
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let one = encode(&header(MessageType::REPLY), 0, &Bytes::from_static(b"0123456")).unwrap();
        let two = encode(&header(MessageType::STREAM), 0, &Bytes::new()).unwrap();
        let stream = [one, two].concat();
        for step in 1..=stream.len() {
            let mut decoder = FrameDecoder::default();
            let mut frames = Vec::new();
            for chunk in stream.chunks(step) {
                feed(&mut decoder, chunk);
                while let Some(frame) = decoder.next().unwrap() {
                    frames.push((frame.header.type_, frame.payload));
                }
            }
            assert_eq!(
                frames,
                [(MessageType::REPLY, Bytes::from_static(b"0123456")), (MessageType::STREAM, Bytes::new())]
            );
            assert!(!decoder.is_mid_frame());
        }
    }

    #[test]
    fn impossible_lengths_are_refused_at_once_and_explained() {
        for (word, hint) in [
            (0u32.to_be_bytes(), "probably not"),
            (27u32.to_be_bytes(), "probably not"),
            (33_554_437u32.to_be_bytes(), "probably not"),
            (*b"HTTP", "web server"),
            (*b"SSH-", "SSH server"),
            ([0x15, 3, 3, 0], "TLS"),
            (0x2000_8086u32.to_be_bytes(), "out of step"),
            (*b"bash", "this is text"),
        ] {
            let mut decoder = FrameDecoder::default();
            feed(&mut decoder, &word);
            let error = decoder.next().unwrap_err();
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_head_goes_before_its_payload() {
        let payload = Bytes::from_static(b"The quick brown fox");
        let whole = encode(&header(MessageType::STREAM), 0, &payload).unwrap();
        let head = head(&header(MessageType::STREAM), payload.len()).unwrap();
        assert_eq!([head.as_slice(), &payload].concat(), whole);
        assert!(super::head(&header(MessageType::STREAM), 1 << 25).is_err());
    }

    #[test]
    fn a_claimed_length_reserves_nothing() {
        let mut decoder = FrameDecoder::default();
        feed(&mut decoder, &33_554_436u32.to_be_bytes());
        assert!(decoder.next().unwrap().is_none());
        assert!(decoder.spare().len() <= LARGEST_CHUNK);
    }

    #[test]
    fn unknown_types_and_statuses_are_refused() {
        for (kind, status) in [(7, 0), (-1, 0), (0, 3)] {
            let header = MessageHeader {
                type_: MessageType(kind),
                status: MessageStatus(status),
                ..header(MessageType::CALL)
            };
            let mut decoder = FrameDecoder::default();
            feed(&mut decoder, &encode(&header, 0, &()).unwrap());
            assert_eq!(decoder.next().unwrap_err(), FrameError::Unknown { header });
        }
    }

    #[test]
    fn too_many_descriptors_are_refused_before_they_are_sent() {
        encode(&header(MessageType::CALL_WITH_FDS), 32, &()).unwrap();
        let error = encode(&header(MessageType::CALL_WITH_FDS), 33, &()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nfds: length 33 exceeds the protocol's limit of 32 (VIR_NET_MESSAGE_NUM_FDS_MAX)"
        );
    }

    #[cfg(unix)]
    #[test]
    fn descriptors_belong_to_the_bytes_after_their_frame() {
        let descriptor = || std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let with = encode(&header(MessageType::REPLY_WITH_FDS), 2, &7u32).unwrap();
        let after = encode(&header(MessageType::REPLY), 0, &()).unwrap();

        let mut decoder = FrameDecoder::default();
        feed(&mut decoder, &with);
        assert!(decoder.next().unwrap().is_none());
        decoder.push_descriptor(descriptor());
        feed(&mut decoder, &[0]);
        assert!(decoder.next().unwrap().is_none());
        assert!(decoder.is_mid_frame());
        decoder.push_descriptor(descriptor());
        feed(&mut decoder, &[&[0], after.as_slice()].concat());
        let frame = decoder.next().unwrap().unwrap();
        assert_eq!((frame.descriptors.len(), frame.payload.as_ref()), (2, [0, 0, 0, 7].as_slice()));
        assert_eq!(decoder.next().unwrap().unwrap().header.type_, MessageType::REPLY);

        // What nobody claims is not kept for the next frame that claims some.
        decoder.push_descriptor(descriptor());
        feed(&mut decoder, &after);
        assert!(decoder.next().unwrap().unwrap().descriptors.is_empty());
        assert!(decoder.next().unwrap().is_none());
        assert!(decoder.descriptors.is_empty());

        // Sent back by a daemon that does not know what was called, each on a byte that no frame has.
        feed(&mut decoder, &after);
        feed(&mut decoder, &[0]);
        decoder.push_descriptor(descriptor());
        assert_eq!(decoder.next().unwrap().unwrap().header.type_, MessageType::REPLY);
        assert!(decoder.next().unwrap().is_none());
        feed(&mut decoder, &[0]);
        decoder.push_descriptor(descriptor());
        assert!(decoder.next().unwrap().is_none());
        assert!(!decoder.is_mid_frame() && decoder.descriptors.is_empty());
        feed(&mut decoder, &after);
        assert_eq!(decoder.next().unwrap().unwrap().header.type_, MessageType::REPLY);

        feed(&mut decoder, &[&with, [0; 2].as_slice()].concat());
        assert_eq!(decoder.next().unwrap_err(), FrameError::MissingDescriptor { expected: 2, found: 0 });
    }
}
