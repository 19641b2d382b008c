//! What certificates say about themselves, for messages. Nothing is decided by it but whether a certificate has hosts in a
//! subjectAltName.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use tokio_rustls::rustls::pki_types::UnixTime;
use x509_cert::{
    Certificate,
    crl::CertificateList,
    der::{DateTime, Decode, asn1::ObjectIdentifier},
    ext::pkix::{SubjectAltName, name::GeneralName},
    name::Name,
};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What is worth telling of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// In the order that `tls_allowed_dn_list` of libvirtd.conf wants: `C=GB,O=Example,CN=client`.
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) common_name: Option<String>,
    /// The hosts in its subjectAltName.
    pub(super) hosts: Vec<String>,
    pub(super) not_before: String,
    pub(super) not_after: String,
}

impl Summary {
    /// Reads a certificate, if it can be read.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
        let names = certificate.get::<SubjectAltName>().ok()?;
        Some(Self {
            subject: name(&certificate.subject),
            issuer: name(&certificate.issuer),
            common_name: common_name(&certificate.subject),
            hosts: names.iter().flat_map(|(_, names)| &names.0).filter_map(host).collect(),
            not_before: certificate.validity.not_before.to_string(),
            not_after: certificate.validity.not_after.to_string(),
        })
    }
}

/// Returns since when there is a newer list of revoked certificates, if there is one.
pub(super) fn outdated(list: &[u8], now: UnixTime) -> Option<String> {
    let until = CertificateList::from_der(list).ok()?.tbs_cert_list.next_update?;
    (until.to_unix_duration().as_secs() < now.as_secs()).then(|| until.to_string())
}

/// Writes a moment as `2020-02-01T00:00:00Z`.
pub(super) fn moment(time: UnixTime) -> String {
    match DateTime::from_unix_duration(Duration::from_secs(time.as_secs())) {
        Ok(time) => time.to_string(),
        Err(_) => format!("second {} of 1970", time.as_secs()),
    }
}

fn name(name: &Name) -> String {
    let parts: Vec<String> = name.0.iter().map(ToString::to_string).collect();
    parts.join(",")
}

fn common_name(name: &Name) -> Option<String> {
    let mut parts = name.0.iter().flat_map(|part| part.0.iter());
    let found = parts.find(|part| part.oid == COMMON_NAME)?;
    Some(String::from_utf8_lossy(found.value.value()).into_owned())
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(address) => ip_address(address.as_bytes()),
        _ => None,
    }
}

fn ip_address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_tells_its_names_and_dates() {
        let mut params = CertificateParams::new(["host.example".into(), "::1".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "GB");
        params.distinguished_name.push(DnType::CommonName, "host");
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let summary = Summary::of(der.der()).unwrap();
        assert_eq!((summary.subject.as_str(), summary.issuer.as_str()), ("C=GB,CN=host", "C=GB,CN=host"));
        assert_eq!(summary.common_name.as_deref(), Some("host"));
        assert_eq!(summary.hosts, ["host.example", "::1"]);
        assert_eq!(summary.not_after, "2020-02-01T00:00:00Z");
        assert!(Summary::of(&der.der()[1..]).is_none());
    }

    #[test]
    fn moments_are_dates() {
        let time = |seconds| moment(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        assert_eq!(time(1_580_515_200), "2020-02-01T00:00:00Z");
        assert!(time(u64::MAX).contains("1970"));
    }
}
