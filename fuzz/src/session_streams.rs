//! The operations on data streams, and a plain account of what each stream is in.

use std::collections::BTreeMap;

use bytes::Bytes;
use libvirt_client::{
    protocol::{
        ProcedureInfo, frame,
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::session::{Refusal, StreamNews},
};

use super::{Input, Run, only_frame, payload};

/// What is called, and how far it has come, by serial.
pub(super) type Account = BTreeMap<u32, (&'static ProcedureInfo, Phase)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Opening { abort: bool },
    Open,
    Drained,
    Closing,
}

impl Run {
    /// Does one operation on streams; tells whether the conversation goes on.
    pub(super) fn stream(&mut self, input: &mut Input<'_>) -> bool {
        let operation = input.byte() % 8;
        if operation == 0 {
            self.open_stream(input);
            return true;
        }
        let chosen = usize::from(input.byte());
        let Some((&serial, &(procedure, phase))) =
            self.streams.iter().nth(chosen % self.streams.len().max(1))
        else {
            return true;
        };
        match operation {
            1 => self.send_data(serial, phase, payload(input).len()),
            2 => self.send_hole(serial, phase, i64::from(input.byte())),
            3 => self.close(serial, phase, MessageStatus::OK),
            4 => self.close(serial, phase, MessageStatus::ERROR),
            _ => return self.receive_of_stream(serial, procedure, input),
        }
        true
    }

    fn open_stream(&mut self, input: &mut Input<'_>) {
        let all: Vec<_> = remote::PROCEDURES.iter().filter(|procedure| procedure.stream.is_some()).collect();
        let procedure = all[usize::from(input.byte()) % all.len()];
        let mut bytes =
            frame::encode(&frame::call_header(procedure, 0), 0, &payload(input)).expect("it is short");
        self.calls += 1;
        let serial = self.session.begin_stream(procedure, &mut bytes, self.calls);
        self.called(serial, procedure);
        self.streams.insert(serial, (procedure, Phase::Opening { abort: false }));
    }

    fn send_data(&mut self, serial: u32, phase: Phase, length: usize) {
        let head = self.session.stream_data(serial, length).expect("it is short");
        assert_eq!(head.is_some(), is_writable(phase));
        if let Some(head) = head {
            let frame = only_frame(&[head, vec![7; length]].concat());
            self.is_of(serial, &frame.header, MessageType::STREAM, MessageStatus::CONTINUE);
            assert_eq!(frame.payload.len(), length);
        }
    }

    fn send_hole(&mut self, serial: u32, phase: Phase, length: i64) {
        let hole = self.session.stream_hole(serial, length);
        assert_eq!(hole.is_some(), is_writable(phase));
        if let Some(hole) = hole {
            let header = only_frame(&hole).header;
            self.is_of(serial, &header, MessageType::STREAM_HOLE, MessageStatus::CONTINUE);
        }
    }

    fn close(&mut self, serial: u32, phase: Phase, status: MessageStatus) {
        let aborts = status == MessageStatus::ERROR;
        let sent =
            if aborts { self.session.abort_stream(serial) } else { self.session.finish_stream(serial) };
        assert_eq!(sent.is_some(), is_writable(phase));
        let after = match phase {
            Phase::Opening { abort } => Phase::Opening { abort: abort || aborts },
            _ => Phase::Closing,
        };
        if let Some(sent) = sent {
            let frame = only_frame(&sent);
            self.is_of(serial, &frame.header, MessageType::STREAM, status);
            assert!(frame.payload.is_empty());
        }
        self.enter(serial, after);
    }

    fn receive_of_stream(
        &mut self,
        serial: u32,
        procedure: &'static ProcedureInfo,
        input: &mut Input<'_>,
    ) -> bool {
        let bits = input.byte();
        let header = MessageHeader {
            prog: procedure.program.number,
            vers: procedure.program.version,
            proc: procedure.number + i32::from(bits & 0x0f == 0x0f),
            type_: if bits & 0x30 == 0x30 { MessageType::STREAM_HOLE } else { MessageType::STREAM },
            serial: serial + u32::from(bits & 0xc0 == 0xc0),
            status: MessageStatus(i32::from(input.byte() % 3)),
        };
        self.receive(header, payload(input))
    }

    /// A call has its reply; perhaps it was to open a stream.
    pub(super) fn opened(&mut self, serial: u32, granted: bool, sent: Option<Vec<u8>>) {
        let Some((_, phase)) = self.streams.get(&serial).copied() else { return assert!(sent.is_none()) };
        let Phase::Opening { abort } = phase else { return assert!(sent.is_none()) };
        assert_eq!(sent.is_some(), granted && abort);
        match granted {
            true if abort => self.enter(serial, Phase::Closing),
            true => self.enter(serial, Phase::Open),
            false => drop(self.streams.remove(&serial)),
        }
    }

    pub(super) fn news(&mut self, header: &MessageHeader, payload: &Bytes, news: StreamNews) {
        let serial = header.serial;
        let (_, phase) = self.streams[&serial];
        match news {
            StreamNews::Data(data) => {
                assert!(!data.is_empty() && data == *payload);
                assert!(!matches!(phase, Phase::Drained | Phase::Closing));
            }
            StreamNews::Hole(length) => assert!(i64::try_from(length).is_ok() && payload.len() == 12),
            StreamNews::End if phase == Phase::Open => self.enter(serial, Phase::Drained),
            StreamNews::End => assert!(matches!(phase, Phase::Opening { .. })),
            StreamNews::Closed => {
                assert_eq!((phase, header.status), (Phase::Closing, MessageStatus::OK));
                self.streams.remove(&serial);
            }
            StreamNews::Failed(refusal) if header.status == MessageStatus::ERROR => {
                if let Refusal::Remote(error) = refusal {
                    assert_eq!(error.procedure, self.streams[&serial].0.name);
                }
                self.streams.remove(&serial);
            }
            // A hole that makes no sense. The stream is open.
            StreamNews::Failed(refusal) => assert!(matches!(refusal, Refusal::Unreadable(_))),
        }
    }

    fn is_of(&self, serial: u32, header: &MessageHeader, kind: MessageType, status: MessageStatus) {
        let expected =
            MessageHeader { type_: kind, status, serial, ..frame::call_header(self.streams[&serial].0, 0) };
        assert_eq!(*header, expected);
    }

    fn enter(&mut self, serial: u32, after: Phase) {
        if let Some((_, phase)) = self.streams.get_mut(&serial) {
            *phase = after;
        }
    }
}

fn is_writable(phase: Phase) -> bool {
    matches!(phase, Phase::Open | Phase::Drained)
}
