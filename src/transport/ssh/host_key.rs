//! Whether the key that a server shows is the host's.

use std::{fmt, io, path::PathBuf, sync::Arc};

use russh::{
    Preferred,
    keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate},
};

use super::{
    destination::{HostKeyPolicy, HostKeys, Settings},
    known_hosts::{self, HostKey, HostName, KnownHosts, Place, RevokedKeys, Verdict},
};
use crate::{
    auth::{CredentialKind, CredentialRequest},
    error::{Error, Result, phase},
};

/// Why the key of a host was not taken: see [`of`](Self::of).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostKeyError {
    /// What is wrong with it.
    pub problem: HostKeyProblem,
    /// The host, as files of known hosts have it.
    pub host: String,
    /// The kind of key, as in `ssh-ed25519`.
    pub algorithm: String,
    /// The key's fingerprint, as in `SHA256:…`.
    pub fingerprint: String,
    /// Where the key would be kept.
    pub file: Option<PathBuf>,
    /// Why the certificate of an authority that is trusted does not count.
    pub certificate: Option<String>,
}

/// What is wrong with a host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyProblem {
    /// Nothing is known about the host, and nobody said that the key is to be trusted.
    Unknown,
    /// The user was asked, and does not trust it.
    Rejected,
    /// The host is known by other keys, the first of them on this line.
    Changed(Place),
    /// The key must not be trusted any more, as this line says.
    Revoked(Place),
}

impl HostKeyError {
    /// Finds what is wrong with a host's key in the error that a connection failed with.
    ///
    /// ```
    /// use libvirt_client::{Error, transport::ssh::{HostKeyError, HostKeyProblem}};
    ///
    /// fn is_unknown(error: &Error) -> bool {
    ///     HostKeyError::of(error).is_some_and(|about| about.problem == HostKeyProblem::Unknown)
    /// }
    /// ```
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Connect { source, .. } => source.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

/// Judges the key of one host.
#[derive(Debug)]
pub(super) struct HostKeyCheck {
    settings: Settings,
    name: HostName,
    known: KnownHosts,
    revoked: RevokedKeys,
}

impl HostKeyCheck {
    /// Reads what is known.
    pub(super) async fn read(settings: &Settings) -> Result<Self> {
        let settings = settings.clone();
        phase::aside("reading the files with hosts' keys", move || Self::new(settings)).await?
    }

    fn new(settings: Settings) -> Result<Self> {
        let keys = &settings.host_keys;
        let name = match &keys.alias {
            Some(alias) => HostName::alias(alias),
            None => HostName::new(&settings.address, settings.port),
        };
        let (files, revoked): (Vec<&PathBuf>, _) = match keys.policy {
            HostKeyPolicy::Ignore => (Vec::new(), RevokedKeys::default()),
            _ => (
                keys.files.iter().chain(&keys.global_files).collect(),
                RevokedKeys::read(&keys.revoked_files)?,
            ),
        };
        let known = KnownHosts::read(&files).map_err(|error| Error::Connect {
            address: settings.place(),
            hint: error.to_string(),
            // Not that the user may not connect, nor that it could be otherwise later.
            source: Arc::new(io::Error::new(io::ErrorKind::InvalidData, error)),
        })?;
        for skipped in known.skipped(&name) {
            tracing::warn!(place = %skipped.place, reason = skipped.reason, "a line of known hosts does not count");
        }
        Ok(Self { name, known, revoked, settings })
    }

    /// Returns the algorithms to ask for, with those of known keys first: a server that has several keys then shows one
    /// that is known.
    pub(super) fn preferred(&self) -> Preferred {
        let known = self.known.algorithms(&self.name);
        let mut algorithms = ALGORITHMS.to_vec();
        algorithms.sort_by_key(|algorithm| !known.contains(algorithm.as_str()));
        let certificates = match known.contains(&Algorithm::Ed25519.to_certificate_type()) {
            true => ALGORITHMS.to_vec(),
            false => Vec::new(),
        };
        Preferred {
            key: algorithms.into(),
            host_key_certificates: certificates.into(),
            cipher: super::ciphers::by_speed().into(),
            ..Preferred::default()
        }
    }

    /// Judges a key, and keeps it where that is wanted.
    pub(super) async fn check(&self, key: &PublicKeyOrCertificate) -> Result<()> {
        let bytes = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.to_bytes(),
            PublicKeyOrCertificate::Certificate(certificate) => certificate.to_bytes(),
        };
        let key = bytes
            .map_err(|error| error.to_string())
            .and_then(|bytes| HostKey::from_bytes(&bytes).map_err(|error| error.to_string()))
            .map_err(|error| Error::Connect {
                address: self.settings.place(),
                hint: format!("the server's key cannot be read: {error}"),
                source: Arc::new(io::Error::new(io::ErrorKind::InvalidData, error)),
            })?;
        let verdict = match self.revoked.find(&key) {
            Some(place) => Verdict::Revoked { place },
            None => self.known.check(&self.name, &key),
        };
        match verdict {
            _ if self.settings.host_keys.policy == HostKeyPolicy::Ignore => {
                tracing::warn!(
                    host = self.name.text(),
                    fingerprint = key.fingerprint(),
                    "the host's key is not checked"
                );
                Ok(())
            }
            Verdict::Accepted => Ok(()),
            Verdict::Unknown { certificate } => self.meet(&key, certificate).await,
            Verdict::Changed { place, certificate } => {
                Err(self.refuse(HostKeyProblem::Changed(place), &key, certificate))
            }
            Verdict::Revoked { place } => Err(self.refuse(HostKeyProblem::Revoked(place), &key, None)),
        }
    }

    /// Does about an unknown key what the policy says.
    async fn meet(&self, key: &HostKey, certificate: Option<String>) -> Result<()> {
        let problem = match self.settings.host_keys.policy {
            HostKeyPolicy::Strict => Some(HostKeyProblem::Unknown),
            HostKeyPolicy::Ask => self.ask(key).await,
            HostKeyPolicy::AcceptNew | HostKeyPolicy::Ignore => None,
        };
        match problem {
            Some(problem) => Err(self.refuse(problem, key, certificate)),
            None => {
                self.keep(key).await;
                Ok(())
            }
        }
    }

    async fn ask(&self, key: &HostKey) -> Option<HostKeyProblem> {
        let fingerprint = key.fingerprint();
        let mut request = CredentialRequest::new(CredentialKind::HostKey, "ssh", &self.settings.host);
        request.user = Some(self.settings.user.clone());
        request.echo = true;
        request.prompt = format!(
            "{} is not known. Its {} key has the fingerprint {fingerprint}. Trust and remember it (yes/no)?",
            self.settings.place(),
            key.algorithm()
        );
        match self.settings.credentials.ask(request).await {
            None => Some(HostKeyProblem::Unknown),
            Some(answer) if is_yes(answer.expose().trim(), &fingerprint) => None,
            Some(_) => Some(HostKeyProblem::Rejected),
        }
    }

    /// Adds a key to the user's file. That it cannot be added keeps nobody from connecting, as with `ssh`.
    async fn keep(&self, key: &HostKey) {
        let HostKeys { policy, files, hash, .. } = &self.settings.host_keys;
        let Some(file) = files.first().filter(|_| *policy != HostKeyPolicy::Ignore) else { return };
        let (file, name, key, hash) = (file.clone(), self.name.clone(), key.clone(), *hash);
        let keeping = phase::aside("keeping the host's key", move || {
            match known_hosts::learn(&file, &name, &key, hash) {
                Ok(()) => {
                    tracing::info!(host = name.text(), file = %file.display(), "a new host's key is kept")
                }
                Err(error) => tracing::warn!(host = name.text(), %error, "a new host's key is not kept"),
            }
        });
        // That the runtime ends is told by all else.
        let _ = keeping.await;
    }

    fn refuse(&self, problem: HostKeyProblem, key: &HostKey, certificate: Option<String>) -> Error {
        let error = HostKeyError {
            problem,
            host: self.name.text(),
            algorithm: key.algorithm(),
            fingerprint: key.fingerprint(),
            file: self.settings.host_keys.files.first().cloned(),
            certificate,
        };
        Error::Connect {
            address: self.settings.place(),
            hint: error.to_string(),
            source: Arc::new(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// An answer may also be the fingerprint, from whoever was told it by the host's administrator.
fn is_yes(answer: &str, fingerprint: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.eq_ignore_ascii_case(yes)) || answer == fingerprint
}

/// What we can verify, in the order of OpenSSH. Signatures of RSA with SHA-1 are none of it.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

impl fmt::Display for HostKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, host, algorithm, fingerprint, file, certificate } = self;
        let key = format!("{algorithm} key ({fingerprint})");
        match problem {
            HostKeyProblem::Unknown => {
                write!(f, "the host {host} and its {key} are not known; if the key is right, ")?;
                match file {
                    Some(file) => write!(f, "add it to {}", file.display())?,
                    None => f.write_str("add it to a file of known hosts")?,
                }
                f.write_str(
                    " (connect once with ssh, or by ssh-keyscan), answer the question for it by yes, or accept new keys",
                )?;
            }
            HostKeyProblem::Rejected => write!(f, "the {key} of {host} was not trusted by the user")?,
            HostKeyProblem::Changed(place) => write!(
                f,
                "the key of {host} has changed: it shows an {key}, and another is kept at {place}; somebody may be \
                 listening in between, or the host was installed anew: if so, delete that line"
            )?,
            HostKeyProblem::Revoked(place) => {
                write!(f, "the {key} of {host} is revoked at {place} and must not be used any more")?;
            }
        }
        match certificate {
            Some(reason) => write!(f, "; its certificate does not count: {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HostKeyError {}
