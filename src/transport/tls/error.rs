//! What can be wrong with certificates, theirs and ours.

use std::{io, path::PathBuf, sync::Arc};

use tokio_rustls::rustls::{self, pki_types::CertificateDer};

use super::x509::{Summary, moment};
use crate::error::Error;

/// What is wrong with a certificate, the daemon's or ours.
///
/// It is inside of an [`Error::Connect`]; [`of`](Self::of) finds it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The daemon's certificate is for other hosts.
    #[error(
        "the certificate of the server is for {}, not for {host}: use one of these in the URI, or put {host} into the \
         subjectAltName of the certificate",
        listed(names)
    )]
    WrongHost {
        /// The host that the URI names.
        host: String,
        /// The hosts that the certificate names.
        names: Vec<String>,
    },
    /// The daemon's certificate names its host in its common name alone, where it is no longer looked for.
    #[error(
        "the certificate of the server has no host in a subjectAltName, and its common name {common_name:?} does not count: issue one \
         with {host} as DNS name or IP address in its subjectAltName, or accept it by Builder::tls_accept_common_name"
    )]
    CommonNameOnly {
        /// The host that the URI names.
        host: String,
        /// The certificate's common name.
        common_name: String,
    },
    /// No authority that is trusted has signed the certificate.
    #[error("{whose} is signed by {issuer}, which is not in {}", authorities.display())]
    UnknownIssuer {
        /// Which certificate, in words.
        whose: String,
        /// Who it says has signed it.
        issuer: String,
        /// The file with the authorities that are trusted.
        authorities: PathBuf,
    },
    /// The certificate is no longer valid.
    #[error("{whose} expired on {on}")]
    Expired {
        /// Which certificate, in words.
        whose: String,
        /// The last moment at which it was valid, as in `2020-02-01T00:00:00Z`.
        on: String,
    },
    /// The certificate is not valid yet: it is from the future, or the clock here is slow.
    #[error("{whose} is not valid before {from}; is the clock of this machine right?")]
    NotYetValid {
        /// Which certificate, in words.
        whose: String,
        /// The first moment at which it is valid.
        from: String,
    },
    /// The certificate is on the list of those that its authority has revoked.
    #[error("{whose} has been revoked, says {}", list.display())]
    Revoked {
        /// Which certificate, in words.
        whose: String,
        /// The file with the list.
        list: PathBuf,
    },
    /// The certificate is not one for this purpose, or cannot be read or checked.
    #[error("{whose} cannot be used: {reason}")]
    Unusable {
        /// Which certificate, in words.
        whose: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of ours with certificates, a key or a list cannot be used.
    #[error("{what} {} cannot be used: {reason}", path.display())]
    File {
        /// What it is there for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The daemon did not let us in after the handshake: our certificate or our address is not one that it allows.
    #[error(
        "the server refuses our certificate or address: {how}. {}", match sent {
            Some(sent) => format!(
                "It got {sent}; is that signed by its CA, valid, and in its tls_allowed_dn_list where it has one?"
            ),
            None => "It got no certificate, since there is none here; put one where the URI's pkipath or libvirt's usual \
                     places lead".to_owned(),
        }
    )]
    Refused {
        /// What it did.
        how: String,
        /// The certificate that it was shown, in words. `None` if it was shown none.
        sent: Option<String>,
    },
}

impl CertificateError {
    /// Returns what is wrong with a certificate, if that is why the connection could not be made.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        let Error::Connect { source, .. } = error else { return None };
        source.get_ref()?.downcast_ref()
    }

    /// Makes an error of the connection to `address`.
    pub(super) fn at(self, address: &str) -> Error {
        let kind = match self {
            Self::Refused { .. } => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::InvalidData,
        };
        Error::Connect {
            address: address.to_owned(),
            hint: self.to_string(),
            source: Arc::new(io::Error::new(kind, self)),
        }
    }
}

/// Where certificates are looked up, for messages.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// Which certificate is looked at.
    pub(super) role: Role,
    pub(super) host: String,
    pub(super) authorities: PathBuf,
    pub(super) list: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(super) enum Role {
    Server,
    /// Ours, in this file.
    Own(PathBuf),
}

/// Says in the words of people what rustls has found.
pub(super) fn describe(
    error: &rustls::CertificateError,
    certificate: &CertificateDer<'_>,
    context: &Context,
) -> CertificateError {
    use rustls::CertificateError as Found;
    let summary = Summary::of(certificate);
    let whose = whose(&context.role, summary.as_ref());
    match (error, summary) {
        (Found::NotValidForName | Found::NotValidForNameContext { .. }, Some(summary)) => {
            wrong_host(context, summary)
        }
        (Found::UnknownIssuer | Found::BadSignature, Some(summary)) => CertificateError::UnknownIssuer {
            whose,
            issuer: if summary.issuer == summary.subject { "itself".to_owned() } else { summary.issuer },
            authorities: context.authorities.clone(),
        },
        // Of an intermediate certificate, if the dates are not this one's.
        (Found::ExpiredContext { not_after, .. }, summary) => {
            let on = moment(*not_after);
            let whose =
                if summary.is_some_and(|own| own.not_after == on) { whose } else { above(&context.role) };
            CertificateError::Expired { whose, on }
        }
        (Found::NotValidYetContext { not_before, .. }, summary) => {
            let from = moment(*not_before);
            let whose =
                if summary.is_some_and(|own| own.not_before == from) { whose } else { above(&context.role) };
            CertificateError::NotYetValid { whose, from }
        }
        (Found::Revoked, _) => {
            CertificateError::Revoked { whose, list: context.list.clone().unwrap_or_default() }
        }
        (Found::InvalidPurpose | Found::InvalidPurposeContext { .. }, _) => CertificateError::Unusable {
            whose,
            reason: format!(
                "its extended key usage does not have {}",
                if matches!(context.role, Role::Server) { "serverAuth" } else { "clientAuth" }
            ),
        },
        (other, _) => CertificateError::Unusable { whose, reason: other.to_string() },
    }
}

fn wrong_host(context: &Context, summary: Summary) -> CertificateError {
    let host = context.host.clone();
    match (summary.hosts.as_slice(), summary.common_name) {
        ([], Some(common_name)) => CertificateError::CommonNameOnly { host, common_name },
        _ => CertificateError::WrongHost { host, names: summary.hosts },
    }
}

/// Names a certificate.
pub(super) fn whose(role: &Role, summary: Option<&Summary>) -> String {
    let subject = summary.map(|summary| format!(" ({})", summary.subject)).unwrap_or_default();
    match role {
        Role::Server => format!("the certificate of the server{subject}"),
        Role::Own(path) => format!("our certificate {}{subject}", path.display()),
    }
}

fn above(role: &Role) -> String {
    match role {
        Role::Server => "a certificate above that of the server".to_owned(),
        Role::Own(path) => format!("a certificate above ours in {}", path.display()),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no host".to_owned(),
        names => names.join(", "),
    }
}
