//! Copies a volume into a file, or a file into a volume, holes and all, and shows how far it has come.
//!
//! ```text
//! cargo run --example vol -- download default web.img web.img                            at qemu:///system
//! cargo run --example vol -- upload default web.img web.img qemu:///session              or elsewhere
//! ```

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use libvirt_client::{
    Connection,
    streams::{Progress, Transferred},
};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: vol download|upload POOL VOLUME FILE [URI]      (without a URI: qemu:///system)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (direction, pool, volume, file, uri) = match arguments.as_slice() {
        [direction, pool, volume, file] => (direction, pool, volume, file, "qemu:///system"),
        [direction, pool, volume, file, uri] => (direction, pool, volume, file, uri.as_str()),
        _ => return usage(),
    };
    let copied = match direction.as_str() {
        "download" => download(uri, pool, volume, file).await,
        "upload" => upload(uri, pool, volume, file).await,
        _ => return usage(),
    };
    match copied {
        Ok(Transferred { data, holes, .. }) => {
            println!("{data} bytes, and {holes} in holes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vol: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

async fn download(uri: &str, pool: &str, volume: &str, file: &str) -> AnyResult<Transferred> {
    let connection = Connection::open(uri).await?;
    let volume = connection.storage_pool_by_name(pool).await?.volume_by_name(volume).await?;
    // An unfinished copy must not be taken for a whole one.
    let unfinished = format!("{file}.part");
    let target = File::create(&unfinished).map_err(|error| format!("cannot write {unfinished}: {error}"))?;
    let done = volume.download_to(&target).sparse().on_progress(progress_line()).await?;
    std::fs::rename(&unfinished, file)?;
    connection.close().await?;
    Ok(done)
}

async fn upload(uri: &str, pool: &str, volume: &str, file: &str) -> AnyResult<Transferred> {
    let source = File::open(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let connection = Connection::open(uri).await?;
    let pool = connection.storage_pool_by_name(pool).await?;
    let volume = pool.volume_by_name(volume).await?;
    let done = volume.upload_from(&source).sparse().on_progress(progress_line()).await?;
    // The daemon looks at the volume anew: how much of it is allocated has changed.
    pool.refresh().await?;
    connection.close().await?;
    Ok(done)
}

/// Returns what writes one line on a terminal over and over, and nothing elsewhere.
fn progress_line() -> impl FnMut(Progress) + Send {
    let terminal = io::stderr().is_terminal();
    let mut last = None::<Instant>;
    move |progress| {
        let is_done = progress.total == Some(progress.bytes);
        let is_due = last.is_none_or(|last| last.elapsed() >= Duration::from_millis(200));
        if !terminal || !(is_done || is_due) {
            return;
        }
        last = Some(Instant::now());
        let mib = |bytes: u64| bytes >> 20;
        let of = progress.total.map_or(String::new(), |total| format!(" of {}", mib(total)));
        let end = if is_done { "\n" } else { "" };
        let mut terminal = io::stderr().lock();
        let _ = write!(terminal, "\r{}{of} MiB, {} in holes{end}", mib(progress.bytes), mib(progress.holes));
        let _ = terminal.flush();
    }
}
