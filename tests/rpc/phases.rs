//! A daemon that falls silent while a connection is opened: the error names the step that was waited for.

use libvirt_client::Builder;

use super::*;

/// Opens a connection to a daemon that answers so many calls, and then says nothing. Returns the error, and how long it took.
async fn open(builder: Builder, offered: remote::AuthType, answers: usize) -> (Error, Duration) {
    let (near, far) = duplex(4096);
    let silent = tokio::spawn(async move {
        let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
        for _ in 0..answers {
            let call = daemon.receive().await.unwrap();
            daemon.answer(&call, offered).await;
        }
        // It goes on to read.
        while daemon.receive().await.is_some() {}
    });
    let begun = tokio::time::Instant::now();
    let error = builder.open_over(ByteStream(near), "test:///default".to_owned()).await.unwrap_err();
    let took = begun.elapsed();
    silent.await.unwrap();
    (error, took)
}

impl Daemon {
    async fn answer(&mut self, call: &Frame, offered: remote::AuthType) {
        match remote::Procedure(call.header.proc) {
            remote::Procedure::AUTH_LIST => {
                self.reply(call, &remote::AuthListRet { types: vec![offered] }).await
            }
            remote::Procedure::AUTH_SASL_INIT => {
                self.reply(call, &remote::AuthSaslInitRet { mechlist: "SCRAM-SHA-256".to_owned() }).await;
            }
            remote::Procedure::AUTH_SASL_START => {
                let sent: remote::AuthSaslStartArgs = libvirt_client::xdr::from_bytes(&call.payload).unwrap();
                let sent = String::from_utf8(sent.data).unwrap();
                let nonce = sent.split_once("r=").unwrap().1;
                let data = format!("r={nonce}more,s=c2FsdA==,i=4096").into_bytes();
                self.reply(call, &remote::AuthSaslStartRet { complete: 0, nil: 0, data }).await;
            }
            remote::Procedure::CONNECT_SUPPORTS_FEATURE => self.reply(call, &1i32).await,
            _ => self.reply(call, &()).await,
        }
    }
}

fn knowing() -> Builder {
    Connection::builder("unused:///").credentials(|_| async { Some("secret".into()) })
}

#[track_caller]
fn is_named((error, took): &(Error, Duration), expected: &str, limit: Duration) {
    let Error::Timeout { what, after, waiting: Waiting::ForConnection } = error else { panic!("{error:?}") };
    assert_eq!((*what, *after, *took), (expected, limit, limit), "{error}");
    assert!(error.to_string().starts_with(&format!("{expected} was not done within")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn each_step_that_was_not_done_is_named() {
    let limit = Duration::from_secs(30);
    let (none, polkit) = (remote::AuthType::NONE, remote::AuthType::POLKIT);
    for (offered, answers, step) in [
        (none, 0, "asking how to authenticate"),
        (polkit, 1, "the authentication by polkit"),
        (none, 1, "opening the connection"),
        (none, 2, "opening the connection"),
        (none, 3, "opening the connection"),
        (none, 6, "opening the connection"),
    ] {
        is_named(&open(knowing(), offered, answers).await, step, limit);
    }
}

#[cfg(feature = "sasl")]
#[tokio::test(start_paused = true)]
async fn each_step_of_sasl_is_named() {
    let (limit, sasl) = (Duration::from_secs(3), remote::AuthType::SASL);
    for (answers, step) in [
        (1, "asking for the mechanisms of SASL"),
        (2, "the first step of the authentication by SASL"),
        (3, "a further step of the authentication by SASL"),
    ] {
        is_named(&open(knowing().open_timeout(limit), sasl, answers).await, step, limit);
    }
    let asking = Connection::builder("unused:///").credentials(|_| std::future::pending());
    is_named(&open(asking.open_timeout(limit), sasl, 2).await, "asking the user for credentials", limit);
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_keepalive_ends_the_opening() {
    let none = remote::AuthType::NONE;
    let patience = Duration::from_secs(30);
    let patient = || Connection::builder("unused:///").open_timeout(None);
    is_named(&open(patient(), none, 0).await, "asking how to authenticate", patience);
    // The driver may take its time, but the daemon has to show that it lives: it was asked for keepalive, and said yes.
    let (error, took) = open(patient(), none, 2).await;
    assert!(matches!(error.close_reason(), Some(CloseReason::Keepalive { .. })), "{error:?}");
    assert_eq!(took, patience);
    // Nobody wants to know.
    let opening = open(patient().keepalive(None), none, 0);
    assert!(tokio::time::timeout(Duration::from_secs(3600), opening).await.is_err());
}

/// The kernel answers to nobody while as many connections as it keeps wait to be accepted.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_does_not_answer_is_named() {
    use tokio::net::{TcpSocket, TcpStream};

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(300);
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(limit, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let builder = Connection::builder(format!("test+tcp://{address}/default")).open_timeout(limit);
    let begun = tokio::time::Instant::now();
    let error = builder.open().await.unwrap_err();
    assert!(begun.elapsed() >= limit);
    is_named(&(error, limit), "connecting", limit);
}

#[cfg(feature = "sasl")]
#[tokio::test(start_paused = true)]
async fn without_a_deadline_the_daemon_is_waited_for_no_longer_and_people_are() {
    let (patience, sasl) = (Duration::from_secs(30), remote::AuthType::SASL);
    let patient = || knowing().open_timeout(None);
    for (answers, step) in [
        (1, "asking for the mechanisms of SASL"),
        (2, "the first step of the authentication by SASL"),
        (3, "a further step of the authentication by SASL"),
    ] {
        is_named(&open(patient(), sasl, answers).await, step, patience);
    }
    is_named(&open(patient(), remote::AuthType::NONE, 1).await, "opening the connection", patience);

    let asking = patient().credentials(|_| std::future::pending());
    let opening = open(asking, sasl, 2);
    assert!(tokio::time::timeout(Duration::from_secs(3600), opening).await.is_err());
}
