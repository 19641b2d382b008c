//! TLS against servers in this process: those that are as libvirtd, those that lie, and those that are something else. How a
//! libvirtd itself answers is in `tests/live/tls.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/pki.rs"]
#[allow(dead_code, reason = "the live tests use all of it")]
mod pki;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use libvirt_client::{
    Connection, Error,
    transport::tls::{CertificateError, Options, TlsConnection, connect_over},
};
use pki::{Authority, Directory, Holder, Pair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
        version::{TLS12, TLS13},
    },
};

const HOST: &str = "host.example";

/// What a server does once TLS is established.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// As libvirtd: lets the client in, and sends back what comes.
    LetIn,
    /// As libvirtd, too: closes the connection without a word.
    Close,
    Say(u8),
    Nothing,
}

/// A server by its certificate.
#[derive(Clone)]
struct Server {
    pair: Pair,
    versions: Vec<&'static SupportedProtocolVersion>,
    /// Whose clients alone are let in, by TLS itself.
    clients_of: Option<String>,
    then: Then,
}

impl Server {
    fn new(pair: Pair) -> Self {
        Self { pair, versions: vec![&TLS13, &TLS12], clients_of: None, then: Then::LetIn }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match self.clients_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(self.pair.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.pair.key.as_bytes()).unwrap();
        let config = builder.with_single_cert(chain, key).unwrap();
        let Ok(mut tls) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
        match self.then {
            Then::LetIn => {
                tls.write_all(&[1]).await.unwrap();
                let mut bytes = [0; 100];
                while let Ok(count @ 1..) = tls.read(&mut bytes).await {
                    tls.write_all(&bytes[..count]).await.unwrap();
                    tls.flush().await.unwrap();
                }
                // Gone without goodbye.
            }
            Then::Close => drop(tls),
            Then::Say(byte) => {
                tls.write_all(&[byte]).await.unwrap();
                tls.flush().await.unwrap();
                let _ = tls.read(&mut [0]).await;
            }
            Then::Nothing => {
                let _ = tls.read(&mut [0]).await;
            }
        }
    }
}

/// Connects to a server.
async fn to(server: &Server, options: &Options) -> Result<TlsConnection<DuplexStream>, Error> {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(server.clone().serve(theirs));
    connect_over(ours, options).await
}

async fn refusal(server: &Server, options: &Options) -> CertificateError {
    let error = to(server, options).await.expect_err("the certificate does not do");
    assert!(error.to_string().contains("host.example:16514"), "where: {error}");
    assert!(!error.is_transient(), "it will not get better by itself: {error:?}");
    let found = CertificateError::of(&error).unwrap_or_else(|| panic!("{error:?}")).clone();
    assert_eq!(error.is_auth(), matches!(found, CertificateError::Refused { .. }), "{error:?}");
    assert!(!found.to_string().contains('\n') && !found.to_string().ends_with('.'), "{found}");
    found
}

/// An authority, and the files of a client who trusts it.
struct World {
    authority: Authority,
    files: Directory,
    options: Options,
}

impl World {
    fn new(name: &str) -> Self {
        let authority = Authority::new("Test CA");
        let files = Directory::new(name);
        let options = Options::new(HOST, 16514, files.authority(&authority.certificate));
        Self { authority, files, options }
    }

    fn server(&self) -> Server {
        Server::new(self.authority.server(&[HOST]))
    }

    fn client(&self, pair: &Pair) -> Options {
        let mut options = self.options.clone();
        options.certificate = Some(self.files.client(pair));
        options
    }
}

#[tokio::test]
async fn data_goes_both_ways_by_both_versions_and_ends_without_error() {
    let world = World::new("ways");
    for versions in [vec![&TLS13], vec![&TLS12]] {
        let server = Server { versions, ..world.server() };
        let mut connection = to(&server, &world.options).await.unwrap();
        connection.write_all(b"hello").await.unwrap();
        connection.flush().await.unwrap();
        let mut echo = [0; 5];
        connection.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"hello");
        // The server leaves without the alert that TLS has for it, as libvirtd does.
        connection.shutdown().await.unwrap();
        assert_eq!(connection.read(&mut echo).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn names_and_addresses_are_hosts() {
    let mut world = World::new("hosts");
    let server = Server::new(world.authority.server(&["*.sites.example", "192.0.2.1", "2001:db8::1"]));
    for (host, fits) in [
        ("host.sites.example", true),
        ("other.sites.example", true),
        ("sites.example", false),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("2001:db8::1", true),
        ("2001:db8:0::1", true),
        ("::1", false),
    ] {
        world.options.host = host.to_owned();
        assert_eq!(to(&server, &world.options).await.is_ok(), fits, "{host}");
    }
    world.options.host = "no host".to_owned();
    let error = to(&server, &world.options).await.unwrap_err();
    assert!(error.to_string().contains("no host:16514"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_a_servers_certificate_is_told_apart() {
    use CertificateError as E;
    let world = World::new("wrong");
    let other = Authority::new("Other CA");
    let sign = |holder| Server::new(world.authority.sign(holder));

    let found = refusal(&Server::new(other.server(&[HOST])), &world.options).await;
    assert!(
        matches!(&found, E::UnknownIssuer { issuer, .. } if issuer == "C=GB,O=Tests,CN=Other CA"),
        "{found:?}"
    );
    assert!(found.to_string().contains("cacert.pem"), "{found}");

    let found = refusal(&sign(Holder::server(&["a.example", "192.0.2.1"])), &world.options).await;
    assert!(
        matches!(&found, E::WrongHost { names, .. } if names == &["a.example", "192.0.2.1"]),
        "{found:?}"
    );
    assert!(found.to_string().contains("is for a.example, 192.0.2.1, not for host.example"), "{found}");

    let found = refusal(&sign(Holder::server(&[HOST]).expired()), &world.options).await;
    assert!(matches!(&found, E::Expired { on, .. } if on == "2020-02-01T00:00:00Z"), "{found:?}");
    let found = refusal(&sign(Holder::server(&[HOST]).not_yet_valid()), &world.options).await;
    assert!(matches!(&found, E::NotYetValid { from, .. } if from == "2990-02-01T00:00:00Z"), "{found:?}");

    let found = refusal(&sign(Holder::client(HOST)), &world.options).await;
    assert!(matches!(&found, E::Unusable { reason, .. } if reason.contains("serverAuth")), "{found:?}");

    // Whoever does not want to know is not told.
    let mut options = world.options.clone();
    options.verify = false;
    options.authorities = PathBuf::from("/nowhere/cacert.pem");
    for server in [Server::new(other.server(&["a.example"])), sign(Holder::server(&[HOST]).expired())] {
        to(&server, &options).await.unwrap();
    }
}

#[tokio::test]
async fn a_common_name_counts_only_where_that_is_wanted_and_all_else_is_right() {
    use CertificateError as E;
    let world = World::new("common");
    let common = |host: &str| Holder::server(&[host]).common_name_only();
    let server = Server::new(world.authority.sign(common(HOST)));
    let found = refusal(&server, &world.options).await;
    assert!(matches!(&found, E::CommonNameOnly { common_name, .. } if common_name == HOST), "{found:?}");
    assert!(found.to_string().contains("subjectAltName"), "what to do: {found}");

    let mut options = world.options.clone();
    options.accept_common_name = true;
    to(&server, &options).await.unwrap();
    to(&world.server(), &options).await.unwrap();

    let server = Server::new(world.authority.sign(common("other.example")));
    assert!(matches!(refusal(&server, &options).await, E::CommonNameOnly { .. }));
    let server = Server::new(Authority::new("Other CA").sign(common(HOST)));
    assert!(matches!(refusal(&server, &options).await, E::UnknownIssuer { .. }));
    let server = Server::new(world.authority.sign(common(HOST).expired()));
    assert!(matches!(refusal(&server, &options).await, E::Expired { .. }));
    options.revoked = Some(world.files.write("cacrl.pem", &world.authority.revoked(&[7], 2999)));
    let server = Server::new(world.authority.sign(common(HOST).serial(7)));
    assert!(matches!(refusal(&server, &options).await, E::Revoked { .. }));
    // Names that are not this one's are not made good by a common name.
    let server = Server::new(world.authority.sign(Holder::server(&["other.example"])));
    assert!(matches!(refusal(&server, &options).await, E::WrongHost { .. }));
}

#[tokio::test]
async fn revoked_certificates_are_refused() {
    let mut world = World::new("revoked");
    let good = Server::new(world.authority.sign(Holder::server(&[HOST]).serial(6)));
    let revoked = Server::new(world.authority.sign(Holder::server(&[HOST]).serial(7)));
    to(&revoked, &world.options).await.unwrap();
    world.options.revoked = Some(world.files.write("cacrl.pem", &world.authority.revoked(&[7], 2999)));
    to(&good, &world.options).await.unwrap();
    let found = refusal(&revoked, &world.options).await;
    assert!(
        matches!(&found, CertificateError::Revoked { list, .. } if list.ends_with("cacrl.pem")),
        "{found:?}"
    );

    // A list that is out of date counts as it is, as for libvirt's own client.
    world.options.revoked = Some(world.files.write("cacrl.pem", &world.authority.revoked(&[7], 2021)));
    to(&good, &world.options).await.unwrap();
    assert!(matches!(refusal(&revoked, &world.options).await, CertificateError::Revoked { .. }));
    world.options.revoked = Some(world.files.write("cacrl.pem", "nothing"));
    assert!(matches!(refusal(&good, &world.options).await, CertificateError::File { .. }));
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_told_with_what_it_was_shown() {
    let world = World::new("refused");
    let client = world.client(&world.authority.client("client1"));
    let closing = world.server().then(Then::Close);
    let requiring = Server { clients_of: Some(Authority::new("Other CA").certificate), ..world.server() };
    let old = Server { versions: vec![&TLS12], ..requiring.clone() };
    for server in [closing, requiring, old] {
        for (options, shown) in [(&world.options, None), (&client, Some("C=GB,O=Tests,CN=client1"))] {
            let found = refusal(&server, options).await;
            let CertificateError::Refused { sent, .. } = &found else { panic!("{found:?}") };
            assert_eq!(sent.is_some(), shown.is_some(), "{found}");
            assert!(found.to_string().contains(shown.unwrap_or("no certificate")), "{found}");
        }
    }
    let taking = Server { clients_of: Some(world.authority.certificate.clone()), ..world.server() };
    to(&taking, &client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_no_libvirtd_is_told() {
    let world = World::new("others");
    let error = to(&world.server().then(Then::Nothing), &world.options).await.unwrap_err();
    assert!(error.to_string().contains("did not say within 5s"), "{error}");
    let error = to(&world.server().then(Then::Say(b'H')), &world.options).await.unwrap_err();
    assert!(error.to_string().contains("0x48"), "{error}");

    for (answer, essential) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "does not speak TLS"),
        (b"\0\0\0\x1c\x20\0\x80\x86", "does not speak TLS"),
        (b"", "closed the connection during the TLS handshake"),
    ] {
        let (ours, mut theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            let _ = theirs.read(&mut [0; 4096]).await;
            theirs.write_all(answer).await.unwrap();
            let _ = theirs.shutdown().await;
            let _ = theirs.read_to_end(&mut Vec::new()).await;
        });
        let error = connect_over(ours, &world.options).await.unwrap_err();
        assert!(error.to_string().contains(essential), "{essential:?}: {error}");
        assert!(CertificateError::of(&error).is_none(), "{error:?}");
    }
}

/// The deadline is for the whole opening, and says how far that got.
#[tokio::test]
async fn the_step_in_which_a_server_falls_silent_is_named() {
    let world = World::new("silent");
    let authority = world.options.authorities.parent().unwrap().display().to_string();
    for (speaks_tls, step) in
        [(false, "the TLS handshake"), (true, "the server's verdict on our certificate")]
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = world.server().then(Then::Nothing);
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            match speaks_tls {
                true => server.serve(stream).await,
                // It hears the client out.
                false => drop(stream.read_to_end(&mut Vec::new()).await),
            }
        });
        let uri = format!("test+tls://127.0.0.1:{port}/default?no_verify=1&pkipath={authority}");
        // The verdict has a limit of its own, of five seconds.
        let limit = std::time::Duration::from_secs(4);
        let error = Connection::builder(uri).open_timeout(limit).open().await.unwrap_err();
        assert!(
            matches!(error, Error::Timeout { what, after, .. } if what == step && after == limit),
            "{error:?}"
        );
        serving.await.unwrap();
    }
}

/// Also where nobody has set a deadline.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_at_all_is_left() {
    let world = World::new("mute");
    let (ours, theirs) = duplex(64 * 1024);
    let error = connect_over(ours, &world.options).await.unwrap_err();
    let Error::Connect { hint, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
    assert!(hint.contains("within 30s") && error.is_transient(), "{error}");
    drop(theirs);
}

#[tokio::test]
async fn priority_strings_choose_the_version() {
    let mut world = World::new("priority");
    let old = Server { versions: vec![&TLS12], ..world.server() };
    let new = Server { versions: vec![&TLS13], ..world.server() };
    for (priority, to_old, to_new) in [
        ("NORMAL", true, true),
        ("NORMAL:-VERS-TLS1.3", true, false),
        ("NORMAL:-VERS-ALL:+VERS-TLS1.3", false, true),
        ("NONE", false, false),
    ] {
        world.options.priority = Some(priority.to_owned());
        assert_eq!(to(&old, &world.options).await.is_ok(), to_old, "{priority}");
        let reached = to(&new, &world.options).await;
        assert_eq!(reached.is_ok(), to_new, "{priority}");
        if let Err(error) = reached {
            let said = error.to_string();
            assert!(said.contains("version") || said.contains("tls_priority allows neither"), "{said}");
        }
    }
}

#[tokio::test]
async fn keys_may_be_in_any_of_the_usual_forms() {
    let world = World::new("keys");
    let taking = Server { clients_of: Some(world.authority.certificate.clone()), ..world.server() };
    let pair = world.authority.client("client1");
    let options = world.client(&pair);
    to(&taking, &options).await.unwrap();
    let (_, key) = options.certificate.as_ref().unwrap();
    // SEC 1, with its parameters before it, as openssl writes it.
    openssl(&["ec"], key);
    assert!(std::fs::read_to_string(key).unwrap().contains("BEGIN EC PRIVATE KEY"));
    to(&taking, &options).await.unwrap();

    openssl(&["pkcs8", "-topk8", "-passout", "pass:secret"], key);
    let found = refusal(&taking, &options).await;
    assert!(
        found.to_string().contains("clientkey.pem") && found.to_string().contains("encrypted"),
        "{found}"
    );
}

/// Has openssl write a key in another form.
fn openssl(arguments: &[&str], key: &Path) {
    let written = key.with_extension("new");
    let mut openssl = Command::new("openssl");
    let output = openssl.args(arguments).arg("-in").arg(key).arg("-out").arg(&written).output();
    let output = output.expect("this test needs openssl; on Debian: apt-get install openssl");
    assert!(output.status.success(), "{output:?}");
    std::fs::rename(written, key).unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let world = World::new("files");
    let server = world.server();
    let pair = world.authority.client("client1");
    let other = world.authority.client("client2");

    let mut options = world.options.clone();
    options.authorities = world.files.path().join("nothing.pem");
    let found = refusal(&server, &options).await;
    assert!(
        matches!(&found, CertificateError::File { path, .. } if *path == options.authorities),
        "{found:?}"
    );
    options.authorities = world.files.write("empty.pem", "text\n");
    assert!(refusal(&server, &options).await.to_string().contains("PEM"));
    options.authorities = world.files.write("bad.pem", "-----BEGIN CERTIFICATE-----\nMII\n");
    assert!(refusal(&server, &options).await.to_string().contains("bad.pem"));

    let mixed = Pair { certificate: pair.certificate.clone(), key: other.key };
    let found = refusal(&server, &world.client(&mixed)).await;
    assert!(found.to_string().contains("is not the key of"), "{found}");
    let keyless = Pair { key: pair.certificate.clone(), ..pair };
    let found = refusal(&server, &world.client(&keyless)).await;
    assert!(found.to_string().contains("no private key"), "{found}");
}

#[tokio::test]
async fn our_own_certificate_is_looked_at_first_unless_that_is_not_wanted() {
    use CertificateError as E;
    let world = World::new("own");
    let other = Authority::new("Other CA");
    for (pair, expected) in [
        (world.authority.sign(Holder::client("client1").expired()), "expired on 2020-02-01"),
        (world.authority.sign(Holder::client("client1").not_yet_valid()), "not valid before 2990-02-01"),
        (other.client("client1"), "signed by C=GB,O=Tests,CN=Other CA"),
    ] {
        let mut options = world.client(&pair);
        let found = refusal(&world.server(), &options).await;
        assert!(!matches!(found, E::Refused { .. }), "{found:?}");
        let said = found.to_string();
        assert!(said.contains("our certificate") && said.contains("clientcert.pem"), "{said}");
        assert!(said.contains(expected), "{expected:?}: {said}");
        options.sanity = false;
        to(&world.server(), &options).await.unwrap();
    }
    // GnuTLS lets daemons take a certificate for servers from a client.
    to(&world.server(), &world.client(&world.authority.server(&["client1"]))).await.unwrap();
}

/// Whatever else a server may say for ever: records that are none, a message of 16 MiB, alerts, empty records.
#[tokio::test]
async fn a_server_that_never_comes_to_the_point_is_left() {
    let world = World::new("babble");
    for record in [
        b"\x16\x03\x03\x40\x00\x02\xff\xff\xff".as_slice(),
        b"\x16\x03\x03\x00\x00",
        b"\x15\x03\x03\x00\x02\x01\x5a",
        b"\x14\x03\x03\x00\x01\x01",
        b"\x17\x03\x03\x40\x00",
        b"220 welcome\r\n",
    ] {
        let (ours, mut theirs) = duplex(64 * 1024);
        let length = usize::from(u16::from_be_bytes([record[3], record[4]])) + 5;
        let mut record = record.to_vec();
        record.resize(length.min(16_389).max(record.len()), 0);
        let babble = tokio::spawn(async move { while theirs.write_all(&record).await.is_ok() {} });
        let (_, held) = held(connect_over(ours, &world.options)).await;
        assert!(held < 4 << 20, "{held} bytes were held");
        tokio::time::timeout(std::time::Duration::from_secs(20), babble).await.expect("it was left").unwrap();
    }
}

/// Counts what is allocated at most while a future that ends by itself is polled; all of the test is on one thread.
async fn held<T>(future: impl Future<Output = Result<T, Error>>) -> (Error, u64) {
    let mut future = std::pin::pin!(future);
    let mut most = 0;
    let limit = std::time::Duration::from_secs(20);
    let ended = tokio::time::timeout(
        limit,
        std::future::poll_fn(|cx| {
            let mut polled = std::task::Poll::Pending;
            let allocated = allocation_counter::measure(|| polled = future.as_mut().poll(cx));
            most = most.max(allocated.bytes_max);
            polled
        }),
    );
    let Err(error) = ended.await.expect("it does not end") else { panic!("nobody is there") };
    (error, most)
}
