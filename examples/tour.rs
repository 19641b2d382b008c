//! Shows a daemon: its host, its domains, what it can run, and what happens on it for some seconds.
//!
//! ```text
//! cargo run --example tour                       a replay of a recorded daemon, which needs nothing installed
//! cargo run --example tour -- qemu:///system     a real one
//! ```

use std::time::Duration;

use libvirt_client::{Connection, Domain, DomainEvent, Event, Events, Result, testing::Replay};

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const RECORDING: &str = include_str!("../fixtures/recordings/tour.rec");
const WATCH: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match tour().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tour: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn tour() -> AnyResult<()> {
    let (connection, watch) = match std::env::args().nth(1) {
        Some(uri) => (Connection::open(uri).await?, WATCH),
        None => (open_recording().await?, Duration::from_secs(1)),
    };
    // Before the list is made, so that no change between the two is missed.
    let events = connection.events().domain_lifecycle().subscribe().await?;

    print_host(&connection).await?;
    let domains = connection.domains().await?;
    print_domains(&domains).await?;
    print_capabilities(&connection.capabilities().await?);
    print_events(events, watch).await?;
    Ok(connection.close().await?)
}

async fn open_recording() -> AnyResult<Connection> {
    println!(
        "No URI was given: this is a replay of a recorded daemon. Try: cargo run --example tour -- qemu:///system\n"
    );
    let replay = Replay::parse(RECORDING)?;
    let builder = Connection::builder("test:///default");
    Ok(builder.open_over(replay.start(), "test:///default".to_owned()).await?)
}

async fn print_host(connection: &Connection) -> Result<()> {
    println!("Host        {}", connection.hostname().await?);
    println!("Hypervisor  {}", connection.hypervisor().await?);
    println!("libvirt     {}\n", connection.lib_version().await?);
    Ok(())
}

async fn print_domains(domains: &[Domain]) -> Result<()> {
    println!("{:<6} {:<24} {:<12} {:>10} {:>5}", "Id", "Name", "State", "Memory", "CPUs");
    for domain in domains {
        let info = match domain.info().await {
            // It went away since the list was made.
            Err(error) if error.is_not_found() => continue,
            info => info?,
        };
        let id = domain.id().map_or_else(|| "-".to_owned(), |id| id.to_string());
        let memory = format!("{} MiB", info.memory_kib / 1024);
        println!("{id:<6} {:<24} {:<12} {memory:>10} {:>5}", domain.name(), info.state, info.vcpus);
    }
    println!("{} domains\n", domains.len());
    Ok(())
}

/// Prints what stands in a few elements. A program that reads more than this should use an XML parser.
fn print_capabilities(xml: &str) {
    let text = |element: &str| {
        let (_, rest) = xml.split_once(&format!("<{element}>"))?;
        rest.split_once("</").map(|(text, _)| text)
    };
    println!("Host CPU    {} {}", text("arch").unwrap_or("?"), text("model").unwrap_or(""));
    let guests = xml.matches("<guest>").count();
    println!("Can run     {guests} kinds of guests ({} bytes of capabilities)\n", xml.len());
}

async fn print_events(mut events: Events, time: Duration) -> Result<()> {
    println!("Watching for {} s (Ctrl-C ends it)", time.as_secs());
    let end = tokio::time::sleep(time);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(end, interrupt);
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            _ = &mut interrupt => return Ok(()),
            event = events.next() => match event {
                Some(Ok(Event::Domain(DomainEvent::Lifecycle { domain, event, detail }))) => {
                    println!("  {} {event} ({detail})", domain.name());
                }
                Some(Ok(Event::Lagged { missed })) => println!("  {missed} events were missed"),
                Some(Ok(other)) => println!("  {other:?}"),
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}
