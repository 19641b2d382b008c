//! TLS: where to, and with which files.

use super::*;

const CA: &str = "/etc/pki/CA/cacert.pem";
const CRL: &str = "/etc/pki/CA/cacrl.pem";
const CERTIFICATE: &str = "/etc/pki/libvirt/clientcert.pem";
const KEY: &str = "/etc/pki/libvirt/private/clientkey.pem";
const OWN: [&str; 4] = [
    "/home/u/.pki/libvirt/cacert.pem",
    "/home/u/.pki/libvirt/cacrl.pem",
    "/home/u/.pki/libvirt/clientcert.pem",
    "/home/u/.pki/libvirt/clientkey.pem",
];
const OF_URI: [&str; 4] = ["/p/cacert.pem", "/p/cacrl.pem", "/p/clientcert.pem", "/p/clientkey.pem"];

fn route(machine: &Machine, uri: &str) -> TlsRoute {
    match machine.plan(uri).unwrap().route {
        Route::Tls(route) => route,
        other => panic!("{other:?}"),
    }
}

/// CA, CRL, certificate, key; `-` for none.
fn files(machine: &Machine, uri: &str) -> [String; 4] {
    let files = route(machine, uri).files;
    let show =
        |path: Option<&std::path::PathBuf>| path.map_or("-".to_owned(), |path| path.display().to_string());
    let certificate = files.certificate.as_ref();
    [
        show(Some(&files.ca)),
        show(files.crl.as_ref()),
        show(certificate.map(|pair| &pair.certificate)),
        show(certificate.map(|pair| &pair.key)),
    ]
}

#[test]
fn another_host_is_reached_over_tls() {
    for (uri, expected) in [
        ("qemu://h/system", "h:16514"),
        ("qemu+tls://h:7/system", "h:7"),
        ("qemu+tls:///system", "localhost:16514"),
        ("qemu+tls://[::1]:0/system", "[::1]:16514"),
    ] {
        assert_eq!(route(&root(), uri).endpoint.to_string(), expected);
    }
    for (uri, expected) in [("qemu+tcp://h/system", "h:16509"), ("qemu+tcp://[::1]:7/system", "[::1]:7")] {
        let plan = root().plan(uri).unwrap();
        assert!(matches!(&plan.route, Route::Tcp(endpoint) if endpoint.to_string() == expected), "{plan}");
    }
}

#[test]
fn each_file_is_the_users_or_else_the_systems() {
    let system = [CA, CRL, CERTIFICATE, KEY];
    let uri = "qemu://h/system";
    let [own_ca, own_crl, own_certificate, own_key] = OWN;
    for (machine, expected) in [
        (root().files(&system), system),
        (root(), [CA, "-", "-", "-"]),
        (root().files(&OWN), [CA, "-", "-", "-"]),
        (user().files(&system), system),
        (user().files(&system).files(&OWN), OWN),
        (user().files(&OWN), OWN),
        (user().files(&system).file(own_ca), [own_ca, CRL, CERTIFICATE, KEY]),
        (user().files(&system).file(own_crl), [CA, own_crl, CERTIFICATE, KEY]),
        (user().files(&system).files(&[own_certificate, own_key]), [CA, CRL, own_certificate, own_key]),
        // A certificate without its key is none.
        (user().files(&system).file(own_certificate), system),
        (user().files(&[CA, own_key]), [CA, "-", "-", "-"]),
    ] {
        assert_eq!(files(&machine, uri), expected, "{:?}", machine.files);
    }
    let homebrew = user().on(System::MacOsArm);
    assert_eq!(files(&homebrew, uri)[0], "/opt/homebrew/etc/pki/CA/cacert.pem");
    assert_eq!(files(&homebrew.file(CA), uri)[0], CA);
}

#[test]
fn the_uris_directory_has_all_files() {
    let uri = "qemu://h/system?pkipath=/p";
    let everything = || user().files(&OWN).files(&[CA, CRL, CERTIFICATE, KEY]);
    assert_eq!(files(&everything().files(&OF_URI), uri), OF_URI);
    assert_eq!(files(&everything(), uri), ["/p/cacert.pem", "-", "-", "-"]);
    for (there, missing) in [(OF_URI[2], OF_URI[3]), (OF_URI[3], OF_URI[2])] {
        let error = everything().file(there).plan(uri).unwrap_err().to_string();
        assert!(error.contains(&format!("there is {there}, but not {missing}")), "{error}");
    }
}

/// Its directory is root's alone, as many installations have it.
#[test]
fn a_key_that_is_out_of_reach_is_not_called_missing() {
    let machine = user().file(CERTIFICATE).closed("/etc/pki/libvirt/private");
    let error = machine.plan("qemu://h/system").unwrap_err().to_string();
    assert!(
        error.contains(&format!("there is {CERTIFICATE}, but {KEY} may not be read by this user")),
        "{error}"
    );
}
