//! Finds a guest's address, or runs a program in it, as `ssh` would if it were installed there.
//!
//! ```text
//! cargo run --features serde --example guest -- qemu:///system web ip
//! cargo run --features serde --example guest -- qemu:///system web run uname -a
//! ```
//!
//! The program reads nothing, and this ends with its code.

use std::{
    env,
    io::{Write, stderr, stdout},
    process::ExitCode,
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, Error,
    guest::{ExecOutput, ExecStatus},
};

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: guest URI DOMAIN ip\n       guest URI DOMAIN run PROGRAM [ARGUMENT]...";

/// How long a guest may take to boot.
const BOOT: Duration = Duration::from_secs(120);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [uri, name, "ip"] => ip(uri, name).await,
        [uri, name, "run", program, arguments @ ..] => run(uri, name, program, arguments).await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("guest: {error}");
        ExitCode::FAILURE
    })
}

async fn find(uri: &str, name: &str) -> AnyResult<Domain> {
    let connection = Connection::open(uri).await?;
    Ok(connection.find_domain_by_name(name).await?.ok_or_else(|| format!("there is no domain {name}"))?)
}

/// Whoever knows it first: the agent, a lease, the host's ARP table. A guest that has just been started is waited for.
async fn ip(uri: &str, name: &str) -> AnyResult<ExitCode> {
    let found = find(uri, name).await?.wait_for_address(BOOT).await?;
    println!("{}", found.address);
    Ok(ExitCode::SUCCESS)
}

async fn run(uri: &str, name: &str, program: &str, arguments: &[&str]) -> AnyResult<ExitCode> {
    let guest = find(uri, name).await?.guest();
    guest.wait_until_ready(BOOT).await?;
    let exec = guest.exec(program).args(arguments.iter().copied()).deadline(None);
    let output = exec.output().await.map_err(|error| advice(program, error))?;
    let ExecOutput { status, stdout: printed, stderr: complained, .. } = &output;
    stdout().write_all(printed)?;
    stderr().write_all(complained)?;
    if output.stdout_truncated || output.stderr_truncated {
        eprintln!("guest: that is not all: it printed more than the agent keeps");
    }
    Ok(match status {
        ExecStatus::Exited(code) => ExitCode::from(u8::try_from(*code).unwrap_or(1)),
        other => {
            eprintln!("guest: {program} ended otherwise: {other:?}");
            ExitCode::FAILURE
        }
    })
}

fn advice(program: &str, error: Error) -> Box<dyn std::error::Error> {
    if error.is_not_found() {
        format!("there is no {program} in the guest").into()
    } else if error.is_unsupported() {
        format!("{error}; allow guest-exec and guest-exec-status in the agent's configuration in the guest")
            .into()
    } else {
        error.into()
    }
}
