//! Connections over programs: what a URI names, and the system's ssh, beside virsh with the same URI.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use libvirt_client::{CloseReason, Connection, Error, KeepaliveConfig};

use crate::{
    TEST,
    support::{Daemon, PATIENCE, command, live, wait_until},
};

const LIMIT: Duration = Duration::from_secs(30);

/// A daemon, and programs that lead to it.
struct Programs {
    daemon: Daemon,
    directory: PathBuf,
}

impl Programs {
    fn start() -> Self {
        let daemon = Daemon::start();
        let directory = daemon.directory().join("programs");
        fs::create_dir(&directory).unwrap();
        Self { daemon, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Writes a program for the shell. It leaves its process number in a file, and its arguments in another.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let here = self.directory.display();
        let text = format!(
            "#!/bin/sh\necho $$ >{here}/{name}.pid\nprintf '%s\\n' \"$@\" >{here}/{name}.arguments\n{script}\n"
        );
        let path = self.write(name, &text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// One that is libvirt's own helper inside the daemon's namespaces.
    fn helper(&self) -> PathBuf {
        // Without a process in between, so that it is the helper that is killed.
        let inside = self.inside().replacen("nsenter", "nsenter --no-fork", 1);
        self.program("helper", &format!("exec {inside} virt-ssh-helper {TEST}"))
    }

    /// What a command for these namespaces starts with.
    fn inside(&self) -> String {
        let inside = self.daemon.inside();
        let words = std::iter::once(inside.get_program()).chain(inside.get_args());
        words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// One that is the system's ssh, with a configuration in which the server runs on its pipes. The server lets root in by
    /// a key.
    fn ssh(&self, settings: &str) -> PathBuf {
        for (name, kind) in [("host", "ed25519"), ("user", "ed25519")] {
            if !self.path(name).exists() {
                let mut keygen = Command::new("ssh-keygen");
                keygen
                    .current_dir(&self.directory)
                    .args(["-q", "-t", kind, "-N", "", "-C", name, "-f", name]);
                command::run(keygen, LIMIT).expect_success();
            }
        }
        let here = self.directory.display();
        let public = |name: &str| fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        self.write("authorized_keys", &public("user"));
        self.write("known_hosts", &format!("far.example {}", public("host")));
        let server = format!(
            "HostKey {here}/host\nAuthorizedKeysFile {here}/authorized_keys\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        );
        let server = self.write("sshd_config", &server);
        self.daemon.shell("mkdir -p /run/sshd");
        let client = format!(
            "{settings}\nIdentityFile {here}/user\nIdentityAgent none\nUserKnownHostsFile {here}/known_hosts\n\
             GlobalKnownHostsFile none\nStrictHostKeyChecking yes\nProxyCommand {} /usr/sbin/sshd -i -f {}\n",
            self.inside(),
            server.display()
        );
        let client = self.write("ssh_config", &client);
        self.program("ssh", &format!("exec ssh -F {} \"$@\"", client.display()))
    }

    /// Waits until a program that was started has ended and is reaped.
    async fn has_ended(&self, name: &str) {
        let process = Path::new("/proc").join(self.pid(name));
        wait_until(|| !process.exists()).await;
    }

    fn pid(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pid"))).unwrap().trim().to_owned()
    }

    fn arguments(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.arguments"))).unwrap()
    }
}

/// A URI for a program.
fn over(transport: &str, program: &Path, more: &str) -> String {
    format!("test+{transport}/default?command={}{more}", program.display())
}

/// What virsh says of the domains there.
fn virsh(uri: &str) -> String {
    let mut virsh = Command::new("virsh");
    virsh.env("LC_ALL", "C").args(["--quiet", "--connect", uri, "list", "--all", "--name"]);
    command::run(virsh, LIMIT).expect_success()
}

async fn names(connection: &Connection) -> String {
    let domains = connection.domains().await.unwrap();
    domains.iter().map(|domain| domain.name()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_program_that_the_uri_names_is_the_connection() {
    live(async {
        let programs = Programs::start();
        let uri = over("ext://", &programs.helper(), "");
        let connection = Connection::open(&uri).await.unwrap();
        assert_eq!(names(&connection).await, virsh(&uri));
        let domain = connection.domain_by_name("test").await.unwrap();
        for _ in 0..100 {
            domain.xml().await.unwrap();
        }
        connection.close().await.unwrap();
        programs.has_ended("helper").await;
    });
}

#[test]
fn the_systems_ssh_is_run_as_by_libvirts_own_client() {
    live(async {
        let programs = Programs::start();
        let ssh = programs.ssh("");
        for (transport, more) in [
            ("ssh://root@far.example", ""),
            ("ssh://root@far.example:2222", "&proxy=native&no_verify=1"),
            ("ssh://far.example", "&proxy=netcat&no_tty=1"),
        ] {
            // The name is known without its port, and for netcat there may be none over there: the arguments tell.
            let uri = over(transport, &ssh, more);
            let mut run = Command::new("virsh");
            run.env("LC_ALL", "C").args(["--quiet", "--connect", &uri, "list", "--all", "--name"]);
            let theirs = command::run(run, LIMIT);
            let expected = programs.arguments("ssh");
            let ours = Connection::open(&uri).await;
            assert_eq!(programs.arguments("ssh"), expected, "{uri}");
            match ours {
                Ok(connection) => assert_eq!(names(&connection).await, theirs.stdout.trim_end(), "{uri}"),
                Err(error) => assert!(!theirs.status.success(), "{uri}: {error}, but virsh can: {theirs}"),
            }
        }
        let connection = Connection::open(over("ssh://root@far.example", &ssh, "")).await.unwrap();
        drop(connection);
        programs.has_ended("ssh").await;
    });
}

#[test]
fn what_ssh_complains_about_is_told_and_sorted() {
    live(async {
        let programs = Programs::start();
        for (settings, host, essential, is_auth, is_transient) in [
            ("", "unknown.example", "Host key verification failed", false, false),
            ("PubkeyAuthentication no", "far.example", "Permission denied", true, false),
            (
                "ProxyCommand none\nHostName 127.0.0.1\nPort 1",
                "far.example",
                "Connection refused",
                false,
                true,
            ),
            ("Nonsense 1", "far.example", "Bad configuration option: nonsense", false, false),
        ] {
            let ssh = programs.ssh(settings);
            let uri = over(&format!("ssh://root@{host}"), &ssh, "");
            let error = Connection::open(uri).await.unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, Error::Connect { .. }) && said.contains(essential), "{said}");
            assert!(said.contains("ssh ended with status 255") && !said.contains('\n'), "{said}");
            assert_eq!((error.is_auth(), error.is_transient()), (is_auth, is_transient), "{said}");
        }
    });
}

#[test]
fn a_program_that_cannot_carry_a_connection_says_why() {
    live(async {
        let programs = Programs::start();
        let missing = programs.path("missing");
        for (program, essential) in [
            (missing.clone(), "there is no such program"),
            (programs.write("plain", "no program"), "not one that this user may run"),
            (programs.program("fails", "echo no way >&2\nexit 3"), "ended with status 3: no way"),
            (programs.program("silent", "exit 0"), "the connection ended while it was being opened"),
            (programs.program("talks", "echo this is no daemon; exec sleep 1000"), "broke the protocol"),
        ] {
            let error = Connection::open(over("ext://", &program, "")).await.unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, Error::Connect { .. }), "{error:?}");
            assert!(said.contains(essential) && said.contains(program.to_str().unwrap()), "{said}");
        }
        programs.has_ended("talks").await;

        let stuck = programs.program("stuck", "exec sleep 1000");
        let builder =
            Connection::builder(over("ext://", &stuck, "")).open_timeout(Duration::from_millis(300));
        let error = builder.open().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { what: "asking how to authenticate", .. }), "{error:?}");
        programs.has_ended("stuck").await;
    });
}

/// Somebody may be typing a passphrase: keepalive, which begins once the daemon is there, must not limit that.
#[test]
fn a_program_may_take_its_time_where_there_is_no_deadline() {
    live(async {
        let programs = Programs::start();
        let keepalive = KeepaliveConfig { interval: Duration::from_secs(1), count: 2 };
        let script = format!("sleep 6\nexec {}", programs.helper().display());
        let slow = over("ext://", &programs.program("slow", &script), "");
        let builder = Connection::builder(slow).open_timeout(None).keepalive(keepalive);
        let connection = tokio::time::timeout(PATIENCE, builder.open()).await.unwrap().unwrap();
        assert_eq!(names(&connection).await, "test");
    });
}

#[test]
fn calls_end_with_the_program() {
    live(async {
        let programs = Programs::start();
        let connection = Connection::open(over("ext://", &programs.helper(), "")).await.unwrap();
        programs.daemon.signal("STOP");
        let call = tokio::spawn({
            let connection = connection.clone();
            async move { connection.hostname().await }
        });
        let mut kill = Command::new("kill");
        kill.args(["-KILL", &programs.pid("helper")]);
        command::run(kill, LIMIT).expect_success();
        let error = call.await.unwrap().unwrap_err();
        programs.daemon.signal("CONT");
        assert!(matches!(error.close_reason(), Some(CloseReason::Io(_))), "{error:?}");
        assert!(
            error.to_string().contains("helper was ended by signal 9") && error.is_transient(),
            "{error}"
        );
        programs.has_ended("helper").await;
    });
}
