//! What a replayed daemon answers: frames in, frames out, without any I/O.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    message::procedure,
    recording::{Direction, RecordedFrame, Recording},
};
use crate::{
    error::{ErrorCode, ErrorDomain, ErrorLevel},
    protocol::{frame, keepalive, net},
};

const CALL: u32 = 0;
const REPLY: u32 = 1;
const EVENT: u32 = 2;
const STREAM: u32 = 3;
const CALL_WITH_FDS: u32 = 4;
const REPLY_WITH_FDS: u32 = 5;
const HOLE: u32 = 6;
const CONTINUE: u32 = 2;

/// A recording, ordered by what the client asks.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Where the exchanges are that answer a call: program, procedure and payload.
    calls: HashMap<(u32, i32, Vec<u8>), Vec<usize>>,
    exchanges: Vec<Exchange>,
    /// What the daemon sent before it was asked anything.
    greeting: Vec<Answer>,
    /// The exchange after which the daemon closed the connection.
    last: Option<usize>,
}

/// A call of the recording, and what the daemon sent because of it.
#[derive(Debug, Default)]
struct Exchange {
    events_before: Vec<Answer>,
    reply: Option<RecordedFrame>,
    events_after: Vec<Answer>,
    stream: Vec<StreamStep>,
}

/// A frame of a stream that the daemon sends.
#[derive(Debug)]
struct StreamStep {
    frame: RecordedFrame,
    /// How many bytes the client had written before.
    after_bytes: usize,
    /// Whether the client had finished or aborted the stream before.
    after_end: bool,
}

/// A frame to send.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) bytes: Arc<[u8]>,
    pub(super) is_event: bool,
    /// How long to wait before it.
    pub(super) pause: Duration,
}

impl Answer {
    fn now(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { bytes: bytes.into(), is_event: false, pause: Duration::ZERO }
    }

    fn event(frame: &RecordedFrame) -> Self {
        Self { bytes: frame.bytes().into(), is_event: true, pause: frame.pause() }
    }
}

impl Script {
    pub(super) fn new(recording: &Recording) -> Self {
        let mut script = Self::default();
        // By serial, program and procedure: a serial may be used again once its call is done.
        let mut running: HashMap<(u32, u32, i32), (usize, StreamSoFar)> = HashMap::new();
        let mut last_sign: Option<(usize, bool)> = None;
        for frame in recording.frames() {
            let key = (frame.serial(), frame.program(), frame.procedure());
            match (frame.direction(), frame.kind()) {
                (Direction::FromClient, CALL | CALL_WITH_FDS) => {
                    let number = script.exchanges.len();
                    script.exchanges.push(Exchange::default());
                    let call = (frame.program(), frame.procedure(), frame.payload().to_vec());
                    script.calls.entry(call).or_default().push(number);
                    running.insert(key, (number, StreamSoFar::default()));
                    last_sign = Some((number, false));
                }
                (Direction::FromDaemon, REPLY | REPLY_WITH_FDS) => {
                    let Some((number, _)) = running.get(&key) else { continue };
                    last_sign = Some((*number, true));
                    if let Some(exchange) = script.exchanges.get_mut(*number) {
                        exchange.reply = Some(frame.clone());
                    }
                }
                (Direction::FromDaemon, EVENT) if frame.program() != keepalive::PROGRAM.number => {
                    let event = Answer::event(frame);
                    match last_sign
                        .and_then(|(number, replied)| Some((script.exchanges.get_mut(number)?, replied)))
                    {
                        None => script.greeting.push(event),
                        Some((exchange, false)) => exchange.events_before.push(event),
                        Some((exchange, true)) => exchange.events_after.push(event),
                    }
                }
                (direction, STREAM | HOLE) => {
                    let Some((number, so_far)) = running.get_mut(&key) else { continue };
                    let Some(exchange) = script.exchanges.get_mut(*number) else { continue };
                    match direction {
                        Direction::FromClient => {
                            so_far.take(frame.kind(), frame.status(), frame.payload().len())
                        }
                        Direction::FromDaemon => exchange.stream.push(StreamStep {
                            frame: frame.clone(),
                            after_bytes: so_far.bytes,
                            after_end: so_far.ended,
                        }),
                    }
                }
                _ => {}
            }
        }
        if recording.ended_by() == Some(Direction::FromDaemon) {
            script.last = last_sign.map(|(number, _)| number);
        }
        script
    }
}

/// What the client has sent over a stream.
#[derive(Debug, Default)]
struct StreamSoFar {
    bytes: usize,
    ended: bool,
}

impl StreamSoFar {
    fn take(&mut self, kind: u32, status: u32, bytes: usize) {
        match (kind, status) {
            (STREAM, CONTINUE) => self.bytes += bytes,
            (STREAM, _) => self.ended = true,
            _ => {}
        }
    }
}

/// One connection's way through a script.
#[derive(Debug)]
pub(super) struct Player<'a> {
    script: &'a Script,
    greeted: bool,
    /// How often each exchange's call was made.
    made: HashMap<&'a [usize], usize>,
    streams: HashMap<u32, OpenStream<'a>>,
    hung_up: bool,
}

#[derive(Debug)]
struct OpenStream<'a> {
    steps: &'a [StreamStep],
    so_far: StreamSoFar,
}

impl<'a> Player<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        Self { script, greeted: false, made: HashMap::new(), streams: HashMap::new(), hung_up: false }
    }

    /// Tells whether the daemon closes the connection, as it did in the recording.
    pub(super) fn has_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Takes a frame from the client and returns what the daemon sends.
    pub(super) fn receive(&mut self, frame: &[u8]) -> Vec<Answer> {
        let mut answers = Vec::new();
        if !std::mem::replace(&mut self.greeted, true) {
            answers.extend_from_slice(&self.script.greeting);
        }
        let Ok(frame) = RecordedFrame::new(Direction::FromClient, frame.to_vec()) else { return answers };
        match frame.kind() {
            CALL | CALL_WITH_FDS => self.call(&frame, &mut answers),
            STREAM | HOLE => self.stream(&frame, &mut answers),
            EVENT if is_ping(&frame) => answers.push(pong()),
            _ => {}
        }
        answers
    }

    fn call(&mut self, call: &RecordedFrame, answers: &mut Vec<Answer>) {
        let key = (call.program(), call.procedure(), call.payload().to_vec());
        let Some(numbers) = self.script.calls.get(&key) else {
            answers.push(unknown(call));
            return;
        };
        let made = self.made.entry(numbers.as_slice()).or_default();
        let (Some(number), is_first) = (numbers.get(*made).or(numbers.last()), *made < numbers.len()) else {
            return;
        };
        *made += 1;
        let Some(exchange) = self.script.exchanges.get(*number) else { return };

        if is_first {
            answers.extend_from_slice(&exchange.events_before);
        }
        match &exchange.reply {
            Some(reply) if reply.descriptors() > 0 => answers.push(lost_descriptors(call)),
            Some(reply) => answers.push(Answer::now(reply.clone().with_serial(call.serial()).bytes())),
            None => {}
        }
        if is_first {
            answers.extend_from_slice(&exchange.events_after);
        }
        if !exchange.stream.is_empty() {
            self.streams.insert(
                call.serial(),
                OpenStream { steps: &exchange.stream, so_far: StreamSoFar::default() },
            );
            self.play_stream(call, answers);
        }
        self.hung_up = self.script.last == Some(*number);
    }

    fn stream(&mut self, frame: &RecordedFrame, answers: &mut Vec<Answer>) {
        if let Some(stream) = self.streams.get_mut(&frame.serial()) {
            stream.so_far.take(frame.kind(), frame.status(), frame.payload().len());
            self.play_stream(frame, answers);
        }
    }

    /// Sends what of a stream's frames is due. `from` is the client's frame that made it due.
    fn play_stream(&mut self, from: &RecordedFrame, answers: &mut Vec<Answer>) {
        let Some(stream) = self.streams.get_mut(&from.serial()) else { return };
        let mut is_over = false;
        while let Some((step, rest)) = stream.steps.split_first() {
            let is_due = stream.so_far.ended || (!step.after_end && step.after_bytes <= stream.so_far.bytes);
            if !is_due {
                break;
            }
            answers.push(Answer::now(step.frame.clone().with_serial(from.serial()).bytes()));
            is_over = step.frame.status() != CONTINUE;
            stream.steps = rest;
        }
        if stream.so_far.ended && !is_over {
            // In the recording it ended otherwise, but whoever ends a stream waits for this.
            answers.push(confirmation(from));
            is_over = true;
        }
        if is_over {
            self.streams.remove(&from.serial());
        }
    }
}

fn is_ping(frame: &RecordedFrame) -> bool {
    frame.program() == keepalive::PROGRAM.number && frame.procedure() == keepalive::Procedure::PING.0
}

fn pong() -> Answer {
    encode(
        keepalive::PROGRAM.number,
        keepalive::PROGRAM.version,
        keepalive::Procedure::PONG.0,
        EVENT,
        0,
        0,
        &(),
    )
}

fn confirmation(frame: &RecordedFrame) -> Answer {
    encode(frame.program(), frame.version(), frame.procedure(), STREAM, frame.serial(), 0, &())
}

/// What a daemon says about a procedure that it does not have; which call it was comes after that.
fn unknown(call: &RecordedFrame) -> Answer {
    let name = procedure(call.program(), call.procedure()).map_or("", |info| info.name);
    let message =
        format!("unknown procedure: {} (the recording has no such call of {name})", call.procedure());
    refusal(call, ErrorCode::RPC, &message)
}

fn lost_descriptors(call: &RecordedFrame) -> Answer {
    let message = "the reply in the recording passes descriptors, which a replay cannot do";
    refusal(call, ErrorCode::OPERATION_UNSUPPORTED, message)
}

fn refusal(call: &RecordedFrame, code: ErrorCode, message: &str) -> Answer {
    let error = net::MessageError {
        code: code.0,
        domain: ErrorDomain::RPC.0,
        message: Some(message.to_owned()),
        level: ErrorLevel::ERROR.0,
        ..net::MessageError::default()
    };
    encode(call.program(), call.version(), call.procedure(), REPLY, call.serial(), 1, &error)
}

fn encode<T: crate::xdr::Encode>(
    prog: u32,
    vers: u32,
    proc: i32,
    kind: u32,
    serial: u32,
    status: u32,
    body: &T,
) -> Answer {
    let header = net::MessageHeader {
        prog,
        vers,
        proc,
        type_: net::MessageType(kind as i32),
        serial,
        status: net::MessageStatus(status as i32),
    };
    // Nothing that is sent by this is near a bound.
    Answer::now(frame::encode(&header, 0, body).unwrap_or_default())
}
