//! Certificates, keys and lists of revoked certificates, good and bad, made anew by each test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

/// One who signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server by these names and addresses.
    pub(crate) fn server(&self, hosts: &[&str]) -> Pair {
        self.sign(Holder::server(hosts))
    }

    /// A certificate for a client.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.sign(Holder::client(name))
    }

    pub(crate) fn sign(&self, holder: Holder) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = holder.params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A list of revoked certificates by their serial numbers, to be renewed in `year`.
    pub(crate) fn revoked(&self, serials: &[u64], year: i32) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Whom a certificate is for.
#[derive(Debug)]
pub(crate) struct Holder {
    params: CertificateParams,
}

impl Holder {
    pub(crate) fn server(hosts: &[&str]) -> Self {
        let mut params = params(hosts.first().unwrap_or(&"nobody"), hosts);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { params }
    }

    pub(crate) fn client(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Self { params }
    }

    /// Keeps nothing but the name in the subject, as libvirt's older instructions do.
    pub(crate) fn common_name_only(mut self) -> Self {
        self.params.subject_alt_names.clear();
        self
    }

    pub(crate) fn expired(mut self) -> Self {
        self.params.not_after = date_time_ymd(2020, 2, 1);
        self
    }

    #[allow(dead_code, reason = "only tests without a daemon have clocks to doubt")]
    pub(crate) fn not_yet_valid(mut self) -> Self {
        self.params.not_before = date_time_ymd(2990, 2, 1);
        self
    }

    pub(crate) fn serial(mut self, serial: u64) -> Self {
        self.params.serial_number = Some(SerialNumber::from(serial));
        self
    }
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    // Printable, or GnuTLS writes it in hexadecimal.
    params.distinguished_name.push(DnType::CountryName, DnValue::PrintableString("GB".try_into().unwrap()));
    params.distinguished_name.push(DnType::OrganizationName, "Tests");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2999, 1, 1);
    params
}

/// A certificate and its key, in PEM form.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A directory with the files that a client looks for (`pkipath` in URIs). It is removed in the end.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// `name` is this test's alone.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lvt{}-pki-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn authority(&self, certificate: &str) -> PathBuf {
        self.write("cacert.pem", certificate)
    }

    pub(crate) fn client(&self, pair: &Pair) -> (PathBuf, PathBuf) {
        (self.write("clientcert.pem", &pair.certificate), self.write("clientkey.pem", &pair.key))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
