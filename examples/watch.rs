//! Prints what happens to domains, networks, storage pools, devices and secrets, a line each, until Ctrl-C or the end of
//! the connection.
//!
//! ```text
//! cargo run --example watch                                           in words, at qemu:///system
//! cargo run --features serde --example watch -- test:///default --json    or as JSON
//! ```

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use libvirt_client::{
    Connection, DomainEvent, Event, Events, TypedParams,
    events::{ConnectionEvent, NetworkEvent, NodeDeviceEvent, SecretEvent, StoragePoolEvent},
};
use tokio::signal::unix::{SignalKind, signal};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: watch [URI] [--json]      (without a URI: qemu:///system)";

/// How an event is written.
type Format = fn(&Event) -> AnyResult<String>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (options, uris): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let uri = match uris.as_slice() {
        [] => Some("qemu:///system"),
        [uri] => Some(uri.as_str()),
        _ => None,
    };
    let format: Option<Format> = match options.as_slice() {
        [] => Some(|event| Ok(in_words(event))),
        [option] if option == "--json" => Some(as_json),
        _ => None,
    };
    let (Some(uri), Some(format)) = (uri, format) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match watch(uri, format).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn watch(uri: &str, format: Format) -> AnyResult<()> {
    let connection = Connection::open(uri).await?;
    let mut events = connection.events().all().subscribe().await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    eprintln!("watching {} (Ctrl-C ends it)", connection.uri());
    tokio::select! {
        ended = print(&mut events, format) => ended,
        // The daemon then forgets the subscription by itself.
        _ = interrupt.recv() => Ok(connection.close().await?),
    }
}

/// Prints events until there are no more; the last error says why.
async fn print(events: &mut Events, format: Format) -> AnyResult<()> {
    while let Some(event) = events.next().await {
        match event {
            // Not `println!`, which panics when nobody reads on, as in `watch | head`.
            Ok(event) => writeln!(io::stdout(), "{}", format(&event)?)?,
            Err(error) if error.close_reason().is_some() => return Err(error.into()),
            // One event could not be understood; the stream goes on.
            Err(error) => eprintln!("watch: {error}"),
        }
    }
    Ok(())
}

#[cfg(feature = "serde")]
fn as_json(event: &Event) -> AnyResult<String> {
    Ok(serde_json::to_string(event)?)
}

#[cfg(not(feature = "serde"))]
fn as_json(_: &Event) -> AnyResult<String> {
    Err("this was built without JSON: add --features serde".into())
}

fn in_words(event: &Event) -> String {
    match event {
        Event::Domain(event) => format!("domain {}: {}", event.domain().name(), about_domain(event)),
        Event::Network(NetworkEvent::Lifecycle { network, event, .. }) => {
            format!("network {}: {event}", network.name())
        }
        Event::Network(NetworkEvent::MetadataChange { network, kind, .. }) => {
            format!("network {}: {kind} changed", network.name())
        }
        Event::StoragePool(StoragePoolEvent::Lifecycle { storage_pool, event, .. }) => {
            format!("storage pool {}: {event}", storage_pool.name())
        }
        Event::StoragePool(StoragePoolEvent::Refresh { storage_pool }) => {
            format!("storage pool {}: refreshed", storage_pool.name())
        }
        Event::NodeDevice(NodeDeviceEvent::Lifecycle { node_device, event, .. }) => {
            format!("device {}: {event}", node_device.name())
        }
        Event::NodeDevice(NodeDeviceEvent::Update { node_device }) => {
            format!("device {}: changed", node_device.name())
        }
        Event::Secret(SecretEvent::Lifecycle { secret, event, .. }) => {
            format!("secret {} ({}): {event}", secret.uuid(), secret.usage_id())
        }
        Event::Secret(SecretEvent::ValueChanged { secret }) => {
            format!("secret {} ({}): new value", secret.uuid(), secret.usage_id())
        }
        Event::Connection(ConnectionEvent::Closed { reason }) => {
            format!("the daemon lost its hypervisor: {reason}")
        }
        Event::Lagged { missed } => format!("{missed} events missed: look at everything again"),
        // Events of a newer libvirt, by their numbers.
        other => format!("{other:?}"),
    }
}

fn about_domain(event: &DomainEvent) -> String {
    match event {
        DomainEvent::Lifecycle { event, detail, .. } => format!("{event} ({detail})"),
        DomainEvent::Reboot { .. } => "rebooted".to_owned(),
        DomainEvent::RtcChange { offset_s, .. } => format!("clock set, {offset_s} s from UTC"),
        DomainEvent::Watchdog { action, .. } => format!("watchdog went off: {action}"),
        DomainEvent::Graphics { phase, remote, .. } => format!("display: {phase} by {}", remote.node),
        DomainEvent::ControlError { .. } => "out of control".to_owned(),
        // Each comes twice: with its reason, too, and with the disk's target, which stays the same.
        DomainEvent::IoError { device_alias, action, .. } => format!("I/O error on {device_alias}: {action}"),
        DomainEvent::IoErrorReason { source_path, reason, .. } => {
            format!("I/O error in {source_path}: {reason}")
        }
        DomainEvent::BlockJob { path, kind, status, .. } => format!("{kind} of {path}: {status}"),
        DomainEvent::BlockJob2 { disk, kind, status, .. } => format!("{kind} of disk {disk}: {status}"),
        DomainEvent::DiskChange { device_alias, reason, .. } => format!("source of {device_alias}: {reason}"),
        DomainEvent::TrayChange { device_alias, reason, .. } => format!("tray of {device_alias}: {reason}"),
        DomainEvent::PmSuspend { .. } => "sleeps".to_owned(),
        DomainEvent::PmSuspendDisk { .. } => "sleeps, saved to disk".to_owned(),
        DomainEvent::PmWakeup { .. } => "woke up".to_owned(),
        DomainEvent::BalloonChange { actual_kib, .. } => format!("memory is now {actual_kib} KiB"),
        DomainEvent::DeviceAdded { device_alias, .. } => format!("device {device_alias} added"),
        DomainEvent::DeviceRemoved { device_alias, .. } => format!("device {device_alias} removed"),
        DomainEvent::DeviceRemovalFailed { device_alias, .. } => format!("device {device_alias} stays"),
        DomainEvent::Tunable { params, .. } => format!("settings changed: {}", values(params)),
        DomainEvent::AgentLifecycle { state, reason, .. } => format!("guest agent {state} ({reason})"),
        DomainEvent::MigrationIteration { iteration, .. } => format!("migration, pass {iteration}"),
        DomainEvent::JobCompleted { stats, .. } => {
            format!("job completed: {}", values(&(**stats).clone().into()))
        }
        DomainEvent::MetadataChange { kind, .. } => format!("{kind} changed"),
        DomainEvent::BlockThreshold { dev, excess, .. } => format!("{dev}: {excess} B above threshold"),
        DomainEvent::MemoryFailure { recipient, action, .. } => {
            format!("memory failure in the {recipient}: {action}")
        }
        DomainEvent::MemoryDeviceSizeChange { alias, size_kib, .. } => format!("{alias} has {size_kib} KiB"),
        other => format!("{other:?}"),
    }
}

fn values(params: &TypedParams) -> String {
    let values: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    values.join(" ")
}
