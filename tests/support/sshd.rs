//! A real sshd for one test, inside the namespaces of its daemon, and reachable from outside.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Daemon,
    command::{self, Finished},
};

const LIMIT: Duration = Duration::from_secs(30);

/// An SSH server on a port of its own of 127.0.0.1, for the user root.
///
/// The port is the test's, which runs an sshd inside the daemon's namespaces for each connection. So the server sees the
/// daemon's sockets and its networks, and nobody else's.
#[derive(Debug)]
pub(crate) struct Sshd {
    directory: PathBuf,
    port: u16,
    sessions: Arc<Mutex<Vec<Child>>>,
    ending: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// A private key's file, whose public key is beside it.
#[derive(Clone, Debug)]
pub(crate) struct Key(PathBuf);

impl Key {
    /// Makes a key in a file, by ssh-keygen with further arguments.
    #[track_caller]
    pub(crate) fn generate(file: &Path, kind: &str, arguments: &[&str]) -> Self {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", kind, "-C", "test", "-f"]).arg(file);
        if !arguments.contains(&"-N") {
            keygen.args(["-N", ""]);
        }
        keygen.args(arguments);
        command::run(keygen, LIMIT).expect_success();
        Self(file.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The line for `authorized_keys` and known hosts: kind, key, comment.
    pub(crate) fn public(&self) -> String {
        let path = format!("{}.pub", self.0.display());
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
            .trim()
            .to_owned()
    }
}

impl Sshd {
    /// Starts one with a host key of this kind and further lines for its configuration.
    #[track_caller]
    pub(crate) fn start(daemon: &Daemon, name: &str, host_key: &str, settings: &[&str]) -> Self {
        Self::start_as(daemon.inside(), daemon, name, host_key, settings)
    }

    /// Starts one that is in the network of the tests, as a host on the way to others is.
    #[track_caller]
    pub(crate) fn start_outside(daemon: &Daemon, name: &str, host_key: &str) -> Self {
        let inside = daemon.inside();
        let mut outside = Command::new(inside.get_program());
        outside.args(inside.get_args().filter(|argument| *argument != "--net"));
        Self::start_as(outside, daemon, name, host_key, &[])
    }

    #[track_caller]
    fn start_as(inside: Command, daemon: &Daemon, name: &str, host_key: &str, settings: &[&str]) -> Self {
        let directory = daemon.directory().join(name);
        fs::create_dir(&directory)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", directory.display()));
        Key::generate(&directory.join("host"), host_key, &[]);
        let here = directory.display();
        // What comes first counts.
        let mut configuration: String = settings.iter().map(|line| format!("{line}\n")).collect();
        configuration += &format!(
            "HostKey {here}/host\nAuthorizedKeysFile {here}/authorized_keys\nPidFile none\nStrictModes no\n\
             UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             X11Forwarding no\nPrintMotd no\nLogLevel VERBOSE\nUseDNS no\n"
        );
        write(&directory.join("sshd_config"), &configuration);
        write(&directory.join("authorized_keys"), "");
        write(&directory.join("known_hosts"), "");
        daemon.shell("mkdir -p /run/sshd");

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap_or_else(|error| panic!("cannot listen on 127.0.0.1: {error}"));
        let port = listener.local_addr().unwrap_or_else(|error| panic!("{error}")).port();
        let (sessions, ending) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let accepting = {
            let (sessions, ending) = (Arc::clone(&sessions), Arc::clone(&ending));
            let directory = directory.clone();
            thread::spawn(move || accept(&listener, &inside, &directory, &sessions, &ending))
        };
        let sshd = Self { directory, port, sessions, ending, accepting: Some(accepting) };
        sshd.know_host(&sshd.host_key());
        sshd
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host_key(&self) -> Key {
        Key(self.directory.join("host"))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a key that the server lets in.
    #[track_caller]
    pub(crate) fn key(&self, kind: &str, arguments: &[&str]) -> Key {
        let key = self.unknown_key(kind, arguments);
        let mut keys = fs::read_to_string(self.file("authorized_keys")).unwrap_or_default();
        keys += &(key.public() + "\n");
        write(&self.file("authorized_keys"), &keys);
        key
    }

    /// Makes a key that the server does not let in.
    #[track_caller]
    pub(crate) fn unknown_key(&self, kind: &str, arguments: &[&str]) -> Key {
        let number = fs::read_dir(&self.directory).map_or(0, Iterator::count);
        Key::generate(&self.file(&format!("id_{kind}_{number}")), kind, arguments)
    }

    /// Gives root a password, in these namespaces only.
    #[track_caller]
    pub(crate) fn set_password(&self, daemon: &Daemon, password: &str) {
        let mut hash = Command::new("openssl");
        hash.args(["passwd", "-6", password]);
        let hash = command::run(hash, LIMIT).expect_success();
        let shadow = self.file("shadow");
        write(&shadow, &format!("root:{hash}:19000:0:99999:7:::\n"));
        fs::set_permissions(&shadow, fs::Permissions::from_mode(0o640))
            .unwrap_or_else(|error| panic!("{error}"));
        daemon.shell(&format!("mount --bind {} /etc/shadow", shadow.display()));
    }

    /// Writes what the file of known hosts says about this server, and nothing else.
    pub(crate) fn know_host(&self, key: &Key) {
        let public = key.public();
        let words: Vec<&str> = public.split(' ').take(2).collect();
        write(&self.file("known_hosts"), &format!("[127.0.0.1]:{} {}\n", self.port, words.join(" ")));
    }

    /// Writes a configuration for clients in which only these lines and this server's own files count.
    pub(crate) fn config(&self, lines: &[&str]) -> PathBuf {
        let number = fs::read_dir(&self.directory).map_or(0, Iterator::count);
        let path = self.file(&format!("config{number}"));
        let here = self.directory.display();
        let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        text += &format!(
            "UserKnownHostsFile {here}/known_hosts\nGlobalKnownHostsFile none\nIdentityAgent none\n\
             IdentityFile none\nStrictHostKeyChecking yes\n"
        );
        write(&path, &text);
        path
    }

    /// Leads a URI such as `test:///default` to the daemon through this server, with further parameters.
    pub(crate) fn uri(&self, uri: &str, parameters: &str) -> String {
        let (driver, path) = uri.split_once(":///").unwrap_or_else(|| panic!("{uri:?} has a host"));
        let separator = if parameters.is_empty() { "" } else { "?" };
        format!("{driver}+ssh://root@127.0.0.1:{}/{path}{separator}{parameters}", self.port)
    }

    /// Runs virsh, whose `ssh` reads the configuration in this file.
    #[track_caller]
    pub(crate) fn virsh(&self, config: &Path, uri: &str, arguments: &[&str]) -> Finished {
        let bin = self.file("bin");
        let ssh = bin.join("ssh");
        if !bin.exists() {
            fs::create_dir(&bin).unwrap_or_else(|error| panic!("{error}"));
        }
        write(&ssh, &format!("#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n", config.display()));
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755))
            .unwrap_or_else(|error| panic!("{error}"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut virsh = Command::new("virsh");
        virsh.env("PATH", format!("{}:{path}", bin.display())).env("LC_ALL", "C");
        virsh.args(["--quiet", "--connect", uri]).args(arguments);
        command::run(virsh, LIMIT)
    }

    /// Kills the servers of all connections that there are.
    pub(crate) fn kill_sessions(&self) {
        self.signal_sessions("KILL");
        for mut session in self.sessions().drain(..) {
            // It stands still where its child does.
            let _ = session.kill();
            let _ = session.wait();
        }
    }

    /// Sends a signal to the servers of all connections that there are.
    pub(crate) fn signal_sessions(&self, signal: &str) {
        for session in self.sessions().iter() {
            // nsenter waits for the server, which is its child.
            let pid = session.id();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            let mut kill = Command::new("kill");
            kill.arg(format!("-{signal}")).args(children.split_whitespace());
            if !children.is_empty() {
                command::run(kill, LIMIT);
            }
        }
    }

    /// Counts the connections that have not ended.
    pub(crate) fn count_sessions(&self) -> usize {
        let mut sessions = self.sessions();
        sessions.retain_mut(|session| matches!(session.try_wait(), Ok(None)));
        sessions.len()
    }

    /// What the server wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Child>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a server for each connection.
fn accept(
    listener: &TcpListener,
    inside: &Command,
    directory: &Path,
    sessions: &Mutex<Vec<Child>>,
    ending: &AtomicBool,
) {
    for stream in listener.incoming() {
        if ending.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let mut server = Command::new(inside.get_program());
        server
            .args(inside.get_args())
            .arg("/usr/sbin/sshd")
            .args(["-i", "-f"])
            .arg(directory.join("sshd_config"));
        server.arg("-E").arg(directory.join("log")).current_dir("/");
        let output = stream.try_clone().map(OwnedFd::from);
        server.stdin(OwnedFd::from(stream)).stderr(Stdio::null());
        let spawned = output.and_then(|output| server.stdout(output).spawn());
        // Its ends of the connection must be the server's alone.
        drop(server);
        match spawned {
            Ok(child) => sessions.lock().unwrap_or_else(PoisonError::into_inner).push(child),
            Err(error) => eprintln!("cannot run sshd: {error}"),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- sshd's log\n{}", self.log());
        }
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.kill_sessions();
    }
}

fn write(path: &Path, text: &str) {
    let written = fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
