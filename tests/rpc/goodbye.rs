//! How a connection is closed while its daemon is busy.

use libvirt_client::{Connection, Result};
use tokio::task::JoinHandle;

use super::*;

/// Receives a call of this procedure, and nothing after it as long as it has no answer.
async fn receive_alone(daemon: &mut Daemon, procedure: remote::Procedure) -> Frame {
    let call = daemon.receive().await.unwrap();
    assert_eq!(call.header.proc, procedure.0);
    let early = tokio::time::timeout(Duration::from_millis(100), daemon.receive()).await;
    assert!(early.is_err(), "{:?}", early.map(|call| call.map(|call| call.header)));
    call
}

const REGISTER: remote::Procedure = remote::Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY;
const DEREGISTER: remote::Procedure = remote::Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY;

#[tokio::test]
async fn goodbye_waits_for_subscriptions_that_the_daemon_has() {
    // Dropped when it was there, and dropped on its way.
    for is_there in [true, false] {
        let (connection, mut daemon) = connect_by_hand().await;
        let subscribing = tokio::spawn(connection.events().domain_lifecycle().subscribe());
        let register = daemon.receive().await.unwrap();
        assert_eq!(register.header.proc, REGISTER.0);
        if is_there {
            daemon.reply(&register, &7i32).await;
            drop(subscribing.await.unwrap().unwrap());
        } else {
            subscribing.abort();
            assert!(subscribing.await.unwrap_err().is_cancelled());
        }
        let closing = tokio::spawn(connection.close());
        if is_there {
            let cancel = receive_alone(&mut daemon, DEREGISTER).await;
            daemon.reply(&cancel, &()).await;
        } else {
            let early = tokio::time::timeout(Duration::from_millis(100), daemon.receive()).await;
            assert!(early.is_err(), "{:?}", early.map(|call| call.map(|call| call.header)));
            // The daemon forgets it with the connection.
            daemon.reply(&register, &7i32).await;
        }
        let goodbye = daemon.receive().await.unwrap();
        assert_eq!(goodbye.header.proc, remote::Procedure::CONNECT_CLOSE.0);
        daemon.reply(&goodbye, &()).await;
        closing.await.unwrap().unwrap();
    }
}

/// Asks for the host name, so many times at once.
fn ask(connection: &Connection, times: usize) -> Vec<JoinHandle<Result<String>>> {
    let ask = |connection: Connection| tokio::spawn(async move { connection.hostname().await });
    (0..times).map(|_| ask(connection.clone())).collect()
}

#[tokio::test]
async fn goodbye_does_not_wait_behind_calls() {
    let (connection, mut daemon) = connect_by_hand().await;
    let mut busy = ask(&connection, 6);
    for _ in 0..4 {
        let call = daemon.receive().await.unwrap();
        assert_eq!(call.header.proc, remote::Procedure::CONNECT_GET_HOSTNAME.0);
    }
    let closing = tokio::spawn(connection.clone().close());
    let goodbye = daemon.receive().await.unwrap();
    assert_eq!(goodbye.header.proc, remote::Procedure::CONNECT_CLOSE.0);
    // Those that wait for their turn are told at once, as are all that come later.
    let late = connection.hostname().await;
    let waiting = busy.split_off(4);
    for ended in [late, waiting.into_iter().next().unwrap().await.unwrap()] {
        assert!(matches!(ended.unwrap_err().close_reason(), Some(CloseReason::Client)));
    }
    assert!(busy.iter().all(|call| !call.is_finished()), "the daemon may still answer to these");
    daemon.reply(&goodbye, &()).await;
    closing.await.unwrap().unwrap();
    for call in busy {
        assert!(matches!(call.await.unwrap().unwrap_err().close_reason(), Some(CloseReason::Client)));
    }
    assert!(daemon.receive().await.is_none(), "nothing comes after goodbye");
}

#[tokio::test]
async fn what_waits_to_be_cancelled_does_not_hold_up_goodbye() {
    let (connection, mut daemon) = connect_by_hand().await;
    let subscribing = tokio::spawn(connection.events().domain_lifecycle().subscribe());
    let register = daemon.receive().await.unwrap();
    daemon.reply(&register, &7i32).await;
    let events = subscribing.await.unwrap().unwrap();
    let busy = ask(&connection, 4);
    for _ in &busy {
        daemon.receive().await.unwrap();
    }
    drop(events);
    tokio::task::yield_now().await;
    let closing = tokio::spawn(connection.close());
    let goodbye = daemon.receive().await.unwrap();
    assert_eq!(goodbye.header.proc, remote::Procedure::CONNECT_CLOSE.0);
    daemon.reply(&goodbye, &()).await;
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_answer_goodbye_is_left_in_time() {
    let (connection, mut daemon) = connect_by_hand().await;
    let busy = ask(&connection, 4);
    let begun = tokio::time::Instant::now();
    let closing = tokio::spawn(connection.close());
    for _ in 0..5 {
        daemon.receive().await.unwrap();
    }
    closing.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for call in busy {
        assert!(matches!(call.await.unwrap().unwrap_err().close_reason(), Some(CloseReason::Client)));
    }
}

/// Waits for the end of the connection, and gives signs of life until then, but no answers.
async fn until_gone(mut daemon: Daemon) {
    while let Some(frame) = daemon.receive().await {
        if frame.header.prog == keepalive::PROGRAM.number {
            let header = MessageHeader { proc: keepalive::Procedure::PONG.0, ..frame.header };
            daemon.send(header, &()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_answer_what_events_take_is_left_in_time() {
    #[derive(PartialEq)]
    enum Unanswered {
        Registration,
        Cancelling,
        CallsBeforeIt,
    }
    use Unanswered::*;
    for unanswered in [Registration, Cancelling, CallsBeforeIt] {
        let (connection, mut daemon) = connect_by_hand().await;
        let subscribing = tokio::spawn(connection.events().domain_lifecycle().subscribe());
        let register = daemon.receive().await.unwrap();
        assert_eq!(register.header.proc, REGISTER.0);
        if unanswered == Registration {
            subscribing.abort();
            assert!(subscribing.await.unwrap_err().is_cancelled());
        } else {
            daemon.reply(&register, &7i32).await;
            let events = subscribing.await.unwrap().unwrap();
            if unanswered == CallsBeforeIt {
                for call in ask(&connection, 4) {
                    daemon.receive().await.unwrap();
                    call.abort();
                }
            }
            drop(events);
        }
        drop(connection);
        let left = tokio::time::timeout(Duration::from_secs(10), until_gone(daemon)).await;
        assert!(left.is_ok(), "the client is still there");
    }
}
