//! The state of one conversation, without any I/O: frames and the time go in, deliveries and frames to send
//! come out.
//!
//! What happens when…
//!
//! * **a call is dropped, or its deadline passes:** nothing here. The entry for its serial stays until the
//!   reply comes, with a waiter that nobody listens to, so the late reply finds its place and is discarded,
//!   late descriptors are closed, and the call goes on counting against what the daemon takes at once, as
//!   it does on the daemon's side.
//! * **a data stream is dropped:** it is aborted, and its serial stays taken until the daemon confirms that. Data that was
//!   on its way is ignored. See [`stream`](super::stream).
//! * **a reply comes that nobody asked for:** it is ignored and reported, since frames are still intact.
//! * **a frame comes that the protocol does not allow:** a [`Violation`]; the connection is to be closed.
//! * **an event or a program is unknown:** it is delivered as it is; newer daemons have more of them.
//! * **the connection ends:** [`Session::into_waiters`] yields every waiter, to be told why.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    error::{ErrorCode, ErrorDomain, ErrorLevel, ErrorObject, RemoteError},
    protocol::{
        ProcedureInfo,
        frame::{self, Descriptor, Frame},
        keepalive,
        net::{self, MessageHeader, MessageStatus, MessageType},
    },
    xdr::{Decode, DecodeError, EncodeError, Reader},
};

mod streams;

pub use streams::StreamNews;

use streams::Streams;

/// The state of one conversation. `W` is whatever waits for a reply.
#[derive(Debug)]
pub struct Session<W> {
    pending: HashMap<u32, Pending<W>>,
    streams: Streams,
    next_serial: u32,
    keepalive: Option<Keepalive>,
}

#[derive(Debug)]
struct Pending<W> {
    procedure: &'static ProcedureInfo,
    waiter: W,
}

/// What a frame leads to.
#[derive(Debug)]
pub enum Delivery<W> {
    /// A call has its answer.
    Reply {
        /// Who waits for it.
        waiter: W,
        /// What was called.
        procedure: &'static ProcedureInfo,
        /// The call's serial.
        serial: u32,
        /// The results as they came, or why there are none.
        outcome: Result<Answer, Refusal>,
        /// The frame that aborts the stream which the call has opened, if that was asked for meanwhile.
        abort: Option<Vec<u8>>,
    },
    /// Something has happened to a data stream.
    Stream {
        /// The serial of the call that opened it.
        serial: u32,
        /// What was called.
        procedure: &'static ProcedureInfo,
        /// What has happened.
        news: StreamNews,
    },
    /// The daemon reports something.
    Event {
        /// Number of the program that reports.
        program: u32,
        /// Number of the event.
        procedure: i32,
        /// The message, not decoded.
        payload: Bytes,
    },
    /// A frame has to be sent before all others that wait.
    Send(Vec<u8>),
    /// Nothing follows from it.
    Nothing,
    /// It cannot be matched with anything, and is left alone.
    Ignored(Ignored),
}

/// The results of a call, not decoded.
#[derive(Debug)]
pub struct Answer {
    /// The results.
    pub payload: Bytes,
    /// The descriptors that came with them.
    pub descriptors: Vec<Descriptor>,
}

/// Why a call has no results.
#[derive(Debug)]
pub enum Refusal {
    /// The daemon's error.
    Remote(Arc<RemoteError>),
    /// The daemon's error could not be read.
    Unreadable(DecodeError),
}

/// Why a frame was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// A reply to a serial that no call has.
    ReplyToNobody,
    /// Data of a stream that is not open: it may have been closed while the data was on its way.
    StreamOfNobody,
    /// Data of a stream that the daemon has said was at its end, or that we are closing.
    AfterItsEnd,
    /// A confirmation that a stream is closed, for one that nobody has closed.
    StreamIsOpen,
    /// A keepalive message other than ping and pong.
    Keepalive,
}

/// A frame that the protocol does not allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    header: MessageHeader,
    reason: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MessageHeader { prog, vers, proc, type_, serial, status } = &self.header;
        write!(f, "{}: program {prog:#010x} version {vers} procedure {proc} ", self.reason)?;
        write!(f, "type {} serial {serial} status {}", type_.0, status.0)
    }
}

impl std::error::Error for Violation {}

impl<W> Default for Session<W> {
    fn default() -> Self {
        // libvirt's own client starts at 0 as well; any unused number would do.
        Self { pending: HashMap::new(), streams: Streams::default(), next_serial: 0, keepalive: None }
    }
}

impl<W> Session<W> {
    /// Registers a call that is about to be sent, and writes its serial into `frame`.
    pub fn begin_call(&mut self, procedure: &'static ProcedureInfo, frame: &mut [u8], waiter: W) -> u32 {
        while self.pending.contains_key(&self.next_serial) || self.streams.is_taken(self.next_serial) {
            self.next_serial = self.next_serial.wrapping_add(1);
        }
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        frame::set_serial(frame, serial);
        self.pending.insert(serial, Pending { procedure, waiter });
        serial
    }

    /// Does what [`begin_call`](Self::begin_call) does, for a call that opens a data stream.
    pub fn begin_stream(&mut self, procedure: &'static ProcedureInfo, frame: &mut [u8], waiter: W) -> u32 {
        let serial = self.begin_call(procedure, frame, waiter);
        self.streams.begin(serial, procedure);
        serial
    }

    /// Returns the bytes that have to go before `length` bytes of a stream's data, or `None` if the stream takes none: it
    /// is not open yet, or was closed, or has failed.
    ///
    /// # Errors
    /// More bytes than a frame may have.
    pub fn stream_data(&self, serial: u32, length: usize) -> Result<Option<Vec<u8>>, EncodeError> {
        self.streams.data_head(serial, length)
    }

    /// Returns the frame that says that `length` zeroes follow in a stream, or `None` if the stream takes none.
    pub fn stream_hole(&self, serial: u32, length: i64) -> Option<Vec<u8>> {
        self.streams.hole(serial, length)
    }

    /// Returns the frame that finishes a stream, or `None` if there is nothing to finish.
    pub fn finish_stream(&mut self, serial: u32) -> Option<Vec<u8>> {
        self.streams.finish(serial)
    }

    /// Returns the frame that aborts a stream, or `None` if there is nothing to abort. If the stream is not open yet, the
    /// frame comes with the reply.
    pub fn abort_stream(&mut self, serial: u32) -> Option<Vec<u8>> {
        self.streams.abort(serial)
    }

    /// Returns how many streams are open or being opened or closed.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Returns how many calls have no reply yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Returns the waiters of the calls that have no reply yet.
    pub fn waiters(&self) -> impl Iterator<Item = &W> {
        self.pending.values().map(|pending| &pending.waiter)
    }

    /// Returns the waiter of a call that has no reply yet.
    pub fn waiter(&self, serial: u32) -> Option<&W> {
        self.pending.get(&serial).map(|pending| &pending.waiter)
    }

    /// Ends the conversation: returns everyone who still waits, with the serials of their calls.
    pub fn into_waiters(self) -> impl Iterator<Item = (u32, W)> {
        self.pending.into_iter().map(|(serial, pending)| (serial, pending.waiter))
    }

    /// Takes a frame that has come.
    ///
    /// # Errors
    /// A frame that the daemon must not send.
    pub fn receive(&mut self, frame: Frame) -> Result<Delivery<W>, Violation> {
        let header = frame.header;
        if header.prog == keepalive::PROGRAM.number {
            return Ok(Self::receive_keepalive(&header));
        }
        match (header.type_, header.status) {
            (MessageType::REPLY | MessageType::REPLY_WITH_FDS, MessageStatus::OK | MessageStatus::ERROR) => {
                self.receive_reply(frame)
            }
            (MessageType::MESSAGE, MessageStatus::OK) => {
                let MessageHeader { prog: program, proc: procedure, .. } = header;
                Ok(Delivery::Event { program, procedure, payload: frame.payload })
            }
            (MessageType::STREAM | MessageType::STREAM_HOLE, _) => Ok(self.streams.receive(frame)),
            (MessageType::CALL | MessageType::CALL_WITH_FDS, _) => {
                Err(Violation { header, reason: "a daemon does not call its client" })
            }
            _ => Err(Violation { header, reason: "this type does not go with this status" }),
        }
    }

    fn receive_reply(&mut self, frame: Frame) -> Result<Delivery<W>, Violation> {
        let header = frame.header;
        let serial = header.serial;
        let Some(pending) = self.pending.get(&serial) else {
            return Ok(self.streams.receive_reply(frame));
        };
        let procedure = pending.procedure;
        let called = (procedure.program.number, procedure.program.version, procedure.number);
        if (header.prog, header.vers, header.proc) != called {
            return Err(Violation { header, reason: "a reply names another procedure than its call" });
        }
        let Some(Pending { waiter, .. }) = self.pending.remove(&serial) else {
            return Ok(Delivery::Ignored(Ignored::ReplyToNobody));
        };
        let Frame { payload, descriptors, .. } = frame;
        let outcome = match header.status {
            MessageStatus::OK => Ok(Answer { payload, descriptors }),
            _ => Err(refusal(procedure, &payload)),
        };
        let abort = self.streams.opened(serial, header.status);
        Ok(Delivery::Reply { waiter, procedure, serial, outcome, abort })
    }

    fn receive_keepalive(header: &MessageHeader) -> Delivery<W> {
        match keepalive::Procedure(header.proc) {
            keepalive::Procedure::PING => Delivery::Send(keepalive_frame(keepalive::Procedure::PONG)),
            keepalive::Procedure::PONG => Delivery::Nothing,
            _ => Delivery::Ignored(Ignored::Keepalive),
        }
    }

    /// Starts to watch whether the daemon is alive: it is asked for a sign of life after `interval` without any, and given
    /// up when `count` such questions in a row had no answer.
    pub fn start_keepalive(&mut self, interval: Duration, count: u32, now: Instant) {
        // An interval of zero means never, as in libvirt's own client, and so does one that no clock will see the end of.
        self.keepalive = now.checked_add(interval).filter(|_| !interval.is_zero()).map(|due| Keepalive {
            interval,
            count,
            left: count,
            heard: now,
            due,
            paused: false,
            next_sign: now,
        });
    }

    /// Says that bytes came from the daemon.
    pub fn heard(&mut self, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.heard = now;
            keepalive.due = now.checked_add(keepalive.interval).unwrap_or(keepalive.due);
            keepalive.left = keepalive.count;
        }
    }

    /// Says that nothing is read from now on, until [`resume`](Self::resume): the silence is ours. The daemon, whose
    /// questions go unread, is told every second that we live, if it was told of keepalive at all.
    pub fn pause(&mut self, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.pause(now);
        }
    }

    /// Says that what comes is read again.
    pub fn resume(&mut self, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.paused = false;
        }
        self.heard(now);
    }

    /// Returns when [`tick`](Self::tick) has something to do, if ever.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        self.keepalive.as_ref().map(|keepalive| keepalive.due)
    }

    /// Says what the time demands.
    pub fn tick(&mut self, now: Instant) -> Tick {
        self.keepalive.as_mut().map_or(Tick::Nothing, |keepalive| keepalive.tick(now))
    }
}

/// Asks the daemon for a sign of life after `interval` without any, and gives it up when `count` such questions
/// in a row had no answer: after `interval` × (`count` + 1) of silence.
#[derive(Debug)]
struct Keepalive {
    interval: Duration,
    count: u32,
    left: u32,
    heard: Instant,
    due: Instant,
    /// Nothing is read for now.
    paused: bool,
    /// When the daemon is to be told again that we live, if it is not listened to then.
    next_sign: Instant,
}

/// How often a daemon that is not listened to is told that we live. It resets its own count with every frame that comes, and
/// gives up after two seconds at the earliest.
const SIGNS_OF_LIFE: Duration = Duration::from_secs(1);

impl Keepalive {
    fn pause(&mut self, now: Instant) {
        self.paused = true;
        // However often reading is paused and resumed, there is one sign a second.
        self.due = self.next_sign.max(now);
    }

    fn tick(&mut self, now: Instant) -> Tick {
        if now < self.due {
            return Tick::Nothing;
        }
        if self.paused {
            self.next_sign = now + SIGNS_OF_LIFE;
            self.due = self.next_sign;
            return Tick::Send(keepalive_frame(keepalive::Procedure::PONG));
        }
        match self.left.checked_sub(1) {
            None => Tick::Dead { silence: now - self.heard },
            Some(left) => {
                self.left = left;
                self.due = now.checked_add(self.interval).unwrap_or(self.due);
                Tick::Send(keepalive_frame(keepalive::Procedure::PING))
            }
        }
    }
}

/// What the time demands.
#[derive(Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing.
    Nothing,
    /// A frame has to be sent before all others that wait.
    Send(Vec<u8>),
    /// The daemon gave no sign of life for too long.
    Dead {
        /// How long nothing came.
        silence: Duration,
    },
}

fn keepalive_frame(procedure: keepalive::Procedure) -> Vec<u8> {
    let header = MessageHeader {
        prog: keepalive::PROGRAM.number,
        vers: keepalive::PROGRAM.version,
        proc: procedure.0,
        type_: MessageType::MESSAGE,
        serial: 0,
        status: MessageStatus::OK,
    };
    // A header without a body has no bounds to break.
    frame::encode(&header, 0, &()).unwrap_or_default()
}

fn refusal(procedure: &ProcedureInfo, payload: &Bytes) -> Refusal {
    match read_error(payload) {
        Ok(error) => Refusal::Remote(Arc::new(remote_error(procedure, error))),
        Err(error) => Refusal::Unreadable(error),
    }
}

/// Reads an error whose texts may quote what is not UTF-8: a program's output, cut somewhere.
fn read_error(payload: &[u8]) -> Result<net::MessageError, DecodeError> {
    let mut reader = Reader::lossy(payload);
    let error = net::MessageError::decode(&mut reader)?;
    reader.finish()?;
    Ok(error)
}

fn remote_error(procedure: &ProcedureInfo, error: net::MessageError) -> RemoteError {
    let (code, domain, level) = (ErrorCode(error.code), ErrorDomain(error.domain), ErrorLevel(error.level));
    let mut remote = RemoteError::new(procedure.name, code, domain, level);
    if is_unknown_procedure(&remote, error.message.as_deref()) {
        remote.code = ErrorCode::NO_SUPPORT;
        remote.since = procedure.since;
    }
    remote.message = error.message;
    remote.about_domain = error.dom.map(|domain| ErrorObject {
        name: domain.name,
        uuid: domain.uuid,
        id: Some(domain.id).filter(|&id| id >= 0),
    });
    remote.about_network =
        error.net.map(|network| ErrorObject { name: network.name, uuid: network.uuid, id: None });
    remote.strings = [error.str1, error.str2, error.str3];
    remote.numbers = [error.int1, error.int2];
    remote
}

/// Tells whether an old daemon says that it has no such procedure. Its code is that of any protocol error; C's
/// client translates it in the same way.
fn is_unknown_procedure(error: &RemoteError, message: Option<&str>) -> bool {
    error.code == ErrorCode::RPC
        && [ErrorDomain::RPC, ErrorDomain::REMOTE].contains(&error.domain)
        && message.is_some_and(|message| message.starts_with("unknown procedure"))
}

#[cfg(test)]
mod tests;
