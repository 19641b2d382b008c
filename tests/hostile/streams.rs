//! What a connection holds of the data of streams whose reader sleeps.

use libvirt_client::{
    protocol::{
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::{Client, Config},
};
use tokio::sync::oneshot;

use crate::{
    MIB,
    peer::{Peer, event, framed, held},
};

/// What may wait; three times as much as long as a call waits for its answer.
const BUFFER: usize = MIB as usize;
/// What each piece counts for, beside its bytes.
const OVERHEAD: usize = 64;

fn download() -> remote::StorageVolDownloadArgs {
    remote::StorageVolDownloadArgs {
        vol: remote::NonnullStorageVol::default(),
        offset: 0,
        length: 0,
        flags: 1,
    }
}

/// Opens a stream and sends what `flood` makes of the opening call, over and over, until the client reads no more: each time
/// one piece of so many bytes, with whatever comes beside it. Returns how much it held.
fn asleep(others_wait: bool, piece: usize, flood: impl Fn(&MessageHeader) -> Vec<u8> + Send) -> u64 {
    let (stopped, done) = oneshot::channel();
    let daemon = move |peer: &mut Peer| {
        let (call, _) = peer.call();
        peer.reply(&call, &());
        if others_wait {
            peer.call();
        }
        let bytes = flood(&call);
        // Before that, the buffer has room.
        let least = (buffer(others_wait) / (OVERHEAD + piece)).max(1) * bytes.len();
        peer.flood_until_stopped(&bytes, least);
        let _ = stopped.send(());
        peer.wait();
    };
    let mut config = Config::default();
    config.stream_buffer = BUFFER;
    let ((), bytes) = held(config, daemon, async move |client: Client| {
        let (_, stream) = client.open_stream(download()).await.unwrap();
        let waiting = others_wait
            .then(|| tokio::spawn(async move { client.call(remote::ConnectGetHostnameArgs).await }));
        done.await.unwrap();
        drop((stream, waiting));
    });
    bytes
}

fn buffer(others_wait: bool) -> usize {
    if others_wait { 3 * BUFFER } else { BUFFER }
}

fn data(call: &MessageHeader, length: usize) -> Vec<u8> {
    framed(
        MessageHeader { type_: MessageType::STREAM, status: MessageStatus::CONTINUE, ..*call },
        &vec![7; length],
    )
}

fn hole(call: &MessageHeader) -> Vec<u8> {
    let header = MessageHeader { type_: MessageType::STREAM_HOLE, status: MessageStatus::CONTINUE, ..*call };
    framed(header, &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
}

#[test]
fn data_for_a_sleeping_reader_is_bounded() {
    for others_wait in [false, true] {
        for length in [1, 100, 32 * 1024, 100_000, 262_120, 4 << 20] {
            let bytes = asleep(others_wait, length, |call| data(call, length));
            println!("pieces of {length} bytes, others wait: {others_wait}: {bytes} bytes are held");
            let most = (buffer(others_wait) + 2 * length) as u64 + 2 * MIB;
            assert!(bytes < most, "{bytes} bytes are held, of pieces of {length}");
        }
    }
}

#[test]
fn holes_for_a_sleeping_reader_are_bounded() {
    let bytes = asleep(false, 0, hole);
    assert!(bytes < BUFFER as u64 + MIB, "{bytes} bytes are held");
}

/// A piece of data keeps the memory alive that it came in. Whatever comes beside it must not make that much more than the
/// piece.
#[test]
fn data_holds_little_more_than_itself_whatever_comes_beside_it() {
    for (length, beside) in
        [(33 * 1024, 240 * 1024), (129 * 1024, 140 * 1024), (129 * 1024, 600 * 1024), (33 * 1024, 4 << 20)]
    {
        let bytes = asleep(true, length, |call| [data(call, length), event(7, beside)].concat());
        println!("{length} bytes beside {beside}: {bytes} bytes are held");
        let most = (4 * buffer(true) + 2 * beside) as u64 + MIB;
        assert!(bytes < most, "{bytes} bytes are held, for {length} beside {beside}");
    }
}
