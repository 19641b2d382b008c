//! Lines of known_hosts: which hosts they are about, and which key.

use std::path::PathBuf;

use ring::hmac;
use ssh_key::known_hosts::{HostPatterns, Marker};

use super::{HostKey, HostName, Place, Skipped};
use crate::transport::ssh::pattern::{Match, match_list};

/// One file as it was read.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A line about the host that was asked for.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) marker: Option<Marker>,
    pub(super) key: HostKey,
}

impl File {
    /// Finds the lines about the host of that name in a file, in their order. What cannot be read is left out and told.
    ///
    /// Keys are read where the name matches only: that is what takes time.
    pub(super) fn lines(&self, name: &str, skipped: &mut Vec<Skipped>) -> Vec<Line> {
        let mut found = Vec::new();
        for (line, number) in self.text.lines().zip(1..) {
            let place = || Place { file: self.path.clone(), line: number };
            match parse(line, name) {
                Ok(Some((marker, key))) => found.push(Line { place: place(), marker, key }),
                Ok(None) => {}
                Err(reason) => skipped.push(Skipped { place: place(), reason }),
            }
        }
        found
    }
}

/// Reads a line if it is about the host of that name.
fn parse(line: &str, name: &str) -> Result<Option<(Option<Marker>, HostKey)>, String> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (marker, rest) = match word(line) {
        (marker, rest) if marker.starts_with('@') => {
            let known = marker.parse().map_err(|_| format!("the marker {marker} is unknown"))?;
            // To OpenSSH a marker ends with a space only. One that would give trust is no more than that here, either.
            if known == Marker::CertAuthority && !line.starts_with("@cert-authority ") {
                return Err("the marker @cert-authority has no space behind it".to_owned());
            }
            (Some(known), rest)
        }
        _ => (None, line),
    };
    let (hosts, key) = word(rest);
    let patterns: HostPatterns =
        hosts.parse().map_err(|_| format!("{hosts:?} is neither a list of hosts nor a hashed one"))?;
    if !is_about(&patterns, name) {
        return Ok(None);
    }
    let key = HostKey::from_openssh(key).map_err(|error| error.to_string())?;
    Ok(Some((marker, key)))
}

/// Splits the first word off.
fn word(text: &str) -> (&str, &str) {
    match text.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((word, rest)) => (word, rest.trim_ascii_start()),
        None => (text, ""),
    }
}

fn is_about(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => {
            let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
            match_list(name, patterns.iter().map(String::as_str)) == Match::Yes
        }
        HostPatterns::HashedName { salt, hash } => {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt), name.as_bytes(), hash)
                .is_ok()
        }
    }
}

/// How long the salt of a hashed name is: as long as the hash.
const SALT: usize = 20;

/// Writes a line for a host's key, with the name hashed if asked for.
pub(super) fn write(name: &HostName, key: &HostKey, hashed: bool) -> std::io::Result<String> {
    let name = name.text();
    if !hashed {
        return Ok(format!("{name} {}\n", key.to_openssh()));
    }
    let mut salt = [0; SALT];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut salt)
        .map_err(|_| std::io::Error::other("the system has no random numbers"))?;
    let mut hash = [0; SALT];
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt), name.as_bytes());
    hash.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    let patterns = HostPatterns::HashedName { salt: salt.to_vec(), hash };
    Ok(format!("{} {}\n", patterns.to_string(), key.to_openssh()))
}
