//! The data streams of a conversation: which are open, and what a frame means to them.
//!
//! A stream has the serial and the procedure of the call that opened it. Its serial stays taken until the daemon has
//! confirmed its end or reported an error, so that whatever is still on its way finds its place and is dropped there.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Delivery, Ignored, Refusal, refusal};
use crate::{
    protocol::{
        ProcedureInfo,
        frame::{self, Frame},
        net::{MessageHeader, MessageStatus, MessageType, StreamHole},
    },
    xdr::{DecodeError, Encode, EncodeError, from_bytes},
};

/// What has happened to a data stream.
#[derive(Debug)]
pub enum StreamNews {
    /// Data has come; never empty.
    Data(Bytes),
    /// A run of zeroes, of this many bytes, has come.
    Hole(u64),
    /// The daemon has no more data. The stream is open until it is finished.
    End,
    /// The daemon confirms that the stream is finished, or aborted. It is gone.
    Closed,
    /// The daemon reports an error, and the stream is gone, if that is [`Refusal::Remote`]. Otherwise a frame was not
    /// understood, and the stream is to be aborted.
    Failed(Refusal),
}

/// The streams that are open, or not yet quite closed.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_serial: HashMap<u32, OpenStream>,
}

#[derive(Debug)]
struct OpenStream {
    procedure: &'static ProcedureInfo,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The call has no reply yet. It is to be aborted as soon as it is open, or not.
    Opening {
        abort: bool,
    },
    Open,
    /// The daemon has sent all its data.
    Drained,
    /// It was asked to finish, or to abort.
    Closing,
}

impl Streams {
    pub(super) fn is_taken(&self, serial: u32) -> bool {
        self.by_serial.contains_key(&serial)
    }

    pub(super) fn len(&self) -> usize {
        self.by_serial.len()
    }

    /// Makes room for a stream whose call is about to be sent: its data may come with the reply.
    pub(super) fn begin(&mut self, serial: u32, procedure: &'static ProcedureInfo) {
        self.by_serial.insert(serial, OpenStream { procedure, phase: Phase::Opening { abort: false } });
    }

    /// Takes the reply of the opening call. Returns the frame that aborts the stream, if that was asked for meanwhile.
    pub(super) fn opened(&mut self, serial: u32, status: MessageStatus) -> Option<Vec<u8>> {
        if status != MessageStatus::OK {
            self.by_serial.remove(&serial);
            return None;
        }
        let stream = self.by_serial.get_mut(&serial)?;
        match stream.phase {
            Phase::Opening { abort } => {
                stream.phase = Phase::Open;
                if abort { self.abort(serial) } else { None }
            }
            _ => None,
        }
    }

    /// Returns the bytes that go before `length` bytes of data, if the stream takes data.
    pub(super) fn data_head(&self, serial: u32, length: usize) -> Result<Option<Vec<u8>>, EncodeError> {
        let header = self.writable(serial, MessageType::STREAM, MessageStatus::CONTINUE);
        header.map(|header| frame::head(&header, length)).transpose()
    }

    /// Returns the frame that says that this many zeroes follow, if the stream takes data.
    pub(super) fn hole(&self, serial: u32, length: i64) -> Option<Vec<u8>> {
        let header = self.writable(serial, MessageType::STREAM_HOLE, MessageStatus::CONTINUE)?;
        Some(encode(&header, &StreamHole { length, flags: 0 }))
    }

    fn writable(&self, serial: u32, kind: MessageType, status: MessageStatus) -> Option<MessageHeader> {
        let stream = self.by_serial.get(&serial)?;
        matches!(stream.phase, Phase::Open | Phase::Drained).then(|| stream.header(serial, kind, status))
    }

    /// Returns the frame that says that no more data comes from us, unless that was said before.
    pub(super) fn finish(&mut self, serial: u32) -> Option<Vec<u8>> {
        self.close(serial, MessageStatus::OK)
    }

    /// Returns the frame that breaks a stream off, if it can be sent by now and there is something to break off.
    pub(super) fn abort(&mut self, serial: u32) -> Option<Vec<u8>> {
        if let Some(OpenStream { phase: Phase::Opening { abort }, .. }) = self.by_serial.get_mut(&serial) {
            *abort = true;
            return None;
        }
        self.close(serial, MessageStatus::ERROR)
    }

    fn close(&mut self, serial: u32, status: MessageStatus) -> Option<Vec<u8>> {
        let stream = self.by_serial.get_mut(&serial)?;
        if !matches!(stream.phase, Phase::Open | Phase::Drained) {
            return None;
        }
        stream.phase = Phase::Closing;
        Some(encode(&stream.header(serial, MessageType::STREAM, status), &()))
    }

    /// Takes a frame of a stream.
    pub(super) fn receive<W>(&mut self, frame: Frame) -> Delivery<W> {
        let Frame { header, payload, .. } = frame;
        let serial = header.serial;
        let Some(stream) = self.by_serial.get_mut(&serial).filter(|stream| stream.owns(&header)) else {
            return Delivery::Ignored(Ignored::StreamOfNobody);
        };
        let procedure = stream.procedure;
        let news = match (header.status, header.type_) {
            (MessageStatus::ERROR, _) => {
                self.by_serial.remove(&serial);
                StreamNews::Failed(refusal(procedure, &payload))
            }
            (MessageStatus::OK, _) if stream.phase == Phase::Closing => {
                self.by_serial.remove(&serial);
                StreamNews::Closed
            }
            (MessageStatus::OK, _) => return Delivery::Ignored(Ignored::StreamIsOpen),
            _ if matches!(stream.phase, Phase::Drained | Phase::Closing) => {
                return Delivery::Ignored(Ignored::AfterItsEnd);
            }
            (_, MessageType::STREAM_HOLE) => hole(&payload),
            _ if payload.is_empty() => {
                if stream.phase == Phase::Open {
                    stream.phase = Phase::Drained;
                }
                StreamNews::End
            }
            _ => StreamNews::Data(payload),
        };
        Delivery::Stream { serial, procedure, news }
    }

    /// Takes a reply that no call waits for: a daemon may report what was wrong with a frame of a stream in that way.
    pub(super) fn receive_reply<W>(&mut self, frame: Frame) -> Delivery<W> {
        let is_error = frame.header.status == MessageStatus::ERROR;
        match self.by_serial.get(&frame.header.serial) {
            Some(stream) if is_error && stream.owns(&frame.header) => self.receive(frame),
            _ => Delivery::Ignored(Ignored::ReplyToNobody),
        }
    }
}

impl OpenStream {
    fn owns(&self, header: &MessageHeader) -> bool {
        let ProcedureInfo { program, number, .. } = self.procedure;
        (header.prog, header.vers, header.proc) == (program.number, program.version, *number)
    }

    fn header(&self, serial: u32, kind: MessageType, status: MessageStatus) -> MessageHeader {
        MessageHeader { type_: kind, status, serial, ..frame::call_header(self.procedure, 0) }
    }
}

fn hole(payload: &Bytes) -> StreamNews {
    match read_hole(payload) {
        Ok(length) => StreamNews::Hole(length),
        Err(error) => StreamNews::Failed(Refusal::Unreadable(error)),
    }
}

fn read_hole(payload: &Bytes) -> Result<u64, DecodeError> {
    let StreamHole { length, .. } = from_bytes(payload)?;
    u64::try_from(length)
        .map_err(|_| DecodeError::out_of_range(0, length, "number of bytes").in_field("length"))
}

fn encode(header: &MessageHeader, body: &impl Encode) -> Vec<u8> {
    // Bodies of at most twelve bytes have no bounds to break.
    frame::encode(header, 0, body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Session, tests::only_frame},
        *,
    };
    use crate::{protocol::remote, xdr::to_vec};

    const UPLOAD: &ProcedureInfo = &remote::PROCEDURES[remote::Procedure::STORAGE_VOL_UPLOAD.0 as usize - 1];

    /// Begins a stream; returns its call.
    fn begin(session: &mut Session<()>) -> Frame {
        let mut bytes = frame::encode(&frame::call_header(UPLOAD, 0), 0, &()).unwrap();
        session.begin_stream(UPLOAD, &mut bytes, ());
        only_frame(&bytes)
    }

    fn receive(
        session: &mut Session<()>,
        call: &Frame,
        kind: MessageType,
        status: MessageStatus,
        payload: &[u8],
    ) -> Delivery<()> {
        let header = MessageHeader { type_: kind, status, ..call.header };
        let payload = Bytes::copy_from_slice(payload);
        session.receive(Frame { header, payload, descriptors: Vec::new() }).unwrap()
    }

    fn open(session: &mut Session<()>) -> Frame {
        let call = begin(session);
        let opened = receive(session, &call, MessageType::REPLY, MessageStatus::OK, b"");
        assert!(matches!(opened, Delivery::Reply { outcome: Ok(_), abort: None, .. }), "{opened:?}");
        call
    }

    const DATA: (MessageType, MessageStatus) = (MessageType::STREAM, MessageStatus::CONTINUE);

    #[test]
    fn frames_of_ours_have_the_header_of_the_call() {
        let mut session = Session::default();
        let call = open(&mut session);
        let serial = call.header.serial;
        let data = [session.stream_data(serial, 3).unwrap().unwrap(), b"abc".to_vec()].concat();
        let hole = session.stream_hole(serial, 1 << 33).unwrap();
        let finish = session.finish_stream(serial).unwrap();
        for (bytes, kind, status, payload) in [
            (data, MessageType::STREAM, MessageStatus::CONTINUE, b"abc".to_vec()),
            (
                hole,
                MessageType::STREAM_HOLE,
                MessageStatus::CONTINUE,
                to_vec(&StreamHole { length: 1 << 33, flags: 0 }).unwrap(),
            ),
            (finish, MessageType::STREAM, MessageStatus::OK, Vec::new()),
        ] {
            let frame = only_frame(&bytes);
            assert_eq!(frame.header, MessageHeader { type_: kind, status, ..call.header });
            assert_eq!(frame.payload, payload);
        }
        // It was finished: nothing more goes out.
        assert_eq!(session.stream_data(serial, 3).unwrap(), None);
        assert_eq!((session.stream_hole(serial, 3), session.abort_stream(serial)), (None, None));
        let closed = receive(&mut session, &call, MessageType::STREAM, MessageStatus::OK, b"");
        assert!(matches!(closed, Delivery::Stream { news: StreamNews::Closed, .. }));
        assert_eq!(session.open_streams(), 0);
    }

    #[test]
    fn a_stream_is_aborted_once_it_is_open() {
        for status in [MessageStatus::OK, MessageStatus::ERROR] {
            let mut session = Session::default();
            let call = begin(&mut session);
            assert_eq!(session.abort_stream(call.header.serial), None);
            match receive(&mut session, &call, MessageType::REPLY, status, b"") {
                Delivery::Reply { abort: Some(abort), .. } if status == MessageStatus::OK => {
                    let abort = only_frame(&abort).header;
                    assert_eq!((abort.type_, abort.status), (MessageType::STREAM, MessageStatus::ERROR));
                    assert_eq!(session.open_streams(), 1);
                }
                Delivery::Reply { abort: None, .. } => assert_eq!(session.open_streams(), 0),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_comes_too_late_is_ignored() {
        let mut session = Session::default();
        let call = open(&mut session);
        let serial = call.header.serial;
        let news = |delivery| match delivery {
            Delivery::Stream { news, .. } => format!("{news:?}"),
            other => format!("{other:?}"),
        };
        let said = |session: &mut Session<()>, (kind, status), payload: &[u8]| {
            news(receive(session, &call, kind, status, payload))
        };
        assert_eq!(said(&mut session, DATA, b"x"), "Data(b\"x\")");
        assert_eq!(said(&mut session, DATA, b""), "End");
        assert_eq!(said(&mut session, DATA, b"x"), "Ignored(AfterItsEnd)");
        let ok = (MessageType::STREAM, MessageStatus::OK);
        assert_eq!(said(&mut session, ok, b""), "Ignored(StreamIsOpen)");
        session.abort_stream(serial).unwrap();
        assert_eq!(said(&mut session, DATA, b"x"), "Ignored(AfterItsEnd)");
        // The serial is not given to another call as long as frames may come.
        session.next_serial = serial;
        assert_ne!(begin(&mut session).header.serial, serial);
        assert_eq!(said(&mut session, ok, b""), "Closed");
        assert_eq!(said(&mut session, ok, b""), "Ignored(StreamOfNobody)");
    }

    #[test]
    fn the_procedure_has_to_be_that_of_the_stream() {
        let mut session = Session::default();
        let mut call = open(&mut session);
        call.header.proc += 1;
        let other = receive(&mut session, &call, DATA.0, DATA.1, b"x");
        assert!(matches!(other, Delivery::Ignored(Ignored::StreamOfNobody)), "{other:?}");
    }
}
