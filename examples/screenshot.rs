//! Writes a picture of a running domain's screen to a file.
//!
//! ```text
//! cargo run --example screenshot -- web                          at qemu:///system
//! cargo run --example screenshot -- test test:///default         or elsewhere
//! ```

use std::{env, fs, process::ExitCode};

use libvirt_client::Connection;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: screenshot DOMAIN [URI]      (without a URI: qemu:///system)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (domain, uri) = match arguments.as_slice() {
        [domain] if !domain.starts_with('-') => (domain, "qemu:///system"),
        [domain, uri] => (domain, uri.as_str()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match take(uri, domain).await {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("screenshot: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn take(uri: &str, domain: &str) -> AnyResult<String> {
    let connection = Connection::open(uri).await?;
    let screenshot = connection.domain_by_name(domain).await?.screenshot(0).await?;
    let kind = screenshot.mime_type.clone();
    // The hypervisor chooses the format.
    let extension = match kind.as_str() {
        "image/png" => "png",
        "image/x-portable-pixmap" => "ppm",
        _ => "image",
    };
    let picture = screenshot.bytes().await?;
    let file = format!("{domain}.{extension}");
    fs::write(&file, &picture).map_err(|error| format!("cannot write {file}: {error}"))?;
    connection.close().await?;
    Ok(format!("{file}: {kind}, {} bytes", picture.len()))
}
