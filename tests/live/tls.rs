//! TLS to a libvirtd: each certificate that does or does not do, as virsh sees it too.

use std::time::{Duration, Instant};

use libvirt_client::{Connection, Error, transport::tls::CertificateError};

use crate::support::{
    Daemon, command,
    daemon::Builder,
    live,
    network::{self, wait_for_port},
    pki::{Authority, Directory, Holder, Pair},
};

/// The names and addresses of the daemons here.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const URI: &str = "test+tls://localhost/default";

/// How long a refusal may take on a busy machine. By itself it takes some milliseconds.
const SOON: Duration = Duration::from_secs(4);

/// An authority, a client with a certificate by it, and the files of both.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) client: Pki,
    server: Directory,
}

/// A directory of a client's, for `pkipath`.
pub(crate) struct Pki(Directory);

impl Pki {
    fn new(name: &str, authority: &Authority, pair: Option<&Pair>) -> Self {
        let directory = Directory::new(name);
        directory.authority(&authority.certificate);
        if let Some(pair) = pair {
            directory.client(pair);
        }
        Self(directory)
    }

    /// Leads a URI to these files.
    pub(crate) fn uri(&self, uri: &str) -> String {
        let separator = if uri.contains('?') { '&' } else { '?' };
        format!("{uri}{separator}pkipath={}", self.0.path().display())
    }
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let authority = Authority::new("Test CA");
        let client = Pki::new(&format!("{name}-client"), &authority, Some(&authority.client("client1")));
        Self { authority, client, server: Directory::new(&format!("{name}-server")) }
    }

    /// A daemon that listens for TLS with this certificate, and asks clients for theirs.
    pub(crate) fn daemon(&self, pair: &Pair) -> Builder {
        let file = |name: &str, text: &str| self.server.write(name, text).display().to_string();
        Daemon::builder()
            .setting("listen_tls", 1)
            .setting("listen_tcp", 0)
            .setting("auth_tls", "none")
            .setting("ca_file", file("cacert.pem", &self.authority.certificate))
            .setting("cert_file", file("servercert.pem", &pair.certificate))
            .setting("key_file", file("serverkey.pem", &pair.key))
            .ports()
    }

    fn revoke(&self, serials: &[u64]) -> String {
        let list = self.authority.revoked(serials, 2999);
        self.server.write("cacrl.pem", &list).display().to_string()
    }
}

/// Opens and uses a connection, within the time that a refusal may take.
async fn open(uri: &str) -> Result<(), Error> {
    opened(Connection::builder(uri)).await
}

async fn opened(builder: libvirt_client::Builder) -> Result<(), Error> {
    let asked = Instant::now();
    let result = builder.open().await;
    assert!(asked.elapsed() < SOON, "{:?} for {result:?}", asked.elapsed());
    let connection = result?;
    assert_eq!(connection.domains().await?[0].name(), "test");
    connection.close().await
}

fn certificate_error(error: &Error) -> &CertificateError {
    CertificateError::of(error).unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn a_daemon_with_the_right_certificate_is_reached_by_all_its_names() {
    live(async {
        let world = World::new("names");
        let daemon = world.daemon(&world.authority.server(&HOSTS)).start();
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            for host in ["localhost", "127.0.0.1", "[::1]"] {
                for uri in [format!("test+tls://{host}/default"), format!("test://{host}/default")] {
                    let uri = world.client.uri(&uri);
                    open(&uri).await.unwrap_or_else(|error| panic!("{uri}: {error}"));
                    daemon.virsh_connects(&uri).unwrap();
                }
            }
        });
    });
}

#[test]
fn many_calls_and_long_answers_go_over_tls() {
    live(async {
        let world = World::new("bulk");
        let daemon = world.daemon(&world.authority.server(&HOSTS)).start();
        let host = daemon.file("host.xml", &crate::test_host(500));
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            let uri = world.client.uri(&format!("test+tls://localhost{}", host.display()));
            let connection = Connection::open(uri).await.unwrap();
            let domains = connection.domains().await.unwrap();
            assert_eq!(domains.len(), 500);
            let all = domains.iter().map(|domain| domain.xml());
            let mut length = 0;
            for xml in all.collect::<Vec<_>>() {
                length += xml.await.unwrap().len();
            }
            assert!(length > 100_000, "{length}");
            let closed = connection.closed();
            daemon.signal("KILL");
            let reason = closed.await;
            assert!(
                matches!(reason, libvirt_client::CloseReason::Eof | libvirt_client::CloseReason::Io(_)),
                "{reason:?}"
            );
        });
    });
}

#[test]
fn a_client_that_the_daemon_refuses_is_told_so_at_once() {
    live(async {
        let world = World::new("refused");
        let authority = &world.authority;
        let daemon = world
            .daemon(&authority.server(&HOSTS))
            .setting("crl_file", world.revoke(&[7]))
            .setting("tls_allowed_dn_list", ["C=GB,O=Tests,CN=client1"])
            .start();
        let client = |name: &str, pair: Option<Pair>| Pki::new(name, authority, pair.as_ref());
        let stranger = client("stranger", Some(authority.client("stranger")));
        let revoked = client("revoked", Some(authority.sign(Holder::client("client1").serial(7))));
        let expired = client("expired", Some(authority.sign(Holder::client("client1").expired())));
        let other = client("other", Some(Authority::new("Other CA").client("client1")));
        let none = client("none", None);
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            open(&world.client.uri(URI)).await.unwrap();
            for (pki, shown) in [
                (&stranger, "C=GB,O=Tests,CN=stranger"),
                (&revoked, "C=GB,O=Tests,CN=client1"),
                (&expired, "C=GB,O=Tests,CN=client1"),
                (&other, "C=GB,O=Tests,CN=client1"),
                (&none, "no certificate"),
            ] {
                let uri = pki.uri("test+tls://localhost/default?no_sanity=1");
                let error = open(&uri).await.expect_err(shown);
                assert!(matches!(certificate_error(&error), CertificateError::Refused { .. }), "{error:?}");
                assert!(error.is_auth() && !error.is_transient(), "{error:?}");
                let said = error.to_string();
                assert!(said.contains("localhost:16514") && said.contains(shown), "{shown:?}: {said}");
                daemon.virsh_connects(&uri).unwrap_err();
            }
            // What is wrong with our own is seen before the daemon sees it.
            for pki in [&expired, &other] {
                let error = open(&pki.uri(URI)).await.unwrap_err();
                assert!(!matches!(certificate_error(&error), CertificateError::Refused { .. }), "{error:?}");
                assert!(error.to_string().contains("our certificate"), "{error}");
                daemon.virsh_connects(&pki.uri(URI)).unwrap_err();
            }
        });
    });
}

#[test]
fn a_daemon_that_wants_no_certificate_is_reached_without() {
    live(async {
        let world = World::new("without");
        let builder = world.daemon(&world.authority.server(&HOSTS));
        let daemon = builder.setting("tls_no_verify_certificate", 1).start();
        let none = Pki::new("without-none", &world.authority, None);
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            open(&none.uri(URI)).await.unwrap();
            daemon.virsh_connects(&none.uri(URI)).unwrap();
        });
    });
}

/// Whether a client connects to a daemon with this certificate: as it is, and with `no_verify`.
fn verdicts(
    name: &str,
    pair: impl FnOnce(&World) -> Pair,
    expected: fn(&CertificateError) -> bool,
    virsh: bool,
) {
    live(async {
        let world = World::new(name);
        let pair = pair(&world);
        world.client.0.write("cacrl.pem", &world.authority.revoked(&[7], 2999));
        let daemon = world.daemon(&pair).setting("tls_no_sanity_certificate", 1).start();
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            let uri = world.client.uri(URI);
            let error = open(&uri).await.expect_err("the certificate does not do");
            assert!(expected(certificate_error(&error)), "{error:?}");
            assert!(!error.is_auth() && !error.is_transient(), "{error:?}");
            let theirs = daemon.virsh_connects(&uri);
            assert_eq!(theirs.is_ok(), virsh, "{theirs:?}");
            let lenient = world.client.uri("test+tls://localhost/default?no_verify=1");
            open(&lenient).await.unwrap();
            daemon.virsh_connects(&lenient).unwrap();
        });
    });
}

#[test]
fn a_daemon_by_another_authority_is_refused() {
    let pair = |_: &World| Authority::new("Other CA").server(&HOSTS);
    verdicts("authority", pair, |error| matches!(error, CertificateError::UnknownIssuer { .. }), false);
}

#[test]
fn a_daemon_of_another_name_is_refused() {
    let pair = |world: &World| world.authority.server(&["other.example", "192.0.2.1"]);
    let expected = |error: &CertificateError| matches!(error, CertificateError::WrongHost { names, .. } if names == &["other.example", "192.0.2.1"]);
    verdicts("wrong-name", pair, expected, false);
}

#[test]
fn a_daemon_whose_certificate_has_expired_is_refused() {
    let pair = |world: &World| world.authority.sign(Holder::server(&HOSTS).expired());
    let expected = |error: &CertificateError| matches!(error, CertificateError::Expired { on, .. } if on == "2020-02-01T00:00:00Z");
    verdicts("expired", pair, expected, false);
}

#[test]
fn a_daemon_whose_certificate_is_revoked_is_refused() {
    let pair = |world: &World| world.authority.sign(Holder::server(&HOSTS).serial(7));
    verdicts("revoked", pair, |error| matches!(error, CertificateError::Revoked { .. }), false);
}

#[test]
fn a_list_of_revoked_certificates_counts_though_it_is_out_of_date() {
    live(async {
        let world = World::new("outdated");
        world.client.0.write("cacrl.pem", &world.authority.revoked(&[7], 2021));
        for (serial, good) in [(6, true), (7, false)] {
            let daemon = world.daemon(&world.authority.sign(Holder::server(&HOSTS).serial(serial))).start();
            network::of(&daemon, async || {
                wait_for_port(16514).await;
                let uri = world.client.uri(URI);
                assert_eq!(open(&uri).await.is_ok(), good);
                assert_eq!(daemon.virsh_connects(&uri).is_ok(), good);
            });
        }
    });
}

/// virsh takes it, as GnuTLS does. Nobody else does so any more, and so it has to be asked for.
#[test]
fn a_daemon_with_a_common_name_alone_is_refused_unless_the_program_accepts_it() {
    let pair = |world: &World| world.authority.sign(Holder::server(&HOSTS).common_name_only());
    verdicts("common", pair, |error| matches!(error, CertificateError::CommonNameOnly { .. }), true);
    live(async {
        let world = World::new("accepted");
        let daemon = world.daemon(&pair(&world)).start();
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            opened(Connection::builder(world.client.uri(URI)).tls_accept_common_name()).await.unwrap();
            let by_address = world.client.uri("test+tls://127.0.0.1/default");
            let error = opened(Connection::builder(by_address).tls_accept_common_name()).await.unwrap_err();
            assert!(
                matches!(certificate_error(&error), CertificateError::CommonNameOnly { .. }),
                "{error:?}"
            );
        });
    });
}

#[test]
fn both_sides_may_narrow_the_versions_down() {
    live(async {
        let world = World::new("versions");
        for (theirs, other) in [
            ("NORMAL:-VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"),
            ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-TLS1.3"),
        ] {
            let daemon =
                world.daemon(&world.authority.server(&HOSTS)).setting("tls_priority", theirs).start();
            network::of(&daemon, async || {
                wait_for_port(16514).await;
                let uri = |priority: &str| {
                    world.client.uri(&format!("test+tls://localhost/default?tls_priority={priority}"))
                };
                for uri in [world.client.uri(URI), uri("NORMAL"), uri(theirs)] {
                    open(&uri).await.unwrap_or_else(|error| panic!("{uri}: {error}"));
                    daemon.virsh_connects(&uri).unwrap();
                }
                let error = open(&uri(other)).await.unwrap_err();
                assert!(error.to_string().contains("localhost:16514"), "{error}");
                assert!(
                    error.to_string().contains("version") || error.to_string().contains("handshake"),
                    "{error}"
                );
                daemon.virsh_connects(&uri(other)).unwrap_err();
            });
        }
    });
}

#[test]
fn a_port_that_does_not_speak_tls_is_told() {
    live(async {
        let world = World::new("plain");
        let builder = Daemon::builder().setting("listen_tls", 0).setting("listen_tcp", 1);
        let daemon = builder.setting("auth_tcp", "none").ports().start();
        network::of(&daemon, async || {
            wait_for_port(16509).await;
            let uri = world.client.uri("test+tls://localhost:16509/default");
            let error = open(&uri).await.unwrap_err();
            assert!(error.to_string().contains("16514"), "which port would: {error}");
            daemon.virsh_connects(&uri).unwrap_err();
        });
    });
}

/// As the usual instructions have it: RSA, by openssl, with a key in PKCS #1 form.
#[test]
fn certificates_and_keys_of_rsa_do() {
    live(async {
        let world = World::new("rsa");
        let daemon = world.daemon(&world.authority.server(&HOSTS));
        let files = world.server.path();
        let openssl = |line: &str| {
            let mut command = std::process::Command::new("bash");
            command.current_dir(files).args(["-euc", line]);
            command::run(command, Duration::from_secs(30)).expect_success();
        };
        openssl(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out cacert.pem -days 30 -subj /CN=RSA \
               -addext keyUsage=critical,keyCertSign,cRLSign
             sign() {
               openssl req -newkey rsa:2048 -nodes -keyout key.new -out csr.new -subj \"/CN=$2\"
               openssl rsa -traditional -in key.new -out \"$1key.pem\"
               openssl x509 -req -in csr.new -CA cacert.pem -CAkey ca.key -CAcreateserial -days 30 -out \"$1cert.pem\" \
                 -extfile <(printf \"%s\\n\" \"$3\")
             }
             sign server localhost subjectAltName=DNS:localhost
             sign client client1 extendedKeyUsage=clientAuth",
        );
        let daemon = daemon.start();
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            let uri = format!("{URI}?pkipath={}", files.display());
            let key = std::fs::read_to_string(files.join("clientkey.pem")).unwrap();
            assert!(key.contains("BEGIN RSA PRIVATE KEY"), "another form");
            open(&uri).await.unwrap();
            daemon.virsh_connects(&uri).unwrap();
        });
    });
}
