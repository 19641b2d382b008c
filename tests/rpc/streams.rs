//! Data streams: what comes when, and what becomes of those that are dropped, refused, cut or late.

use std::{collections::HashSet, future::poll_fn};

use libvirt_client::{
    protocol::net::StreamHole,
    rpc::{Piece, Stream},
};

use super::*;

pub(crate) fn download() -> remote::StorageVolDownloadArgs {
    download_with(0)
}

/// 1 is the flag for holes.
fn download_with(flags: u32) -> remote::StorageVolDownloadArgs {
    remote::StorageVolDownloadArgs { vol: remote::NonnullStorageVol::default(), offset: 0, length: 0, flags }
}

pub(crate) fn upload(flags: u32) -> remote::StorageVolUploadArgs {
    remote::StorageVolUploadArgs { vol: remote::NonnullStorageVol::default(), offset: 0, length: 0, flags }
}

fn data(bytes: &'static [u8]) -> Piece {
    Piece::Data(Bytes::from_static(bytes))
}

impl Daemon {
    pub(crate) async fn stream(&mut self, call: &Frame, status: MessageStatus, body: &impl Encode) {
        let header = MessageHeader { type_: MessageType::STREAM, status, ..call.header };
        self.send(header, body).await;
    }

    pub(crate) async fn data(&mut self, call: &Frame, data: &[u8]) {
        self.stream(call, MessageStatus::CONTINUE, &Bytes::copy_from_slice(data)).await;
    }

    pub(crate) async fn hole(&mut self, call: &Frame, length: i64) {
        let header =
            MessageHeader { type_: MessageType::STREAM_HOLE, status: MessageStatus::CONTINUE, ..call.header };
        self.send(header, &StreamHole { length, flags: 0 }).await;
    }

    pub(crate) async fn fail(&mut self, call: &Frame, kind: MessageType, code: i32) {
        let header = MessageHeader { type_: kind, status: MessageStatus::ERROR, ..call.header };
        let message = Some("disk full".to_owned());
        self.send(header, &MessageError { code, domain: 18, message, level: 2, ..Default::default() }).await;
    }

    /// Receives a frame of a stream.
    pub(crate) async fn receive_stream(&mut self, call: &Frame, status: MessageStatus) -> Frame {
        let frame = self.receive().await.unwrap();
        let expected = MessageHeader { type_: MessageType::STREAM, status, ..call.header };
        assert_eq!(frame.header, expected);
        frame
    }

    /// Opens every stream, sends some data of it, confirms what is finished and aborted, and answers other calls. Returns
    /// how many were opened, and how many are open when the client leaves.
    async fn serve_streams(mut self) -> (usize, usize) {
        let (mut opened, mut open) = (0, HashSet::new());
        while let Some(frame) = self.receive().await {
            match frame.header.type_ {
                MessageType::CALL if frame.header.proc == remote::Procedure::STORAGE_VOL_DOWNLOAD.0 => {
                    opened += 1;
                    assert!(open.insert(frame.header.serial), "the serial of an open stream was used again");
                    self.reply(&frame, &()).await;
                    self.data(&frame, b"some").await;
                    self.data(&frame, b"more").await;
                    self.data(&frame, b"").await;
                }
                MessageType::CALL => {
                    let hostname = format!("host-{}", frame.header.serial);
                    self.reply(&frame, &remote::ConnectGetHostnameRet { hostname }).await;
                }
                _ => {
                    assert!(frame.header.status != MessageStatus::CONTINUE);
                    assert!(open.remove(&frame.header.serial), "a stream was closed that was not open");
                    self.stream(&frame, MessageStatus::OK, &()).await;
                }
            }
        }
        (opened, open.len())
    }
}

/// Opens a stream, which the daemon grants.
pub(crate) async fn open<C>(client: &Client, daemon: &mut Daemon, arguments: C) -> (Stream, Frame)
where
    C: libvirt_client::protocol::Call<Reply = ()> + 'static,
{
    let opening = tokio::spawn({
        let client = client.clone();
        async move { client.open_stream(arguments).await.unwrap().1 }
    });
    let call = daemon.receive().await.unwrap();
    daemon.reply(&call, &()).await;
    (opening.await.unwrap(), call)
}

#[tokio::test]
async fn a_stream_is_read_to_its_end_and_finished() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let serving = tokio::spawn(async move {
        let call = daemon.receive().await.unwrap();
        // In one write, as it may well come.
        let (near, mut whole) = duplex(1 << 16);
        let pipe = std::mem::replace(&mut daemon.stream, near);
        daemon.reply(&call, &()).await;
        daemon.data(&call, b"one").await;
        daemon.data(&call, b"twelve").await;
        daemon.data(&call, b"").await;
        daemon.data(&call, b"after the end").await;
        daemon.stream = pipe;
        let mut bytes = vec![0; 1 << 16];
        let count = whole.read(&mut bytes).await.unwrap();
        daemon.stream.write_all(&bytes[..count]).await.unwrap();

        daemon.receive_stream(&call, MessageStatus::OK).await;
        daemon.stream(&call, MessageStatus::OK, &()).await;
        // Nobody waits for another one.
        daemon.stream(&call, MessageStatus::OK, &()).await;
        daemon.serve_hostnames().await
    });
    let (_, mut stream) = client.open_stream(download()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), data(b"one"));
    assert_eq!(stream.next().await.unwrap().unwrap(), data(b"twelve"));
    assert!(stream.next().await.is_none() && stream.next().await.is_none());
    stream.finish().await.unwrap();
    stream.finish().await.unwrap();
    assert!(stream.next().await.is_none());
    drop(stream);
    assert!(client.call(hostname()).await.unwrap().hostname.starts_with("host-"));
    drop(client);
    assert_eq!(serving.await.unwrap(), 1);
}

#[tokio::test]
async fn a_stream_takes_data_in_frames_until_it_is_finished() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let (mut stream, call) = open(&client, &mut daemon, upload(0)).await;
    let sent: Bytes = (0..300_000u32).map(|index| index as u8).collect::<Vec<u8>>().into();
    let serving = tokio::spawn({
        let sent = sent.clone();
        async move {
            let mut received = Vec::new();
            for length in [262_120, 37_880] {
                let frame = daemon.receive_stream(&call, MessageStatus::CONTINUE).await;
                assert_eq!(frame.payload.len(), length);
                received.extend_from_slice(&frame.payload);
            }
            assert_eq!(received, sent);
            daemon.receive_stream(&call, MessageStatus::OK).await;
            daemon.stream(&call, MessageStatus::OK, &()).await;
            daemon
        }
    });
    stream.send(sent).await.unwrap();
    stream.finish().await.unwrap();
    let error = stream.send(Bytes::from_static(b"more")).await.unwrap_err();
    assert!(error.to_string().contains("takes no more data"), "{error}");
    serving.await.unwrap();
}

#[tokio::test]
async fn calls_and_streams_are_not_taken_for_each_other() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let error = client.call(download()).await.unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("opens a data stream"), "{error}");
    let error = client.open_stream(hostname()).await.unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("opens no data stream"), "{error}");

    let refusing = tokio::spawn(async move {
        let call = daemon.receive().await.unwrap();
        daemon.refuse(&call, 50).await;
        daemon
    });
    let error = client.open_stream(download()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let served = tokio::spawn(refusing.await.unwrap().serve_streams());
    let (_, stream) = client.open_stream(download()).await.unwrap();
    stream.abort().await.unwrap();
    drop(client);
    assert_eq!(served.await.unwrap(), (1, 0));
}

/// Whenever an opening, a reader or a finishing goes away, the daemon is left without an open stream.
#[tokio::test]
async fn a_stream_may_be_dropped_at_every_poll() {
    let (client, daemon) = Daemon::start(&Config::default());
    let daemon = tokio::spawn(daemon.serve_streams());
    for polls in 0..60 {
        drop(poll_and_drop(client.open_stream(download()), polls).await);
        let (_, mut stream) = client.open_stream(download()).await.unwrap();
        let reading = async {
            while let Some(piece) = stream.next().await {
                piece.unwrap();
            }
            stream.finish().await.unwrap();
        };
        let _ = poll_and_drop(reading, polls).await;
        drop(stream);
        assert!(client.call(hostname()).await.unwrap().hostname.starts_with("host-"));
    }
    drop(client);
    let (opened, open) = daemon.await.unwrap();
    assert!(opened > 60, "{opened} streams were opened");
    assert_eq!(open, 0, "streams were left open");
}

#[tokio::test]
async fn what_comes_for_a_dropped_stream_finds_its_place() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let (stream, call) = open(&client, &mut daemon, download()).await;
    drop(stream);
    daemon.receive_stream(&call, MessageStatus::ERROR).await;
    // It was on its way, as was an error.
    daemon.data(&call, b"late").await;
    daemon.hole(&call, 7).await;
    daemon.data(&call, b"").await;
    daemon.fail(&call, MessageType::STREAM, 38).await;
    daemon.stream(&call, MessageStatus::OK, &()).await;
    let daemon = tokio::spawn(daemon.serve_hostnames());
    assert!(client.call(hostname()).await.is_ok());
    drop(client);
    assert_eq!(daemon.await.unwrap(), 1);
}

#[tokio::test]
async fn an_error_ends_a_stream_after_what_came_before_it() {
    for kind in [MessageType::STREAM, MessageType::STREAM_HOLE, MessageType::REPLY] {
        let (client, mut daemon) = Daemon::start(&Config::default());
        let (mut stream, call) = open(&client, &mut daemon, download()).await;
        daemon.data(&call, b"before").await;
        daemon.fail(&call, kind, 38).await;
        daemon.fail(&call, kind, 1).await;
        daemon.data(&call, b"after").await;
        let daemon = tokio::spawn(daemon.serve_hostnames());
        // All of it has come.
        client.call(hostname()).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), data(b"before"));
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::SYSTEM_ERROR), "the first error is the one that counts");
        assert!(error.to_string().starts_with("disk full (REMOTE_PROC_STORAGE_VOL_DOWNLOAD"), "{error}");
        assert!(stream.next().await.is_none());
        assert_eq!(stream.finish().await.unwrap_err().code(), error.code());
        stream.abort().await.unwrap();
        // There is nothing to abort, and nothing was.
        drop(client);
        assert_eq!(daemon.await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_error_reaches_writers_at_once() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let (mut stream, call) = open(&client, &mut daemon, upload(0)).await;
    // The daemon reads nothing, so this one waits for room.
    let writing = tokio::spawn(async move {
        let sent = stream.send(Bytes::from(vec![7; 16 << 20])).await;
        (sent, stream)
    });
    daemon.receive_stream(&call, MessageStatus::CONTINUE).await;
    daemon.fail(&call, MessageType::STREAM, 38).await;
    let (sent, mut stream) = writing.await.unwrap();
    assert_eq!(sent.unwrap_err().code(), Some(ErrorCode::SYSTEM_ERROR));
    assert_eq!(stream.finish().await.unwrap_err().code(), Some(ErrorCode::SYSTEM_ERROR));
    // What had been queued is not written; the frame that was begun is.
    let serving = tokio::spawn(async move {
        let mut data = 0;
        while let Some(frame) = daemon.receive().await {
            match frame.header.type_ {
                MessageType::STREAM => data += 1,
                _ => daemon.reply(&frame, &remote::ConnectGetHostnameRet::default()).await,
            }
        }
        data
    });
    client.call(hostname()).await.unwrap();
    drop((client, stream));
    assert!(serving.await.unwrap() <= 1);
}

#[tokio::test]
async fn the_end_of_the_connection_ends_its_streams() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let (mut reading, call) = open(&client, &mut daemon, download()).await;
    let (mut writing, _) = open(&client, &mut daemon, upload(0)).await;
    let (mut finishing, finished) = open(&client, &mut daemon, upload(0)).await;
    daemon.data(&call, b"before").await;
    let writing = tokio::spawn(async move { writing.send(Bytes::from(vec![7; 16 << 20])).await });
    let ending = tokio::spawn(async move { finishing.finish().await });
    while daemon.receive().await.unwrap().header.serial != finished.header.serial {}
    drop(daemon);
    assert_eq!(reading.next().await.unwrap().unwrap(), data(b"before"));
    for error in [
        reading.next().await.unwrap().unwrap_err(),
        writing.await.unwrap().unwrap_err(),
        ending.await.unwrap().unwrap_err(),
        reading.finish().await.unwrap_err(),
    ] {
        assert!(matches!(error.close_reason(), Some(CloseReason::Eof)), "{error}");
    }
}

#[tokio::test]
async fn holes_go_both_ways_where_they_were_asked_for() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let (mut stream, call) = open(&client, &mut daemon, download_with(1)).await;
    assert!(stream.carries_holes());
    daemon.hole(&call, 5 << 40).await;
    daemon.data(&call, b"x").await;
    daemon.hole(&call, -1).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), Piece::Hole(5 << 40));
    assert_eq!(stream.next().await.unwrap().unwrap(), data(b"x"));
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("length: -1 is not a number of bytes"), "{error}");
    daemon.receive_stream(&call, MessageStatus::ERROR).await;

    let (mut stream, call) = open(&client, &mut daemon, upload(1)).await;
    stream.send_hole(1 << 20).await.unwrap();
    stream.send_hole(0).await.unwrap();
    let frame = daemon.receive().await.unwrap();
    let expected =
        MessageHeader { type_: MessageType::STREAM_HOLE, status: MessageStatus::CONTINUE, ..call.header };
    assert_eq!(frame.header, expected);
    assert_eq!(frame.payload.as_ref(), [0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0]);
    assert!(stream.send_hole(u64::MAX).await.unwrap_err().is_unsupported());

    // A daemon would end the connection.
    let (mut stream, _) = open(&client, &mut daemon, upload(0)).await;
    assert!(!stream.carries_holes());
    let error = stream.send_hole(1).await.unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("holes"), "{error}");
}

#[tokio::test]
async fn many_streams_keep_apart() {
    let (client, daemon) = Daemon::start(&Config::default());
    let daemon = tokio::spawn(daemon.serve_streams());
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let (_, mut stream) = client.open_stream(download()).await.unwrap();
                assert_eq!(stream.next().await.unwrap().unwrap(), data(b"some"));
                client.call(hostname()).await.unwrap();
                assert_eq!(stream.next().await.unwrap().unwrap(), data(b"more"));
                assert!(stream.next().await.is_none());
                stream.finish().await.unwrap();
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    drop(client);
    assert_eq!(daemon.await.unwrap(), (50, 0));
}

#[tokio::test]
async fn the_hook_hears_once_why_a_stream_failed() {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut config = Config::default();
    config.on_error = Some(libvirt_client::rpc::ErrorHook::new({
        let heard = heard.clone();
        move |error: &Error| heard.lock().unwrap().push(error.code())
    }));
    let (client, mut daemon) = Daemon::start(&config);
    let (mut stream, call) = open(&client, &mut daemon, upload(0)).await;
    daemon.fail(&call, MessageType::STREAM, 38).await;
    assert!(stream.next().await.unwrap().is_err());
    assert!(poll_fn(|cx| stream.poll_room(cx)).await.is_err());
    assert!(stream.finish().await.is_err());
    assert_eq!(heard.lock().unwrap().as_slice(), [Some(ErrorCode::SYSTEM_ERROR)]);
}

#[tokio::test(start_paused = true)]
async fn finishing_has_the_deadline_of_calls() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let client = client.with_timeout(Duration::from_secs(3));
    let (mut stream, _call) = open(&client, &mut daemon, upload(0)).await;
    let error = stream.finish().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { waiting: Waiting::ForAnswer, .. }), "{error}");
}
