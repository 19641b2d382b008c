//! The client and its driver over in-memory pipes, with a scripted daemon on the other side.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what goes wrong in a test ends it")]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use libvirt_client::{
    CloseReason, Connection, Error, ErrorCode, Waiting,
    protocol::{
        frame::{Frame, FrameDecoder},
        keepalive,
        net::{MessageError, MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::{ByteStream, Client, Config, KeepaliveConfig},
    xdr::{Encode, to_vec},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

#[path = "rpc/announced.rs"]
mod announced;
#[path = "rpc/goodbye.rs"]
mod goodbye;
#[path = "rpc/hooks.rs"]
mod hooks;
#[path = "rpc/late.rs"]
mod late;
#[path = "rpc/phases.rs"]
mod phases;
#[path = "rpc/silence.rs"]
mod silence;
#[path = "rpc/stream_flow.rs"]
mod stream_flow;
#[path = "rpc/streams.rs"]
mod streams;
#[path = "rpc/turns.rs"]
mod turns;

/// The daemon's side of a pipe.
struct Daemon {
    stream: DuplexStream,
    decoder: FrameDecoder,
}

impl Daemon {
    /// A pipe this narrow forces partial reads and writes.
    fn start(config: &Config) -> (Client, Self) {
        let (near, far) = duplex(64);
        (Client::start(ByteStream(near), config), Self { stream: far, decoder: FrameDecoder::default() })
    }

    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return Some(frame);
            }
            let count = self.stream.read(self.decoder.spare()).await.unwrap();
            if count == 0 {
                return None;
            }
            self.decoder.advance(count);
        }
    }

    async fn send(&mut self, header: MessageHeader, body: &impl Encode) {
        let payload = to_vec(body).unwrap().into();
        let bytes = Frame { header, payload, descriptors: Vec::new() }.encode().unwrap();
        // A client that has left does not hear it.
        let _ = self.stream.write_all(&bytes).await;
    }

    async fn reply(&mut self, call: &Frame, body: &impl Encode) {
        let header = MessageHeader { type_: MessageType::REPLY, ..call.header };
        self.send(header, body).await;
    }

    async fn refuse(&mut self, call: &Frame, code: i32) {
        let header = MessageHeader { type_: MessageType::REPLY, status: MessageStatus::ERROR, ..call.header };
        let message = Some("no".to_owned());
        self.send(header, &MessageError { code, domain: 10, message, level: 2, ..Default::default() }).await;
    }

    /// Answers every call for the host name with a number of its own, until the client leaves.
    async fn serve_hostnames(mut self) -> usize {
        let mut served = 0;
        while let Some(call) = self.receive().await {
            served += 1;
            self.reply(
                &call,
                &remote::ConnectGetHostnameRet { hostname: format!("host-{}", call.header.serial) },
            )
            .await;
        }
        served
    }
}

fn hostname() -> remote::ConnectGetHostnameArgs {
    remote::ConnectGetHostnameArgs
}

#[tokio::test]
async fn calls_are_answered() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let daemon = tokio::spawn(async move {
        let call = daemon.receive().await.unwrap();
        assert_eq!(call.header.proc, remote::Procedure::CONNECT_GET_HOSTNAME.0);
        daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "here".to_owned() }).await;
        let call = daemon.receive().await.unwrap();
        daemon.refuse(&call, 42).await;
        daemon
    });
    assert_eq!(client.call(hostname()).await.unwrap().hostname, "here");
    let error = client.call(remote::DomainLookupByNameArgs { name: "x".to_owned() }).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.code(), Some(ErrorCode::NO_DOMAIN));
    assert_eq!(error.remote().unwrap().procedure, "REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME");
    drop(daemon);
}

#[tokio::test]
async fn a_reply_that_does_not_decode_ends_its_call_only() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    tokio::spawn(async move {
        let call = daemon.receive().await.unwrap();
        daemon.reply(&call, &Bytes::from_static(&[0, 0, 0, 9])).await;
        let call = daemon.receive().await.unwrap();
        daemon.reply(&call, &Bytes::from_static(&[0, 0, 0, 0, 1, 2, 3, 4])).await;
        daemon.serve_hostnames().await;
    });
    let error = client.call(hostname()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot understand the daemon's answer to REMOTE_PROC_CONNECT_GET_HOSTNAME: \
         hostname: 9 more bytes expected (at byte 4)"
    );
    let error = client.call(hostname()).await.unwrap_err();
    assert!(error.to_string().contains("4 bytes left after the value"), "{error}");
    assert_eq!(client.call(hostname()).await.unwrap().hostname, "host-2");
}

#[tokio::test]
async fn no_more_calls_than_the_cap_are_without_a_reply() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(hostname()).await.unwrap().hostname })
        })
        .collect();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(daemon.receive().await.unwrap());
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(50), daemon.receive()).await.is_err(),
        "a fifth call was sent"
    );
    for call in waiting {
        daemon
            .reply(&call, &remote::ConnectGetHostnameRet { hostname: format!("host-{}", call.header.serial) })
            .await;
    }
    let daemon = tokio::spawn(daemon.serve_hostnames());
    let mut names = Vec::new();
    for call in calls {
        names.push(call.await.unwrap());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 50);
    drop(client);
    assert_eq!(daemon.await.unwrap(), 46);
}

/// Polls a call any number of times, drops it there, and makes another one.
#[tokio::test]
async fn a_call_may_be_dropped_at_every_poll() {
    let (client, daemon) = Daemon::start(&Config::default());
    let daemon = tokio::spawn(daemon.serve_hostnames());
    let mut finished = 0;
    for polls in 0..40 {
        {
            let mut call = pin!(client.call(hostname()));
            for _ in 0..polls {
                let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
                if let Poll::Ready(result) = polled {
                    result.unwrap();
                    finished += 1;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let name = client.call(hostname()).await.unwrap().hostname;
        assert!(name.starts_with("host-"), "{name}");
    }
    assert!(finished > 0, "40 polls are enough for a call");
    drop(client);
    assert!(daemon.await.unwrap() >= 40);
}

/// Polls a future any number of times, as other tasks go on, and drops it there unless it is done.
async fn poll_and_drop<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

impl Daemon {
    /// Answers whatever opening, events and closing take. As a real daemon, it refuses a second registration, and it ends
    /// the connection after the goodbye.
    async fn serve_events(mut self) {
        let mut registered = false;
        while let Some(call) = self.receive().await {
            match remote::Procedure(call.header.proc) {
                remote::Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY if registered => {
                    self.refuse(&call, 8).await;
                }
                remote::Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY => {
                    registered = true;
                    self.reply(&call, &7i32).await;
                }
                remote::Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY => {
                    registered = false;
                    self.reply(&call, &()).await;
                }
                remote::Procedure::CONNECT_CLOSE => return self.reply(&call, &()).await,
                remote::Procedure::AUTH_LIST => {
                    self.reply(&call, &remote::AuthListRet { types: vec![remote::AuthType::NONE] }).await;
                }
                remote::Procedure::CONNECT_SUPPORTS_FEATURE => self.reply(&call, &1i32).await,
                remote::Procedure::CONNECT_OPEN => self.reply(&call, &()).await,
                remote::Procedure::DOMAIN_LOOKUP_BY_NAME => self.refuse(&call, 42).await,
                _ => {
                    let hostname = format!("host-{}", call.header.serial);
                    self.reply(&call, &remote::ConnectGetHostnameRet { hostname }).await;
                }
            }
        }
    }
}

async fn connect() -> (Connection, tokio::task::JoinHandle<()>) {
    let (near, far) = duplex(64);
    let daemon = tokio::spawn(Daemon { stream: far, decoder: FrameDecoder::default() }.serve_events());
    let builder = Connection::builder("unused:///");
    (builder.open_over(ByteStream(near), "test:///default".to_owned()).await.unwrap(), daemon)
}

#[tokio::test]
async fn a_subscription_may_be_dropped_at_every_poll() {
    let (connection, _daemon) = connect().await;
    assert_eq!(connection.uri(), "test:///default");
    for polls in 0..60 {
        drop(poll_and_drop(connection.events().domain_lifecycle().subscribe(), polls).await);
        drop(connection.events().domain_lifecycle().subscribe().await.unwrap());
        assert!(connection.hostname().await.unwrap().starts_with("host-"));
    }
}

impl Daemon {
    /// Lets a client in that asks for a connection: authentication, opening, four questions about features, and the
    /// registration for the daemon's own end.
    async fn answer_opening(&mut self) {
        self.answer_opening_calls(7).await;
    }

    async fn answer_opening_calls(&mut self, count: usize) {
        for _ in 0..count {
            let call = self.receive().await.unwrap();
            match remote::Procedure(call.header.proc) {
                remote::Procedure::AUTH_LIST => {
                    self.reply(&call, &remote::AuthListRet { types: Vec::new() }).await;
                }
                remote::Procedure::CONNECT_SUPPORTS_FEATURE => self.reply(&call, &1i32).await,
                _ => self.reply(&call, &()).await,
            }
        }
    }

    /// Asks for a sign of life.
    async fn ping(&mut self) {
        let header = MessageHeader {
            prog: keepalive::PROGRAM.number,
            vers: keepalive::PROGRAM.version,
            proc: keepalive::Procedure::PING.0,
            type_: MessageType::MESSAGE,
            serial: 0,
            status: MessageStatus::OK,
        };
        self.send(header, &()).await;
    }
}

/// Opens a connection whose daemon answers nothing by itself.
async fn connect_by_hand() -> (Connection, Daemon) {
    let (near, far) = duplex(64);
    let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
    let opening = tokio::spawn(
        Connection::builder("unused:///").open_over(ByteStream(near), "test:///default".to_owned()),
    );
    daemon.answer_opening().await;
    (opening.await.unwrap().unwrap(), daemon)
}

#[tokio::test]
async fn opening_and_closing_may_be_dropped_at_every_poll() {
    let mut opened = 0;
    for polls in 0..80 {
        let (near, far) = duplex(64);
        let daemon = tokio::spawn(Daemon { stream: far, decoder: FrameDecoder::default() }.serve_events());
        let opening = Connection::builder("test:///default").open_over(ByteStream(near), None);
        opened += usize::from(poll_and_drop(opening, polls).await.is_some());
        // The daemon sees the end of the stream, so nothing of ours is left.
        daemon.await.unwrap();
    }
    assert!(opened > 0, "80 polls are enough to open a connection");

    for polls in 0..60 {
        let (connection, daemon) = connect().await;
        let other = connection.clone();
        let closed = poll_and_drop(connection.close(), polls).await;
        if polls > 0 {
            assert!(
                matches!(other.closed().await, CloseReason::Client),
                "once polled, it goes on to its end"
            );
        }
        match other.hostname().await {
            Ok(name) => assert!(closed.is_none() && name.starts_with("host-"), "{name}"),
            Err(error) => assert!(matches!(error.close_reason(), Some(CloseReason::Client)), "{error:?}"),
        }
        drop(other);
        daemon.await.unwrap();
    }
}

#[tokio::test]
async fn what_the_daemon_said_before_it_went_is_still_heard() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.call(hostname()).await }
    });
    let call = daemon.receive().await.unwrap();
    daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "last words".to_owned() }).await;
    drop(daemon);
    // Both are there at once: the answer, and a stream that takes no more.
    let late = client.call(hostname()).await;
    assert_eq!(asking.await.unwrap().unwrap().hostname, "last words");
    assert!(matches!(late.unwrap_err().close_reason(), Some(CloseReason::Eof)));
}

#[tokio::test]
async fn odd_limits_are_taken_for_what_they_mean() {
    let mut config = Config::default();
    config.in_flight = usize::MAX;
    let (client, daemon) = Daemon::start(&config);
    tokio::spawn(daemon.serve_hostnames());
    client.start_keepalive(KeepaliveConfig { interval: Duration::MAX, count: u32::MAX });
    client.start_keepalive(KeepaliveConfig { interval: Duration::ZERO, count: 0 });
    assert_eq!(client.call(hostname()).await.unwrap().hostname, "host-0");
}

#[test]
fn what_users_hold_can_be_sent_and_shared() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Client>();
    check::<Connection>();
    check::<libvirt_client::Domain>();
    check::<libvirt_client::Events>();
    check::<Error>();
}

#[tokio::test]
async fn a_call_dropped_before_its_turn_is_never_sent() {
    let mut config = Config::default();
    config.in_flight = 1;
    let (client, mut daemon) = Daemon::start(&config);
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.call(hostname()).await }
    });
    let call = daemon.receive().await.unwrap();
    {
        let mut waiting = pin!(client.call(remote::DomainLookupByNameArgs { name: "never".to_owned() }));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "one".to_owned() }).await;
    assert_eq!(first.await.unwrap().unwrap().hostname, "one");
    let second = tokio::spawn(async move { client.call(hostname()).await });
    let call = daemon.receive().await.unwrap();
    assert_eq!(call.header.proc, remote::Procedure::CONNECT_GET_HOSTNAME.0);
    daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "two".to_owned() }).await;
    assert_eq!(second.await.unwrap().unwrap().hostname, "two");
}

#[tokio::test(start_paused = true)]
async fn deadlines_end_calls_and_say_whether_they_were_sent() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let hasty = client.with_timeout(Duration::from_secs(3));
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let hasty = hasty.clone();
            tokio::spawn(async move { hasty.call(hostname()).await.unwrap_err() })
        })
        .collect();
    let mut late = Vec::new();
    for _ in 0..4 {
        late.push(daemon.receive().await.unwrap());
    }
    let mut sent = 0;
    for call in calls {
        let error = call.await.unwrap();
        assert!(error.is_timeout(), "{error}");
        match error {
            Error::Timeout { waiting: Waiting::ForAnswer, .. } => {
                sent += 1;
                assert!(error.to_string().contains("may still carry it out"), "{error}");
            }
            error => assert!(error.to_string().contains("was not sent"), "{error}"),
        }
    }
    assert_eq!(sent, 4);
    // The late replies are discarded, and the connection goes on.
    for call in late {
        daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "late".to_owned() }).await;
    }
    tokio::spawn(daemon.serve_hostnames());
    assert_eq!(client.call(hostname()).await.unwrap().hostname, "host-4");
}

#[tokio::test]
async fn the_reason_of_the_end_reaches_every_waiter() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(hostname()).await.unwrap_err() })
        })
        .collect();
    daemon.receive().await.unwrap();
    drop(daemon);
    for call in calls {
        let error = call.await.unwrap();
        assert!(matches!(error.close_reason(), Some(CloseReason::Eof | CloseReason::Io(_))), "{error:?}");
    }
    assert!(matches!(client.closed().await, CloseReason::Eof | CloseReason::Io(_)));
    assert!(matches!(client.call(hostname()).await.unwrap_err(), Error::Closed(_)));
}

#[tokio::test]
async fn a_cut_frame_is_told_from_a_clean_end() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    daemon.stream.write_all(&[0, 0, 0, 28, 1, 2]).await.unwrap();
    drop(daemon);
    let reason = client.closed().await.to_string();
    assert!(reason.contains("last message was cut"), "{reason}");
}

#[tokio::test]
async fn a_peer_that_is_no_daemon_is_recognised() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    daemon.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = client.call(hostname()).await.unwrap_err().to_string();
    assert!(error.contains("looks like a web server"), "{error}");
}

#[tokio::test]
async fn closing_writes_what_was_handed_over() {
    let (client, daemon) = Daemon::start(&Config::default());
    let served = tokio::spawn(daemon.serve_hostnames());
    client.call(hostname()).await.unwrap();
    let mut pending = Box::pin(client.call(hostname()));
    assert!(pending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    client.close().await;
    let error = pending.await.unwrap_err();
    assert!(matches!(error.close_reason(), Some(CloseReason::Client)), "{error:?}");
    assert_eq!(served.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_daemon_is_given_up() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    client.start_keepalive(KeepaliveConfig { interval: Duration::from_secs(5), count: 2 });
    let begun = tokio::time::Instant::now();
    let ping = daemon.receive().await.unwrap();
    assert_eq!(
        (ping.header.prog, ping.header.proc),
        (keepalive::PROGRAM.number, keepalive::Procedure::PING.0)
    );
    let pong = MessageHeader { proc: keepalive::Procedure::PONG.0, ..ping.header };
    daemon.send(pong, &()).await;
    let reason = client.closed().await;
    assert!(
        matches!(reason, CloseReason::Keepalive { silence } if silence == Duration::from_secs(15)),
        "{reason}"
    );
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
}

#[tokio::test]
async fn a_ping_is_answered_while_calls_wait() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    let call = tokio::spawn(async move { client.call(hostname()).await });
    let first = daemon.receive().await.unwrap();
    daemon.ping().await;
    let pong = daemon.receive().await.unwrap();
    assert_eq!(pong.header.proc, keepalive::Procedure::PONG.0);
    daemon.reply(&first, &remote::ConnectGetHostnameRet { hostname: "h".to_owned() }).await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_daemon_that_no_longer_reads() {
    let (client, daemon) = Daemon::start(&Config::default());
    let name = "x".repeat(10_000);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call(remote::DomainLookupByNameArgs { name }).await }
    });
    tokio::task::yield_now().await;
    let begun = tokio::time::Instant::now();
    client.close().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(matches!(call.await.unwrap().unwrap_err().close_reason(), Some(CloseReason::Client)));
    drop(daemon);
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_is_sent() {
    let (client, daemon) = Daemon::start(&Config::default());
    tokio::spawn(daemon.serve_hostnames());
    let name = "x".repeat(remote::STRING_MAX as usize + 1);
    let error = client.call(remote::DomainLookupByNameArgs { name }).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot send REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME: name: length 4194305 exceeds the protocol's limit of 4194304 \
         (REMOTE_STRING_MAX)"
    );
    assert_eq!(client.call(hostname()).await.unwrap().hostname, "host-0");
}

#[tokio::test]
async fn a_stream_cannot_be_opened_by_a_plain_call() {
    let (client, _daemon) = Daemon::start(&Config::default());
    let arguments = remote::DomainScreenshotArgs {
        dom: remote::NonnullDomain { name: String::new(), uuid: [0; 16], id: -1 },
        screen: 0,
        flags: 0,
    };
    let error = client.call(arguments).await.unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("data stream"), "{error}");
}

#[test]
fn a_runtime_that_is_shut_down_ends_the_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (client, _daemon) = runtime.block_on(async { Daemon::start(&Config::default()) });
    drop(runtime);
    let mut call = pin!(client.call(hostname()));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(Error::Closed(CloseReason::Runtime))) => {}
        other => panic!("{other:?}"),
    }
}
