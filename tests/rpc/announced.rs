//! What the daemon says of its own connection to the hypervisor.

use libvirt_client::{Event, Events, enums::ConnectCloseReason, events::ConnectionEvent};

use super::*;

impl Daemon {
    /// Says that its connection to the hypervisor has ended.
    async fn announce(&mut self, reason: i32) {
        let header = MessageHeader {
            prog: remote::PROGRAM.number,
            vers: remote::PROGRAM.version,
            proc: remote::Procedure::CONNECT_EVENT_CONNECTION_CLOSED.0,
            type_: MessageType::MESSAGE,
            serial: 0,
            status: MessageStatus::OK,
        };
        self.send(header, &remote::ConnectEventConnectionClosedMsg { reason }).await;
    }

    /// Asserts that the client says nothing.
    async fn hears_nothing(&mut self) {
        let early = tokio::time::timeout(Duration::from_millis(50), self.receive()).await;
        assert!(early.is_err(), "{:?}", early.map(|call| call.map(|call| call.header)));
    }
}

/// Asserts that a subscriber is told of the end, and then that it has come.
async fn is_told(events: &mut Events, announced: ConnectCloseReason) {
    match events.next().await.unwrap().unwrap() {
        Event::Connection(ConnectionEvent::Closed { reason }) => assert_eq!(reason, announced),
        other => panic!("{other:?}"),
    }
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error.close_reason(), Some(CloseReason::Announced(reason)) if *reason == announced));
    assert!(error.is_transient(), "another connection may be had");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn an_end_that_the_daemon_announces_is_the_connections() {
    let (connection, mut daemon) = connect_by_hand().await;
    // The registration is there since the opening, and shared.
    let mut all = Vec::new();
    for _ in 0..2 {
        all.push(connection.events().connection_closed().subscribe().await.unwrap());
    }
    daemon.hears_nothing().await;
    let asking = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await.unwrap_err() }
    });
    daemon.receive().await.unwrap();
    daemon.announce(1).await;
    let reason = connection.closed().await;
    assert!(matches!(reason, CloseReason::Announced(ConnectCloseReason::EOF)), "{reason}");
    assert!(reason.to_string().contains("connection to the hypervisor has ended: eof"), "{reason}");
    for events in &mut all {
        is_told(events, ConnectCloseReason::EOF).await;
    }
    assert!(matches!(asking.await.unwrap().close_reason(), Some(CloseReason::Announced(_))));
}

#[tokio::test]
async fn every_reason_is_told_as_it_is() {
    for (number, reason) in [
        (0, ConnectCloseReason::ERROR),
        (1, ConnectCloseReason::EOF),
        (2, ConnectCloseReason::KEEPALIVE),
        (3, ConnectCloseReason::CLIENT),
        (99, ConnectCloseReason(99)),
    ] {
        let (connection, mut daemon) = connect_by_hand().await;
        daemon.announce(number).await;
        let closed = connection.closed().await;
        assert!(matches!(&closed, CloseReason::Announced(announced) if *announced == reason), "{closed}");
    }
}

#[tokio::test]
async fn subscribers_that_go_leave_the_registration_there() {
    let (connection, mut daemon) = connect_by_hand().await;
    drop(connection.events().connection_closed().subscribe().await.unwrap());
    daemon.hears_nothing().await;
    let mut again = connection.events().connection_closed().subscribe().await.unwrap();
    daemon.hears_nothing().await;
    daemon.announce(2).await;
    is_told(&mut again, ConnectCloseReason::KEEPALIVE).await;
}

#[tokio::test]
async fn a_connection_that_nobody_holds_ends_though_it_is_registered() {
    let (connection, mut daemon) = connect_by_hand().await;
    drop(connection);
    assert!(daemon.receive().await.is_none());
}

#[tokio::test]
async fn a_daemon_that_cannot_announce_anything_will_do() {
    let (near, far) = duplex(64);
    let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
    let opening = tokio::spawn(
        Connection::builder("unused:///").open_over(ByteStream(near), "test:///default".to_owned()),
    );
    for _ in 0..7 {
        let call = daemon.receive().await.unwrap();
        match remote::Procedure(call.header.proc) {
            remote::Procedure::AUTH_LIST => {
                daemon.reply(&call, &remote::AuthListRet { types: Vec::new() }).await;
            }
            remote::Procedure::CONNECT_OPEN => daemon.reply(&call, &()).await,
            _ => daemon.refuse(&call, 3).await,
        }
    }
    let connection = opening.await.unwrap().unwrap();
    let error = connection.events().connection_closed().subscribe().await.unwrap_err();
    assert!(error.is_unsupported(), "{error}");
}
