//! Shows the domains of many hosts, and keeps up with them while domains start and stop, and hosts die and return. On a terminal
//! it is a table that is drawn anew; elsewhere a line for each change.
//!
//! ```text
//! cargo run --example fleet -- qemu+ssh://alpha/system qemu+ssh://beta/system           until Ctrl-C
//! cargo run --example fleet -- --once qemu+ssh://alpha/system qemu+ssh://beta/system    what there is now
//! ```

use std::{
    collections::BTreeMap,
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, Event, KeepaliveConfig, Result, Uuid,
    fleet::{Fleet, Host},
    supervision::LinkState,
};
use tokio::{sync::mpsc, time::Instant};

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: fleet [--once] URI...";

/// A silent host is taken for dead after six seconds.
const KEEPALIVE: KeepaliveConfig = KeepaliveConfig { interval: Duration::from_secs(2), count: 2 };
/// How long a host may take for its answer to `--once`.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the table is drawn at most.
const REDRAW: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (options, uris): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let once = match options.as_slice() {
        [] => Some(false),
        [option] if option == "--once" => Some(true),
        _ => None,
    };
    let (Some(once), false) = (once, uris.is_empty()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match show(&uris, once).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn show(uris: &[String], once: bool) -> AnyResult<()> {
    let mut fleet = Fleet::builder().concurrent_openings(8).deadline(DEADLINE).build();
    for uri in uris {
        fleet.add(Connection::builder(uri).keepalive(KEEPALIVE))?;
    }
    if once { show_once(&fleet).await } else { show_live(&fleet).await }
}

/// Asks every host once, and prints each answer as it comes.
async fn show_once(fleet: &Fleet) -> AnyResult<()> {
    let mut answers = fleet.each(async |connection| list(&connection).await);
    // Not `println!`, which panics when nobody reads on, as in `fleet | head`.
    let mut output = io::stdout();
    while let Some((host, answer)) = answers.next().await {
        match answer {
            Ok(domains) => {
                writeln!(output, "{}: {} domains", host.uri(), domains.len())?;
                for (name, state) in domains.values() {
                    writeln!(output, "  {name}: {state}")?;
                }
            }
            Err(error) => writeln!(output, "{}: {error}", host.uri())?,
        }
    }
    Ok(())
}

/// The domains of a host, with their names and states.
type Domains = BTreeMap<Uuid, (String, String)>;

async fn list(connection: &Connection) -> Result<Domains> {
    let mut domains = Domains::new();
    for domain in connection.domains().await? {
        if let Some(line) = look_at(&domain).await? {
            domains.insert(domain.uuid(), line);
        }
    }
    Ok(domains)
}

/// Asks for a domain's state. `None` for one that is gone by now.
async fn look_at(domain: &Domain) -> Result<Option<(String, String)>> {
    match domain.state().await {
        Ok(state) => Ok(Some((domain.name().to_owned(), state.state.to_string()))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What there is to tell of a host, by its place.
type News = (usize, What);

enum What {
    /// It came or went.
    Link(LinkState),
    /// It has these domains, and no others.
    All(Domains),
    /// One of its domains is so now, or gone.
    One(Uuid, Option<(String, String)>),
}

/// Follows every host on tasks of its own, and shows what they tell.
async fn show_live(fleet: &Fleet) -> AnyResult<()> {
    let (tell, mut news) = mpsc::channel(64);
    for (place, host) in fleet.hosts().iter().enumerate() {
        tokio::spawn(watch_link(host.clone(), place, tell.clone()));
        tokio::spawn(follow(host.clone(), place, tell.clone()));
    }
    let mut board = Board::new(fleet);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            told = news.recv() => match told {
                Some((place, what)) => board.take(place, what)?,
                None => return Ok(()),
            },
            () = board.time_to_draw() => board.draw()?,
            interrupted = &mut interrupted => return Ok(interrupted?),
        }
    }
}

/// Tells of a host's coming and going.
async fn watch_link(host: Host, place: usize, tell: mpsc::Sender<News>) {
    let Some(mut supervision) = host.connection().supervision() else { return };
    let mut state = supervision.state();
    while tell.send((place, What::Link(state.clone()))).await.is_ok() && !matches!(state, LinkState::Ended(_))
    {
        state = supervision.changed().await;
    }
}

/// Tells of a host's domains, as long as there is a host.
async fn follow(host: Host, place: usize, tell: mpsc::Sender<News>) {
    // While the host is not there, its calls fail after some time, and events wait. Both is told by its link.
    while let Err(error) = follow_domains(host.connection(), place, &tell).await {
        match host.state() {
            LinkState::Ended(_) => return,
            LinkState::Up { .. } => eprintln!("fleet: {}: {error}", host.uri()),
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn follow_domains(connection: &Connection, place: usize, tell: &mpsc::Sender<News>) -> Result<()> {
    // First the events, then the list: what happens in between is told twice rather than never.
    let mut events = connection.events().domain_lifecycle().subscribe().await?;
    let _ = tell.send((place, What::All(list(connection).await?))).await;
    while let Some(event) = events.next().await {
        let what = match event? {
            // Asking is simpler than to tell from an event what state it leads to.
            Event::Domain(event) => What::One(event.domain().uuid(), look_at(event.domain()).await?),
            Event::Gap { .. } | Event::Lagged { .. } => What::All(list(connection).await?),
            _ => continue,
        };
        let _ = tell.send((place, what)).await;
    }
    Ok(())
}

/// What is known of all hosts.
struct Board {
    hosts: Vec<Row>,
    is_table: bool,
    /// When it may be drawn again, if something has changed.
    due: Option<Instant>,
}

struct Row {
    uri: String,
    link: LinkState,
    domains: Domains,
}

impl Board {
    fn new(fleet: &Fleet) -> Self {
        let row =
            |host: &Host| Row { uri: host.uri().to_owned(), link: host.state(), domains: Domains::new() };
        let hosts = fleet.hosts().iter().map(row).collect();
        Self { hosts, is_table: io::stdout().is_terminal(), due: Some(Instant::now()) }
    }

    /// Writes down what is new, and tells it at once where there is no table.
    fn take(&mut self, place: usize, what: What) -> io::Result<()> {
        let Some(row) = self.hosts.get_mut(place) else { return Ok(()) };
        let changes = match what {
            What::Link(link) => row.set_link(link),
            What::All(domains) => {
                let gone: Vec<Uuid> =
                    row.domains.keys().filter(|uuid| !domains.contains_key(uuid)).copied().collect();
                let now = domains.into_iter().map(|(uuid, line)| (uuid, Some(line)));
                let all = gone.into_iter().map(|uuid| (uuid, None)).chain(now);
                all.filter_map(|(uuid, line)| row.set_domain(uuid, line)).collect()
            }
            What::One(uuid, line) => row.set_domain(uuid, line).into_iter().collect::<Vec<_>>(),
        };
        if !changes.is_empty() {
            self.due.get_or_insert(Instant::now() + REDRAW);
        }
        if self.is_table {
            return Ok(());
        }
        let mut output = io::stdout().lock();
        changes.iter().try_for_each(|change| writeln!(output, "{}: {change}", row.uri))
    }

    async fn time_to_draw(&self) {
        match self.due {
            Some(due) if self.is_table => tokio::time::sleep_until(due).await,
            _ => std::future::pending().await,
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        // Times grow also while nothing happens.
        self.due = Some(Instant::now() + Duration::from_secs(1));
        let mut output = io::stdout().lock();
        // Clears the screen and goes to its top left corner.
        writeln!(output, "\x1b[2J\x1b[H{:<50} STATE", "HOST OR DOMAIN")?;
        for row in &self.hosts {
            let link = [in_words(&row.link), since(&row.link).unwrap_or_default()].concat();
            writeln!(output, "{:<50} {link}", row.uri)?;
            let is_up = matches!(row.link, LinkState::Up { .. });
            for (name, state) in row.domains.values() {
                // What was so may have changed.
                let state = if is_up { state.clone() } else { format!("was {state}") };
                writeln!(output, "  {name:<48} {state}")?;
            }
        }
        output.flush()
    }
}

impl Row {
    /// Returns what to tell of it.
    fn set_link(&mut self, link: LinkState) -> Vec<String> {
        let changed = std::mem::discriminant(&link) != std::mem::discriminant(&self.link);
        self.link = link;
        if changed { vec![in_words(&self.link)] } else { Vec::new() }
    }

    fn set_domain(&mut self, uuid: Uuid, line: Option<(String, String)>) -> Option<String> {
        let before = match &line {
            Some(line) => self.domains.insert(uuid, line.clone()),
            None => self.domains.remove(&uuid),
        };
        if before == line {
            return None;
        }
        let (name, state) = line.or_else(|| Some((before?.0, "gone".to_owned())))?;
        Some(format!("{name}: {state}"))
    }
}

fn in_words(link: &LinkState) -> String {
    match link {
        LinkState::Up { .. } => "up".to_owned(),
        LinkState::Down { error, .. } => format!("down: {error}"),
        LinkState::Ended(reason) => format!("ended: {reason}"),
        _ => "connecting".to_owned(),
    }
}

/// Says for how long it has been so.
fn since(link: &LinkState) -> Option<String> {
    let (LinkState::Up { since, .. } | LinkState::Down { since, .. }) = link else { return None };
    // Somebody may have set the clock back.
    Some(format!(", for {} s", since.elapsed().ok()?.as_secs()))
}
