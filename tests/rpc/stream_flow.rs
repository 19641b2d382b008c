//! How much of data streams waits in memory, and that nobody waits for ever.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use libvirt_client::rpc::{Piece, Stream};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    streams::{download, open, upload},
    *,
};

const BUFFER: usize = 1 << 20;
const CHUNK: usize = 64 * 1024;
/// What may be on its way beside what waits: the pipe, a read, and the frame that it cut.
const ON_ITS_WAY: usize = 3 * 256 * 1024;

fn config() -> Config {
    let mut config = Config::default();
    config.stream_buffer = BUFFER;
    config
}

fn start() -> (Client, Daemon) {
    let (near, far) = duplex(CHUNK);
    (Client::start(ByteStream(near), &config()), Daemon { stream: far, decoder: FrameDecoder::default() })
}

async fn length(stream: &mut Stream) -> usize {
    match stream.next().await.unwrap().unwrap() {
        Piece::Data(data) => data.len(),
        Piece::Hole(_) => 0,
    }
}

/// Sends data, far more than anybody takes. Returns how many bytes the client has taken, as they are counted.
fn flood(mut daemon: Daemon, call: Frame, chunk: usize) -> Arc<AtomicUsize> {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    tokio::spawn(async move {
        let data = vec![0; chunk];
        for _ in 0..64 * BUFFER / chunk {
            daemon.data(&call, &data).await;
            counter.fetch_add(chunk, Ordering::Relaxed);
        }
        // It goes on to listen.
        while daemon.receive().await.is_some() {}
    });
    taken
}

/// Waits until nothing happens any more: a clock that is paused goes on only then.
async fn nothing_more() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Has the daemon answer calls for the host name, but send a lot of data before each answer.
fn answer_behind_data(mut daemon: Daemon, call: Frame, before_each: usize) -> JoinHandle<()> {
    tokio::spawn(async move {
        let chunk = vec![0; CHUNK];
        while let Some(frame) = daemon.receive().await {
            if frame.header.type_ != MessageType::CALL {
                continue;
            }
            for _ in 0..before_each / CHUNK {
                daemon.data(&call, &chunk).await;
            }
            daemon.reply(&frame, &remote::ConnectGetHostnameRet::default()).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_reader_is_bounded() {
    let (client, mut daemon) = start();
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    let taken = flood(daemon, call, CHUNK);
    nothing_more().await;
    let before = taken.load(Ordering::Relaxed);
    assert!((BUFFER..=BUFFER + ON_ITS_WAY).contains(&before), "{before} bytes were taken");
    // Room is made, and used.
    let mut read = 0;
    while read < 10 * BUFFER {
        read += length(&mut stream).await;
    }
    nothing_more().await;
    let waiting = taken.load(Ordering::Relaxed) - read;
    assert!((BUFFER..=BUFFER + ON_ITS_WAY).contains(&waiting), "{waiting} bytes were taken");
}

#[tokio::test(start_paused = true)]
async fn holes_and_small_pieces_are_bounded_as_well() {
    let (client, mut daemon) = start();
    let (_stream, call) = open(&client, &mut daemon, download()).await;
    let taken = flood(daemon, call, 1);
    nothing_more().await;
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < (BUFFER + ON_ITS_WAY) / 29, "{taken} pieces were taken");
}

#[tokio::test]
async fn a_reader_may_make_a_call_for_each_piece() {
    let (client, mut daemon) = start();
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    let chunk = vec![0; CHUNK];
    let answering = answer_behind_data(daemon, call, BUFFER + BUFFER / 2);
    for _ in 0..3 {
        client.call(hostname()).await.unwrap();
        let mut read = 0;
        while read < BUFFER + BUFFER / 2 {
            read += length(&mut stream).await;
        }
    }
    drop((client, stream, chunk));
    answering.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_sleeps_does_not_hold_up_calls_for_ever() {
    let (client, mut daemon) = start();
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    let answering = answer_behind_data(daemon, call, 8 * BUFFER);
    let begun = Instant::now();
    client.call(hostname()).await.unwrap();
    let waited = begun.elapsed();
    assert!((30..35).contains(&waited.as_secs()), "the call took {waited:?}");
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Timeout { waiting: Waiting::ForReader, .. }), "{error}");
    assert!(error.to_string().contains("its reader took nothing for 30s"), "{error}");
    drop((client, stream));
    answering.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_sleeps_does_not_hold_up_another_for_ever() {
    let (client, mut daemon) = start();
    let (mut asleep, first) = open(&client, &mut daemon, download()).await;
    let (mut awake, second) = open(&client, &mut daemon, download()).await;
    let flooding = tokio::spawn(async move {
        let chunk = vec![0; CHUNK];
        for _ in 0..8 * BUFFER / CHUNK {
            daemon.data(&first, &chunk).await;
        }
        daemon.data(&second, b"at last").await;
        daemon
    });
    assert_eq!(length(&mut awake).await, 7);
    assert!(asleep.next().await.unwrap().unwrap_err().is_timeout());
    flooding.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_took_of_a_stream_that_is_over_makes_room() {
    let (client, mut daemon) = start();
    for _ in 0..20 {
        let (stream, call) = open(&client, &mut daemon, download()).await;
        for _ in 0..BUFFER / 4 / CHUNK {
            daemon.data(&call, &vec![0; CHUNK]).await;
        }
        let header =
            MessageHeader { type_: MessageType::STREAM, status: MessageStatus::ERROR, ..call.header };
        daemon.send(header, &MessageError { code: 1, level: 2, ..Default::default() }).await;
        nothing_more().await;
        drop(stream);
    }
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    daemon.data(&call, b"there is room").await;
    assert_eq!(length(&mut stream).await, 13);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_costs_nobody_the_connection() {
    let (client, mut daemon) = start();
    client.start_keepalive(KeepaliveConfig { interval: Duration::from_secs(5), count: 1 });
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    let header = MessageHeader { type_: MessageType::STREAM, status: MessageStatus::CONTINUE, ..call.header };
    let frame = Frame { header, payload: vec![0; CHUNK].into(), descriptors: Vec::new() }.encode().unwrap();
    let (mut from_client, mut to_client) = tokio::io::split(daemon.stream);
    // More than there is room for.
    let flooding = tokio::spawn(async move {
        for _ in 0..3 * BUFFER / CHUNK {
            to_client.write_all(&frame).await.unwrap();
        }
        to_client
    });
    // Nobody reads. The daemon hears that we live, every second, and is asked nothing.
    let mut heard = [0; 28];
    for _ in 0..60 {
        let begun = Instant::now();
        from_client.read_exact(&mut heard).await.unwrap();
        let pong = keepalive::Procedure::PONG.0.to_be_bytes();
        assert_eq!((&heard[4..8], &heard[12..16]), ([0x6b, 0x65, 0x65, 0x70].as_slice(), pong.as_slice()));
        assert!(begun.elapsed() <= Duration::from_secs(2));
    }
    assert!(client.close_reason().is_none());
    // Once what it sent has been read, a silent daemon is given up as ever.
    let mut read = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(Piece::Data(data)) => read += data.len(),
            Ok(Piece::Hole(_)) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error.close_reason(), Some(CloseReason::Keepalive { .. })), "{error}");
    assert_eq!(read, 3 * BUFFER);
    drop(flooding.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_dies_is_noticed_while_reading_is_stopped() {
    let (client, mut daemon) = start();
    client.start_keepalive(KeepaliveConfig { interval: Duration::from_secs(5), count: 5 });
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    let flooding = tokio::spawn(async move {
        loop {
            daemon.data(&call, &vec![0; CHUNK]).await;
        }
    });
    nothing_more().await;
    flooding.abort();
    assert!(flooding.await.unwrap_err().is_cancelled());
    let begun = Instant::now();
    let reason = client.closed().await;
    assert!(matches!(reason, CloseReason::Eof), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // What had come is there for its reader, before the end.
    while let Ok(piece) = stream.next().await.unwrap() {
        assert!(matches!(piece, Piece::Data(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_that_are_asked_for_while_reading_is_stopped_are_not_missed() {
    let (client, mut daemon) = start();
    let (_stream, call) = open(&client, &mut daemon, download()).await;
    flood(daemon, call, CHUNK);
    nothing_more().await;
    client.start_keepalive(KeepaliveConfig { interval: Duration::from_secs(1), count: 1 });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(client.close_reason().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_over_and_not_read_holds_nobody_up_for_ever() {
    let mut config = config();
    config.stream_buffer = CHUNK;
    let (near, far) = duplex(1 << 20);
    let client = Client::start(ByteStream(near), &config);
    let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { client.call(hostname()).await }
    });
    let asked = daemon.receive().await.unwrap();
    // More than this is not read even for who waits; the stream's end comes in the same breath.
    daemon.data(&call, &vec![0; 3 * CHUNK - 200]).await;
    nothing_more().await;
    let (near, mut breath) = duplex(CHUNK);
    let pipe = std::mem::replace(&mut daemon.stream, near);
    daemon.data(&call, &[0; 200]).await;
    daemon.fail(&call, MessageType::STREAM, 38).await;
    daemon.stream = pipe;
    let mut all = Vec::new();
    breath.read_to_end(&mut all).await.unwrap();
    daemon.stream.write_all(&all).await.unwrap();
    nothing_more().await;
    daemon.reply(&asked, &remote::ConnectGetHostnameRet::default()).await;
    let called = tokio::time::timeout(Duration::from_secs(120), calling).await;
    called.expect("the call waits for somebody who does not read").unwrap().unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Remote(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_have_gone_do_not_hurry_a_reader() {
    let (client, mut daemon) = start();
    let (mut idle, _) = open(&client, &mut daemon, download()).await;
    let soon = Duration::from_millis(1);
    assert!(tokio::time::timeout(soon, idle.next()).await.is_err());
    let (mut stream, call) = open(&client, &mut daemon, download()).await;
    // The daemon never answers.
    assert!(tokio::time::timeout(soon, client.call(hostname())).await.is_err());
    let taken = flood(daemon, call, CHUNK);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let waiting = taken.load(Ordering::Relaxed);
    assert!((BUFFER..=BUFFER + ON_ITS_WAY).contains(&waiting), "{waiting} bytes were taken");
    let mut read = 0;
    while read < 2 * BUFFER {
        read += length(&mut stream).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_written_is_bounded_and_overtaken_by_calls() {
    let (client, mut daemon) = start();
    let (mut stream, call) = open(&client, &mut daemon, upload(0)).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let writing = tokio::spawn(async move {
        let chunk = Bytes::from(vec![0; CHUNK]);
        while stream.send(chunk.clone()).await.is_ok() {
            counter.fetch_add(CHUNK, Ordering::Relaxed);
        }
    });
    nothing_more().await;
    let taken = taken.load(Ordering::Relaxed);
    assert!((1 << 20..=(1 << 20) + ON_ITS_WAY).contains(&taken), "{taken} bytes were taken");
    let calling = tokio::spawn({
        let client = client.clone();
        async move { client.call(hostname()).await }
    });
    nothing_more().await;
    let mut before = 0;
    let asked = loop {
        let frame = daemon.receive().await.unwrap();
        if frame.header.type_ == MessageType::CALL {
            break frame;
        }
        before += frame.payload.len();
    };
    assert!(before <= 4 * CHUNK, "the call waited behind {before} bytes");
    daemon.reply(&asked, &remote::ConnectGetHostnameRet::default()).await;
    calling.await.unwrap().unwrap();
    daemon.refuse(&call, 38).await;
    writing.await.unwrap();
}
