//! What goes wrong: single connections through the proxy, and now and then the daemon as a whole.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{proxy::Flow, random::Random, world::World};

/// How often each connection has a fault of its own, on average; in a short run more often.
const EACH: Duration = Duration::from_secs(45);

#[derive(Clone, Copy)]
enum Fault {
    /// It is closed after some bytes more.
    Cut,
    Reset,
    /// All comes late, for some time.
    Late,
    /// Nothing comes, for some time.
    Pause,
    /// Nothing comes any more.
    Silence,
    /// Nobody is let in, for some time.
    Refusal,
}

const FAULTS: [(u64, Fault); 6] = [
    (50, Fault::Cut),
    (15, Fault::Reset),
    (20, Fault::Late),
    (10, Fault::Pause),
    (3, Fault::Silence),
    (2, Fault::Refusal),
];

/// Spoils one connection after another, until the task is aborted.
pub(crate) async fn spoil(world: Arc<World>, mut random: Random) {
    let each = EACH.min(world.settings.duration / 2);
    let pause = each.div_f64(world.settings.connections as f64).as_millis() as u64;
    loop {
        tokio::time::sleep(random.millis(pause / 2..pause * 3 / 2)).await;
        let fault = random.choose(&FAULTS);
        let Some(relay) = world.proxy.relay(random.next()) else { continue };
        world.tally.faults.add(1);
        match fault {
            Fault::Cut => relay.cut_after(random.within(0..3000) as i64),
            Fault::Reset => relay.set(Flow::Reset),
            Fault::Late => {
                relay.set(Flow::Late(random.millis(5..50)));
                let time = random.millis(1000..5000);
                later(time, move || relay.set(Flow::Through));
            }
            Fault::Pause => {
                relay.set(Flow::Still);
                let time = random.millis(200..3000);
                later(time, move || relay.set(Flow::Through));
            }
            Fault::Silence => {
                relay.set(Flow::Still);
                // Both sides have given up by then.
                later(Duration::from_secs(20), move || relay.set(Flow::Cut));
            }
            Fault::Refusal => {
                world.proxy.refuse(true);
                let (world, time) = (world.clone(), random.millis(500..3000));
                later(time, move || world.proxy.refuse(false));
            }
        }
    }
}

fn later(time: Duration, act: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        act();
    });
}

/// Restarts the daemon, freezes it twice, and so on, until the time is up. The first minute is left alone, or the first
/// third of a short run.
pub(crate) async fn disturb(world: &World, mut random: Random, end: Instant) {
    let whole = end - Instant::now();
    let long = whole > Duration::from_secs(180);
    tokio::time::sleep(if long { Duration::from_secs(60) } else { whole / 3 }).await;
    for round in 0.. {
        if round % 3 == 0 {
            world.restart().await;
        } else {
            freeze(world, random.millis(500..4000)).await;
        }
        let pause = if long { random.millis(40_000..120_000) } else { whole };
        if Instant::now() + pause + Duration::from_secs(20) > end {
            break;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn freeze(world: &World, time: Duration) {
    world.tally.faults.add(1);
    let origin = world.origin.read().await;
    if origin.daemon.has_ended() {
        return;
    }
    tokio::task::block_in_place(|| origin.daemon.signal("STOP"));
    tokio::time::sleep(time).await;
    tokio::task::block_in_place(|| origin.daemon.signal("CONT"));
}
