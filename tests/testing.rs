//! The recorder and the replayer, as users of the `testing` feature meet them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test ends it"
)]

use bytes::Bytes;
use libvirt_client::{
    Connection, Error, ErrorCode, Event,
    protocol::{
        frame::{Frame, FrameDecoder},
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::{Client, Config},
    testing::{Direction, Recording, Replay},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn recording(name: &str) -> Recording {
    Recording::load(format!("{}/fixtures/recordings/{name}.rec", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn start(name: &str) -> Client {
    Client::start(Replay::new(&recording(name)).start(), &Config::default())
}

#[tokio::test]
async fn a_replay_opens_lists_and_sends_events() {
    let replay = Replay::new(&recording("tour"));
    // Twice, since each connection starts anew.
    for _ in 0..2 {
        let builder = Connection::builder("test:///default");
        let connection = builder.open_over(replay.start(), "test:///default".to_owned()).await.unwrap();
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        let domains = connection.domains().await.unwrap();
        let mut names: Vec<_> = domains.iter().map(|domain| domain.name().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["backup", "database", "mail", "test", "web"]);
        for domain in &domains {
            domain.info().await.unwrap();
        }
        assert_eq!(connection.hostname().await.unwrap(), "host.example");
        // The last call before the events.
        connection.capabilities().await.unwrap();
        for expected in ["web", "web", "mail", "database", "backup"] {
            match events.next().await.unwrap().unwrap() {
                Event::Domain(event) => assert_eq!(event.domain().name(), expected),
                other => panic!("{other:?}"),
            }
        }
        connection.close().await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_refused_where_only_bytes_pass() {
    let replay = Replay::new(&recording("tour"));
    let builder = Connection::builder("test:///default");
    let connection = builder.open_over(replay.start(), "test:///default".to_owned()).await.unwrap();
    let domain = connection.domains().await.unwrap().swap_remove(0);
    let null = || std::fs::File::open("/dev/null").unwrap();
    for error in [
        domain.open_graphics_fd(0).await.unwrap_err(),
        domain.open_graphics(0, null()).await.unwrap_err(),
        domain.start_with_files([null()]).await.unwrap_err(),
    ] {
        assert!(error.is_unsupported() && error.to_string().contains("only a Unix socket"), "{error}");
    }
    assert_eq!(connection.hostname().await.unwrap(), "host.example", "the connection goes on");
}

#[tokio::test]
async fn a_call_that_was_not_recorded_is_refused_by_name() {
    let client = start("virsh-test-list");
    let error = client.call(remote::ConnectGetHostnameArgs).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NO_SUPPORT));
    assert!(error.to_string().contains("no such call of REMOTE_PROC_CONNECT_GET_HOSTNAME"), "{error}");
    let error = client.call(remote::ConnectSupportsFeatureArgs { feature: 99 }).await.unwrap_err();
    assert!(error.is_unsupported(), "{error}");
}

#[tokio::test]
async fn replies_to_equal_calls_come_in_their_order_and_the_last_one_stays() {
    // The progress of a block job is asked for until it is done.
    let recording = recording("python-qemu-events");
    let payload = |frame: &libvirt_client::testing::RecordedFrame| Bytes::copy_from_slice(frame.payload());
    let number = remote::Procedure::DOMAIN_GET_BLOCK_JOB_INFO;
    let of = |direction| {
        recording
            .frames()
            .iter()
            .filter(move |frame| frame.direction() == direction && frame.procedure() == number.0)
    };
    let calls: Vec<_> = of(Direction::FromClient).map(payload).collect();
    let replies: Vec<_> = of(Direction::FromDaemon).map(payload).collect();
    assert!(calls.len() > 1 && calls.iter().all(|call| *call == calls[0]));

    let client = Client::start(Replay::new(&recording).start(), &Config::default());
    let info = number.info().unwrap();
    for expected in replies.iter().chain([replies.last().unwrap(); 3]) {
        let reply = client.call_raw(info, calls[0].clone(), Vec::new()).await.unwrap();
        assert_eq!(reply.payload, *expected);
    }
}

#[tokio::test]
async fn errors_and_lost_descriptors_are_errors() {
    let client = start("virsh-test-errors");
    let error =
        client.call(remote::DomainLookupByNameArgs { name: "nosuchdomain".to_owned() }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NO_DOMAIN));

    let recording = recording("python-qemu-descriptors");
    let client = Client::start(Replay::new(&recording).start(), &Config::default());
    let open = remote::Procedure::DOMAIN_OPEN_GRAPHICS_FD;
    let call = recording.frames().iter().find(|frame| frame.procedure() == open.0).unwrap();
    let arguments = Bytes::copy_from_slice(call.payload());
    let error = client.call_raw(open.info().unwrap(), arguments, Vec::new()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OPERATION_UNSUPPORTED));
}

#[tokio::test]
async fn the_daemon_hangs_up_where_it_did() {
    let client = start("virsh-test-list");
    client.call(remote::ConnectCloseArgs).await.unwrap();
    let Err(Error::Closed(reason)) = client.call(remote::ConnectGetTypeArgs).await else {
        panic!("still there")
    };
    // The daemon did it because it was told goodbye.
    assert_eq!(reason.to_string(), "closed by this client");
}

/// Speaks frames, for what the client has no calls for.
struct Wire {
    stream: DuplexStream,
    decoder: FrameDecoder,
}

impl Wire {
    async fn send(&mut self, header: &MessageHeader, payload: &[u8]) {
        let frame =
            Frame { header: *header, payload: Bytes::copy_from_slice(payload), descriptors: Vec::new() };
        self.stream.write_all(&frame.encode().unwrap()).await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return frame;
            }
            let count = self.stream.read(self.decoder.spare()).await.unwrap();
            assert_ne!(count, 0);
            self.decoder.advance(count);
        }
    }
}

#[tokio::test]
async fn streams_are_played_when_they_are_due() {
    for (name, procedure) in [
        ("virsh-qemu-download", remote::Procedure::STORAGE_VOL_DOWNLOAD),
        ("virsh-qemu-download-sparse", remote::Procedure::STORAGE_VOL_DOWNLOAD),
        ("virsh-qemu-upload", remote::Procedure::STORAGE_VOL_UPLOAD),
        ("virsh-test-screenshot", remote::Procedure::DOMAIN_SCREENSHOT),
    ] {
        let recording = recording(name);
        let mut wire = Wire { stream: Replay::new(&recording).start().0, decoder: FrameDecoder::default() };
        for frame in recording.frames().iter().filter(|frame| frame.procedure() == procedure.0) {
            let header = MessageHeader {
                prog: frame.program(),
                vers: frame.version(),
                proc: frame.procedure(),
                type_: MessageType(frame.kind() as i32),
                serial: frame.serial() + 1000,
                status: MessageStatus(frame.status() as i32),
            };
            match frame.direction() {
                Direction::FromClient => wire.send(&header, frame.payload()).await,
                Direction::FromDaemon => {
                    let received = wire.receive().await;
                    assert_eq!(received.header, header, "{name}");
                    assert_eq!(received.payload, frame.payload(), "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_finished_early_is_confirmed() {
    let recording = recording("virsh-test-screenshot");
    let shot = remote::Procedure::DOMAIN_SCREENSHOT;
    let call = recording.frames().iter().find(|frame| frame.procedure() == shot.0).unwrap();
    let mut wire = Wire { stream: Replay::new(&recording).start().0, decoder: FrameDecoder::default() };
    wire.stream.write_all(call.bytes()).await.unwrap();
    let header = wire.receive().await.header;
    assert_eq!((header.type_, header.status), (MessageType::REPLY, MessageStatus::OK));
    let abort = MessageHeader { type_: MessageType::STREAM, status: MessageStatus::ERROR, ..header };
    wire.send(&abort, &[]).await;
    loop {
        let frame = wire.receive().await;
        assert_eq!(frame.header.type_, MessageType::STREAM);
        if frame.header.status == MessageStatus::OK {
            break;
        }
    }
}

#[cfg(unix)]
mod recorder {
    use std::{fs::File, io::Read, os::fd::AsFd};

    use libvirt_client::{
        protocol::{frame, keepalive, net::MessageType},
        testing::{RecordedFrame, Recorder},
        transport::unix::UnixSocket,
    };
    use tokio::net::UnixStream;

    use super::*;

    async fn send(socket: &mut UnixSocket, bytes: &[u8], descriptor: Option<&File>) {
        let descriptor = descriptor.map(AsFd::as_fd);
        let count = std::future::poll_fn(|cx| socket.poll_send(cx, bytes, descriptor)).await.unwrap();
        assert_eq!(count, bytes.len());
    }

    async fn receive(socket: &mut UnixSocket, count: usize) -> (Vec<u8>, Vec<File>) {
        let (mut bytes, mut files) = (Vec::new(), Vec::new());
        while bytes.len() < count {
            let mut buffer = [0; 100];
            let mut take = |descriptor: std::os::fd::OwnedFd| files.push(descriptor.into());
            let more =
                std::future::poll_fn(|cx| socket.poll_receive(cx, &mut buffer, &mut take)).await.unwrap();
            assert_ne!(more, 0);
            bytes.extend_from_slice(&buffer[..more]);
        }
        (bytes, files)
    }

    fn header(procedure: remote::Procedure, kind: MessageType) -> MessageHeader {
        MessageHeader {
            prog: remote::PROGRAM.number,
            vers: 1,
            proc: procedure.0,
            type_: kind,
            serial: 7,
            status: MessageStatus::OK,
        }
    }

    /// Runs `talk` with the two ends of a recorded connection, and returns the recording.
    async fn recorded(
        recorder: Recorder,
        talk: impl AsyncFnOnce(&mut UnixSocket, &mut UnixSocket),
    ) -> Recording {
        let (client, near) = UnixStream::pair().unwrap();
        let (daemon, far) = UnixStream::pair().unwrap();
        let mut recording = Recording::default();
        let (mut client, mut daemon) = (UnixSocket::new(client).unwrap(), UnixSocket::new(daemon).unwrap());
        let talk = async {
            talk(&mut client, &mut daemon).await;
            drop(client);
        };
        let (recorded, ()) = tokio::join!(recorder.record(&mut recording, near, far), talk);
        recorded.unwrap();
        recording
    }

    #[tokio::test]
    async fn descriptors_go_through_with_their_frame() {
        let reply = frame::encode(
            &header(remote::Procedure::DOMAIN_OPEN_GRAPHICS_FD, MessageType::REPLY_WITH_FDS),
            2,
            &(),
        )
        .unwrap();
        let ping = header(remote::Procedure(keepalive::Procedure::PING.0), MessageType::CALL);
        let next = frame::encode(&ping, 0, &()).unwrap();
        let recording = recorded(Recorder::new(), async |client, daemon| {
            let file = File::open("/etc/passwd").unwrap();
            send(daemon, &reply, None).await;
            send(daemon, &[0], Some(&file)).await;
            send(daemon, &[0], Some(&file)).await;
            send(daemon, &next, None).await;
            let (bytes, files) = receive(client, reply.len() + 2 + next.len()).await;
            assert_eq!(bytes, [reply.as_slice(), &[0, 0], &next].concat());
            assert_eq!(files.len(), 2);
            let mut text = String::new();
            { &files[1] }.read_to_string(&mut text).unwrap();
            assert!(text.contains("root"));
        })
        .await;
        let frames: Vec<_> =
            recording.frames().iter().map(|frame| (frame.bytes().to_vec(), frame.descriptors())).collect();
        assert_eq!(frames, [(reply, 2), (next, 0)]);
        assert_eq!(recording.ended_by(), Some(Direction::FromClient));
    }

    #[tokio::test]
    async fn secrets_are_overwritten_in_the_recording_only() {
        let arguments =
            remote::AuthSaslStartArgs { mech: "PLAIN".to_owned(), nil: 0, data: b"\0fred\0secret".to_vec() };
        let call =
            frame::encode(&header(remote::Procedure::AUTH_SASL_START, MessageType::CALL), 0, &arguments)
                .unwrap();
        let talk = async |client: &mut UnixSocket, daemon: &mut UnixSocket| {
            send(client, &call, None).await;
            assert_eq!(receive(daemon, call.len()).await.0, call);
        };
        let masked = frame::encode(
            &header(remote::Procedure::AUTH_SASL_START, MessageType::CALL),
            0,
            &remote::AuthSaslStartArgs { data: vec![b'x'; 12], ..arguments.clone() },
        )
        .unwrap();
        let hidden = recorded(Recorder::new(), talk).await;
        let expected = RecordedFrame::new(Direction::FromClient, masked).unwrap().with_redacted(true);
        assert_eq!(hidden.frames(), [expected]);
        let shown = recorded(Recorder::new().keep_secrets(true), talk).await;
        assert_eq!(shown.frames()[0].bytes(), call);
        assert!(!shown.frames()[0].is_redacted());
    }

    #[tokio::test]
    async fn what_is_no_frame_ends_the_recording_but_not_the_connection() {
        let recording = recorded(Recorder::new(), async |client, daemon| {
            send(client, b"GET / HTTP/1.1", None).await;
            assert_eq!(receive(daemon, 14).await.0, b"GET / HTTP/1.1");
            send(daemon, b"400 no", None).await;
            assert_eq!(receive(client, 6).await.0, b"400 no");
        })
        .await;
        assert!(recording.frames().is_empty());
        assert_eq!(recording.get("stopped"), Some("the client sent a length word of 1195725856"));
    }
}
