//! Which keys a user has in files.

use std::path::Path;

use russh::keys::{Certificate, PublicKey};

use super::{
    destination::Identities,
    keys::{Found, KeyFile, beside, read_certificate, read_public},
};
use crate::error::{Result, phase};

/// What files say about a user's keys.
#[derive(Default)]
pub(super) struct KeyFiles {
    /// The key that is tried before all others.
    pub(super) stated: Option<Found>,
    pub(super) others: Vec<Found>,
    /// The public keys of all of them, and of those that only an agent may have.
    pub(super) known: Vec<PublicKey>,
    /// Those beside the keys, and those that the configuration names.
    pub(super) certificates: Vec<Certificate>,
    /// What is wrong with files that somebody named, for people.
    pub(super) useless: Vec<String>,
}

impl KeyFiles {
    /// Reads the files that there are.
    pub(super) async fn read(identities: &Identities) -> Result<Self> {
        let identities = identities.clone();
        phase::aside("reading the files with the user's keys", move || Self::read_all(&identities)).await
    }

    fn read_all(identities: &Identities) -> Self {
        let mut files = Self::default();
        files.stated = identities.stated.as_ref().and_then(|path| files.look(path, true));
        let named = identities.files.iter().map(|path| (path, true));
        for (path, is_named) in named.chain(identities.default_files.iter().map(|path| (path, false))) {
            let found = files.look(path, is_named);
            files.others.extend(found);
        }
        files.certificates.extend(identities.certificates.iter().filter_map(|path| read_certificate(path)));
        files
    }

    /// Reads a file that may hold a key, and says what is wrong where somebody named it.
    fn look(&mut self, path: &Path, is_named: bool) -> Option<Found> {
        match KeyFile::read(path) {
            Found::Key(file) => {
                self.known.push(file.public.clone());
                self.certificates.extend(file.certificate.clone());
                Some(Found::Key(file))
            }
            found @ Found::Locked(..) => Some(found),
            Found::Missing if self.look_for_public(path) => None,
            Found::Missing if is_named => {
                self.useless.push(format!("the key {}: there is no such file", path.display()));
                None
            }
            Found::Missing => None,
            // The path may be that of the public key; then the agent has the private one.
            Found::Useless(_) if read_public(path).is_some() => {
                self.look_for_public(path);
                None
            }
            Found::Useless(why) => {
                self.useless.push(format!("the key {}: {why}", path.display()));
                self.look_for_public(path);
                None
            }
        }
    }

    /// Takes the public key at a path, or beside it, for a private one that only the agent may have.
    fn look_for_public(&mut self, path: &Path) -> bool {
        let public = read_public(path).or_else(|| read_public(&beside(path, ".pub")));
        let found = public.is_some();
        self.known.extend(public);
        found
    }
}
