//! Which keys hosts are known by: files such as `~/.ssh/known_hosts`, read and answered as OpenSSH does.
//!
//! It differs in two things, both to the safe side: a `@revoked` with a tab behind it counts, which OpenSSH takes for a line
//! that it does not understand; and what is revoked without a port is so at every port.

mod key;
mod learn;
mod line;
mod revoked;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use ssh_key::known_hosts::Marker;

use self::line::{File, Line};
pub(super) use self::revoked::RevokedKeys;
pub use self::{
    key::{HostKey, KeyError},
    learn::learn,
};

/// The port that is left out of names.
const SSH_PORT: u16 = 22;

/// What some files say about the keys of hosts.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    files: Vec<File>,
}

/// What a host is looked up by: its name as the user gave it, and the port where it is not 22.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    host: String,
    port: u16,
}

/// What is known about a host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the host's, or a certificate for it by an authority that is trusted.
    Accepted,
    /// Nothing is known about this host.
    Unknown {
        /// If it proves itself by a certificate of an authority that is trusted: why the certificate does not count.
        certificate: Option<String>,
    },
    /// The host is known by other keys only, by one of another algorithm perhaps.
    Changed {
        /// Where the last of them stands.
        place: Place,
        /// As with [`Verdict::Unknown`].
        certificate: Option<String>,
    },
    /// The key, or the authority that vouches for it, must not be trusted any more.
    Revoked {
        /// Where that is said.
        place: Place,
    },
}

/// A line in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line's number; the first is 1.
    pub line: usize,
}

/// A line that could not be understood, and so does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Where it stands.
    pub place: Place,
    /// What is wrong with it.
    pub reason: String,
}

/// What kinds of keys a host is known by. A client asks for these first, so that a host that has several keys shows one that
/// is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAlgorithms {
    keys: Vec<String>,
    by_certificate: bool,
}

impl KnownHosts {
    /// Reads files; one that does not exist is an empty one.
    ///
    /// # Errors
    /// A file is there and cannot be read; the error names it.
    pub fn read<P: AsRef<Path>>(files: &[P]) -> io::Result<Self> {
        let mut known = Self::default();
        for path in files.iter().map(AsRef::as_ref) {
            match fs::read(path) {
                Ok(bytes) => known.add_text(path, &bytes),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(learn::about(path, "cannot read the known hosts in", &error)),
            }
        }
        Ok(known)
    }

    /// Adds what a file says, after those that are there.
    pub fn add_text(&mut self, path: &Path, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        self.files.push(File { path: path.to_owned(), text });
    }

    /// Tells what is known about a host's key.
    ///
    /// A host at another port than 22 that is not known with its port is accepted, too, if its key is known without it.
    #[must_use]
    pub fn check(&self, host: &HostName, key: &HostKey) -> Verdict {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.check_at(host, key, now)
    }

    /// The same at a time, in seconds since 1970.
    fn check_at(&self, host: &HostName, key: &HostKey, now: u64) -> Verdict {
        let judge = |name: &str| judge(&self.lines(name, &mut Vec::new()), &host.host, key, now);
        let verdict = judge(&host.text());
        if host.port == SSH_PORT {
            return verdict;
        }
        match (verdict, judge(&host.host)) {
            (verdict @ Verdict::Revoked { .. }, _) => verdict,
            (_, revoked @ Verdict::Revoked { .. }) => revoked,
            (Verdict::Unknown { .. }, Verdict::Accepted) => Verdict::Accepted,
            // What else is known without the port is about another server on the same machine.
            (verdict, _) => verdict,
        }
    }

    /// Returns the algorithms of the keys that a host is known by; without its port, if it is not known with it.
    #[must_use]
    pub fn algorithms(&self, host: &HostName) -> KnownAlgorithms {
        let with_port = KnownAlgorithms::of(&self.lines(&host.text(), &mut Vec::new()));
        if with_port != KnownAlgorithms::default() {
            return with_port;
        }
        KnownAlgorithms::of(&self.lines(&host.host, &mut Vec::new()))
    }

    /// Returns the lines that do not count for a host since they could not be understood, for a note to the user.
    #[must_use]
    pub fn skipped(&self, host: &HostName) -> Vec<Skipped> {
        let mut skipped = Vec::new();
        self.lines(&host.text(), &mut skipped);
        skipped
    }

    fn lines(&self, name: &str, skipped: &mut Vec<Skipped>) -> Vec<Line> {
        self.files.iter().flat_map(|file| file.lines(name, skipped)).collect()
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Weighs the lines about a host. Revoked keys come first, then certificates; a certificate that does not count leaves the
/// key in it, which may be known.
fn judge(lines: &[Line], host: &str, key: &HostKey, now: u64) -> Verdict {
    let with = |marker| lines.iter().filter(move |line| line.marker == marker);
    let mut revoked = with(Some(Marker::Revoked));
    if let Some(line) = revoked.find(|line| key.same_key(&line.key) || key.is_signed_by(&line.key)) {
        return Verdict::Revoked { place: line.place.clone() };
    }
    let mut certificate = None;
    if with(Some(Marker::CertAuthority)).any(|line| key.is_signed_by(&line.key)) {
        match key.check_certificate(host, now) {
            Ok(()) => return Verdict::Accepted,
            Err(reason) => certificate = Some(reason),
        }
    }
    if with(None).any(|line| key.same_key(&line.key)) {
        return Verdict::Accepted;
    }
    match with(None).next_back() {
        Some(line) => Verdict::Changed { place: line.place.clone(), certificate },
        None => Verdict::Unknown { certificate },
    }
}

impl HostName {
    /// A host and its port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_lowercase(), port }
    }

    /// A name that stands for a host whatever its address and its port are (`HostKeyAlias`).
    #[must_use]
    pub fn alias(alias: &str) -> Self {
        Self::new(alias, SSH_PORT)
    }

    /// Returns it as known_hosts has it: `host`, or `[host]:port`.
    #[must_use]
    pub fn text(&self) -> String {
        match self.port {
            SSH_PORT => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

impl KnownAlgorithms {
    fn of(lines: &[Line]) -> Self {
        let keys = lines.iter().filter(|line| line.marker.is_none());
        Self {
            keys: keys.map(|line| line.key.algorithm()).collect(),
            by_certificate: lines.iter().any(|line| line.marker == Some(Marker::CertAuthority)),
        }
    }

    /// Tells whether the host is known by a key of that algorithm, by the name that the two sides negotiate:
    /// `rsa-sha2-512` is one for keys of RSA, and `ssh-ed25519-cert-v01@openssh.com` one for certificates.
    #[must_use]
    pub fn contains(&self, algorithm: &str) -> bool {
        if algorithm.contains("-cert-v0") {
            return self.by_certificate;
        }
        let kind = if algorithm.starts_with("rsa-sha2-") { "ssh-rsa" } else { algorithm };
        self.keys.iter().any(|key| key == kind)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
