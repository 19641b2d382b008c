//! Keys that no host may prove itself with, whatever else is known: the files that `RevokedHostKeys` names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{HostKey, Place};
use crate::error::{Error, Result};

/// How OpenSSH's binary lists of revoked keys begin.
const KRL: &[u8] = b"SSHKRL\n\0";

/// The keys in some files, and where they stand.
#[derive(Debug, Default)]
pub(in crate::transport::ssh) struct RevokedKeys(Vec<(Place, HostKey)>);

impl RevokedKeys {
    /// Reads files that have a key on each line. What cannot be read or understood might be about the host, and so is an
    /// error.
    pub(in crate::transport::ssh) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut keys = Self::default();
        for file in files {
            let wrong = |reason| Error::Config {
                file: file.clone(),
                reason: format!(
                    "RevokedHostKeys: {reason}; \"command=ssh\" in the URI leaves the host's key to the system's ssh"
                ),
            };
            let bytes = fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            if bytes.starts_with(KRL) {
                return Err(wrong("a list in binary form (KRL) is not understood here".to_owned()));
            }
            keys.add_text(file, &String::from_utf8_lossy(&bytes)).map_err(wrong)?;
        }
        Ok(keys)
    }

    fn add_text(&mut self, file: &Path, text: &str) -> Result<(), String> {
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = HostKey::from_openssh(line).map_err(|error| format!("line {number} is {error}"))?;
            self.0.push((Place { file: file.to_owned(), line: number }, key));
        }
        Ok(())
    }

    /// Returns where a key is listed, or the authority that vouches for it.
    pub(in crate::transport::ssh) fn find(&self, key: &HostKey) -> Option<Place> {
        let listed = self.0.iter().find(|(_, listed)| key.same_key(listed) || key.is_signed_by(listed));
        listed.map(|(place, _)| place.clone())
    }
}
