//! What a connection holds of events: for subscriptions that are not read, and for those that are on their way.

use libvirt_client::{
    protocol::{Call, remote},
    rpc::{Client, Config, EventSource, Family, Notice, Subscription},
};

use crate::{
    MIB,
    peer::{Peer, event, held},
};

fn lifecycle() -> EventSource {
    let cancel = remote::ConnectDomainEventCallbackDeregisterAnyArgs::PROCEDURE;
    let call = remote::ConnectDomainEventCallbackRegisterAnyArgs { event_id: 0, dom: None };
    EventSource::new(&call, Family::Domain, cancel).unwrap()
}

/// Sends more events than anybody wants: many, and long ones.
fn flood(peer: &mut Peer) {
    peer.flood(&event(7, 64).repeat(100), 1000);
    peer.flood(&event(7, 1 << 20), 64);
}

/// Counts what is there to be read, and what is said to be missing.
async fn count(mut subscription: Subscription) -> (u64, u64) {
    let (mut events, mut missing) = (0, 0);
    while let Some(Ok(notice)) = subscription.next().await {
        match notice {
            Notice::Lagged { missed } => missing += missed,
            _ => events += 1,
        }
    }
    (events, missing)
}

#[test]
fn a_subscription_that_is_not_read_holds_so_much_and_no_more() {
    let daemon = |peer: &mut Peer| {
        let (call, _) = peer.call();
        peer.reply(&call, &7i32);
        flood(peer);
    };
    let ((events, missing), bytes) = held(Config::default(), daemon, async |client: Client| {
        let subscription = client.subscribe(lifecycle()).await.unwrap();
        client.closed().await;
        count(subscription).await
    });
    assert!(bytes < 20 * MIB, "{bytes} bytes were held");
    assert_eq!((events, events + missing), (1024, 100_064), "each is delivered or reported");
}

#[test]
fn long_events_are_counted_by_their_bytes() {
    let daemon = |peer: &mut Peer| {
        let (call, _) = peer.call();
        peer.reply(&call, &7i32);
        peer.flood(&event(7, 1 << 20), 64);
    };
    let ((events, missing), bytes) = held(Config::default(), daemon, async |client: Client| {
        let subscription = client.subscribe(lifecycle()).await.unwrap();
        client.closed().await;
        count(subscription).await
    });
    assert!(bytes < 24 * MIB, "{bytes} bytes were held");
    assert_eq!((events, events + missing), (16, 64), "each is delivered or reported");
}

#[test]
fn events_before_the_reply_to_a_registration_are_bounded_alike() {
    let daemon = |peer: &mut Peer| {
        let (call, _) = peer.call();
        flood(peer);
        peer.reply(&call, &7i32);
    };
    let ((events, missing), bytes) = held(Config::default(), daemon, async |client: Client| {
        let subscription = client.subscribe(lifecycle()).await.unwrap();
        client.closed().await;
        count(subscription).await
    });
    assert!(bytes < 40 * MIB, "{bytes} bytes were held");
    assert_eq!(events + missing, 100_064, "each is delivered or reported");

    // And where the reply never comes.
    let daemon = |peer: &mut Peer| {
        peer.call();
        flood(peer);
    };
    let (refused, bytes) =
        held(Config::default(), daemon, async |client: Client| client.subscribe(lifecycle()).await.is_err());
    assert!(refused && bytes < 20 * MIB, "{bytes} bytes were held");
}
