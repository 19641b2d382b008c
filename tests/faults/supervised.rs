//! Supervised connections: lost while idle, while a call is on its way, and again at every frame of being opened again.
//!
//! Each has three streams of events. Whatever happens, each shows one gap for the loss, and what happens later; calls are
//! answered again; and a call that is not repeated says whether it may have been carried out.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error, Event, Events, KeepaliveConfig, supervision::Policy};

use crate::{
    daemons::start_again,
    fault::{At, Fault, Side, Then},
    leaks::Baseline,
    outcome::Outcome::{self, *},
    proxy::Proxy,
    support::{Daemon, daemon::through_socket},
    table::{Entry, Table},
    world::{Ground, World},
};

const SIMULATED: &str = "test:///default";
/// How long a connection may take to be there again, and what it is asked to be answered.
const PATIENCE: Duration = Duration::from_secs(20);
/// When a silent daemon is given up: not before the fault comes, also on a busy machine, since that is another loss.
const KEEPALIVE: KeepaliveConfig = KeepaliveConfig { interval: Duration::from_millis(300), count: 1 };
/// How long a call waits that is to find nobody.
const IN_VAIN: Duration = Duration::from_millis(300);

/// Adds the rows to the table.
pub(crate) async fn add_to(table: &mut Table, ground: &mut Ground) {
    let frames = frames(ground.world()).await;
    for side in [Side::Client, Side::Daemon] {
        for number in 0..frames[side as usize] {
            for (at, then) in [
                (At::Start, Then::Close),
                (At::Middle, Then::Close),
                (At::End, Then::Close),
                (At::Middle, Then::Reset),
                (At::InHeader, Then::Silence),
            ] {
                // What is silent is the same, whoever was to speak; and after the last answer it is open, so that is another loss.
                let is_last = side == Side::Daemon && number + 1 == frames[1];
                if (side, then) == (Side::Client, Then::Silence) || (is_last && at == At::End) {
                    continue;
                }
                table.add(ground.run(async |world| lost_again(world, side, number, at, then).await).await);
            }
        }
    }
    for side in [Side::Client, Side::Daemon] {
        for at in At::ALL {
            for is_safe in [true, false] {
                table.add(ground.run(async |world| lost_with_a_call(world, side, at, is_safe).await).await);
            }
        }
    }
    for comes_back in [true, false] {
        table.add(ground.run(async |world| away(world, comes_back).await).await);
    }
}

/// Counts the frames with which a connection is opened again and its events are registered, by side.
async fn frames(world: &World) -> [usize; 2] {
    let proxy = proxy(world, false);
    let mut watched = Watched::open(&proxy, None).await;
    proxy.arm(Side::Client, usize::MAX, Fault::None);
    proxy.cut_all();
    watched.one_gap_each().await.unwrap();
    let frames = proxy.look(|came, _| came.each_ref().map(Vec::len));
    watched.close(proxy).await;
    frames
}

/// The connection is lost, and again at a frame with which it is opened and its events are registered.
async fn lost_again(world: &World, side: Side, number: usize, at: At, then: Then) -> Entry {
    let fault = Fault::Cut(at, then);
    let before = Baseline::now();
    let proxy = proxy(world, then == Then::Reset);
    let keepalive = (then == Then::Silence).then_some(KEEPALIVE);
    let mut watched = Watched::open(&proxy, keepalive).await;
    proxy.arm(side, number, fault);
    let begun = Instant::now();
    proxy.cut_all();
    let mut wrong: Vec<String> = watched.one_gap_each().await.err().into_iter().collect();
    let took = begun.elapsed();
    if !proxy.has_fired() {
        wrong.push("the fault did not come".to_owned());
    }
    wrong.extend(watched.goes_on(world).await.err());
    watched.close(proxy).await;
    wrong.extend(world.is_unaffected().await.err());
    wrong.extend(before.is_restored().await.err());
    let outcome = if wrong.is_empty() { Right } else { Other };
    let row = [
        format!("lost, and again: {fault}"),
        "supervised".to_owned(),
        format!("{side:?}'s frame {number} {at:?}"),
    ];
    Entry { row, outcome, took, said: "one gap each, and answers".to_owned(), wrong }
}

/// The connection is lost with a call on its way: one that is safe to repeat, or one that is not.
async fn lost_with_a_call(world: &World, side: Side, at: At, is_safe: bool) -> Entry {
    let fault = Fault::Cut(at, Then::Close);
    let before = Baseline::now();
    let proxy = proxy(world, false);
    let mut watched = Watched::open(&proxy, None).await;
    let name = format!("{side:?}{at:?}");
    proxy.arm(side, 0, fault);
    let begun = Instant::now();
    let answer = ask(&watched.connection, &name, is_safe).await;
    let took = begun.elapsed();
    let asked = Asked {
        is_safe,
        passed_on: proxy.look(|_, passed| !passed[Side::Client as usize].is_empty()),
        answered: proxy.look(|_, passed| !passed[Side::Daemon as usize].is_empty()),
        carried_out: world.has_interface(&name).await,
        answer,
    };
    let (outcome, said, mut wrong) = asked.judge();
    wrong.extend(watched.one_gap_each().await.err());
    wrong.extend(watched.goes_on(world).await.err());
    watched.close(proxy).await;
    wrong.extend(world.is_unaffected().await.err());
    wrong.extend(before.is_restored().await.err());
    let row = [fault.to_string(), called(is_safe), format!("{side:?}'s frame 0 {at:?}")];
    Entry { row, outcome, took, said, wrong }
}

/// Asks for something, or defines an interface, which nobody is told of by an event.
async fn ask(connection: &Connection, name: &str, is_safe: bool) -> Result<String, Error> {
    let asking = async {
        if is_safe {
            return connection.hostname().await;
        }
        let xml = format!("<interface type='ethernet' name='{name}'><start mode='onboot'/></interface>");
        connection.define_interface(xml).await.map(|_| "defined".to_owned())
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("a call hangs")
}

fn called(is_safe: bool) -> String {
    let what =
        if is_safe { "supervised, call that is safe to repeat" } else { "supervised, call that is not" };
    what.to_owned()
}

/// What was said of a call, and what became of it.
struct Asked {
    answer: Result<String, Error>,
    is_safe: bool,
    /// All of it went to the daemon.
    passed_on: bool,
    /// All of an answer went to the client.
    answered: bool,
    carried_out: bool,
}

impl Asked {
    fn judge(self) -> (Outcome, String, Vec<String>) {
        let mut wrong = Vec::new();
        let (outcome, said) = match &self.answer {
            Ok(said) => (Right, said.clone()),
            Err(error) => (Outcome::of(error), error.to_string()),
        };
        let expected = if self.is_safe || self.answered { Right } else { Interrupted };
        if outcome != expected {
            wrong.push(format!("that is not {expected}"));
        }
        if let Err(error) = &self.answer
            && (self.passed_on || self.carried_out)
            && !error.may_have_run()
        {
            wrong.push("it says that it was not carried out, and the daemon has it".to_owned());
        }
        if outcome == Right && !self.is_safe && !self.carried_out {
            wrong.push("it says that it was carried out".to_owned());
        }
        (outcome, said, wrong)
    }
}

/// Nobody is there: calls wait, and say that they have not been sent.
async fn away(world: &World, comes_back: bool) -> Entry {
    let before = Baseline::now();
    let proxy = proxy(world, false);
    let mut watched = Watched::open(&proxy, None).await;
    let mut supervision = watched.connection.supervision().unwrap();
    let name = format!("eth{comes_back}");
    proxy.turn_away(true);
    proxy.cut_all();
    while supervision.state().is_up() {
        supervision.changed().await;
    }
    let begun = Instant::now();
    let patience = if comes_back { PATIENCE } else { IN_VAIN };
    let connection = watched.connection.with_timeout(patience);
    let asking = tokio::spawn({
        let name = name.clone();
        async move { ask(&connection, &name, false).await }
    });
    // It is away for as long as the one call waits, and the other does not.
    tokio::time::sleep(IN_VAIN).await;
    if comes_back {
        proxy.turn_away(false);
    }
    let answer = asking.await.unwrap();
    let took = begun.elapsed();
    let carried_out = world.has_interface(&name).await;
    proxy.turn_away(false);
    let (outcome, said) = match &answer {
        Ok(said) => (Right, said.clone()),
        Err(error) => (Outcome::of(error), error.to_string()),
    };
    let mut wrong = Vec::new();
    if outcome != if comes_back { Right } else { Timeout } {
        wrong.push("that is not expected".to_owned());
    }
    if carried_out != comes_back || answer.is_err_and(|error| error.may_have_run()) {
        wrong.push("what is said of the call is not so".to_owned());
    }
    wrong.extend(watched.one_gap_each().await.err());
    wrong.extend(watched.goes_on(world).await.err());
    watched.close(proxy).await;
    wrong.extend(world.is_unaffected().await.err());
    wrong.extend(before.is_restored().await.err());
    let fault = if comes_back { "nobody there for a while" } else { "nobody there" };
    let row = [fault.to_owned(), called(false), String::new()];
    Entry { row, outcome, took, said, wrong }
}

/// Adds rows for a daemon that is another one, or the same one later.
pub(crate) async fn add_daemons_to(table: &mut Table) {
    let mut daemon = Daemon::start();
    for signal in ["KILL", "TERM", "STOP"] {
        let before = Baseline::now();
        let proxy = Arc::new(Proxy::start(&daemon.directory().join("proxy"), &daemon.socket(), false));
        let keepalive = (signal == "STOP").then_some(KEEPALIVE);
        let mut watched = Watched::open(&proxy, keepalive).await;
        let mut supervision = watched.connection.supervision().unwrap();
        proxy.arm(Side::Client, usize::MAX, Fault::None);
        daemon.signal("STOP");
        let begun = Instant::now();
        let asking = tokio::spawn({
            let connection = watched.connection.clone();
            async move { ask(&connection, "", true).await }
        });
        let sent = {
            let proxy = proxy.clone();
            move || proxy.wait_for(Side::Client, 1, PATIENCE)
        };
        assert!(tokio::task::spawn_blocking(sent).await.unwrap(), "the call was not sent");
        match signal {
            "STOP" => {
                while supervision.state().is_up() {
                    supervision.changed().await;
                }
                daemon.signal("CONT");
            }
            signal => {
                daemon.signal(signal);
                if signal == "TERM" {
                    daemon.signal("CONT");
                }
                start_again(&mut daemon).await;
            }
        }
        let (outcome, said) = match asking.await.unwrap() {
            Ok(said) => (Right, said),
            Err(error) => (Outcome::of(&error), error.to_string()),
        };
        let took = begun.elapsed();
        let mut wrong = Vec::new();
        if outcome != Right {
            wrong.push("it is safe to repeat".to_owned());
        }
        wrong.extend(watched.one_gap_each().await.err());
        watched.close(proxy).await;
        wrong.extend(before.is_restored().await.err());
        let fault = match signal {
            "KILL" => "daemon killed, and started again",
            "TERM" => "daemon ended, and started again",
            _ => "daemon stopped",
        };
        let row = [fault.to_owned(), called(true), String::new()];
        table.add(Entry { row, outcome, took, said, wrong });
    }
}

fn proxy(world: &World, can_reset: bool) -> Arc<Proxy> {
    Arc::new(Proxy::start(&world.daemon.directory().join("proxy"), &world.daemon.socket(), can_reset))
}

/// A supervised connection with three streams of events.
struct Watched {
    connection: Connection,
    events: [Events; 3],
}

impl Watched {
    async fn open(proxy: &Proxy, keepalive: Option<KeepaliveConfig>) -> Self {
        let builder = Connection::builder(through_socket(SIMULATED, proxy.path())).keepalive(keepalive);
        // A silence while it is opened is ended by the deadline for that.
        let builder = match keepalive {
            Some(_) => builder.open_timeout(Duration::from_secs(1)),
            None => builder,
        };
        let policy =
            Policy::default().first_delay(Duration::from_millis(10)).max_delay(Duration::from_millis(50));
        let connection = builder.open().await.unwrap().supervised(policy).unwrap();
        let events = [
            connection.events().domain_lifecycle().subscribe().await.unwrap(),
            connection.events().network_lifecycle().subscribe().await.unwrap(),
            connection.events().storage_pool_lifecycle().subscribe().await.unwrap(),
        ];
        Self { connection, events }
    }

    /// Waits until each stream has shown its gap, before anything else.
    async fn one_gap_each(&mut self) -> Result<(), String> {
        for events in &mut self.events {
            let next = tokio::time::timeout(PATIENCE, events.next()).await;
            match next {
                Ok(Some(Ok(Event::Gap { .. }))) => {}
                other => return Err(format!("in place of a gap: {other:?}")),
            }
        }
        Ok(())
    }

    /// Tells whether calls are answered, and events come, and no other gap.
    async fn goes_on(&mut self, world: &World) -> Result<(), String> {
        match tokio::time::timeout(PATIENCE, self.connection.hostname()).await {
            Ok(Ok(name)) if name == world.hostname() => {}
            other => return Err(format!("a call afterwards: {other:?}")),
        }
        world.two_events().await;
        for _ in 0..2 {
            match tokio::time::timeout(PATIENCE, self.events[0].next()).await {
                Ok(Some(Ok(Event::Domain(_)))) => {}
                other => return Err(format!("in place of an event: {other:?}")),
            }
        }
        // What is answered now comes behind all that was told before.
        let _ = tokio::time::timeout(PATIENCE, self.connection.hostname()).await;
        for events in &mut self.events {
            let mut next = Box::pin(events.next());
            if let Poll::Ready(more) = next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Err(format!("too much: {more:?}"));
            }
        }
        Ok(())
    }

    async fn close(self, proxy: Arc<Proxy>) {
        drop(self);
        let proxy = Arc::into_inner(proxy);
        tokio::task::spawn_blocking(move || drop(proxy)).await.unwrap();
    }
}
