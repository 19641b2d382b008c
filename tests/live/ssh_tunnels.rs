//! What else goes over the session of a connection: tunnels, listeners, further connections.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use libvirt_client::{CloseReason, Connection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    TEST,
    blocked::Blocked,
    ssh::Far,
    support::{command::Background, live, sshd::Sshd, wait_until},
};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves a TCP port and a Unix socket inside the daemon's namespaces, which nobody outside can reach: what comes goes back,
/// and who says `much` gets much.
const SERVER: &str = r#"
import os, socket, sys, threading
def serve(listener):
    while True:
        peer = listener.accept()[0]
        threading.Thread(target=talk, args=(peer,), daemon=True).start()
def talk(peer):
    try:
        while data := peer.recv(65536):
            if data.startswith(b'much'):
                for _ in range(int(data[4:])): peer.sendall(bytes(1 << 20))
                return
            peer.sendall(data)
    except OSError: pass
    finally: peer.close()
tcp = socket.create_server(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
threading.Thread(target=serve, args=(unix,), daemon=True).start()
print(tcp.getsockname()[1], flush=True)
serve(tcp)
"#;

struct Echo {
    port: u16,
    socket: PathBuf,
    _server: Background,
}

impl Echo {
    async fn start(far: &Far) -> Self {
        let (socket, output) = (far.sshd.file("echo"), far.sshd.file("echo.port"));
        let inside = far.daemon.inside();
        let mut python = Command::new(inside.get_program());
        python
            .args(inside.get_args())
            .args(["/usr/bin/python3", "-c", SERVER])
            .arg(&socket)
            .stdin(Stdio::null());
        let server = Background::spawn(python, &output);
        let port = || fs::read_to_string(&output).ok()?.strip_suffix('\n')?.parse().ok();
        wait_until(|| port().is_some()).await;
        Self { port: port().unwrap(), socket, _server: server }
    }
}

async fn echoes(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    stream.write_all(b"there and back").await.unwrap();
    let mut back = [0; 14];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"there and back");
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut back).await.unwrap(), 0);
}

#[test]
fn ports_and_sockets_of_the_host_are_reached_through_the_session() {
    live(async {
        let far = Far::start();
        let echo = Echo::start(&far).await;
        let connection = far.open().await;
        let ssh = connection.ssh().unwrap();
        echoes(ssh.connect_tcp("127.0.0.1", echo.port).await.unwrap()).await;
        echoes(ssh.connect_unix(echo.socket.to_str().unwrap()).await.unwrap()).await;

        let forward = ssh.listen(LOCAL, "127.0.0.1", echo.port).await.unwrap();
        for _ in 0..3 {
            echoes(TcpStream::connect(forward.local_addr()).await.unwrap()).await;
        }
        let mut open = TcpStream::connect(forward.local_addr()).await.unwrap();
        open.write_all(b"x").await.unwrap();
        open.read_u8().await.unwrap();
        let address = forward.local_addr();
        drop(forward);
        assert_eq!(open.read(&mut [0]).await.unwrap_or(0), 0, "its connections end with it");
        wait_until(|| std::net::TcpStream::connect(address).is_err()).await;

        assert_eq!(connection.hostname().await.unwrap(), far.virsh("", &["hostname"]));
        // That of virsh ends a moment later than it.
        wait_until(|| far.sshd.count_sessions() == 1).await;
    });
}

#[test]
fn what_cannot_be_reached_through_the_session_is_told() {
    live(async {
        let far = Far::start();
        let ssh = far.open().await.ssh().unwrap();
        let error = ssh.connect_tcp("127.0.0.1", 1).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("127.0.0.1 port 1"), "{error}");
        let error = ssh.connect_unix("/nowhere/socket").await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("/nowhere/socket") && said.contains("AllowTcpForwarding"), "{said}");

        let strict = Sshd::start(&far.daemon, "strict", "ed25519", &["AllowTcpForwarding no"]);
        let key = strict.key("ed25519", &[]);
        let uri = strict.uri(TEST, &format!("keyfile={}", key.path().display()));
        let connection = Connection::builder(uri).ssh_config(strict.config(&[])).open().await.unwrap();
        let echo = Echo::start(&far).await;
        let error = connection.ssh().unwrap().connect_tcp("127.0.0.1", echo.port).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("AllowTcpForwarding"), "{said}");
        assert_eq!(
            connection.hostname().await.unwrap(),
            far.virsh("", &["hostname"]),
            "the connection lives on"
        );
    });
}

#[test]
fn several_connections_share_a_session_until_the_last_is_gone() {
    live(async {
        let far = Far::start();
        let first = far.open().await;
        let ssh = first.ssh().unwrap();
        let builder = Connection::builder("test+ssh://any/default").over_ssh(&ssh);
        let second = builder.clone().open().await.unwrap();
        let third = builder.prefer_ssh_forwarding().open().await.unwrap();
        assert_eq!(far.sshd.count_sessions(), 1);
        first.close().await.unwrap();
        drop(ssh);
        let domain = second.domain_by_name("test").await.unwrap();
        assert_eq!(domain.xml().await.unwrap().trim_end(), far.virsh("", &["dumpxml", "test"]));
        drop(second);
        assert!(domain.info().await.is_ok(), "a domain keeps its connection open");
        drop(domain);
        third.hostname().await.unwrap();
        // That of virsh ends a moment later than it.
        wait_until(|| far.sshd.count_sessions() == 1).await;
        drop(third);
        wait_until(|| far.sshd.count_sessions() == 0).await;
    });
}

#[test]
fn commands_run_over_there() {
    live(async {
        let far = Far::start();
        let ssh = far.open().await.ssh().unwrap();
        let mut output = String::new();
        ssh.exec("hostname").await.unwrap().read_to_string(&mut output).await.unwrap();
        assert_eq!(output.trim_end(), far.daemon.shell("hostname"));
        let mut sum = ssh.exec("sha256sum").await.unwrap();
        sum.write_all(&vec![7; 3 << 20]).await.unwrap();
        sum.shutdown().await.unwrap();
        output.clear();
        sum.read_to_string(&mut output).await.unwrap();
        assert_eq!(
            output.split(' ').next(),
            far.daemon.shell("head -c 3145728 /dev/zero | tr '\\0' '\\7' | sha256sum").split(' ').next()
        );
        let error =
            ssh.exec("echo no >&2; exit 3").await.unwrap().read_to_string(&mut output).await.unwrap_err();
        let farewell = libvirt_client::transport::Farewell::of(&error).unwrap();
        assert_eq!(farewell.exit, Some(libvirt_client::transport::Exit::Status(3)));
        assert_eq!(farewell.complaint.text(), "no");
    });
}

/// All channels share one stream, so one that nobody reads could hold up the others.
#[test]
fn a_tunnel_that_nobody_reads_does_not_stop_the_connection() {
    live(async {
        let far = Far::start();
        let echo = Echo::start(&far).await;
        let connection = far.open().await;
        let ssh = connection.ssh().unwrap();
        let mut lazy = ssh.connect_tcp("127.0.0.1", echo.port).await.unwrap();
        lazy.write_all(b"much64").await.unwrap();
        let mut busy = ssh.connect_tcp("127.0.0.1", echo.port).await.unwrap();
        busy.write_all(b"much48").await.unwrap();
        let reading = tokio::spawn(async move {
            let (mut received, mut buffer) = (0, vec![0; 1 << 16]);
            loop {
                match busy.read(&mut buffer).await.unwrap() {
                    0 => return received,
                    count => received += count,
                }
            }
        });
        for _ in 0..20 {
            connection.hostname().await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), 48 << 20);
        connection.hostname().await.unwrap();
        let mut buffer = vec![0; 1 << 16];
        // It has not got all, and is told.
        let error = loop {
            match lazy.read(&mut buffer).await {
                Ok(0) => panic!("the tunnel ended as if all had come"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("nothing was read"), "{error}");
    });
}

#[test]
fn a_killed_server_ends_every_pending_call_with_the_reason() {
    live(async {
        let far = Far::start();
        let connection = far.open().await;
        let domain = connection.domain_by_name("test").await.unwrap();
        let _blocked = Blocked::domain(&far.daemon, "test").await;
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let domain = domain.clone();
                tokio::spawn(async move { (domain.info().await, Instant::now()) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(calls.iter().all(|call| !call.is_finished()));
        let killed = Instant::now();
        far.sshd.kill_sessions();
        for call in calls {
            let (result, ended) = call.await.unwrap();
            let error = result.unwrap_err();
            assert!(matches!(error.close_reason(), Some(CloseReason::Io(_))), "{error:?}");
            assert!(
                error.is_transient() && error.to_string().contains("the SSH connection to 127.0.0.1"),
                "{error}"
            );
            assert!(ended.duration_since(killed) < Duration::from_secs(5));
        }
        let ssh = connection.ssh().unwrap();
        tokio::time::timeout(Duration::from_secs(5), ssh.closed()).await.unwrap();
        let error = ssh.connect_tcp("127.0.0.1", 1).await.unwrap_err();
        assert!(error.to_string().contains("the SSH connection to 127.0.0.1"), "{error}");
    });
}

#[test]
fn a_frozen_server_is_noticed() {
    live(async {
        let far = Far::start();
        let config = far.sshd.config(&["ServerAliveInterval 1", "ServerAliveCountMax 1"]);
        let builder = Connection::builder(far.uri("")).ssh_config(config).keepalive(None);
        let connection = builder.open().await.unwrap();
        far.sshd.signal_sessions("STOP");
        let reason = tokio::time::timeout(Duration::from_secs(20), connection.closed()).await.unwrap();
        assert!(reason.to_string().contains("has not answered"), "{reason}");
    });
}
