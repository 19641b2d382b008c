//! What is in the way of an SSH connection, each told apart from the others, and at once.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error};

use crate::{TEST, ssh::Far, support::live};

/// How long a refusal may take, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(8);

async fn refusal(far: &Far, uri: &str) -> Error {
    let begun = Instant::now();
    let error = Connection::builder(uri).ssh_config(far.sshd.config(&[])).open().await.unwrap_err();
    assert!(begun.elapsed() < AT_ONCE, "{:?}: {error}", begun.elapsed());
    let said = error.to_string();
    assert!(!said.contains('\n') && !said.ends_with('.'), "one sentence, without a full stop: {said}");
    error
}

#[track_caller]
fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::Connect { source, .. } => source.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_or_a_user_that_the_server_does_not_let_in_is_told() {
    live(async {
        let far = Far::start();
        let stranger = far.sshd.unknown_key("ed25519", &[]);
        let uri = far.sshd.uri(TEST, &format!("keyfile={}", stranger.path().display()));
        assert!(!far.sshd.virsh(&far.sshd.config(&[]), &uri, &["hostname"]).status.success());
        let error = refusal(&far, &uri).await;
        let said = error.to_string();
        assert!(matches!(error, Error::Auth(_)) && error.is_auth(), "{error:?}");
        let path = stranger.path().display().to_string();
        for essential in ["root is not let in to 127.0.0.1", &path, "refused", "the server takes publickey"] {
            assert!(said.contains(essential), "{essential}: {said}");
        }

        let error = refusal(&far, &far.uri("").replace("root@", "nosuchuser@")).await;
        assert!(error.is_auth() && error.to_string().contains("nosuchuser is not let in"), "{error}");
        let error = refusal(&far, &far.sshd.uri(TEST, "")).await;
        assert!(error.is_auth() && error.to_string().contains("no key was found"), "{error}");
        let error = refusal(&far, &far.sshd.uri(TEST, "keyfile=/nowhere/key")).await;
        assert!(
            error.is_auth() && error.to_string().contains("/nowhere/key: there is no such file"),
            "{error}"
        );

        std::fs::set_permissions(far.key.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .unwrap();
        let error = refusal(&far, &far.uri("")).await;
        assert!(error.is_auth() && error.to_string().contains("others can read it"), "{error}");
    });
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    live(async {
        let far = Far::start();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let error = refusal(&far, &format!("test+ssh://root@127.0.0.1:{port}/default")).await;
        assert_eq!(kind(&error), ErrorKind::ConnectionRefused);
        assert!(error.is_transient() && error.to_string().contains("does sshd run"), "{error}");
        let error = refusal(&far, "test+ssh://root@no-such-host.invalid/default").await;
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    });
}

#[test]
fn a_port_where_another_kind_of_server_listens_is_told() {
    live(async {
        let far = Far::start();
        for (greeting, essential) in [
            ("HTTP/1.1 400 Bad Request\r\n\r\n", "no SSH server: it says \"HTTP/1.1 400 Bad Request\""),
            ("", "ended before the server said anything"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let serving = thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                let _ = peer.read(&mut [0; 256]);
                peer.write_all(greeting.as_bytes()).unwrap();
            });
            let error = refusal(&far, &format!("test+ssh://root@127.0.0.1:{port}/default")).await;
            serving.join().unwrap();
            assert!(error.to_string().contains(essential), "{error}");
            assert!(!error.is_auth(), "{error:?}");
        }
    });
}

/// The session's task must not stay behind with a server that says nothing.
#[test]
fn a_server_that_says_nothing_is_left_at_the_deadline() {
    live(async {
        let far = Far::start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            peer.write_all(b"SSH-2.0-silence\r\n").unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
        });
        let builder = Connection::builder(format!("test+ssh://root@127.0.0.1:{port}/default"));
        let builder = builder.ssh_config(far.sshd.config(&[])).open_timeout(Duration::from_secs(5));
        let error = builder.open().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "the SSH handshake", .. }), "{error:?}");
        serving.join().unwrap();
    });
}

#[test]
fn the_step_in_which_a_server_falls_silent_is_named() {
    live(async {
        for (setting, step) in [
            ("AuthorizedKeysCommand /bin/sleep 1000", "the login by SSH"),
            ("ForceCommand exec sleep 1000", "asking how to authenticate"),
        ] {
            let far = Far::with(&[setting, "AuthorizedKeysCommandUser root"]);
            // With a key that the server has to look for.
            let key =
                if step == "the login by SSH" { &far.sshd.unknown_key("ed25519", &[]) } else { &far.key };
            let uri = far.sshd.uri(TEST, &format!("keyfile={}", key.path().display()));
            let builder = Connection::builder(uri).ssh_config(far.sshd.config(&[]));
            let error = builder.open_timeout(Duration::from_secs(15)).open().await.unwrap_err();
            assert!(matches!(error, Error::Timeout { what, .. } if what == step), "{error:?}");
        }
    });
}

#[test]
fn an_account_without_a_shell_is_told() {
    live(async {
        let far = Far::with(&["ForceCommand echo this account is for backups only >&2; exit 1"]);
        let error = refusal(&far, &far.uri("")).await;
        assert!(error.to_string().contains("this account is for backups only"), "{error}");
        let silent = Far::with(&["ForceCommand /bin/false"]);
        let error = refusal(&silent, &silent.uri("")).await;
        let said = error.to_string();
        assert!(said.contains("status 1") && said.contains("said nothing"), "{said}");
    });
}

/// What it complains about is read and forgotten, and keeps nothing from coming through.
#[test]
fn a_far_side_that_complains_without_end_is_borne() {
    live(async {
        let far = Far::with(&["ForceCommand yes complaint >&2 & exec sh -c \"$SSH_ORIGINAL_COMMAND\""]);
        let connection = far.try_open("").await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), far.daemon.virsh(TEST, &["hostname"]));
        connection.close().await.unwrap();

        let useless = Far::with(&["ForceCommand exec yes complaint >&2"]);
        let builder = Connection::builder(useless.uri("")).ssh_config(useless.sshd.config(&[]));
        let error = builder.open_timeout(Duration::from_secs(5)).open().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "asking how to authenticate", .. }), "{error:?}");
    });
}
