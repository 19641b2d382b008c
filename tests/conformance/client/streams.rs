//! Data streams: our client opens the recorded ones, reads what the daemon sent, and writes what the recorded client wrote.

use libvirt_client::{
    Error,
    protocol::{Call, CallVisitor, WireType},
    rpc::{Client, Piece, Stream},
    testing::{Body, RecordedFrame},
    xdr,
};
use tokio::task::JoinHandle;

use super::{Bytes, Direction, Message, Play, Running, compare_error, in_time};

/// How far a recorded stream has come.
pub(super) enum Playing {
    Open(Stream),
    /// It was finished or aborted, and the daemon has not said anything to that.
    Closing(JoinHandle<Result<(), Error>>),
}

/// Decodes the arguments, and opens a stream with them.
pub(super) struct Open {
    pub(super) client: Client,
    pub(super) payload: Bytes,
}

impl CallVisitor for Open {
    type Output = JoinHandle<Result<(Vec<u8>, Stream), Error>>;

    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        let arguments: C = xdr::from_bytes(&self.payload).unwrap();
        tokio::spawn(async move {
            let (reply, stream) = self.client.open_stream(arguments).await?;
            Ok((xdr::to_vec(&reply).unwrap(), stream))
        })
    }
}

impl Play<'_> {
    /// Plays a frame of a stream that is open.
    pub(super) async fn stream(&mut self, frame: &RecordedFrame, message: &Message) -> Result<(), String> {
        let key = (frame.program(), frame.procedure(), frame.serial());
        let (serial, playing) = self.streams.remove(&key).ok_or("no such stream is open")?;
        self.report.count("frames of streams", 1);
        let after = match frame.direction() {
            Direction::FromClient => self.write(frame, message, serial, playing).await?,
            Direction::FromDaemon => {
                self.peer
                    .send(&frame.clone().with_serial(serial))
                    .await
                    .map_err(|error| error.to_string())?;
                in_time(read(frame, message, playing)).await??
            }
        };
        if let Some(playing) = after {
            self.streams.insert(key, (serial, playing));
        }
        Ok(())
    }

    /// Has our client write what the recorded one wrote, and compares the frames.
    async fn write(
        &mut self,
        frame: &RecordedFrame,
        message: &Message,
        serial: u32,
        playing: Playing,
    ) -> Result<Option<Playing>, String> {
        let Playing::Open(mut stream) = playing else {
            return Err("the recorded client wrote to a stream that it had closed".to_owned());
        };
        let playing = match message.body() {
            Body::Data(_) => {
                let data = Bytes::copy_from_slice(frame.payload());
                in_time(stream.send(data)).await?.map_err(|error| error.to_string())?;
                Playing::Open(stream)
            }
            Body::Hole(hole) => {
                let length = u64::try_from(hole.length).unwrap();
                in_time(stream.send_hole(length)).await?.map_err(|error| error.to_string())?;
                Playing::Open(stream)
            }
            Body::Finish => Playing::Closing(tokio::spawn(async move { stream.finish().await })),
            Body::Abort => Playing::Closing(tokio::spawn(stream.abort())),
            other => return Err(format!("a client does not send {other:?} in a stream")),
        };
        let (sent, _) = self.peer.receive().await.map_err(|error| error.to_string())?;
        if frame.clone().with_serial(serial).bytes() != sent {
            return Err(format!("our client sent {sent:02x?}"));
        }
        Ok(Some(playing))
    }

    /// Takes the reply of a call that opens a stream.
    pub(super) async fn opened(
        &mut self,
        frame: &RecordedFrame,
        message: &Message,
        serial: u32,
        opening: JoinHandle<Result<(Vec<u8>, Stream), Error>>,
    ) -> Result<(), String> {
        match (message.body(), in_time(opening).await?.unwrap()) {
            (Body::Error(expected), Err(error)) => {
                self.report.count("errors", 1);
                compare_error(expected, &error)
            }
            (_, Ok((reply, stream))) if reply == frame.payload() => {
                self.report.count("replies", 1);
                let key = (frame.program(), frame.procedure(), frame.serial());
                self.streams.insert(key, (serial, Playing::Open(stream)));
                Ok(())
            }
            (_, other) => Err(format!("our client understood {:?}", other.map(|(reply, _)| reply))),
        }
    }
}

/// Compares what our client reads with what the daemon sent. Returns the stream, if it goes on.
async fn read(frame: &RecordedFrame, message: &Message, playing: Playing) -> Result<Option<Playing>, String> {
    let mut stream = match (playing, message.body()) {
        (Playing::Open(stream), _) => stream,
        (Playing::Closing(closing), Body::Finish) => {
            return closing.await.unwrap().map(|()| None).map_err(|error| error.to_string());
        }
        (Playing::Closing(closing), Body::Error(expected)) => {
            return match closing.await.unwrap() {
                Err(error) => compare_error(expected, &error).map(|()| None),
                Ok(()) => Err("our client took an error for the end".to_owned()),
            };
        }
        // It was on its way when the stream was closed.
        (closing @ Playing::Closing(_), _) => return Ok(Some(closing)),
    };
    let understood = match (message.body(), stream.next().await) {
        (Body::Data(_), Some(Ok(Piece::Data(data)))) => data == frame.payload(),
        (Body::Hole(hole), Some(Ok(Piece::Hole(length)))) => i64::try_from(length) == Ok(hole.length),
        (Body::EndOfData, None) => true,
        (Body::Error(expected), Some(Err(error))) => {
            return compare_error(expected, &error).map(|()| None);
        }
        _ => false,
    };
    if understood {
        Ok(Some(Playing::Open(stream)))
    } else {
        Err("our client read something else".to_owned())
    }
}

impl Running {
    pub(super) fn open(client: Client, frame: &RecordedFrame, payload: Bytes) -> Result<Self, String> {
        let visitor = Open { client, payload };
        let opening = libvirt_client::protocol::visit_call(frame.program(), frame.procedure(), visitor);
        opening.map(Self::Opening).ok_or_else(|| "no such procedure".to_owned())
    }
}
