//! What can go wrong on the way, and what it does to a frame.

use std::{fmt, fs::File, time::Duration};

use libvirt_client::protocol::{
    frame::{self, PREFIX},
    keepalive,
    net::{MessageHeader, MessageStatus, MessageType},
    remote,
};

use crate::frames::{Frame, Word};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Client = 0,
    Daemon = 1,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing does.
    None,
    /// All frames come in pieces of so many bytes.
    Dribble(usize),
    /// All frames come later.
    Late(Duration),
    /// Only a part of the frame is passed on, and then nothing.
    Cut(At, Then),
    /// The frame comes twice.
    Duplicate,
    /// The frame claims another length.
    Length(u32),
    /// Bits of a word of the header are flipped.
    Flip(Word, u32),
    /// A bit of the payload is flipped.
    Payload(Place),
    /// Something comes before the frame.
    Stray(Stray),
    /// The descriptors of the frame are lost, but not the bytes that they came on.
    WithoutDescriptor,
    /// A descriptor comes on the first byte of a frame that says nothing of it.
    LoneDescriptor,
}

/// Where a frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Start,
    InLength,
    AfterLength,
    InHeader,
    AfterHeader,
    Middle,
    LastByte,
    End,
}

impl At {
    pub(crate) const ALL: [Self; 8] = [
        Self::Start,
        Self::InLength,
        Self::AfterLength,
        Self::InHeader,
        Self::AfterHeader,
        Self::Middle,
        Self::LastByte,
        Self::End,
    ];

    pub(crate) fn bytes(self, length: usize) -> usize {
        match self {
            Self::Start => 0,
            Self::InLength => 2,
            Self::AfterLength => 4,
            Self::InHeader => 17,
            Self::AfterHeader => PREFIX,
            Self::Middle => PREFIX + (length - PREFIX) / 2,
            Self::LastByte => length - 1,
            Self::End => length,
        }
    }

    pub(crate) fn is_whole(self, length: usize) -> bool {
        self.bytes(length) == length
    }
}

/// What follows a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Both sides see the end.
    Close,
    /// The client is told that the connection was reset.
    Reset,
    /// Nothing is read or written any more, and everything stays open.
    Silence,
}

/// A place in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    /// The highest bit of the second word: often of a length.
    SecondWord,
    Middle,
    Last,
}

/// A frame that does not belong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    ReplyToNobody,
    /// A reply to the same call, in the name of another program.
    OtherProgram,
    OtherVersion,
    OtherProcedure,
    /// A reply of the type that only a stream has.
    OtherType,
    /// A reply whose status only a stream has.
    ReplyGoesOn,
    Call,
    StreamOfNobody,
    UnknownEvent,
    EventOfUnknownProgram,
    Ping,
    UnknownKeepalive,
    UnknownType,
    UnknownStatus,
    /// Not even a frame.
    Text,
    /// A reply to nobody that claims a descriptor, which does not come.
    ClaimsDescriptor,
    ClaimsTooManyDescriptors,
}

impl Stray {
    pub(crate) const ALL: [Self; 17] = [
        Self::ReplyToNobody,
        Self::OtherProgram,
        Self::OtherVersion,
        Self::OtherProcedure,
        Self::OtherType,
        Self::ReplyGoesOn,
        Self::Call,
        Self::StreamOfNobody,
        Self::UnknownEvent,
        Self::EventOfUnknownProgram,
        Self::Ping,
        Self::UnknownKeepalive,
        Self::UnknownType,
        Self::UnknownStatus,
        Self::Text,
        Self::ClaimsDescriptor,
        Self::ClaimsTooManyDescriptors,
    ];

    /// Returns its bytes, made after the frame that it comes before.
    pub(crate) fn bytes(self, like: &MessageHeader) -> Vec<u8> {
        let reply = MessageHeader { type_: MessageType::REPLY, status: MessageStatus::OK, ..*like };
        let nobody = MessageHeader { serial: 0x7fff_ffff, ..reply };
        let message = MessageHeader { type_: MessageType::MESSAGE, serial: 0, ..reply };
        let keepalive =
            MessageHeader { prog: keepalive::PROGRAM.number, vers: keepalive::PROGRAM.version, ..message };
        let header = match self {
            Self::ReplyToNobody => nobody,
            Self::OtherProgram => MessageHeader { prog: reply.prog ^ 0x1000, ..reply },
            Self::OtherVersion => MessageHeader { vers: reply.vers + 1, ..reply },
            Self::OtherProcedure => MessageHeader { proc: reply.proc + 1, ..reply },
            Self::OtherType => {
                MessageHeader { type_: MessageType::STREAM_HOLE, proc: reply.proc + 1, ..reply }
            }
            Self::ReplyGoesOn => MessageHeader { status: MessageStatus::CONTINUE, ..reply },
            Self::Call => MessageHeader { type_: MessageType::CALL, ..reply },
            Self::StreamOfNobody => {
                MessageHeader { type_: MessageType::STREAM, status: MessageStatus::CONTINUE, ..nobody }
            }
            Self::UnknownEvent => {
                MessageHeader { prog: remote::PROGRAM.number, vers: 1, proc: 9999, ..message }
            }
            Self::EventOfUnknownProgram => MessageHeader { prog: 0x1234_5678, ..message },
            Self::Ping => MessageHeader { proc: keepalive::Procedure::PING.0, ..keepalive },
            Self::UnknownKeepalive => MessageHeader { proc: 99, ..keepalive },
            Self::UnknownType => MessageHeader { type_: MessageType(7), ..reply },
            Self::UnknownStatus => MessageHeader { status: MessageStatus(3), ..reply },
            Self::Text => return b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Self::ClaimsDescriptor | Self::ClaimsTooManyDescriptors => {
                MessageHeader { type_: MessageType::REPLY_WITH_FDS, ..nobody }
            }
        };
        let claimed = if self == Self::ClaimsTooManyDescriptors { 33 } else { 1 };
        let mut bytes = frame::encode(&header, 1, &0u32).unwrap();
        if frame_has_count(&header) {
            bytes[PREFIX..PREFIX + 4].copy_from_slice(&u32::to_be_bytes(claimed));
            bytes.push(0);
        }
        bytes
    }
}

fn frame_has_count(header: &MessageHeader) -> bool {
    header.type_ == MessageType::REPLY_WITH_FDS
}

/// What is passed on in place of a frame.
pub(crate) struct Instead {
    /// Bytes that are no part of what is passed on as frames.
    pub(crate) before: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
}

impl Fault {
    /// Returns what comes in place of the frame, for faults that leave the connection as it is.
    pub(crate) fn apply(self, mut frame: Frame) -> Instead {
        let mut before = Vec::new();
        match self {
            Self::Length(length) => frame.set_word(Word::Length, length),
            Self::Flip(word, bits) => frame.set_word(word, frame.word(word) ^ bits),
            Self::Payload(place) => {
                if let Some(at) = place.in_payload(frame.payload().len()) {
                    frame.bytes[PREFIX + at] ^= place.bit();
                }
            }
            Self::Stray(stray) => before = stray.bytes(&frame.header()),
            Self::Duplicate => {
                let descriptors = frame.descriptors.iter().map(|descriptor| descriptor.try_clone().unwrap());
                let again = Frame { bytes: frame.bytes.clone(), descriptors: descriptors.collect() };
                return Instead { before, frames: vec![frame, again] };
            }
            Self::LoneDescriptor => frame.descriptors = vec![File::open("/dev/null").unwrap().into()],
            Self::None | Self::Dribble(_) | Self::Late(_) | Self::Cut(..) | Self::WithoutDescriptor => {}
        }
        Instead { before, frames: vec![frame] }
    }
}

impl Place {
    pub(crate) const ALL: [Self; 4] = [Self::First, Self::SecondWord, Self::Middle, Self::Last];

    pub(crate) fn in_payload(self, length: usize) -> Option<usize> {
        match self {
            _ if length == 0 => None,
            Self::First => Some(0),
            Self::SecondWord => (length > 4).then_some(4),
            Self::Middle => Some(length / 2),
            Self::Last => Some(length - 1),
        }
    }

    fn bit(self) -> u8 {
        if self == Self::SecondWord { 0x80 } else { 1 }
    }
}

/// The row of the table: what happens, without where.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Dribble(_) => f.write_str("bytes come in small pieces"),
            Self::Late(_) => f.write_str("frames come late"),
            Self::Cut(At::Start, Then::Close) => f.write_str("closed before the frame"),
            Self::Cut(At::End, Then::Close) => f.write_str("closed after the frame"),
            Self::Cut(_, Then::Close) => f.write_str("closed within the frame"),
            Self::Cut(_, Then::Reset) => f.write_str("reset"),
            Self::Cut(_, Then::Silence) => f.write_str("a part of the frame, then silence"),
            Self::Duplicate => f.write_str("the frame comes twice"),
            Self::Length(0 | 3 | 27 | 33_554_437 | u32::MAX) => f.write_str("impossible length"),
            Self::Length(28) => f.write_str("length too small"),
            Self::Length(_) => f.write_str("length too large"),
            Self::Flip(Word::Program | Word::Version | Word::Procedure, _) => {
                f.write_str("program, version or procedure flipped")
            }
            Self::Flip(word, _) => write!(f, "{} flipped", format!("{word:?}").to_lowercase()),
            Self::Payload(_) => f.write_str("payload flipped"),
            Self::Stray(stray) => f.write_str(match stray {
                Stray::ReplyToNobody => "reply to nobody",
                Stray::OtherProgram | Stray::OtherVersion | Stray::OtherProcedure => {
                    "reply of another program, version or procedure"
                }
                Stray::OtherType => "hole in place of a reply",
                Stray::ReplyGoesOn => "reply that is to be continued",
                Stray::Call => "call from the daemon",
                Stray::StreamOfNobody => "data of no stream",
                Stray::UnknownEvent | Stray::EventOfUnknownProgram => "unknown event or program",
                Stray::Ping | Stray::UnknownKeepalive => "ping, unknown sign of life",
                Stray::UnknownType | Stray::UnknownStatus => "unknown type or status",
                Stray::Text => "text of a web server",
                Stray::ClaimsDescriptor => "message without its descriptor",
                Stray::ClaimsTooManyDescriptors => "message with 33 descriptors",
            }),
            Self::WithoutDescriptor => f.write_str("descriptor lost"),
            Self::LoneDescriptor => f.write_str("descriptor without message"),
        }
    }
}
