//! Defines and starts a domain from a file, tells what happens to it, and removes it when it stops or Ctrl-C is pressed.
//! Whatever fails, nothing of it is left behind.
//!
//! ```text
//! cargo run --example define -- web.xml                       at qemu:///system
//! cargo run --example define -- test:///default web.xml       or elsewhere
//! ```

use std::{env, fs, process::ExitCode, time::Duration};

use libvirt_client::{
    Connection, Domain, DomainEvent, Error, Event, Events, Result, Uuid,
    enums::{DomainEventType, DomainUndefineFlags},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: define [URI] FILE      (without a URI: qemu:///system)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (uri, file) = match arguments.as_slice() {
        [file] if !file.starts_with('-') => ("qemu:///system", file),
        [uri, file] => (uri.as_str(), file),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match define(uri, file).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("define: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn define(uri: &str, file: &str) -> AnyResult<()> {
    let xml = fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let connection = Connection::open(uri).await?;
    refuse_to_overwrite(&connection, &xml).await?;
    // From now on Ctrl-C no longer ends the program: it waits until there is a good moment.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let domain = connection.define_domain(xml).await.map_err(|error| with_advice(&error))?;
    println!("{} is defined, with UUID {}", domain.name(), domain.uuid());

    let lived = live(&domain, &mut interrupt).await.map_err(|error| with_advice(&error));
    match (lived, remove_for_sure(uri, &domain).await) {
        (lived, Ok(())) => {
            println!("{} is gone again", domain.name());
            Ok(lived?)
        }
        (Ok(()), Err(left)) => Err(format!("{} is left behind: {left}", domain.name()).into()),
        (Err(error), Err(left)) => {
            Err(format!("{error}; and {} is left behind: {left}", domain.name()).into())
        }
    }
}

/// A definition with the name and the UUID of a domain replaces that domain's, and is no error. We would then remove what
/// is not ours.
async fn refuse_to_overwrite(connection: &Connection, xml: &str) -> AnyResult<()> {
    let Some((_, rest)) = xml.split_once("<uuid>") else { return Ok(()) };
    let uuid: Uuid = rest.split('<').next().unwrap_or(rest).trim().parse()?;
    match connection.find_domain_by_uuid(uuid).await? {
        Some(there) => {
            Err(format!("{} is there already, with UUID {uuid}: undefine it first", there.name()).into())
        }
        None => Ok(()),
    }
}

/// Adds what to do, where the error's own words do not say.
fn with_advice(error: &Error) -> String {
    let advice = match error {
        _ if error.is_already_exists() => "choose another name and UUID, or undefine that domain first",
        _ if error.is_unsupported() => "this hypervisor lacks it: try another one, or change the file",
        _ if error.is_auth() => "try as another user, such as root",
        _ if error.is_transient() => "look what became of it, and try again",
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}

/// Starts the domain and tells of it until it stops.
async fn live(domain: &Domain, interrupt: &mut Signal) -> Result<()> {
    // Before it starts, so that no event is missed.
    let events = domain.events().domain_lifecycle().domain_reboot().subscribe().await?;
    // To its end: a domain that is half started cannot be removed yet.
    domain.start().await?;
    println!("{} is started (Ctrl-C removes it)", domain.name());
    tokio::select! {
        stopped = tell_until_stopped(events) => stopped,
        _ = interrupt.recv() => Ok(()),
    }
}

async fn tell_until_stopped(mut events: Events) -> Result<()> {
    while let Some(event) = events.next().await {
        match event? {
            Event::Domain(DomainEvent::Lifecycle { domain, event, detail }) => {
                println!("{}: {event} ({detail})", domain.name());
                if event == DomainEventType::STOPPED {
                    break;
                }
            }
            Event::Domain(DomainEvent::Reboot { domain }) => println!("{}: rebooted", domain.name()),
            Event::Lagged { missed } => println!("{missed} events missed"),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the domain, over new connections if this one has ended, as it does when the daemon is restarted.
async fn remove_for_sure(uri: &str, domain: &Domain) -> Result<()> {
    let mut removed = remove(domain).await;
    for _ in 0..10 {
        match &removed {
            Err(error) if error.is_transient() => eprintln!("define: {error}; trying again"),
            _ => break,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        removed = remove_anew(uri, domain.uuid()).await;
    }
    removed
}

async fn remove_anew(uri: &str, uuid: Uuid) -> Result<()> {
    let connection = Connection::open(uri).await?;
    match connection.find_domain_by_uuid(uuid).await? {
        Some(domain) => remove(&domain).await,
        None => Ok(()),
    }
}

/// Destroys and undefines the domain. That it is stopped or gone already is as wanted.
async fn remove(domain: &Domain) -> Result<()> {
    match destroy_and_undefine(domain).await {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed,
    }
}

async fn destroy_and_undefine(domain: &Domain) -> Result<()> {
    if domain.is_active().await? {
        match domain.destroy().await {
            Err(error) if error.is_invalid_state() => {}
            destroyed => destroyed?,
        }
    }
    // With UEFI the daemon has made a file for its variables, and insists on hearing what becomes of it.
    let flags = match domain.xml().await?.contains("<nvram") {
        true => DomainUndefineFlags::NVRAM,
        false => DomainUndefineFlags::empty(),
    };
    domain.undefine_with(flags).await
}
