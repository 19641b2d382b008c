//! SASL: each mechanism with the right and the wrong credentials, over connections that nobody else can read, and over
//! one that everybody can. virsh logs in, or does not, by the same.

use libvirt_client::{Connection, Error, auth::CredentialKind};

use crate::{
    TEST,
    support::{
        Daemon, live,
        network::{self, wait_for_port},
    },
    tls::World,
};

const PASSWORDS: [&str; 4] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];
const OFFERED: &str = "scram-sha-512 scram-sha-256 scram-sha-1 plain";

/// Opens a connection, with a name and a password where they are asked for.
async fn log_in(uri: &str, name: &'static str, password: &'static str) -> Result<Connection, Error> {
    let builder = Connection::builder(uri).credentials(move |request| async move {
        assert_eq!((request.service, request.host.as_str()), ("libvirt", "localhost"));
        assert!(request.prompt.contains("localhost"), "{request:?}");
        match request.kind {
            CredentialKind::AuthorizationName => Some(name.into()),
            CredentialKind::Password if request.user.as_deref() == Some(name) => Some(password.into()),
            other => panic!("{other:?} is asked for"),
        }
    });
    builder.open().await
}

/// A file of credentials, as virsh's users have it.
fn auth_conf(daemon: &Daemon, name: &str, password: &str) -> String {
    let text = format!(
        "[credentials-test]\nauthname={name}\npassword={password}\n\n[auth-libvirt-localhost]\ncredentials=test\n"
    );
    daemon.file(&format!("{name}-{password}.conf"), &text).display().to_string()
}

#[test]
fn each_mechanism_lets_in_who_knows_the_password() {
    live(async {
        let daemon = Daemon::builder().sasl(OFFERED).start();
        let file = auth_conf(&daemon, "fred", "secret");
        for mechanism in PASSWORDS {
            let uri = format!("{}&auth=sasl.{mechanism}", daemon.uri(TEST));
            let connection =
                log_in(&uri, "fred", "secret").await.unwrap_or_else(|error| panic!("{mechanism}: {error}"));
            assert_eq!(connection.domains().await.unwrap()[0].name(), "test");
            connection.close().await.unwrap();
            let by_file = format!("{uri}&authfile={file}");
            Connection::open(&by_file).await.unwrap_or_else(|error| panic!("{mechanism} by file: {error}"));
            daemon.virsh_connects(&by_file).unwrap();
        }
        // A file with half of it leaves the other half to be asked for.
        let text = "[credentials-half]\nauthname=fred\n\n[auth-libvirt-default]\ncredentials=half\n";
        let half = daemon.file("half.conf", text).display().to_string();
        let uri = format!("{}&authfile={half}", daemon.uri(TEST));
        let asked = Connection::builder(&uri).credentials(async |request| {
            (request.kind == CredentialKind::Password && request.user.as_deref() == Some("fred"))
                .then(|| "secret".into())
        });
        asked.open().await.unwrap();

        log_in(&daemon.uri(TEST), "fred", "secret").await.unwrap();
        log_in(&(daemon.uri(TEST) + "&auth=sasl"), "fred", "secret").await.unwrap();
    });
}

#[test]
fn who_does_not_know_name_or_password_is_refused() {
    live(async {
        let daemon = Daemon::builder().sasl(OFFERED).start();
        for mechanism in PASSWORDS {
            let uri = format!("{}&auth=sasl.{mechanism}", daemon.uri(TEST));
            for (name, password) in [("fred", "guess"), ("nobody", "secret")] {
                let error = log_in(&uri, name, password).await.expect_err(mechanism);
                assert!(matches!(error, Error::Auth(_)) && error.is_auth(), "{error:?}");
                let said = error.to_string();
                assert!(said.contains(&format!("{name:?}")) && said.contains(mechanism), "{said}");
                if name == "fred" {
                    assert!(said.contains("password"), "{said}");
                }
                assert!(!said.contains("guess") && !said.contains("secret"), "{said}");
                let file = auth_conf(&daemon, name, password);
                let by_file = format!("{uri}&authfile={file}");
                assert!(matches!(Connection::open(&by_file).await, Err(Error::Auth(_))), "{name} {password}");
                daemon.virsh_connects(&by_file).unwrap_err();
            }
        }
    });
}

#[test]
fn what_is_missing_is_named() {
    live(async {
        let daemon = Daemon::builder().sasl("scram-sha-256").start();
        let uri = daemon.uri(TEST);
        let error = Connection::open(&uri).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, Error::Auth(_)), "{error:?}");
        assert!(
            said.contains("no authentication name") && said.contains("[auth-libvirt-localhost]"),
            "{said}"
        );
        daemon.virsh_connects(&uri).unwrap_err();

        let nameless = Connection::builder(&uri).credentials(async |request| {
            (request.kind == CredentialKind::AuthorizationName).then(|| "fred".into())
        });
        let error = nameless.open().await.unwrap_err();
        assert!(error.to_string().contains("no password"), "{error}");

        for (asked, essential) in [("PLAIN", "offers SCRAM-SHA-256"), ("GSSAPI", "offers SCRAM-SHA-256")] {
            let uri = format!("{uri}&auth=sasl.{asked}");
            let error = log_in(&uri, "fred", "secret").await.unwrap_err();
            assert!(error.to_string().contains(essential), "{error}");
            daemon.virsh_connects(&uri).unwrap_err();
        }
    });
}

#[test]
fn who_is_not_asked_for_a_name_needs_none() {
    live(async {
        let daemon = Daemon::builder().sasl("anonymous").start();
        Connection::open(daemon.uri(TEST)).await.unwrap().close().await.unwrap();
        daemon.virsh_connects(&daemon.uri(TEST)).unwrap();
    });
}

#[test]
fn a_question_that_nobody_answers_ends_with_the_time_for_opening() {
    live(async {
        let daemon = Daemon::builder().sasl("scram-sha-256").start();
        let builder = Connection::builder(daemon.uri(TEST)).credentials(|_| std::future::pending());
        let error = builder.open_timeout(std::time::Duration::from_millis(300)).open().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    });
}

#[test]
fn passwords_are_given_over_tls_and_not_over_plain_tcp() {
    live(async {
        let world = World::new("sasl");
        let daemon = world
            .daemon(&world.authority.server(&["localhost"]))
            .setting("auth_tls", "sasl")
            .setting("listen_tcp", 1)
            .setting("auth_tcp", "sasl")
            .sasl_elsewhere("scram-sha-256 plain digest-md5")
            .start();
        let file = auth_conf(&daemon, "fred", "secret");
        network::of(&daemon, async || {
            wait_for_port(16514).await;
            wait_for_port(16509).await;
            for mechanism in ["SCRAM-SHA-256", "PLAIN"] {
                let uri = world.client.uri(&format!("test+tls://localhost/default?auth=sasl.{mechanism}"));
                let connection = log_in(&uri, "fred", "secret").await.unwrap();
                assert_eq!(connection.domains().await.unwrap()[0].name(), "test");
                connection.close().await.unwrap();
                let error = log_in(&uri, "fred", "guess").await.unwrap_err();
                assert!(matches!(error, Error::Auth(_)), "{error:?}");
                daemon.virsh_connects(&format!("{uri}&authfile={file}")).unwrap();
            }
            // A URI may name the user.
            let uri = world.client.uri("test+tls://fred@localhost/default");
            let builder = Connection::builder(uri).credentials(async |request| {
                (request.kind == CredentialKind::Password).then(|| "secret".into())
            });
            builder.open().await.unwrap();

            // Here the daemon offers the one mechanism that encrypts.
            let error = log_in("test+tcp://localhost/default", "fred", "secret").await.unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, Error::Auth(_)), "{error:?}");
            assert!(said.contains("offers DIGEST-MD5") && said.contains("plain TCP"), "{said}");
            assert!(said.contains("auth_tls") && said.contains("qemu+ssh"), "what to do: {said}");
            let plain = "test+tcp://localhost/default?auth=sasl.SCRAM-SHA-256";
            assert!(log_in(plain, "fred", "secret").await.unwrap_err().is_auth());
            daemon.virsh_connects(&format!("{plain}&authfile={file}")).unwrap_err();
        });
    });
}
