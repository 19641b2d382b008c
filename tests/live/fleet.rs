//! Many hosts at once, some of which are frozen, killed or have never been there: the others do not wait for them.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error, KeepaliveConfig, fleet::Fleet, supervision::LinkState};

use crate::{
    TEST,
    examples::{program, run},
    support::{Daemon, PATIENCE, command::Background, daemon::through_socket, live_within, wait_until},
    test_domain,
};

/// Five daemons are started, and some of it waits until a silent one is given up.
const LIMIT: Duration = Duration::from_secs(150);

/// Two good hosts, one to freeze, one to kill, and one that has never been there. The connections keep what the simulated
/// hypervisor knows.
struct Hosts {
    good: [Daemon; 2],
    frozen: Daemon,
    mortal: Daemon,
    uris: [String; 5],
}

impl Hosts {
    fn start() -> Self {
        let [first, second, frozen, mortal] = [(); 4].map(|()| Daemon::start());
        let nobody = first.directory().join("nobody");
        let uris = [
            first.uri(TEST),
            second.uri(TEST),
            frozen.uri(TEST),
            mortal.uri(TEST),
            through_socket(TEST, &nobody),
        ];
        Self { good: [first, second], frozen, mortal, uris }
    }
}

#[test]
fn each_host_answers_for_itself() {
    live_within(LIMIT, async {
        let hosts = Hosts::start();
        let deadline = Duration::from_secs(8);
        let mut fleet = Fleet::builder().concurrent_openings(2).deadline(deadline).build();
        for uri in &hosts.uris {
            fleet.add(Connection::builder(uri).keepalive(None)).unwrap();
        }
        assert_eq!(fleet.hosts().len(), 5);
        assert_eq!(fleet.add(hosts.uris[0].as_str()).unwrap().uri(), hosts.uris[0]);
        assert_eq!(fleet.hosts().len(), 5, "it was there already");
        // They are there, and then some are not.
        for host in &fleet.hosts()[..4] {
            host.connection().hostname().await.unwrap();
            assert!(matches!(host.state(), LinkState::Up { .. }), "{:?}", host.state());
        }
        hosts.frozen.signal("STOP");
        hosts.mortal.signal("KILL");

        let begun = Instant::now();
        let mut answers = fleet.each(async |connection| connection.domains().await);
        let mut told = Vec::new();
        while let Some((host, answer)) = answers.next().await {
            told.push((host.uri().to_owned(), answer, begun.elapsed()));
        }
        assert_eq!(told.len(), 5);
        for (uri, answer, after) in &told {
            let place = hosts.uris.iter().position(|known| known == uri).unwrap();
            match (place, answer) {
                (0 | 1, Ok(domains)) => {
                    assert_eq!(domains[0].name(), "test");
                    assert!(*after < deadline, "{after:?}: it waited for others");
                }
                (2, Err(Error::Timeout { .. })) => {}
                (3 | 4, Err(error)) => assert!(matches!(error, Error::Connect { .. }), "{error}"),
                (_, answer) => panic!("{uri}: {answer:?}"),
            }
        }
        let first: Vec<&str> = told[..2].iter().map(|(uri, ..)| uri.as_str()).collect();
        assert!(first.contains(&hosts.uris[0].as_str()) && first.contains(&hosts.uris[1].as_str()));

        let removed = fleet.hosts()[0].connection().clone();
        assert!(fleet.remove(&hosts.uris[0]) && !fleet.remove(&hosts.uris[0]));
        removed.closed().await;
        assert!(removed.hostname().await.is_err());
        assert_eq!(fleet.hosts().len(), 4);
        hosts.frozen.signal("CONT");
    });
}

/// What the lines of the example say in the end, by host: whether it is up, and its domains with their states.
fn table(output: &Path, uris: &[String]) -> BTreeMap<usize, (String, BTreeMap<String, String>)> {
    let mut table = BTreeMap::new();
    for line in fs::read_to_string(output).unwrap().lines() {
        let (place, rest) = uris
            .iter()
            .enumerate()
            .find_map(|(place, uri)| Some((place, line.strip_prefix(uri.as_str())?.strip_prefix(": ")?)))
            .unwrap_or_else(|| panic!("{line:?} is about no host"));
        let (link, domains): &mut (String, BTreeMap<String, String>) = table.entry(place).or_default();
        match rest.split_once(": ") {
            None => rest.clone_into(link),
            Some((down, _)) if down == "down" => down.clone_into(link),
            Some((name, "gone")) => {
                domains.remove(name);
            }
            Some((name, state)) => {
                domains.insert(name.to_owned(), state.to_owned());
            }
        }
    }
    table
}

/// What virsh lists of a host, in the same words.
fn listed(daemon: &Daemon) -> BTreeMap<String, String> {
    let list = daemon.virsh(TEST, &["list", "--all"]);
    let row = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let name = words.next()?.to_owned();
        Some((name, words.collect::<String>()))
    };
    list.lines().filter_map(row).collect()
}

#[test]
fn the_example_keeps_up_with_hosts_that_die_and_return() {
    live_within(LIMIT, async {
        let mut hosts = Hosts::start();
        let uris = hosts.uris.clone();
        // Keep what is defined there.
        let mut keep = Vec::new();
        for daemon in &hosts.good {
            keep.push(Connection::open(daemon.uri(TEST)).await.unwrap());
        }
        let silent = KeepaliveConfig { interval: Duration::from_secs(60), count: 1 };
        keep.push(Connection::builder(&uris[2]).keepalive(silent).open().await.unwrap());
        let output = hosts.good[0].directory().join("fleet");
        let mut fleet = Command::new(program("fleet"));
        fleet.args(&uris);
        let fleet = Background::spawn(fleet, &output);
        let is =
            |place: usize, link: &str| table(&output, &uris).get(&place).is_some_and(|(now, _)| now == link);
        let state = |place: usize, name: &str| {
            let table = table(&output, &uris);
            table.get(&place).and_then(|(_, domains)| domains.get(name).cloned())
        };
        let shows = |place: usize, name: &str, wanted: &str| state(place, name).as_deref() == Some(wanted);
        wait_until(|| (0..4).all(|place| is(place, "up") && shows(place, "test", "running"))).await;
        wait_until(|| is(4, "down")).await;

        // A frozen host delays nobody's news.
        hosts.frozen.signal("STOP");
        let file = hosts.good[0].file("web.xml", &test_domain("web")).display().to_string();
        let begun = Instant::now();
        hosts.good[0].virsh(TEST, &["define", &file]);
        wait_until(|| shows(0, "web", "shutoff")).await;
        hosts.good[0].virsh(TEST, &["start", "web"]);
        wait_until(|| shows(0, "web", "running")).await;
        hosts.good[1].virsh(TEST, &["suspend", "test"]);
        wait_until(|| shows(1, "test", "paused")).await;
        assert!(begun.elapsed() < PATIENCE);
        wait_until(|| is(2, "down")).await;

        hosts.mortal.signal("KILL");
        wait_until(|| is(3, "down")).await;
        hosts.mortal.restart();
        wait_until(|| is(3, "up") && shows(3, "test", "running")).await;
        hosts.mortal.virsh(TEST, &["destroy", "test"]);
        wait_until(|| shows(3, "test", "shutoff")).await;

        hosts.frozen.signal("CONT");
        wait_until(|| is(2, "up")).await;
        hosts.frozen.virsh(TEST, &["suspend", "test"]);
        wait_until(|| shows(2, "test", "paused")).await;
        hosts.good[0].virsh(TEST, &["destroy", "web"]);
        hosts.good[0].virsh(TEST, &["undefine", "web"]);
        wait_until(|| state(0, "web").is_none()).await;
        for (place, daemon) in
            [&hosts.good[0], &hosts.good[1], &hosts.frozen, &hosts.mortal].iter().enumerate()
        {
            assert_eq!(table(&output, &uris)[&place].1, listed(daemon), "{}", uris[place]);
        }

        let once = run("fleet", &["--once", &uris[1], &uris[4]]).expect_success();
        assert!(once.contains(&format!("{}: 1 domains\n  test: paused", uris[1])), "{once}");
        assert!(once.contains(&format!("{}: cannot connect to ", uris[4])), "{once}");
        fleet.interrupt();
        fleet.expect_success(PATIENCE);
    });
}
