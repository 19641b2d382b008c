//! A session through arbitrary operations, compared with a plain account of what waits.
//!
//! Input: operations, each of a byte that says which and the bytes that it needs; see [`Run::step`].

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use libvirt_client::{
    protocol::{
        Call, CallVisitor, ProcedureInfo, ProcedureKind, WireType, admin, frame,
        frame::{Frame, FrameDecoder},
        keepalive,
        net::{MessageHeader, MessageStatus, MessageType},
        qemu, remote, visit_call,
    },
    rpc::session::{Delivery, Ignored, Refusal, Session, Tick},
    xdr::from_bytes,
};

use super::Input;
use streams::{Account, Phase};

#[path = "session_streams.rs"]
mod streams;

/// Puts a session through the operations of one input; tells whether a call was answered or an event came.
pub fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let mut run = Run::default();
    while !input.is_empty() && run.step(&mut input) {
        assert_eq!(run.session.in_flight(), run.waiting.len());
        assert_eq!(run.session.open_streams(), run.streams.len());
        for (serial, (_, waiter)) in &run.waiting {
            assert_eq!(run.session.waiter(*serial), Some(waiter));
        }
    }
    let delivered = run.delivered;
    run.finish();
    delivered
}

struct Run {
    session: Session<u32>,
    /// What is called, and who waits for it, by serial.
    waiting: BTreeMap<u32, (&'static ProcedureInfo, u32)>,
    /// The streams that are open, or being opened or closed.
    streams: Account,
    calls: u32,
    now: Instant,
    keepalive: Option<Keepalive>,
    delivered: bool,
}

struct Keepalive {
    interval: Duration,
    count: u32,
    heard: Instant,
    /// Pings since the daemon was heard.
    pings: u32,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            session: Session::default(),
            waiting: BTreeMap::new(),
            streams: Account::default(),
            calls: 0,
            now: Instant::now(),
            keepalive: None,
            delivered: false,
        }
    }
}

impl Run {
    /// Does one operation; tells whether the conversation goes on.
    fn step(&mut self, input: &mut Input<'_>) -> bool {
        match input.byte() % 8 {
            0 | 1 => self.call(input),
            2 => return self.reply(input),
            3 => return self.receive(arbitrary_header(input), payload(input)),
            4 => return self.event(input),
            5 => return self.keepalive_message(input),
            6 if input.peek() >= 0x80 => return self.stream(input),
            6 => self.time(input),
            _ => self.start_keepalive(input),
        }
        true
    }

    fn call(&mut self, input: &mut Input<'_>) {
        let procedure = any_procedure(input);
        let mut bytes =
            frame::encode(&frame::call_header(procedure, 0), 0, &payload(input)).expect("it is short");
        self.calls += 1;
        let serial = self.session.begin_call(procedure, &mut bytes, self.calls);
        let sent = only_frame(&bytes);
        assert_eq!((sent.header.serial, sent.header.proc), (serial, procedure.number));
        self.called(serial, procedure);
    }

    fn called(&mut self, serial: u32, procedure: &'static ProcedureInfo) {
        assert!(!self.streams.contains_key(&serial), "a call has serial {serial} of a stream");
        let before = self.waiting.insert(serial, (procedure, self.calls));
        assert!(before.is_none(), "two calls have serial {serial}");
    }

    /// A reply to a call, mostly to one that waits and mostly with its procedure.
    fn reply(&mut self, input: &mut Input<'_>) -> bool {
        let chosen = usize::from(input.byte());
        let Some((&serial, &(procedure, _))) = self.waiting.iter().nth(chosen % self.waiting.len().max(1))
        else {
            return true;
        };
        let bits = input.byte();
        let header = MessageHeader {
            prog: procedure.program.number,
            vers: procedure.program.version,
            proc: procedure.number + i32::from(bits & 0x0f == 0x0f),
            type_: if bits & 0x10 == 0 { MessageType::REPLY } else { MessageType::REPLY_WITH_FDS },
            serial: serial + u32::from(bits & 0xe0 == 0xe0),
            status: if bits & 0x20 == 0 { MessageStatus::OK } else { MessageStatus::ERROR },
        };
        self.receive(header, payload(input))
    }

    fn event(&mut self, input: &mut Input<'_>) -> bool {
        let header = MessageHeader {
            prog: if input.byte() < 0x80 { remote::PROGRAM.number } else { qemu::PROGRAM.number },
            vers: 1,
            proc: i32::from(input.byte()) * 2 + i32::from(input.byte() & 1),
            type_: MessageType::MESSAGE,
            serial: 0,
            status: MessageStatus::OK,
        };
        self.receive(header, payload(input))
    }

    fn keepalive_message(&mut self, input: &mut Input<'_>) -> bool {
        let header = MessageHeader {
            prog: keepalive::PROGRAM.number,
            vers: keepalive::PROGRAM.version,
            proc: i32::from(input.byte() % 4),
            type_: MessageType::MESSAGE,
            serial: 0,
            status: MessageStatus::OK,
        };
        self.receive(header, Bytes::new())
    }

    /// Has the session take a frame; tells whether it allowed it.
    fn receive(&mut self, header: MessageHeader, payload: Bytes) -> bool {
        let frame = Frame { header, payload: payload.clone(), descriptors: Vec::new() };
        let is_keepalive = header.prog == keepalive::PROGRAM.number;
        match self.session.receive(frame) {
            Ok(Delivery::Reply { waiter, procedure, serial, outcome, abort }) => {
                self.delivered = true;
                assert_eq!(serial, header.serial);
                assert_eq!((procedure.number, procedure.program.number), (header.proc, header.prog));
                let (called, expected) = self.waiting.remove(&serial).expect("only who called gets a reply");
                assert_eq!((waiter, procedure.name), (expected, called.name));
                self.opened(serial, outcome.is_ok(), abort);
                match outcome {
                    Ok(answer) => {
                        assert_eq!((header.status, &answer.payload), (MessageStatus::OK, &payload));
                        let answers = visit_call(header.prog, header.proc, DecodeReply(payload));
                        assert!(answers.is_some() || procedure.kind == ProcedureKind::Event);
                    }
                    Err(Refusal::Remote(error)) => assert_eq!(error.procedure, procedure.name),
                    Err(Refusal::Unreadable(error)) => assert!(error.offset() <= payload.len()),
                }
            }
            Ok(Delivery::Stream { serial, procedure, news }) => {
                assert_eq!((serial, procedure.number), (header.serial, header.proc));
                self.delivered = true;
                self.news(&header, &payload, news);
            }
            Ok(Delivery::Event { program, procedure, payload: message }) => {
                assert_eq!((program, procedure, &message), (header.prog, header.proc, &payload));
                self.delivered = true;
                assert_eq!(header.type_, MessageType::MESSAGE);
                decode_event(program, procedure, &message);
            }
            Ok(Delivery::Send(bytes)) => {
                assert!(is_keepalive && header.proc == keepalive::Procedure::PING.0);
                assert_eq!(only_frame(&bytes).header.proc, keepalive::Procedure::PONG.0);
            }
            Ok(Delivery::Nothing) => assert!(is_keepalive),
            Ok(Delivery::Ignored(Ignored::ReplyToNobody)) => {
                assert!(!self.waiting.contains_key(&header.serial))
            }
            Ok(Delivery::Ignored(Ignored::AfterItsEnd)) => {
                let (_, phase) = self.streams[&header.serial];
                assert!(matches!(phase, Phase::Drained | Phase::Closing));
            }
            Ok(Delivery::Ignored(Ignored::StreamIsOpen)) => {
                let (_, phase) = self.streams[&header.serial];
                assert!(phase != Phase::Closing && header.status == MessageStatus::OK);
            }
            Ok(Delivery::Ignored(Ignored::StreamOfNobody)) => {
                let known = self.streams.get(&header.serial);
                assert!(known.is_none_or(|(procedure, _)| procedure.number != header.proc
                    || procedure.program.number != header.prog
                    || procedure.program.version != header.vers));
            }
            Ok(Delivery::Ignored(_)) => {}
            Err(violation) => {
                assert!(!is_keepalive && !violation.to_string().is_empty());
                return false;
            }
        }
        true
    }

    /// Time passes, and the daemon may have been heard.
    fn time(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        self.now += Duration::from_millis(u64::from(choice) * 4);
        if choice & 1 == 1 {
            self.session.heard(self.now);
            if let Some(keepalive) = &mut self.keepalive {
                keepalive.heard = self.now;
                keepalive.pings = 0;
            }
        }
        self.tick();
    }

    fn start_keepalive(&mut self, input: &mut Input<'_>) {
        let interval = Duration::from_millis(u64::from(input.byte()) + 1);
        let count = u32::from(input.byte() % 5);
        self.session.start_keepalive(interval, count, self.now);
        self.keepalive = Some(Keepalive { interval, count, heard: self.now, pings: 0 });
    }

    /// Lets the session say what the time demands; tells whether the daemon is given up.
    fn tick(&mut self) -> bool {
        let due = self.session.next_tick();
        let tick = self.session.tick(self.now);
        let Some(keepalive) = &mut self.keepalive else {
            assert_eq!((due, tick), (None, Tick::Nothing));
            return false;
        };
        let is_due = due.expect("there is always a next time") <= self.now;
        match tick {
            Tick::Nothing => assert!(!is_due),
            Tick::Send(bytes) => {
                assert!(is_due);
                assert_eq!(only_frame(&bytes).header.proc, keepalive::Procedure::PING.0);
                keepalive.pings += 1;
                assert!(keepalive.pings <= keepalive.count);
            }
            Tick::Dead { silence } => {
                assert_eq!(silence, self.now - keepalive.heard);
                assert_eq!(keepalive.pings, keepalive.count);
                assert!(silence >= keepalive.interval * (keepalive.count + 1), "given up after {silence:?}");
                return true;
            }
        }
        false
    }

    /// The daemon falls silent and is given up in the end; everyone who waits is told.
    fn finish(mut self) {
        if let Some(keepalive) = &self.keepalive {
            let most = keepalive.count + 2;
            let given_up = (0..most).any(|_| {
                self.now = self.now.max(self.session.next_tick().expect("there is always a next time"));
                self.tick()
            });
            assert!(given_up, "a daemon that says nothing is not given up");
        }
        let mut told: Vec<u32> = self.session.into_waiters().map(|(_, waiter)| waiter).collect();
        told.sort_unstable();
        let mut expected: Vec<u32> = self.waiting.into_values().map(|(_, waiter)| waiter).collect();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }
}

/// Decodes the results of a call: that may fail, but not panic.
struct DecodeReply(Bytes);

impl CallVisitor for DecodeReply {
    type Output = bool;

    fn visit<C>(self) -> bool
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        from_bytes::<C::Reply>(&self.0).is_ok()
    }
}

fn decode_event(program: u32, procedure: i32, message: &Bytes) {
    if program == remote::PROGRAM.number
        && let Ok(event) = remote::Event::decode(procedure, message)
    {
        assert_eq!(event.procedure(), remote::Procedure(procedure));
    }
    if program == qemu::PROGRAM.number
        && let Ok(event) = qemu::Event::decode(procedure, message)
    {
        assert_eq!(event.procedure(), qemu::Procedure(procedure));
    }
}

fn any_procedure(input: &mut Input<'_>) -> &'static ProcedureInfo {
    let table = match input.byte() {
        0..0xe0 => remote::PROCEDURES,
        0xe0..0xf0 => qemu::PROCEDURES,
        _ => admin::PROCEDURES,
    };
    let choice = usize::from(input.byte()) * 2 + usize::from(input.byte() & 1);
    &table[choice % table.len()]
}

fn arbitrary_header(input: &mut Input<'_>) -> MessageHeader {
    MessageHeader {
        prog: input.word(),
        vers: input.word(),
        proc: input.word() as i32,
        type_: MessageType(i32::from(input.byte() % 8)),
        serial: u32::from(input.byte()),
        status: MessageStatus(i32::from(input.byte() % 4)),
    }
}

fn payload(input: &mut Input<'_>) -> Bytes {
    let count = usize::from(input.byte());
    Bytes::copy_from_slice(input.take(count))
}

fn only_frame(bytes: &[u8]) -> Frame {
    let mut decoder = FrameDecoder::default();
    decoder.spare()[..bytes.len()].copy_from_slice(bytes);
    decoder.advance(bytes.len());
    let frame = decoder.next().expect("we write frames").expect("it is whole");
    assert!(!decoder.is_mid_frame());
    frame
}
