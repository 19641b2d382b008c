//! The files with authorities, revoked certificates, and our own certificate and key.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};
use zeroize::Zeroizing;

use super::{
    Options,
    error::{CertificateError, Context, Role, describe, whose},
    x509::{Summary, outdated},
};

type Result<T> = std::result::Result<T, CertificateError>;

const AUTHORITIES: &str = "the file of trusted authorities";
const REVOKED: &str = "the list of revoked certificates";
const CERTIFICATE: &str = "our certificate";
const KEY: &str = "the key of our certificate";

/// What the files hold.
#[derive(Debug)]
pub(super) struct Files {
    /// Empty only where the server is not verified.
    pub(super) authorities: Arc<RootCertStore>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    pub(super) own: Option<Own>,
}

/// Our certificate, what is above it, and its key.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    file: PathBuf,
}

impl Files {
    /// Reads the files, and checks our own certificate where that is wanted.
    pub(super) fn read(options: &Options, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let authorities = match read_authorities(&options.authorities) {
            Err(error) if options.verify => return Err(error),
            read => Arc::new(read.unwrap_or_else(|_| RootCertStore::empty())),
        };
        let revoked = options.revoked.as_deref().map_or(Ok(Vec::new()), read_revoked)?;
        let own = options.certificate.as_ref();
        let own = own.map(|(certificate, key)| Own::read(certificate, key)).transpose()?;
        let files = Self { authorities, revoked, own };
        if options.sanity {
            files.check(options, provider)?;
        }
        Ok(files)
    }

    /// Looks for what the daemon would refuse, or others take us for: certificates out of date, or of another authority.
    fn check(&self, options: &Options, provider: &Arc<CryptoProvider>) -> Result<()> {
        let (Some(own), false) = (&self.own, self.authorities.is_empty()) else { return Ok(()) };
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.authorities.clone(), provider.clone())
                .with_crls(self.revoked.clone())
                .allow_unknown_revocation_status()
                .build();
        let verifier = verifier.map_err(|error| list_unusable(options, error.to_string()))?;
        let Some((certificate, above)) = own.chain.split_first() else { return Ok(()) };
        let Err(error) = verifier.verify_client_cert(certificate, above, UnixTime::now()) else {
            return Ok(());
        };
        let context = Context {
            role: Role::Own(own.file.clone()),
            host: options.host.clone(),
            authorities: options.authorities.clone(),
            list: options.revoked.clone(),
        };
        let error = super::certificate_problem(&error, |found| describe(found, certificate, &context));
        match error {
            // GnuTLS lets daemons take certificates of other purposes, and of old forms.
            Some(CertificateError::Unusable { whose, reason }) => {
                tracing::warn!("{whose} may be refused: {reason}");
                Ok(())
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Own {
    fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let text = read(CERTIFICATE, certificate)?;
        let chain: Vec<CertificateDer<'static>> = items(CERTIFICATE, certificate, &text)?;
        let text = read(KEY, key)?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| unusable(KEY, key, key_problem(&error, &text)))?;
        Ok(Self { chain, key, file: certificate.to_owned() })
    }

    /// Names the certificate, as in messages about a daemon that does not take it.
    pub(super) fn describe(&self) -> String {
        let summary = self.chain.first().and_then(|certificate| Summary::of(certificate));
        whose(&Role::Own(self.file.clone()), summary.as_ref())
    }
}

fn read_authorities(path: &Path) -> Result<RootCertStore> {
    let text = read(AUTHORITIES, path)?;
    let certificates: Vec<CertificateDer<'static>> = items(AUTHORITIES, path, &text)?;
    let mut store = RootCertStore::empty();
    let mut last = None;
    for certificate in certificates {
        if let Err(error) = store.add(certificate) {
            tracing::warn!(%error, "a certificate in {} is left out", path.display());
            last = Some(error);
        }
    }
    match last {
        Some(error) if store.is_empty() => Err(unusable(AUTHORITIES, path, error.to_string())),
        _ => Ok(store),
    }
}

fn read_revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let text = read(REVOKED, path)?;
    let lists: Vec<CertificateRevocationListDer<'static>> = items(REVOKED, path, &text)?;
    for since in lists.iter().filter_map(|list| outdated(list, UnixTime::now())) {
        tracing::warn!(
            "{} is out of date since {since}: newer certificates may have been revoked",
            path.display()
        );
    }
    Ok(lists)
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    std::fs::read(path).map(Zeroizing::new).map_err(|error| unusable(what, path, error.to_string()))
}

/// Takes all of one kind out of a file in PEM form. One there must be.
fn items<T: PemObject>(what: &'static str, path: &Path, text: &[u8]) -> Result<Vec<T>> {
    let items: std::result::Result<Vec<T>, pem::Error> = T::pem_slice_iter(text).collect();
    match items {
        Ok(items) if items.is_empty() => {
            Err(unusable(what, path, "there is none in PEM form (-----BEGIN …) in it".to_owned()))
        }
        Ok(items) => Ok(items),
        Err(error) => Err(unusable(what, path, error.to_string())),
    }
}

fn key_problem(error: &pem::Error, text: &[u8]) -> String {
    let encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    let text = String::from_utf8_lossy(text);
    match error {
        _ if encrypted.iter().any(|mark| text.contains(mark)) => {
            "it is encrypted, which neither this nor libvirt's own client takes".to_owned()
        }
        pem::Error::NoItemsFound => "there is no private key in PEM form (-----BEGIN …) in it".to_owned(),
        error => error.to_string(),
    }
}

fn unusable(what: &'static str, path: &Path, reason: String) -> CertificateError {
    CertificateError::File { what, path: path.to_owned(), reason }
}

/// Says that the list of revoked certificates cannot be used.
pub(super) fn list_unusable(options: &Options, reason: String) -> CertificateError {
    unusable(REVOKED, options.revoked.as_deref().unwrap_or(Path::new("")), reason)
}

/// Says that our key and certificate do not do.
pub(super) fn pair_unusable(options: &Options, mismatch: bool, reason: String) -> CertificateError {
    let (certificate, key) = options.certificate.clone().unwrap_or_default();
    let reason = match mismatch {
        true => format!("it is not the key of {}", certificate.display()),
        false => reason,
    };
    unusable(KEY, &key, reason)
}
