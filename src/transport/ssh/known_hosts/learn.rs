//! Writing down the key of a host that was not known.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{HostKey, HostName, KnownHosts, Verdict, line};

/// Adds a host's key to the end of a file, with the name hashed if asked for (`HashKnownHosts`).
///
/// The file is made if it is missing, for its owner alone, and so is the directory that it is in. A last line without an
/// end gets one. Nothing is written if the file has the key already, or is a device such as `/dev/null`.
///
/// # Errors
/// The file cannot be written, or is none; the host has a name that would be read as something else. The error names the file.
pub fn learn(file: &Path, host: &HostName, key: &HostKey, hashed: bool) -> io::Result<()> {
    try_learn(file, host, key, hashed).map_err(|error| about(file, "cannot add the host's key to", &error))
}

fn try_learn(file: &Path, host: &HostName, key: &HostKey, hashed: bool) -> io::Result<()> {
    if !is_plain(&host.host) {
        let reason = format!("{:?} is no name of a host", host.host);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if is_device(&metadata) => return Ok(()),
        Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_directory(file)?,
        Err(error) => return Err(error),
    }
    let mut known = KnownHosts::default();
    let mut opened = open(file)?;
    let mut text = Vec::new();
    opened.read_to_end(&mut text)?;
    known.add_text(file, &text);
    if known.check(host, key) == Verdict::Accepted {
        return Ok(());
    }
    let mut addition = if text.last().is_some_and(|last| *last != b'\n') { "\n" } else { "" }.to_owned();
    addition.push_str(&line::write(host, key, hashed)?);
    // In one piece, so that what another process adds at the same time stands before or after it.
    opened.seek(SeekFrom::End(0))?;
    opened.write_all(addition.as_bytes())
}

/// A name that patterns, markers, comments and lines cannot be mistaken for.
fn is_plain(host: &str) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || ",*?!|@#[]\"".contains(c);
    !host.is_empty() && !host.contains(special)
}

/// Only the last one: a home that does not exist is not for us to make.
fn make_directory(file: &Path) -> io::Result<()> {
    let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn open(file: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

#[cfg(unix)]
fn is_device(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_char_device(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_device(_: &fs::Metadata) -> bool {
    false
}

/// Names the file in an error of the operating system.
pub(super) fn about(file: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", file.display()))
}
