//! Shows how a daemon is doing, as virt-admin does: its servers, their clients, threads and limits, and its log. Sets what
//! it logs, if asked to.
//!
//! ```text
//! cargo run --example admin                                                of libvirtd, as root
//! cargo run --example admin -- virtqemud:///system                         of another daemon
//! cargo run --example admin -- libvirtd:///system '1:qemu 3:rpc'           and log that much from now on
//! ```

use std::{env, process::ExitCode, time::SystemTime};

use libvirt_client::{
    Result,
    admin::{AdminConnection, Client, Server},
    params::ClientInfo,
};

const USAGE: &str =
    "usage: admin [URI [LOG_FILTERS]]      (otherwise: libvirtd:///system, filters as they are)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (uri, filters) = match arguments.as_slice() {
        [] => ("libvirtd:///system", None),
        [uri] if !uri.starts_with('-') => (uri.as_str(), None),
        [uri, filters] => (uri.as_str(), Some(filters.as_str())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match admin(uri, filters).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("admin: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn admin(uri: &str, filters: Option<&str>) -> Result<()> {
    let connection = AdminConnection::open(uri).await?;
    println!("{}, libvirt {}", connection.uri(), connection.lib_version().await?);
    if let Some(filters) = filters {
        connection.set_logging_filters(Some(filters)).await?;
    }
    println!("logs to  {}", connection.logging_outputs().await?.trim());
    println!("filters  {}", connection.logging_filters().await?.as_deref().unwrap_or("none").trim());
    for server in connection.servers().await? {
        print_server(&server).await?;
    }
    connection.close().await
}

async fn print_server(server: &Server) -> Result<()> {
    println!("\nserver {}", server.name());
    let pool = server.thread_pool_parameters().await?;
    println!(
        "  threads  {} of {} to {}, {} of them idle; {} for calls that never wait; {} calls in the queue",
        or_unknown(pool.workers),
        or_unknown(pool.min_workers),
        or_unknown(pool.max_workers),
        or_unknown(pool.free_workers),
        or_unknown(pool.priority_workers),
        or_unknown(pool.job_queue_depth),
    );
    let limits = server.client_limits().await?;
    println!(
        "  clients  {} (limit {}), of which {} have not authenticated yet (limit {})",
        or_unknown(limits.clients),
        limit(limits.max_clients),
        or_unknown(limits.unauthenticated_clients),
        limit(limits.max_unauthenticated_clients),
    );
    for client in server.clients().await? {
        match client.info().await {
            Ok(info) => print_client(&client, &info),
            // It has left since it was listed.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn print_client(client: &Client, info: &ClientInfo) {
    let access = if info.readonly == Some(true) { "read-only" } else { "read-write" };
    let (id, transport, time) = (client.id(), client.transport(), age(client.connected_at()));
    println!("    client {id:<4} {transport:<5} for {time:<10} {access:<10} {}", who(info));
}

/// Names the client by what its transport tells of it.
fn who(info: &ClientInfo) -> String {
    let mut parts = Vec::new();
    // Of a process in another namespace the daemon knows no number.
    if let Some(process) = info.unix_process_id.filter(|&process| process > 0) {
        parts.push(format!("process {process}"));
    }
    if let Some(user) = &info.unix_user_name {
        parts.push(format!("of {user}"));
    }
    if let Some(address) = &info.socket_address {
        parts.push(format!("from {address}"));
    }
    let names = [&info.sasl_user_name, &info.x509_distinguished_name];
    parts.extend(names.into_iter().flatten().map(|name| format!("as {name}")));
    parts.join(" ")
}

fn or_unknown(number: Option<u32>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn limit(number: Option<u32>) -> String {
    if number == Some(0) { "none".to_owned() } else { or_unknown(number) }
}

/// Writes how long ago it was, in the unit that suits it.
fn age(since: SystemTime) -> String {
    let seconds = since.elapsed().map_or(0, |time| time.as_secs());
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
