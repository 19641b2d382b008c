//! Signs of life, and connections that do without.

use super::*;

#[tokio::test(start_paused = true)]
async fn without_keepalive_nothing_is_asked_and_silence_is_no_end() {
    let (near, far) = duplex(64);
    let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
    let builder = Connection::builder("unused:///").keepalive(None);
    let opening = tokio::spawn(builder.open_over(ByteStream(near), "test:///default".to_owned()));
    // It is not even asked whether it knows signs of life, since it would ask for ours then.
    daemon.answer_opening_calls(6).await;
    let connection = opening.await.unwrap().unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(tokio::time::timeout(day, daemon.receive()).await.is_err(), "nobody asks for a sign of life");
    assert!(connection.client().close_reason().is_none());
    // It answers to those who ask.
    daemon.ping().await;
    assert_eq!(daemon.receive().await.unwrap().header.proc, keepalive::Procedure::PONG.0);
    let asking = tokio::spawn(async move { connection.hostname().await });
    let call = daemon.receive().await.unwrap();
    daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "still here".to_owned() }).await;
    assert_eq!(asking.await.unwrap().unwrap(), "still here");
}
