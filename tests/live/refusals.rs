//! Connecting to what is no libvirtd, or to one that does not let us: one clear error each.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error, ErrorCode};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::UnixListener, net::UnixStream};

use crate::{
    TEST,
    support::{Daemon, daemon::through_socket, inside, live},
};

/// How long those are waited for that never answer.
const SHORT: Duration = Duration::from_millis(500);

/// A directory for the sockets of a test, without any daemon.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lvt{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Tries to connect to a socket that answers something, if only that nobody is there.
async fn refusal(socket: &Path) -> Error {
    refusal_within(socket, Duration::from_secs(30)).await
}

/// Tries to connect to a socket.
async fn refusal_within(socket: &Path, limit: Duration) -> Error {
    let opening = Connection::builder(through_socket(TEST, socket)).open_timeout(limit).open();
    opening.await.expect_err("there is no libvirtd")
}

fn assert_cannot_connect(error: &Error, socket: &Path, kind: ErrorKind, hint: &str) {
    let said = error.to_string();
    assert!(said.contains(&socket.display().to_string()), "which socket: {said}");
    assert!(said.contains(hint), "{hint:?} is expected in: {said}");
    assert!(!said.contains('\n') && !said.ends_with('.'), "one sentence, without a full stop: {said}");
    match error {
        Error::Connect { source, .. } => assert_eq!(source.kind(), kind, "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_socket() {
    live(async {
        let directory = Directory::new("none");
        let error = refusal(&directory.socket()).await;
        assert_cannot_connect(&error, &directory.socket(), ErrorKind::NotFound, "no such socket");
    });
}

#[test]
fn nobody_listens() {
    live(async {
        let daemon = Daemon::start();
        daemon.signal("KILL");
        let error = refusal(&daemon.socket()).await;
        assert_cannot_connect(&error, &daemon.socket(), ErrorKind::ConnectionRefused, "nobody listens");
        assert!(error.is_transient(), "it may be started again: {error:?}");
    });
}

#[test]
fn not_a_socket() {
    live(async {
        let directory = Directory::new("file");
        std::fs::write(directory.socket(), "a file").unwrap();
        let error = refusal(&directory.socket()).await;
        assert_cannot_connect(&error, &directory.socket(), ErrorKind::ConnectionRefused, "not a socket");
    });
}

#[test]
fn no_permission() {
    let daemon = || Daemon::builder().setting("unix_sock_rw_perms", "0700").start();
    inside::as_nobody("refusals::no_permission", daemon, async |socket| {
        let socket = Path::new(&socket);
        let error = refusal(socket).await;
        assert_cannot_connect(&error, socket, ErrorKind::PermissionDenied, "permission");
        assert!(error.is_auth() && !error.is_transient(), "{error:?}");
    });
}

#[test]
fn a_web_server() {
    live(async {
        let directory = Directory::new("http");
        let listener = UnixListener::bind(directory.socket()).unwrap();
        let server = tokio::spawn(async move {
            let mut stream = listener.accept().await.unwrap().0;
            let _ = stream.read(&mut [0; 100]).await;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 100]).await;
        });
        let error = refusal(&directory.socket()).await;
        server.await.unwrap();
        assert_cannot_connect(&error, &directory.socket(), ErrorKind::InvalidData, "protocol");
        assert!(!error.is_transient(), "it will not become a libvirtd: {error:?}");
        assert!(error.to_string().contains("web server"), "what came is named: {error}");
    });
}

#[test]
fn a_listener_that_says_nothing() {
    live(async {
        let directory = Directory::new("mute");
        let _listener = UnixListener::bind(directory.socket()).unwrap();
        let asked = Instant::now();
        let error = refusal_within(&directory.socket(), SHORT).await;
        assert!(error.is_timeout(), "{error:?}");
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    });
}

#[test]
fn a_listener_that_hangs_up() {
    live(async {
        let directory = Directory::new("hangup");
        let listener = UnixListener::bind(directory.socket()).unwrap();
        let server = tokio::spawn(async move {
            let accepted: UnixStream = listener.accept().await.unwrap().0;
            drop(accepted);
        });
        let error = refusal(&directory.socket()).await;
        server.await.unwrap();
        assert_cannot_connect(
            &error,
            &directory.socket(),
            ErrorKind::ConnectionAborted,
            "closed by the daemon",
        );
    });
}

#[test]
fn a_daemon_that_is_full() {
    live(async {
        let daemon = Daemon::builder().setting("max_clients", 1).setting("max_anonymous_clients", 1).start();
        let first = Connection::open(daemon.uri(TEST)).await.unwrap();
        let error = refusal_within(&daemon.socket(), SHORT).await;
        assert!(error.is_timeout(), "{error:?}");
        first.close().await.unwrap();
        assert!(Connection::open(daemon.uri(TEST)).await.is_ok());
    });
}

#[test]
fn a_driver_that_is_not_there() {
    live(async {
        let daemon = Daemon::start();
        let error = Connection::open(daemon.uri("bhyve:///system")).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::NO_CONNECT), "{error}");
        let error = Connection::open(daemon.uri("test:///not/there")).await.unwrap_err();
        assert!(error.remote().is_some() && error.to_string().contains("/not/there"), "{error}");
    });
}

#[test]
fn wrong_uris() {
    let wrong = [
        ("qemu", "qemu:///system"),
        ("qemu:system", "qemu:///system"),
        ("qemu://system", "qemu:///system"),
        ("qemu+carrier-pigeon:///system", "carrier-pigeon"),
        ("qemu+unix://host/system", "host"),
        ("qemu:///system?socket=", "socket"),
        ("qemu:///system?mode=sideways", "sideways"),
    ];
    live(async {
        for (uri, essential) in wrong {
            let error = Connection::open(uri).await.expect_err(uri);
            let said = error.to_string();
            assert!(matches!(&error, Error::Uri { uri: named, .. } if named == uri), "{uri}: {error:?}");
            assert!(said.contains(essential), "{essential:?} is expected in: {said}");
            assert!(
                !said.contains('\n') && !said.ends_with('.'),
                "one sentence, without a full stop: {said}"
            );
        }
    });
}
