//! From a URI to a TLS connection: where to, and with which files.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    CertificateFiles, Endpoint, Environment, PkiFiles, TlsRoute, Uri,
    environment::Steps,
    parameters::{Parameters, invalid},
};
use crate::error::Result;

/// Makes the route for `uri`.
pub(super) fn route(
    uri: &Uri,
    parameters: &Parameters,
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Result<TlsRoute> {
    let files = match &parameters.pki_path {
        Some(directory) => Places::of_directory(directory, "the URI's \"pkipath\" names their directory"),
        None => Places::of_user(environment),
    };
    Ok(TlsRoute {
        endpoint: Endpoint::of(uri, 16514),
        verify: !parameters.no_verify,
        sanity: !parameters.no_sanity,
        files: files.look(uri, environment, steps)?,
        priority: parameters.tls_priority.clone(),
    })
}

/// Where each file would be.
struct Places {
    ca: PathBuf,
    crl: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    because: String,
}

impl Places {
    fn of_directory(directory: &Path, because: &str) -> Self {
        Self {
            ca: directory.join("cacert.pem"),
            crl: directory.join("cacrl.pem"),
            certificate: directory.join("clientcert.pem"),
            key: directory.join("clientkey.pem"),
            because: because.to_owned(),
        }
    }

    /// The system's, and those of the user that are there in their place. A certificate and its key stay together.
    fn of_user(environment: &Environment<'_>) -> Self {
        let mut places = Self::of_system(environment);
        let home = if environment.is_root() { None } else { environment.home.as_ref() };
        let Some(home) = home else { return places };
        let own = Self::of_directory(&home.join(".pki/libvirt"), "");
        let exists = |path: &Path| environment.files.exists(path);
        let mut taken = Vec::new();
        if exists(&own.ca) {
            places.ca = own.ca;
            taken.push("cacert.pem");
        }
        if exists(&own.crl) {
            places.crl = own.crl;
            taken.push("cacrl.pem");
        }
        if exists(&own.certificate) && exists(&own.key) {
            (places.certificate, places.key) = (own.certificate, own.key);
            taken.push("clientcert.pem and clientkey.pem");
        }
        places.because = if taken.is_empty() {
            format!("the system's, since {}/.pki/libvirt has none", home.display())
        } else {
            format!("the user's {}, else the system's", taken.join(", "))
        };
        places
    }

    fn of_system(environment: &Environment<'_>) -> Self {
        let directories: Vec<PathBuf> =
            environment.config_dirs().into_iter().map(|directory| directory.join("pki")).collect();
        let used = directories.iter().find(|pki| environment.files.exists(&pki.join("CA/cacert.pem")));
        let pki = used.or(directories.first()).cloned().unwrap_or_else(|| "/etc/pki".into());
        Self {
            ca: pki.join("CA/cacert.pem"),
            crl: pki.join("CA/cacrl.pem"),
            certificate: pki.join("libvirt/clientcert.pem"),
            key: pki.join("libvirt/private/clientkey.pem"),
            because: "the system's".to_owned(),
        }
    }

    fn look(self, uri: &Uri, environment: &Environment<'_>, steps: &mut Steps) -> Result<PkiFiles> {
        let mut exists = |path: &Path| {
            let exists = environment.files.exists(path);
            steps.push(format!("{} {}", path.display(), if exists { "is there" } else { "does not exist" }));
            exists
        };
        // Whoever needs it says that it is missing.
        exists(&self.ca);
        let certificate = match (exists(&self.certificate), exists(&self.key)) {
            (true, true) => Some(CertificateFiles { certificate: self.certificate, key: self.key }),
            (false, false) => None,
            (there, _) => {
                let (there, missing) =
                    if there { (self.certificate, self.key) } else { (self.key, self.certificate) };
                // What is in a directory that only root may enter looks as if it did not exist.
                let hidden = environment.files.read(&missing);
                let hidden = hidden.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
                let (there, missing) = (there.display(), missing.display());
                return Err(invalid(
                    uri,
                    match hidden {
                        true => format!("there is {there}, but {missing} may not be read by this user"),
                        false => format!(
                            "there is {there}, but not {missing}: a certificate and its key belong together"
                        ),
                    },
                ));
            }
        };
        let crl = exists(&self.crl).then_some(self.crl);
        Ok(PkiFiles { ca: self.ca, crl, certificate, because: self.because })
    }
}
