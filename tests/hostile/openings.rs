//! What can be done to a client before it has a connection: servers and programs that talk without end.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use libvirt_client::{Connection, Error};

use crate::{MIB, peer::measured};

/// How long an opening may take, and until when its error must be there on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(2);
const LATEST: Duration = Duration::from_secs(20);

/// Opens a connection in vain; returns why, and how many bytes were held at most.
fn refused(uri: String) -> (Error, u64) {
    let begun = Instant::now();
    let (opened, bytes) =
        measured(async move || Connection::builder(uri).open_timeout(PATIENCE).open().await);
    assert!(begun.elapsed() < LATEST, "it took {:?}", begun.elapsed());
    (opened.expect_err("nobody is there who could be talked to"), bytes)
}

/// A server that says the same to each client, over and over, and reads nothing.
fn babbling(text: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let babble = move |mut stream: TcpStream| {
        let text = text.repeat(64 * 1024 / text.len());
        while stream.write_all(&text).is_ok() {}
    };
    // It ends with the test's process: nobody connects any more.
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || babble(stream.unwrap()));
        }
    });
    port
}

#[cfg(feature = "ssh")]
#[test]
fn an_ssh_server_that_never_comes_to_the_point_is_left() {
    for text in
        [b"welcome\r\n".as_slice(), b"x", b"\r\n", b"SSH-2.0-x\r\n", b"SSH-", b"SSH-2.0-x\r\n\0\0\xff\xff"]
    {
        let port = babbling(text);
        let (error, bytes) =
            refused(format!("qemu+libssh://nobody@127.0.0.1:{port}/system?known_hosts_verify=ignore"));
        assert!(bytes < 8 * MIB, "{bytes} bytes were held of {:?}: {error}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_server_that_is_no_daemon_is_left() {
    for text in [b"HTTP/1.1 200 OK\r\n".as_slice(), b"\0\0\0\x1c", b"\x02\xff\xff\xff"] {
        let port = babbling(text);
        let (error, bytes) = refused(format!("qemu+tcp://127.0.0.1:{port}/system"));
        assert!(bytes < MIB, "{bytes} bytes were held of {:?}: {error}", String::from_utf8_lossy(text));
    }
}

/// A program in a directory of its own, both of which go with it.
struct Program(PathBuf);

impl Program {
    fn new(name: &str, script: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("libvirt-client-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("program");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn a_program_that_complains_without_end_is_left() {
    for (name, script) in [
        ("errors", "exec yes complaint >&2"),
        ("output", "exec yes"),
        ("both", "yes complaint >&2 & exec yes"),
        ("long-line", "exec head -c 100000000 /dev/zero >&2"),
    ] {
        let program = Program::new(name, script);
        let (error, bytes) = refused(format!("qemu+ext:///system?command={}", program.0.display()));
        assert!(bytes < MIB, "{name}: {bytes} bytes were held: {error}");
        assert!(error.to_string().len() < 4096, "{name}: {error}");
    }
}
