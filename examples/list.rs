//! Lists what a daemon has, as `virsh list --all`, `net-list`, `pool-list`, `vol-list`, … do: domains, networks, storage
//! pools and their volumes, secrets, network filters, interfaces and devices of the host.
//!
//! ```text
//! cargo run --example list                        what qemu:///system has
//! cargo run --example list -- test:///default     what another URI leads to
//! ```

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use libvirt_client::{Connection, Result, Secret};

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: list [URI]      (without one: qemu:///system)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let uri = match arguments.as_slice() {
        [] => "qemu:///system",
        [uri] if !uri.starts_with('-') => uri,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match list(uri).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("list: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn list(uri: &str) -> AnyResult<()> {
    let connection = Connection::open(uri).await?;
    print("Domains", ["Name", "Id", "State", "Memory", "CPUs"], domains(&connection).await)?;
    print("Networks", ["Name", "State", "Autostart", "Persistent"], networks(&connection).await)?;
    print(
        "Storage pools",
        ["Name", "State", "Autostart", "Capacity", "Allocation", "Available"],
        pools(&connection).await,
    )?;
    print(
        "Volumes of active pools",
        ["Pool", "Name", "Type", "Capacity", "Allocation", "Path"],
        volumes(&connection).await,
    )?;
    print("Secrets", ["UUID", "For", "Usage"], secrets(&connection).await)?;
    print("Network filters", ["Name", "UUID"], filters(&connection).await)?;
    print("Interfaces of the host", ["Name", "State", "MAC address"], interfaces(&connection).await)?;
    print("Devices of the host", ["Name"], devices(&connection).await)?;
    Ok(connection.close().await?)
}

type Rows<const COLUMNS: usize> = Vec<[String; COLUMNS]>;

async fn domains(connection: &Connection) -> Result<Rows<5>> {
    let mut rows = Rows::new();
    for domain in connection.domains().await? {
        let Some(info) = unless_gone(domain.info().await)? else { continue };
        let id = domain.id().map_or_else(|| "-".to_owned(), |id| id.to_string());
        let memory = size(info.memory_kib.saturating_mul(1024));
        rows.push([domain.name().to_owned(), id, info.state.to_string(), memory, info.vcpus.to_string()]);
    }
    Ok(rows)
}

async fn networks(connection: &Connection) -> Result<Rows<4>> {
    let mut rows = Rows::new();
    for network in connection.networks().await? {
        let Some(active) = unless_gone(network.is_active().await)? else { continue };
        let Some(persistent) = unless_gone(network.is_persistent().await)? else { continue };
        let Some(autostart) = unless_gone(network.autostart().await)? else { continue };
        rows.push([network.name().to_owned(), state(active), yes_or_no(autostart), yes_or_no(persistent)]);
    }
    Ok(rows)
}

async fn pools(connection: &Connection) -> Result<Rows<6>> {
    let mut rows = Rows::new();
    for pool in connection.storage_pools().await? {
        let Some(info) = unless_gone(pool.info().await)? else { continue };
        let Some(autostart) = unless_gone(pool.autostart().await)? else { continue };
        let [capacity, allocation, available] = [info.capacity, info.allocation, info.available].map(size);
        let state = info.state.to_string();
        rows.push([pool.name().to_owned(), state, yes_or_no(autostart), capacity, allocation, available]);
    }
    Ok(rows)
}

async fn volumes(connection: &Connection) -> Result<Rows<6>> {
    let mut rows = Rows::new();
    for pool in connection.storage_pools().active().await? {
        for volume in unless_gone(pool.volumes().await)?.unwrap_or_default() {
            let Some(info) = unless_gone(volume.info().await)? else { continue };
            let Some(path) = unless_gone(volume.path().await)? else { continue };
            let (pool, name) = (pool.name().to_owned(), volume.name().to_owned());
            rows.push([pool, name, info.kind.to_string(), size(info.capacity), size(info.allocation), path]);
        }
    }
    Ok(rows)
}

async fn secrets(connection: &Connection) -> Result<Rows<3>> {
    let secrets = connection.secrets().await?.into_iter();
    let row = |secret: Secret| {
        [secret.uuid().to_string(), secret.usage_type().to_string(), secret.usage_id().to_owned()]
    };
    Ok(secrets.map(row).collect())
}

async fn filters(connection: &Connection) -> Result<Rows<2>> {
    let filters = connection.network_filters().await?.into_iter();
    Ok(filters.map(|filter| [filter.name().to_owned(), filter.uuid().to_string()]).collect())
}

async fn interfaces(connection: &Connection) -> Result<Rows<3>> {
    let mut rows = Rows::new();
    for interface in connection.interfaces().await? {
        let Some(active) = unless_gone(interface.is_active().await)? else { continue };
        rows.push([interface.name().to_owned(), state(active), interface.mac().to_owned()]);
    }
    Ok(rows)
}

async fn devices(connection: &Connection) -> Result<Rows<1>> {
    let devices = connection.node_devices().await?.into_iter();
    Ok(devices.map(|device| [device.name().to_owned()]).collect())
}

/// Makes `None` of an error that says that the object went away since it was listed, or that its pool was stopped.
fn unless_gone<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if error.is_not_found() || error.is_invalid_state() => Ok(None),
        answer => answer.map(Some),
    }
}

/// Prints a table. That a driver does not have such objects is an answer, too.
fn print<const COLUMNS: usize>(
    title: &str,
    heads: [&str; COLUMNS],
    rows: Result<Rows<COLUMNS>>,
) -> AnyResult<()> {
    // Not `println!`, which panics when nobody reads on, as in `list | head`.
    let mut output = io::stdout().lock();
    let mut rows = match rows {
        Err(error) if error.is_unsupported() => {
            writeln!(output, "{title}: this driver has none\n")?;
            return Ok(());
        }
        rows => rows?,
    };
    writeln!(output, "{title}: {}", rows.len())?;
    if !rows.is_empty() {
        rows.sort();
        rows.insert(0, heads.map(str::to_owned));
    }
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("  {cell:<width$}"));
        writeln!(output, "{}", cells.collect::<String>().trim_end())?;
    }
    writeln!(output)?;
    Ok(())
}

/// Writes a number of bytes in the unit that suits it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

fn state(active: bool) -> String {
    if active { "active" } else { "inactive" }.to_owned()
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}
