//! Whether the server is the one that the URI names.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_rustls::rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    Options,
    error::{CertificateError, Context, Role, describe},
    files::{Files, list_unusable},
};

/// Verifies as webpki does, keeps what it finds in the words of people, and takes common names where that is wanted.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None` takes every certificate.
    strict: Option<Arc<WebPkiServerVerifier>>,
    accept_common_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
    context: Context,
    problem: Mutex<Option<CertificateError>>,
}

impl Verifier {
    pub(super) fn new(
        options: &Options,
        files: &Files,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, CertificateError> {
        let strict = options.verify.then(|| {
            WebPkiServerVerifier::builder_with_provider(files.authorities.clone(), provider.clone())
                .with_crls(files.revoked.clone())
                // A list is one authority's; it says nothing about the certificates of others. One that is out of date
                // counts all the same, as for libvirt's own client.
                .allow_unknown_revocation_status()
                .build()
                .map_err(|error| list_unusable(options, error.to_string()))
        });
        Ok(Self {
            strict: strict.transpose()?,
            accept_common_name: options.accept_common_name,
            algorithms: provider.signature_verification_algorithms,
            context: Context {
                role: Role::Server,
                host: options.host.clone(),
                authorities: options.authorities.clone(),
                list: options.revoked.clone(),
            },
            problem: Mutex::new(None),
        })
    }

    /// Takes what was found to be wrong with the server's certificate.
    pub(super) fn take_problem(&self) -> Option<CertificateError> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn takes_common_name(&self, problem: &CertificateError) -> bool {
        match problem {
            CertificateError::CommonNameOnly { host, common_name } if self.accept_common_name => {
                is_name_of(common_name, host)
            }
            _ => false,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(strict) = &self.strict else { return Ok(ServerCertVerified::assertion()) };
        // It looks at the name once all else is right, so that where the name is wrong nothing else is.
        let verified = strict.verify_server_cert(certificate, above, name, ocsp_response, now);
        let Err(Error::InvalidCertificate(found)) = &verified else { return verified };
        let problem = describe(found, certificate, &self.context);
        if self.takes_common_name(&problem) {
            return Ok(ServerCertVerified::assertion());
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Tells whether a common name is a host's: the same name or address, or a wildcard for the first label of a name.
fn is_name_of(common_name: &str, host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return common_name.parse() == Ok(address);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    match common_name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
        }),
        None => !common_name.is_empty() && common_name.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_hosts_or_wildcards() {
        for (common_name, host, expected) in [
            ("host.example", "HOST.example.", true),
            ("host.example", "other.example", false),
            ("*.example.com", "host.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.host.example.com", false),
            ("*.com", "example.com", false),
            ("*", "host", false),
            ("", "", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("::1", "0:0:0:0:0:0:0:1", true),
            ("*.0.2.1", "192.0.2.1", false),
        ] {
            assert_eq!(is_name_of(common_name, host), expected, "{common_name} for {host}");
        }
    }
}
