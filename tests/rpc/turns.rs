//! Whose call is next.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

/// Answers every call, and counts them. A wide pipe, since it is about many calls.
fn counting() -> (Client, Arc<AtomicUsize>) {
    let (near, far) = duplex(64 * 1024);
    let served = Arc::new(AtomicUsize::new(0));
    let counter = served.clone();
    tokio::spawn(async move {
        let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
        while let Some(call) = daemon.receive().await {
            counter.fetch_add(1, Ordering::Relaxed);
            daemon.reply(&call, &remote::ConnectGetHostnameRet::default()).await;
        }
    });
    (Client::start(ByteStream(near), &Config::default()), served)
}

#[tokio::test]
async fn tasks_that_call_one_by_one_have_equal_shares() {
    const TASKS: usize = 64;
    const CALLS: usize = 50;
    let (client, served) = counting();
    let counts: Vec<_> = (0..TASKS).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    for count in &counts {
        let (client, count) = (client.clone(), count.clone());
        tokio::spawn(async move {
            while client.call(hostname()).await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // At any time, not only in the end.
    for round in 1..=4 {
        while served.load(Ordering::Relaxed) < round * TASKS * CALLS {
            tokio::task::yield_now().await;
        }
        let counts: Vec<usize> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 2, "{counts:?}");
        assert!(*least >= round * CALLS - 2, "{counts:?}");
    }
}

#[tokio::test]
async fn a_flood_of_calls_holds_up_another_by_its_own_length_and_no_more() {
    const FLOOD: usize = 10_000;
    let (client, served) = counting();
    for _ in 0..FLOOD {
        let client = client.clone();
        // Each asks again as soon as it is answered: the queue never gets shorter.
        tokio::spawn(async move { while client.call(hostname()).await.is_ok() {} });
    }
    tokio::task::yield_now().await;
    for _ in 0..3 {
        let before = served.load(Ordering::Relaxed);
        client.call(hostname()).await.unwrap();
        let held_up = served.load(Ordering::Relaxed) - before;
        // A few more, which are answered but not heard of yet.
        assert!(held_up <= FLOOD + FLOOD / 100, "{held_up} calls went before");
    }
}
