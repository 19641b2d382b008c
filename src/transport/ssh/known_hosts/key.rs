//! The key that a host proves itself with.

use std::fmt;

use ssh_key::{Algorithm, Certificate, HashAlg, PublicKey, certificate::CertType, public::KeyData};

/// A host's public key, or its certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    key: KeyData,
    certificate: Option<Box<Certificate>>,
}

/// Why bytes or a text are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key that this version understands: {0}")]
pub struct KeyError(String);

impl HostKey {
    /// Reads a key or a certificate as SSH servers send it.
    ///
    /// # Errors
    /// The bytes are neither, or of an algorithm that this version lacks.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        match PublicKey::from_bytes(bytes) {
            Ok(key) => Self::new(key.key_data().clone()),
            Err(error) => match Certificate::from_bytes(bytes) {
                Ok(certificate) => Self::from_certificate(certificate),
                Err(_) => Err(KeyError(error.to_string())),
            },
        }
    }

    /// Reads a key or a certificate as it stands in a file: the algorithm, a blank, the bytes in Base64.
    ///
    /// # Errors
    /// The text is neither, or of an algorithm that this version lacks.
    pub fn from_openssh(text: &str) -> Result<Self, KeyError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(algorithm), Some(base64)) = (words.next(), words.next()) else {
            return Err(KeyError("an algorithm and its bytes in Base64 are expected".to_owned()));
        };
        let text = format!("{algorithm} {base64}");
        match PublicKey::from_openssh(&text) {
            Ok(key) => Self::new(key.key_data().clone()),
            Err(error) => match Certificate::from_openssh(&text) {
                Ok(certificate) => Self::from_certificate(certificate),
                Err(_) => Err(KeyError(error.to_string())),
            },
        }
    }

    fn new(key: KeyData) -> Result<Self, KeyError> {
        match key {
            KeyData::Certificate(certificate) => Self::from_certificate(*certificate),
            KeyData::Other(other) => {
                Err(KeyError(format!("unknown algorithm {}", other.algorithm().as_str())))
            }
            key => Ok(Self { key, certificate: None }),
        }
    }

    fn from_certificate(certificate: Certificate) -> Result<Self, KeyError> {
        let key = Self::new(certificate.public_key().clone())?.key;
        Ok(Self { key, certificate: Some(Box::new(certificate)) })
    }

    /// Tells whether it is a certificate.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Returns the name of the key's algorithm, as in `ssh-ed25519`; of a certificate, that of the key in it.
    #[must_use]
    pub fn algorithm(&self) -> String {
        self.key.algorithm().as_str().to_owned()
    }

    /// Returns the hash by which people compare keys, as in `SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDwGq2FvaGv2bvuIQM`; of a
    /// certificate, that of the key in it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Returns the key as it stands in a file; of a certificate, the key in it.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        PublicKey::from(self.key.clone()).to_openssh().unwrap_or_default()
    }

    pub(super) fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Tells whether this is a certificate that `authority` made, whatever is in it.
    pub(super) fn is_signed_by(&self, authority: &Self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| *certificate.signature_key() == authority.key)
    }

    /// Checks a certificate, whose authority is trusted, for a host at a time in seconds since 1970.
    pub(super) fn check_certificate(&self, host: &str, now: u64) -> Result<(), String> {
        let Some(certificate) = &self.certificate else { return Err("there is no certificate".to_owned()) };
        let (after, before) = (certificate.valid_after(), certificate.valid_before());
        let principals = certificate.valid_principals();
        if certificate.cert_type() != CertType::Host {
            return Err("the certificate is one for users, not for hosts".to_owned());
        }
        if !signs_well(&certificate.signature().algorithm()) {
            return Err(format!(
                "the certificate is signed by the outdated algorithm {}",
                certificate.signature().algorithm().as_str()
            ));
        }
        if now < after {
            return Err("the certificate is not valid yet".to_owned());
        }
        if now >= before {
            return Err("the certificate has expired".to_owned());
        }
        // Letter by letter: OpenSSH takes no patterns here.
        if !principals.is_empty() && !principals.iter().any(|principal| principal == host) {
            return Err(format!("the certificate is for {}, not for {host}", principals.join(", ")));
        }
        if !certificate.critical_options().is_empty() {
            return Err("the certificate has conditions, which those of hosts cannot have".to_owned());
        }
        let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
        certificate
            .validate_at(now, [&authority])
            .map_err(|_| "the certificate's signature is wrong".to_owned())
    }
}

/// As OpenSSH: signatures over SHA-1 prove nothing any more.
fn signs_well(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Dsa | Algorithm::Rsa { hash: None })
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey")
            .field("algorithm", &self.algorithm())
            .field("fingerprint", &self.fingerprint())
            .field("is_certificate", &self.is_certificate())
            .finish()
    }
}
