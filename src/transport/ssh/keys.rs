//! Private keys and certificates in files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use russh::keys::{
    Algorithm, Certificate, HashAlg, PrivateKey, PublicKey, decode_secret_key, signature::Signer as _,
    ssh_key::private::KeypairData,
};
use zeroize::Zeroizing;

use crate::{
    auth::{CredentialKind, CredentialRequest, Credentials},
    error::phase,
};

/// A private key's file. It is decrypted when something is to be signed, so that nobody is asked for the passphrase of a key
/// that the server does not want.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    text: Zeroizing<String>,
    /// Known before the passphrase is, from the file or from the one beside it.
    pub(super) public: PublicKey,
    pub(super) certificate: Option<Certificate>,
    private: Option<Arc<PrivateKey>>,
}

/// How often a passphrase is asked for.
const ATTEMPTS: u32 = 3;

/// What became of reading a file.
pub(super) enum Found {
    Key(Box<KeyFile>),
    /// A key that says nothing about itself until it is decrypted.
    Locked(PathBuf, Zeroizing<String>),
    Missing,
    /// Why it cannot be used.
    Useless(String),
}

impl KeyFile {
    /// Reads the file of a private key, and its certificate where one is beside it.
    pub(super) fn read(path: &Path) -> Found {
        let text = match read_private(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Missing,
            Err(error) => return Found::Useless(error.to_string()),
        };
        let (private, public) = match PrivateKey::from_openssh(text.as_bytes()) {
            Ok(key) if key.is_encrypted() => (None, Some(key.public_key().clone())),
            Ok(key) => (Some(Arc::new(key.clone())), Some(key.public_key().clone())),
            Err(_) => match decode_secret_key(&text, None) {
                Ok(key) => (Some(Arc::new(key.clone())), Some(key.public_key().clone())),
                Err(_) if is_encrypted_pem(&text) => (None, None),
                Err(error) => {
                    return Found::Useless(format!("no private key that this version reads: {error}"));
                }
            },
        };
        let Some(public) = public.or_else(|| read_public(&beside(path, ".pub"))) else {
            return Found::Locked(path.to_owned(), text);
        };
        let certificate = read_certificate(&beside(path, "-cert.pub"));
        Found::Key(Box::new(Self { path: path.to_owned(), text, public, certificate, private }))
    }

    /// Decrypts a key that does not say what it is before.
    pub(super) async fn unlock(
        path: PathBuf,
        text: Zeroizing<String>,
        asking: &Asking<'_>,
    ) -> Result<Self, String> {
        let private = asking.decrypt(&path, &text).await?;
        let beside = beside(&path, "-cert.pub");
        let reading = phase::aside("reading a key's certificate", move || read_certificate(&beside));
        let certificate = reading.await.map_err(|error| error.to_string())?;
        Ok(Self { public: private.public_key().clone(), path, text, certificate, private: Some(private) })
    }

    /// Signs, after it has asked for the passphrase where there is one.
    pub(super) async fn sign(
        &mut self,
        message: &[u8],
        hash: Option<HashAlg>,
        asking: &Asking<'_>,
    ) -> Result<Vec<u8>, String> {
        let private = match &self.private {
            Some(private) => Arc::clone(private),
            None => self.private.insert(asking.decrypt(&self.path, &self.text).await?).clone(),
        };
        let signature = match private.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(message),
            other => other.try_sign(message),
        };
        let signature = signature.map_err(|error| format!("it cannot sign: {error}"))?;
        signature.try_into().map_err(|error| format!("it cannot sign: {error}"))
    }
}

/// Whom to ask for passphrases, and for what.
pub(super) struct Asking<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) host: &'a str,
    pub(super) user: &'a str,
}

impl Asking<'_> {
    async fn decrypt(&self, path: &Path, text: &Zeroizing<String>) -> Result<Arc<PrivateKey>, String> {
        let mut last: Option<crate::auth::Secret> = None;
        for attempt in 0..ATTEMPTS {
            let mut request = CredentialRequest::new(CredentialKind::Passphrase, "ssh", self.host);
            request.user = Some(self.user.to_owned());
            request.prompt = format!("passphrase of the key {}", path.display());
            request.attempt = attempt;
            let Some(passphrase) = self.credentials.ask(request).await else {
                return Err(match attempt {
                    0 => "it is encrypted, and nobody gave its passphrase".to_owned(),
                    _ => "the passphrase is wrong".to_owned(),
                });
            };
            // One who knows only one answer will not find another.
            if last.as_ref().is_some_and(|last| last.expose() == passphrase.expose()) {
                break;
            }
            let (text, given) = (text.clone(), passphrase.clone());
            // Made slow on purpose: it would hold up everything else that runs on this thread.
            let decrypting =
                tokio::task::spawn_blocking(move || decode_secret_key(&text, Some(given.expose())));
            if let Ok(Ok(key)) = decrypting.await {
                return Ok(Arc::new(key));
            }
            last = Some(passphrase);
        }
        Err("the passphrase is wrong".to_owned())
    }
}

/// Reads a certificate, if there is one that can be read.
pub(super) fn read_certificate(path: &Path) -> Option<Certificate> {
    let text = fs::read_to_string(path).ok()?;
    match Certificate::from_openssh(text.trim()) {
        Ok(certificate) => Some(certificate),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a certificate does not count");
            None
        }
    }
}

/// Reads a public key, if there is one that can be read.
pub(super) fn read_public(path: &Path) -> Option<PublicKey> {
    PublicKey::from_openssh(fs::read_to_string(path).ok()?.trim()).ok()
}

/// Returns the path of a file beside another: `id_rsa` and `.pub` are `id_rsa.pub`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Tells people what key it is.
pub(super) fn describe(key: &PublicKey) -> String {
    let kind = match key.algorithm() {
        Algorithm::Rsa { .. } => "RSA".to_owned(),
        Algorithm::Ed25519 => "ED25519".to_owned(),
        Algorithm::Ecdsa { .. } => "ECDSA".to_owned(),
        other => other.as_str().to_owned(),
    };
    format!("{kind} {}", key.fingerprint(HashAlg::Sha256))
}

fn is_encrypted_pem(text: &str) -> bool {
    text.contains("ENCRYPTED")
}

/// Reads a file that nobody else may read: as `ssh` does, it takes no key that others could have copied.
fn read_private(path: &Path) -> io::Result<Zeroizing<String>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path)?;
        if metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "others can read it (mode {:04o}); chmod 600 makes it private",
                metadata.mode() & 0o7777
            )));
        }
    }
    fs::read_to_string(path).map(Zeroizing::new)
}
