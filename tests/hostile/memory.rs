//! What a connection holds of what is on its way: messages that are begun, signs of life.

use libvirt_client::{
    CloseReason,
    protocol::{
        keepalive,
        net::{MessageHeader, MessageStatus, MessageType},
    },
    rpc::Config,
};

use crate::{
    MIB, peer,
    peer::{event, framed, held},
};

/// What announces the longest message.
const LONGEST: u32 = peer::LONGEST as u32;

#[test]
fn a_length_that_lies_costs_nothing_and_ends_the_connection() {
    for length in [0, 3, 27, LONGEST + 1, u32::MAX] {
        let daemon = move |peer: &mut crate::peer::Peer| {
            peer.send(&length.to_be_bytes());
            peer.wait();
        };
        let (reason, bytes) = held(Config::default(), daemon, async |client| client.closed().await);
        assert!(matches!(reason, CloseReason::Protocol(_)), "{length}: {reason}");
        assert!(bytes < MIB / 4, "{length}: {bytes} bytes were held");
    }
}

#[test]
fn a_message_is_given_memory_as_it_comes() {
    for (comes, most) in [(28, MIB / 2), (MIB, 4 * MIB), (20 * MIB, 50 * MIB), (31 * MIB, 50 * MIB)] {
        let daemon = move |peer: &mut crate::peer::Peer| {
            peer.send(&LONGEST.to_be_bytes());
            peer.send(&vec![0; comes as usize]);
        };
        let (reason, bytes) = held(Config::default(), daemon, async |client| client.closed().await);
        assert!(reason.to_string().contains("cut"), "{reason}");
        assert!(bytes < most, "{bytes} bytes were held of a message of which {comes} have come");
    }
}

/// Events that nobody has subscribed to, as long as they may be, and then a small one: their memory is given back.
#[test]
fn long_messages_that_nobody_wants_leave_nothing_behind() {
    let daemon = |peer: &mut crate::peer::Peer| {
        let long = event(7, LONGEST as usize - 28);
        peer.flood(&long, 8);
        peer.send(&event(7, 4));
    };
    let (reason, bytes) = held(Config::default(), daemon, async |client| client.closed().await);
    assert!(matches!(reason, CloseReason::Eof), "{reason}");
    assert!(bytes < 50 * MIB, "{bytes} bytes were held");
}

#[test]
fn a_daemon_that_asks_for_signs_of_life_and_reads_none_is_owed_one() {
    let ping = framed(
        MessageHeader {
            prog: keepalive::PROGRAM.number,
            vers: keepalive::PROGRAM.version,
            proc: keepalive::Procedure::PING.0,
            type_: MessageType::MESSAGE,
            serial: 0,
            status: MessageStatus::OK,
        },
        &[],
    );
    let daemon = move |peer: &mut crate::peer::Peer| {
        peer.flood(&ping.repeat(1000), 200);
    };
    let (_, bytes) = held(Config::default(), daemon, async |client| client.closed().await);
    assert!(bytes < MIB, "{bytes} bytes were held");
}
