//! One cell of the table: a fault in a phase, and all that has to be so afterwards.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error, KeepaliveConfig, protocol::net::MessageHeader};

use crate::{
    expected::expected,
    fault::{Fault, Side, Then},
    leaks::Baseline,
    outcome::Outcome,
    phases::{self, Done, Phase},
    plan,
    proxy::Proxy,
    table::Entry,
    world::World,
};

/// Whatever goes wrong, a phase ends within this time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How long what comes before the phase may take.
const BEFORE: Duration = Duration::from_secs(20);
/// A deadline that is not to pass, and one that is.
pub(crate) const LONG: Duration = Duration::from_secs(5);
pub(crate) const SHORT: Duration = Duration::from_millis(200);
/// When a silent daemon is given up: after two of these.
pub(crate) const SHORT_KEEPALIVE: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_millis(100), count: 1 };

/// What goes wrong, and when.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) phase: Phase,
    pub(crate) side: Side,
    pub(crate) number: usize,
    pub(crate) fault: Fault,
    /// The frame that it happens to, as it is where nothing goes wrong.
    pub(crate) frame: Option<Known>,
}

/// A frame of a phase in which nothing went wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) header: MessageHeader,
    pub(crate) length: usize,
    pub(crate) descriptors: usize,
    /// It is the last one of its side.
    pub(crate) is_last: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
struct Result {
    outcome: Outcome,
    took: Duration,
    /// What the client was told, or got.
    said: String,
    /// What is not as it should be.
    wrong: Vec<String>,
}

/// Finds the frames of a phase in which nothing goes wrong, by side.
pub(crate) async fn frames(world: &Arc<World>, phase: Phase) -> [Vec<Known>; 2] {
    let nothing = Cell { phase, side: Side::Client, number: 0, fault: Fault::None, frame: None };
    let (result, frames) = run_once(world, &nothing, 1).await;
    assert_eq!((result.outcome, result.wrong), (Outcome::Right, vec![]), "{phase:?}: {}", result.said);
    frames
}

/// Runs a cell, and looks at everything afterwards.
pub(crate) async fn run(world: &Arc<World>, cell: &Cell) -> Entry {
    let before = Baseline::now();
    let (mut result, mut waited) = (run_once(world, cell, 1).await.0, 1);
    // On a busy machine a short deadline passes before the fault comes. That is no hang, and shows nothing.
    while result.outcome == Outcome::Timeout && result.said == NOT_REACHED && waited < 10 {
        waited *= 3;
        result = run_once(world, cell, waited).await.0;
    }
    if result.said == NOT_REACHED {
        result.wrong.push("and so it did again and again".to_owned());
    }
    result.wrong.extend(world.is_unaffected().await.err());
    result.wrong.extend(before.is_restored().await.err());
    let Result { outcome, took, said, wrong } = result;
    let row = [cell.fault.to_string(), cell.phase.name().to_owned(), plan::place(cell)];
    Entry { row, outcome, took, said, wrong }
}

const NOT_REACHED: &str = "the deadline passed before the fault came";

async fn run_once(world: &Arc<World>, cell: &Cell, patience: u32) -> (Result, [Vec<Known>; 2]) {
    let path = world.daemon.directory().join("proxy");
    let can_reset = matches!(cell.fault, Fault::Cut(_, Then::Reset));
    let proxy = Arc::new(Proxy::start(&path, &world.daemon.socket(), can_reset));
    let limits = limits(cell, patience);
    let prepared =
        tokio::time::timeout(BEFORE, phases::prepare(world, cell.phase, &proxy, cell.fault, limits));
    let act = match prepared.await {
        Ok(Ok(act)) => act,
        Ok(Err(Error::Timeout { .. })) if patience < 10 => {
            return (result(Outcome::Timeout, Duration::ZERO, NOT_REACHED), Default::default());
        }
        other => panic!("{cell:?} cannot begin: {:?}", other.map(|prepared| prepared.map(drop))),
    };
    // While nobody speaks, the phase itself says when.
    let number = if cell.phase == Phase::Idle { usize::MAX } else { cell.number };
    proxy.arm(cell.side, number, cell.fault);
    let begun = Instant::now();
    let done = tokio::time::timeout(DEADLINE, act).await;
    let took = begun.elapsed();
    let Ok(Done { result: done, connection, events }) = done else {
        let mut result = result(Outcome::Other, took, "nothing");
        result.wrong.push(format!("it hangs for {DEADLINE:?}"));
        return (result, Default::default());
    };
    let frames = proxy.look(|came, _| came.each_ref().map(|frames| known(frames)));
    drop(events);
    // Data may come before the answer, or after it: what counts is which of them it happened to.
    let hit = frames[cell.side as usize].get(cell.number).copied();
    let is_last = cell.frame.is_some_and(|frame| frame.is_last);
    let cell = &Cell {
        frame: cell.frame.and(hit.or(cell.frame)).map(|frame| Known { is_last, ..frame }),
        ..cell.clone()
    };
    let mut result = judge(cell, &proxy, done, took);
    if result.said != NOT_REACHED && !expected(cell).contains(&result.outcome) {
        result.wrong.push(format!("that is none of {:?}", expected(cell)));
    }
    if let Some(connection) = connection {
        result.wrong.extend(goes_on_or_ended(world, cell, &connection).await.err());
    }
    // Its threads may take a moment to end.
    let proxy = Arc::into_inner(proxy);
    tokio::task::spawn_blocking(move || drop(proxy)).await.unwrap();
    (result, frames)
}

fn known(frames: &[crate::frames::Frame]) -> Vec<Known> {
    let last = frames.len().saturating_sub(1);
    let known = frames.iter().enumerate().map(|(number, frame)| Known {
        header: frame.header(),
        length: frame.bytes.len(),
        descriptors: frame.claimed_descriptors(),
        is_last: number == last,
    });
    known.collect()
}

fn limits(cell: &Cell, patience: u32) -> phases::Limits {
    let expected = if cell.fault == Fault::None { vec![Outcome::Right] } else { expected(cell) };
    let must_wait = [Outcome::Timeout, Outcome::Silent].iter().any(|late| expected.contains(late));
    let keepalive = expected
        .contains(&Outcome::Silent)
        .then_some(KeepaliveConfig { interval: SHORT_KEEPALIVE.interval * patience, ..SHORT_KEEPALIVE });
    let call = match (must_wait, keepalive) {
        (false, _) => LONG,
        // The connection is to end before the call's deadline.
        (true, Some(_)) => LONG,
        (true, None) => SHORT * patience,
    };
    phases::Limits { call, keepalive }
}

/// Says what it was, and holds an answer against what was said.
fn judge(cell: &Cell, proxy: &Proxy, done: std::result::Result<String, Error>, took: Duration) -> Result {
    let fired = proxy.has_fired() || cell.fault == Fault::None;
    match done {
        Err(error) if !fired && [Outcome::Timeout, Outcome::Silent].contains(&Outcome::of(&error)) => {
            result(Outcome::Timeout, took, NOT_REACHED)
        }
        Err(error) => {
            let mut result = result(Outcome::of(&error), took, &error.to_string());
            if !fired {
                result.wrong.push("it failed, though nothing went wrong yet".to_owned());
            }
            result
        }
        Ok(answer) => {
            let [meant, told]: [Option<String>; 2] = proxy.look(|came, passed| {
                // Of an upload, what the daemon has written is what it was told.
                let from_client = if cell.phase == Phase::Upload { &passed[0] } else { &came[0] };
                [
                    phases::heard(cell.phase, &came[0], &came[1], &came[1]),
                    phases::heard(cell.phase, from_client, &came[1], &passed[1]),
                ]
            });
            let outcome = if meant.as_ref() == Some(&answer) { Outcome::Right } else { Outcome::Altered };
            let mut result = result(outcome, took, &answer);
            if told.as_ref() != Some(&answer) {
                result.wrong.push(format!("wrong answer: the client was told {told:?}"));
            }
            if !fired {
                result.wrong.push("the fault did not come".to_owned());
            }
            result
        }
    }
}

fn result(outcome: Outcome, took: Duration, said: &str) -> Result {
    Result { outcome, took, said: said.to_owned(), wrong: Vec::new() }
}

/// What was not ended goes on, or ends when its time has come; but it does not give wrong answers.
async fn goes_on_or_ended(
    world: &World,
    cell: &Cell,
    connection: &Connection,
) -> std::result::Result<(), String> {
    if matches!(cell.fault, Fault::Cut(_, Then::Silence)) || connection.client().close_reason().is_some() {
        return Ok(());
    }
    match connection.with_timeout(SHORT).hostname().await {
        Ok(name) if name != world.hostname() => Err(format!("the next call got {name:?}")),
        _ => Ok(()),
    }
}
