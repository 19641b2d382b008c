//! Runs a command in a guest by SSH, also where only its host can reach it: finds the guest's address, opens a tunnel to it
//! through the SSH session of the connection, and logs in to the guest over the tunnel.
//!
//! ```text
//! cargo run --example guest-ssh -- qemu+ssh://root@host/system web admin uptime
//! ```
//!
//! Host and guest are known, and users let in, as `ssh` would have it: by its configuration, files and agent.

use std::{env, process::ExitCode};

use libvirt_client::{
    Connection, Domain,
    enums::DomainInterfaceAddressesSource,
    transport::{
        Exit, Farewell,
        ssh::{Destination, Session},
    },
};
use tokio::io::AsyncReadExt;

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: guest-ssh URI DOMAIN USER COMMAND      (a URI with +ssh)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [uri, domain, user, command @ ..] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match guest_ssh(uri, domain, user, &command.join(" ")).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("guest-ssh: {error}");
            ExitCode::from(255)
        }
    }
}

/// Returns the status of the command.
async fn guest_ssh(uri: &str, domain: &str, user: &str, command: &str) -> AnyResult<u8> {
    let mut builder = Connection::builder(uri);
    let mut guest = Destination::new(domain);
    guest.user = Some(user.to_owned());
    // As with `ssh -F`.
    if let Some(config) = env::var_os("GUEST_SSH_CONFIG") {
        guest.config = libvirt_client::transport::ssh::ConfigFiles::File(config.clone().into());
        builder = builder.ssh_config(config);
    }
    let connection = builder.open().await?;
    let host = connection.ssh().ok_or("the connection does not run over SSH")?;
    let address = address(&connection.domain_by_name(domain).await?).await?;
    eprintln!("{domain} is at {address}");

    let tunnel = host.connect_tcp(&address, guest.port.unwrap_or(22)).await?;
    let session = Session::connect_over(tunnel, &guest).await?;
    run(&session, command).await
}

/// Finds an address of the guest: its leases are asked for first, and then what runs in it.
async fn address(domain: &Domain) -> AnyResult<String> {
    for source in [DomainInterfaceAddressesSource::LEASE, DomainInterfaceAddressesSource::AGENT] {
        let Ok(interfaces) = domain.interface_addresses(source).await else { continue };
        let mut addresses = interfaces.into_iter().flat_map(|interface| interface.addresses);
        let outside =
            |address: &str| !address.starts_with("127.") && address != "::1" && !address.starts_with("fe80:");
        if let Some(found) = addresses.find(|found| outside(&found.address)) {
            return Ok(found.address);
        }
    }
    Err(format!("no address of {} is known; does it run, and has it one?", domain.name()).into())
}

/// Runs a command and prints what it prints.
async fn run(session: &Session, command: &str) -> AnyResult<u8> {
    let mut stream = session.exec(command).await?;
    let mut output = Vec::new();
    let end = stream.read_to_end(&mut output).await;
    print!("{}", String::from_utf8_lossy(&output));
    let Err(error) = end else { return Ok(0) };
    let Some(farewell) = Farewell::of(&error) else { return Err(error.into()) };
    eprint!("{}", farewell.complaint.text());
    match farewell.exit {
        Some(Exit::Status(status)) => Ok(u8::try_from(status).unwrap_or(u8::MAX)),
        _ => Err(error.into()),
    }
}
