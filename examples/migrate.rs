//! Moves a running domain to another host and shows how far it is. Ctrl-C gives up: the domain then stays where it is.
//!
//! ```text
//! cargo run --example migrate -- qemu:///system web qemu+ssh://root@there/system
//! ```
//!
//! The domain is defined on the other host and no longer on this one. `--copy-disks` takes its disks along, `--to URI` says
//! where the hypervisors find each other (`tcp://10.0.0.2`), where the other host's name is not the way.

use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use libvirt_client::{Connection, Domain, Error, MigrateOptions, Result, migration::MigrateProgress};

const USAGE: &str = "usage: migrate [--copy-disks] [--to URI] [--limit MIB_PER_S] SOURCE DOMAIN DESTINATION";

struct Arguments {
    source: String,
    domain: String,
    destination: String,
    options: MigrateOptions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(arguments) = read(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match migrate(arguments).await {
        Ok(moved) => {
            println!("{} runs at {}", moved.name(), moved.connection().uri());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("migrate: {}", explained(&error));
            ExitCode::FAILURE
        }
    }
}

fn read(mut given: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut options = MigrateOptions::live().persist_destination().undefine_source();
    let mut names = Vec::new();
    while let Some(argument) = given.next() {
        options = match argument.as_str() {
            "--copy-disks" => options.copy_disks([] as [&str; 0]),
            "--to" => options.migrate_uri(given.next()?),
            "--limit" => options.bandwidth_mib_per_s(given.next()?.parse().ok()?),
            _ if argument.starts_with('-') => return None,
            _ => {
                names.push(argument);
                options
            }
        };
    }
    let [source, domain, destination] = names.try_into().ok()?;
    Some(Arguments { source, domain, destination, options })
}

async fn migrate(arguments: Arguments) -> Result<Domain> {
    let Arguments { source, domain, destination, options } = arguments;
    let here = Connection::open(source).await?;
    let there = Connection::open(destination).await?;
    let domain = here.domain_by_name(domain).await?;
    let mut migration = domain
        .migrate_to(&there, options)
        .progress_every(Duration::from_millis(250))
        .on_progress(show)
        .start();
    let moved = tokio::select! {
        moved = &mut migration => moved,
        _ = tokio::signal::ctrl_c() => {
            migration.cancel();
            // Both sides are cleaned up when this returns. It may have been too late, and the domain may have moved.
            migration.await
        }
    };
    if io::stderr().is_terminal() {
        eprintln!();
    }
    moved
}

/// Shows one line, again and again at the same place; each on its own where nobody looks.
fn show(progress: &MigrateProgress) {
    let MigrateProgress { phase, elapsed, stats, .. } = progress;
    let mut line = format!("{phase:<8} {:>6.1} s", elapsed.as_secs_f64());
    if let Some(fraction) = progress.fraction() {
        let mib = |bytes: Option<u64>| bytes.unwrap_or(0) >> 20;
        line += &format!(
            "  {:>3.0} %, {} of {} MiB left, pass {}",
            fraction * 100.0,
            mib(stats.data_remaining),
            mib(stats.data_total),
            stats.memory_iteration.unwrap_or(1)
        );
    }
    let mut errors = io::stderr();
    let _ = match errors.is_terminal() {
        true => write!(errors, "\r{line:<76}"),
        false => writeln!(errors, "{line}"),
    };
}

fn explained(error: &Error) -> String {
    match error.migration() {
        Some(why) if error.is_cancelled() => format!("cancelled; {}", why.whereabouts),
        _ => error.to_string(),
    }
}
