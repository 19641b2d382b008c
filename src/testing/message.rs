//! What a frame says, read with the generated types.

use std::fmt::{self, Debug};

use bytes::Bytes;

use super::recording::{Direction, RecordedFrame};
use crate::{
    protocol::{
        Call, CallVisitor, ProcedureInfo, ProcedureKind, Program, TypeVisitor, WireType, admin, keepalive,
        lxc,
        net::{self, MessageStatus, MessageType},
        qemu, remote, visit_call, visit_types,
    },
    xdr::{self, DecodeError, EncodeError},
};

/// A frame's payload as a value of the type that its header names.
#[derive(Debug)]
pub struct Message {
    procedure: &'static ProcedureInfo,
    body: Body,
    encoded: Vec<u8>,
}

/// What kind of message it is, with its value.
#[derive(Debug)]
#[non_exhaustive]
pub enum Body {
    /// The arguments of a call.
    Call(Box<dyn Debug + Send>),
    /// The result of a call.
    Reply(Box<dyn Debug + Send>),
    /// The error that a call or a stream ended with.
    Error(net::MessageError),
    /// An event.
    Event(Box<dyn Debug + Send>),
    /// This many bytes of stream data.
    Data(usize),
    /// The daemon has no more data for the stream.
    EndOfData,
    /// A hole in the data of a sparse stream.
    Hole(net::StreamHole),
    /// The client wants the stream finished, or the daemon confirms that it is, or that it is aborted.
    Finish,
    /// The client wants the stream aborted.
    Abort,
}

impl Message {
    /// Decodes the payload of a frame, and encodes it again.
    ///
    /// # Errors
    /// A program, procedure or kind of message that is unknown, a payload that does not decode, or a value that
    /// does not encode.
    pub fn decode(frame: &RecordedFrame) -> Result<Self, MessageError> {
        let procedure =
            procedure(frame.program(), frame.procedure()).ok_or(MessageError::UnknownProcedure {
                program: frame.program(),
                procedure: frame.procedure(),
            })?;
        let kind = MessageType(frame.kind() as i32);
        let status = MessageStatus(frame.status() as i32);
        let mut payload = Bytes::copy_from_slice(frame.payload());
        let mut prefix = Bytes::new();
        if matches!(kind, MessageType::CALL_WITH_FDS | MessageType::REPLY_WITH_FDS) {
            prefix = payload.split_to(payload.len().min(4));
        }
        let (body, encoded) = body(procedure, frame.direction(), kind, status, &payload)?;
        Ok(Self { procedure, body, encoded: [prefix.as_ref(), &encoded].concat() })
    }

    /// Returns the procedure that the header names.
    #[must_use]
    pub fn procedure(&self) -> &'static ProcedureInfo {
        self.procedure
    }

    /// Returns what the message says.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Returns the payload, encoded again from the decoded value.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// The value, with uuids and other bytes in hex.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Call(value) | Body::Reply(value) | Body::Event(value) => {
                f.write_str(&legible(&format!("{value:?}")))
            }
            Body::Error(error) => f.write_str(&legible(&format!("{error:?}"))),
            Body::Data(length) => write!(f, "{length} bytes of data"),
            Body::EndOfData => write!(f, "end of data"),
            Body::Hole(hole) => write!(f, "{hole:?}"),
            Body::Finish => write!(f, "finish"),
            Body::Abort => write!(f, "abort"),
        }
    }
}

/// Why a frame's payload cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The definitions do not have the procedure.
    #[error("program {program:#010x} has no procedure {procedure}")]
    UnknownProcedure {
        /// The header's program number.
        program: u32,
        /// The header's procedure number.
        procedure: i32,
    },
    /// The procedure does not have messages of this kind.
    #[error("{procedure} has no messages of type {kind:?} and status {status:?} in this direction")]
    UnexpectedKind {
        /// The procedure's name.
        procedure: &'static str,
        /// The header's message type.
        kind: MessageType,
        /// The header's status.
        status: MessageStatus,
    },
    /// The payload is not a value of the type.
    #[error("{procedure}: {source}")]
    Decode {
        /// The procedure's name.
        procedure: &'static str,
        /// What is wrong, and where.
        source: DecodeError,
    },
    /// The value cannot be encoded again.
    #[error("{procedure}: {source}")]
    Encode {
        /// The procedure's name.
        procedure: &'static str,
        /// What is wrong, and where.
        source: EncodeError,
    },
}

/// Returns what the definitions say about a procedure.
pub(super) fn procedure(program: u32, number: i32) -> Option<&'static ProcedureInfo> {
    match program {
        number_of if number_of == remote::PROGRAM.number => remote::Procedure(number).info(),
        number_of if number_of == qemu::PROGRAM.number => qemu::Procedure(number).info(),
        number_of if number_of == lxc::PROGRAM.number => lxc::Procedure(number).info(),
        number_of if number_of == admin::PROGRAM.number => admin::Procedure(number).info(),
        number_of if number_of == keepalive::PROGRAM.number => keepalive::Procedure(number).info(),
        _ => None,
    }
}

/// Returns the program that has this number.
pub(super) fn program(number: u32) -> Option<Program> {
    [remote::PROGRAM, qemu::PROGRAM, lxc::PROGRAM, admin::PROGRAM, keepalive::PROGRAM]
        .into_iter()
        .find(|program| program.number == number)
}

type Value = (Box<dyn Debug + Send>, Vec<u8>);

fn body(
    procedure: &'static ProcedureInfo,
    direction: Direction,
    kind: MessageType,
    status: MessageStatus,
    payload: &Bytes,
) -> Result<(Body, Vec<u8>), MessageError> {
    let unexpected = || MessageError::UnexpectedKind { procedure: procedure.name, kind, status };
    let from_daemon = direction == Direction::FromDaemon;
    let stream = kind == MessageType::STREAM && (procedure.stream.is_some() || from_daemon);
    Ok(match (kind, status) {
        (MessageType::CALL | MessageType::CALL_WITH_FDS, MessageStatus::OK) if !from_daemon => {
            let (value, encoded) = call_value(procedure, payload, false)?;
            (Body::Call(value), encoded)
        }
        (MessageType::REPLY | MessageType::REPLY_WITH_FDS, MessageStatus::OK) if from_daemon => {
            let (value, encoded) = call_value(procedure, payload, true)?;
            (Body::Reply(value), encoded)
        }
        (MessageType::REPLY | MessageType::STREAM, MessageStatus::ERROR) if from_daemon => {
            let (value, encoded) = read::<net::MessageError>(procedure, payload)?;
            (Body::Error(value), encoded)
        }
        (MessageType::MESSAGE, MessageStatus::OK)
            if from_daemon || procedure.program == keepalive::PROGRAM =>
        {
            let (value, encoded) = event_value(procedure, payload)?.ok_or_else(unexpected)?;
            (Body::Event(value), encoded)
        }
        (MessageType::STREAM, MessageStatus::CONTINUE) if stream && payload.is_empty() && from_daemon => {
            (Body::EndOfData, Vec::new())
        }
        (MessageType::STREAM, MessageStatus::CONTINUE) if stream && !payload.is_empty() => {
            (Body::Data(payload.len()), payload.to_vec())
        }
        (MessageType::STREAM, MessageStatus::OK) if stream && payload.is_empty() => {
            (Body::Finish, Vec::new())
        }
        (MessageType::STREAM, MessageStatus::ERROR) if stream && payload.is_empty() => {
            (Body::Abort, Vec::new())
        }
        (MessageType::STREAM_HOLE, MessageStatus::CONTINUE) if procedure.sparse_flag.is_some() => {
            let (value, encoded) = read::<net::StreamHole>(procedure, payload)?;
            (Body::Hole(value), encoded)
        }
        _ => return Err(unexpected()),
    })
}

fn call_value(
    procedure: &'static ProcedureInfo,
    payload: &Bytes,
    reply: bool,
) -> Result<Value, MessageError> {
    struct Visitor<'a>(&'static ProcedureInfo, &'a Bytes, bool);
    impl CallVisitor for Visitor<'_> {
        type Output = Result<Value, MessageError>;
        fn visit<C>(self) -> Self::Output
        where
            C: Call + WireType,
            C::Reply: WireType,
        {
            if self.2 { read_boxed::<C::Reply>(self.0, self.1) } else { read_boxed::<C>(self.0, self.1) }
        }
    }
    let visitor = Visitor(procedure, payload, reply);
    visit_call(procedure.program.number, procedure.number, visitor).unwrap_or_else(|| {
        let kind = if reply { MessageType::REPLY } else { MessageType::CALL };
        Err(MessageError::UnexpectedKind { procedure: procedure.name, kind, status: MessageStatus::OK })
    })
}

/// Reads the message of an event; `None` if the procedure is no event.
fn event_value(procedure: &'static ProcedureInfo, payload: &Bytes) -> Result<Option<Value>, MessageError> {
    struct Visitor<'a> {
        procedure: &'static ProcedureInfo,
        payload: &'a Bytes,
        wanted: String,
        found: Option<Result<Value, MessageError>>,
    }
    impl TypeVisitor for Visitor<'_> {
        fn visit<T: WireType>(&mut self, name: &'static str) {
            if name == self.wanted {
                self.found = Some(read_boxed::<T>(self.procedure, self.payload));
            }
        }
    }
    if procedure.program == keepalive::PROGRAM {
        return read_boxed::<()>(procedure, payload).map(Some);
    }
    if procedure.kind != ProcedureKind::Event {
        return Ok(None);
    }
    let wanted = format!("{}_{}_msg", procedure.program.name, procedure.short_name().to_ascii_lowercase());
    let mut visitor = Visitor { procedure, payload, wanted, found: None };
    visit_types(&mut visitor);
    visitor.found.transpose()
}

fn read_boxed<T: WireType>(
    procedure: &'static ProcedureInfo,
    payload: &Bytes,
) -> Result<Value, MessageError> {
    read::<T>(procedure, payload).map(|(value, encoded)| (Box::new(value) as _, encoded))
}

fn read<T: WireType>(
    procedure: &'static ProcedureInfo,
    payload: &Bytes,
) -> Result<(T, Vec<u8>), MessageError> {
    let value = xdr::from_bytes::<T>(payload)
        .map_err(|source| MessageError::Decode { procedure: procedure.name, source })?;
    let encoded =
        xdr::to_vec(&value).map_err(|source| MessageError::Encode { procedure: procedure.name, source })?;
    Ok((value, encoded))
}

/// Rewrites lists of bytes, as `Debug` prints them: sixteen as a uuid, text as a string, others in hex.
fn legible(debug: &str) -> String {
    let mut out = String::with_capacity(debug.len());
    let mut rest = debug;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let bytes = after
            .split_once(']')
            .and_then(|(list, after)| {
                Some((list.split(", ").map(|n| n.parse().ok()).collect::<Option<Vec<u8>>>()?, after))
            })
            .filter(|(bytes, _)| bytes.len() >= 4);
        match bytes {
            Some((bytes, after)) => {
                write_bytes(&bytes, &mut out);
                rest = after;
            }
            None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out + rest
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    if bytes.len() != 16 && bytes.iter().all(|byte| (32..127).contains(byte)) {
        out.push_str(&format!("{:?}", String::from_utf8_lossy(bytes)));
        return;
    }
    for (index, byte) in bytes.iter().enumerate() {
        if bytes.len() == 16 && matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_bytes_become_legible() {
        let uuid: [u8; 16] = std::array::from_fn(|index| index as u8);
        let debug = format!("{:?}", (uuid, [1, 2], b"xxxxx", [0, 255, 3, 4, 5], "[", [300, 1, 1, 1]));
        let expected =
            r#"(00010203-0405-0607-0809-0a0b0c0d0e0f, [1, 2], "xxxxx", 00ff030405, "[", [300, 1, 1, 1])"#;
        assert_eq!(legible(&debug), expected);
    }
}
