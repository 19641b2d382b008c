//! A real libvirtd for one test, apart from the system's and from every other test's.

mod builder;

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use libvirt_client::Error;

pub(crate) use self::builder::Builder;
use super::{
    command::{self, Background, Finished},
    python::Python,
};

/// How long one command against the daemon may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// How long the daemon may take to accept connections: 70 ms are usual.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A libvirtd in mount, pid and network namespaces of its own; it and all that it started end with this value.
///
/// Its files are in a directory of its own, so that its sockets can be reached from outside. The directory is
/// removed in the end, except where the variable `LIBVIRT_TEST_KEEP` is set.
#[derive(Debug)]
pub(crate) struct Daemon {
    directory: PathBuf,
    /// `unshare`, whose child is pid 1 of the namespaces and reads our lines.
    namespaces: Child,
}

impl Daemon {
    /// Starts a daemon that asks for no authentication.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    /// Returns the directory that all of the daemon's files are in: `etc`, `lib`, `run`, `log`, `cache`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("run/libvirt-sock")
    }

    pub(crate) fn read_only_socket(&self) -> PathBuf {
        self.directory.join("run/libvirt-sock-ro")
    }

    /// Leads a URI such as `test:///default` to this daemon, by transport and `socket` parameter.
    pub(crate) fn uri(&self, uri: &str) -> String {
        through_socket(uri, &self.socket())
    }

    /// The same, over the socket for readers.
    pub(crate) fn read_only_uri(&self, uri: &str) -> String {
        through_socket(uri, &self.read_only_socket())
    }

    /// Makes a name that no other daemon's domain has, for where the kernel puts names of all daemons together.
    pub(crate) fn unique(&self, name: &str) -> String {
        format!("{name}-{}", self.mark())
    }

    /// Returns the name of the daemon's directory, which is its alone.
    fn mark(&self) -> &str {
        self.directory.file_name().and_then(OsStr::to_str).unwrap_or("lvt")
    }

    /// Writes a file that the daemon can read, and returns its path.
    pub(crate) fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, contents).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// Makes a named pipe, which blocks whoever opens one end until somebody opens the other.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        let mut mkfifo = Command::new("mkfifo");
        mkfifo.arg(&path);
        command::run(mkfifo, COMMAND_LIMIT).expect_success();
        path
    }

    /// Runs virsh on this daemon, and returns what it printed.
    #[track_caller]
    pub(crate) fn virsh<S: AsRef<OsStr>>(&self, uri: &str, arguments: &[S]) -> String {
        let mut virsh = Command::new("virsh");
        virsh.env("LC_ALL", "C").arg("--quiet").arg("--connect").arg(self.uri(uri)).args(arguments);
        command::run(virsh, COMMAND_LIMIT).expect_success()
    }

    /// Runs virsh inside the daemon's namespaces with a URI as it is, and tells whether it could connect, with what it said.
    #[track_caller]
    pub(crate) fn virsh_connects(&self, uri: &str) -> Result<(), String> {
        let mut virsh = self.inside();
        virsh.args(["env", "LC_ALL=C", "virsh", "--quiet", "--connect", uri, "uri"]);
        let finished = command::run(virsh, COMMAND_LIMIT);
        if finished.status.success() { Ok(()) } else { Err(finished.stderr) }
    }

    /// Opens the network that the daemon is in.
    #[track_caller]
    pub(crate) fn network(&self) -> fs::File {
        let path = format!("/proc/{}/ns/net", self.first_process());
        fs::File::open(&path).unwrap_or_else(|error| panic!("cannot open {path}: {error}\n{}", self.log()))
    }

    /// Runs virt-admin on this daemon, and returns what it printed.
    #[track_caller]
    pub(crate) fn virt_admin(&self, arguments: &[&str]) -> String {
        self.run_virt_admin(arguments).expect_success()
    }

    /// Runs virt-admin on this daemon, which fails, and returns its last complaint.
    #[track_caller]
    pub(crate) fn virt_admin_error(&self, arguments: &[&str]) -> String {
        let finished = self.run_virt_admin(arguments);
        assert!(!finished.status.success(), "{finished}");
        let complaint = finished.stderr.lines().rev().find_map(|line| line.strip_prefix("error: "));
        complaint.unwrap_or_else(|| panic!("{finished}")).to_owned()
    }

    #[track_caller]
    fn run_virt_admin(&self, arguments: &[&str]) -> Finished {
        let socket = self.directory.join("run/libvirt-admin-sock");
        let mut virt_admin = Command::new("virt-admin");
        virt_admin.env("LC_ALL", "C").arg("--quiet").arg("--connect");
        virt_admin.arg(format!("libvirtd:///system?socket={}", socket.display())).args(arguments);
        command::run(virt_admin, COMMAND_LIMIT)
    }

    /// Runs a Python program with libvirt's own binding; `connection` is open in it. Returns what it printed.
    #[track_caller]
    pub(crate) fn python(&self, uri: &str, program: &str) -> String {
        command::run(self.python_command(uri, program), COMMAND_LIMIT).expect_success()
    }

    /// Does something in Python that fails, and returns the error's code, domain and message, as [`said`] does ours.
    #[track_caller]
    pub(crate) fn python_error(&self, uri: &str, statement: &str) -> String {
        let program = format!(
            "try: {statement}\nexcept libvirt.libvirtError as error:\n    \
             print(error.get_error_code(), error.get_error_domain(), error.get_error_message())"
        );
        self.python(uri, &program)
    }

    /// Starts a Python that stays, with `connection` open, and answers questions.
    #[track_caller]
    pub(crate) fn ask_python(&self, uri: &str) -> Python {
        Python::spawn(self.python_command(uri, Python::program()))
    }

    /// Starts such a program in the background; it prints to a file.
    #[track_caller]
    pub(crate) fn spawn_python(&self, uri: &str, program: &str, output: &Path) -> Background {
        Background::spawn(self.python_command(uri, program), output)
    }

    fn python_command(&self, uri: &str, program: &str) -> Command {
        let program = format!(
            "import libvirt, sys\nlibvirt.registerErrorHandler(lambda *a: None, None)\n\
             libvirt.virEventRegisterDefaultImpl()\nconnection = libvirt.open(sys.argv[1])\n{program}\n"
        );
        // The distribution's interpreter has the binding; another one that comes first in PATH may not.
        let mut python = Command::new("/usr/bin/python3");
        python.env("LC_ALL", "C.UTF-8").args(["-u", "-c"]).arg(program).arg(self.uri(uri));
        python
    }

    /// Runs a line of shell inside the daemon's namespaces, and returns what it printed.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> String {
        let mut inside = self.inside();
        inside.args(["bash", "-c", line]);
        command::run(inside, COMMAND_LIMIT).expect_success()
    }

    /// Returns a command that runs the program given as its arguments inside the daemon's namespaces.
    #[track_caller]
    pub(crate) fn inside(&self) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(self.first_process().to_string());
        nsenter.args(["--mount", "--pid", "--net", "--"]).current_dir("/");
        nsenter
    }

    /// Sends a signal to libvirtd: `STOP`, after which it stands still when this returns; `KILL`, after which it is gone;
    /// `CONT`, `TERM`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        self.shell(&format!("kill -{signal} $(cat {}/run/libvirtd.pid)", self.directory.display()));
        let end = Instant::now() + COMMAND_LIMIT;
        while (signal == "KILL" && !self.has_ended()) || (signal == "STOP" && !self.stands_still()) {
            assert!(Instant::now() < end, "libvirtd runs on after SIG{signal}\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Tells whether all threads of libvirtd are stopped: each stops by itself, and one that has not may still answer.
    #[track_caller]
    fn stands_still(&self) -> bool {
        let pid = format!("$(cat {}/run/libvirtd.pid)", self.directory.display());
        // A thread may end while its state is read.
        let states = self.shell(&format!("sed -n s/^State://p /proc/{pid}/task/*/status || true"));
        !states.is_empty() && states.lines().all(|state| state.trim().starts_with('T'))
    }

    /// Tells whether libvirtd has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended().exists()
    }

    /// Kills libvirtd and starts another in the same namespaces, with the same files.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        if !self.has_ended() {
            self.signal("KILL");
        }
        fs::remove_file(self.ended()).unwrap_or_else(|error| panic!("cannot remove a file: {error}"));
        self.tell("start");
        if let Err(error) = self.wait_until_ready() {
            panic!("{error}");
        }
    }

    /// Returns the last lines of what the daemon wrote, for the messages of failing tests.
    pub(crate) fn log(&self) -> String {
        ["log/namespaces", "log/libvirtd.log"].map(|name| tail(&self.directory.join(name))).concat()
    }

    /// Has pid 1 of the namespaces carry out a line of shell.
    #[track_caller]
    fn tell(&mut self, line: &str) {
        let written = match &mut self.namespaces.stdin {
            Some(stdin) => writeln!(stdin, "{line}"),
            None => panic!("the namespaces are being torn down"),
        };
        if let Err(error) = written {
            panic!("the namespaces are gone: {error}\n{}", self.log());
        }
    }

    /// Returns pid 1 of the namespaces, by its number outside.
    #[track_caller]
    fn first_process(&self) -> u32 {
        let pid = self.namespaces.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let first = children.split_whitespace().next().and_then(|child| child.parse().ok());
        first.unwrap_or_else(|| panic!("the namespaces are gone\n{}", self.log()))
    }

    /// Waits until somebody accepts on all sockets, which come one after another: that their files exist says nothing, a
    /// killed daemon leaves them.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + START_LIMIT;
        loop {
            let sockets = ["libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"];
            if sockets.iter().all(|name| UnixStream::connect(self.directory.join("run").join(name)).is_ok()) {
                return Ok(());
            }
            let gone = self.namespaces.try_wait().map_err(|error| error.to_string())?;
            if let Some(status) = gone {
                return Err(format!("libvirtd's namespaces ended at once, {status}\n{}", self.log()));
            }
            if let Ok(status) = fs::read_to_string(self.ended()) {
                return Err(format!("libvirtd did not start: {status}{}", self.log()));
            }
            if Instant::now() > end {
                return Err(format!("libvirtd did not start within {START_LIMIT:?}\n{}", self.log()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The file in which pid 1 of the namespaces says that libvirtd ended, and how.
    fn ended(&self) -> PathBuf {
        self.directory.join("ended")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log());
        }
        drop(self.namespaces.stdin.take());
        let _ = self.namespaces.kill();
        let _ = self.namespaces.wait();
        if env::var_os("LIBVIRT_TEST_KEEP").is_some() {
            eprintln!("the daemon's files are kept in {}", self.directory.display());
            return;
        }
        // The kernel takes some milliseconds to kill all of the namespace, and what still runs may write files.
        for _ in 0..1000 {
            let _ = fs::remove_dir_all(&self.directory);
            if remove_control_groups(self.mark()) && !self.directory.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("cannot remove {} or its control groups", self.directory.display());
    }
}

/// Removes the control groups that a killed daemon left for its domains, and tells whether none is left.
fn remove_control_groups(mark: &str) -> bool {
    fn remove(group: &Path) {
        for inner in directories(group) {
            remove(&inner);
        }
        let _ = fs::remove_dir(group);
    }
    let hierarchies = directories(Path::new("/sys/fs/cgroup")).into_iter().chain(["/sys/fs/cgroup".into()]);
    let machines = hierarchies.flat_map(|hierarchy| directories(&hierarchy.join("machine")));
    let ours: Vec<PathBuf> = machines.filter(|group| group.display().to_string().contains(mark)).collect();
    ours.iter().for_each(|group| remove(group));
    ours.iter().all(|group| !group.exists())
}

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

/// Puts the transport and the socket into a URI.
pub(crate) fn through_socket(uri: &str, socket: &Path) -> String {
    let (driver, rest) = uri.split_once("://").unwrap_or_else(|| panic!("{uri:?} is no URI"));
    let separator = if rest.contains('?') { '&' } else { '?' };
    format!("{driver}+unix://{rest}{separator}socket={}", socket.display())
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let Ok(text) = fs::read_to_string(path) else { return String::new() };
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(30);
    lines.iter().skip(from).map(|line| format!("{}: {line}\n", path.display())).collect()
}

/// Writes an error of the daemon as [`Daemon::python_error`] does.
pub(crate) fn said(error: &Error) -> String {
    let error = error.remote().unwrap_or_else(|| panic!("no error of the daemon: {error:?}"));
    format!("{} {} {}", error.code.0, error.domain.0, error.message.as_deref().unwrap_or("None"))
}
