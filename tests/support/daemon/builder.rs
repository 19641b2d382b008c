//! What a private libvirtd should be like, and how it is started.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::Daemon;

/// Where programs are that users do not start.
const HELPERS: [&str; 8] = [
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/lib/systemd",
    "/lib/systemd",
    "/usr/lib/libvirt",
    "/usr/libexec",
    "/usr/libexec/libvirt",
];

/// What a socket's address holds, on Linux, without the zero byte at its end.
const SOCKET_PATH_MAX: usize = 107;

/// What a daemon should be like.
#[derive(Debug)]
pub(crate) struct Builder {
    settings: BTreeMap<String, String>,
    arguments: &'static str,
    private_net: bool,
    /// The first process of the namespaces whose network it shares.
    beside: Option<u32>,
    virtlogd: bool,
    cgroups: bool,
    udevd: bool,
    networks: bool,
    lxc: bool,
    polkit_rules: Option<String>,
    sasl_mechanism: Option<&'static str>,
}

impl Builder {
    /// A daemon that asks for no authentication.
    pub(super) fn new() -> Self {
        let builder = Self {
            settings: BTreeMap::new(),
            arguments: "",
            private_net: true,
            beside: None,
            virtlogd: false,
            cgroups: false,
            udevd: false,
            networks: false,
            lxc: false,
            polkit_rules: None,
            sasl_mechanism: None,
        };
        builder
            .setting("auth_unix_ro", "none")
            .setting("auth_unix_rw", "none")
            .setting("unix_sock_ro_perms", "0777")
            .setting("unix_sock_rw_perms", "0777")
    }

    /// Sets a line of libvirtd.conf. Rust's `{:?}` writes texts, numbers and lists of them as that file wants them.
    pub(crate) fn setting(mut self, name: &str, value: impl fmt::Debug) -> Self {
        self.settings.insert(name.to_owned(), format!("{value:?}"));
        self
    }

    /// Has the daemon listen on the ports that its settings name, in the network namespace of the tests.
    pub(crate) fn listen(mut self) -> Self {
        self.private_net = false;
        self.arguments = "--listen";
        self
    }

    /// Has the daemon listen on its ports in a network of its own, where [`network::of`](super::super::network::of) leads to.
    pub(crate) fn ports(mut self) -> Self {
        self.arguments = "--listen";
        self
    }

    /// Puts it into the network namespace of another daemon, as another host that both can reach each other from.
    #[track_caller]
    pub(crate) fn beside(mut self, other: &Daemon) -> Self {
        self.beside = Some(other.first_process());
        self.setting("host_uuid", "00000000-0000-4000-8000-00000000beef")
    }

    /// Has the daemon listen on port 16509 of its private network, and let everybody in.
    pub(crate) fn listen_inside(self) -> Self {
        self.ports()
            .setting("listen_tls", 0)
            .setting("listen_tcp", 1)
            .setting("auth_tcp", "none")
            .setting("listen_addr", "127.0.0.1")
    }

    /// Runs virtlogd beside it, which QEMU's output then goes through.
    pub(crate) fn virtlogd(mut self) -> Self {
        self.virtlogd = true;
        self
    }

    /// Lets QEMU's domains have control groups, which their CPU times and shares are kept in. The host's hierarchy is the
    /// only one that there is: name these domains by [`Daemon::unique`].
    pub(crate) fn cgroups(mut self) -> Self {
        self.cgroups = true;
        self
    }

    /// Runs udevd beside it, which tells of the devices of the host.
    pub(crate) fn udevd(mut self) -> Self {
        self.udevd = true;
        self
    }

    /// Requires what virtual networks and their filters need.
    pub(crate) fn networks(mut self) -> Self {
        self.networks = true;
        self
    }

    /// Requires the driver of Linux containers.
    pub(crate) fn lxc(mut self) -> Self {
        self.lxc = true;
        self
    }

    /// Runs a D-Bus system bus and polkit beside it, with these rules (JavaScript).
    pub(crate) fn polkit(mut self, rules: &str) -> Self {
        self.polkit_rules = Some(rules.to_owned());
        self
    }

    /// Has the writers' socket ask for SASL by one mechanism, or several with spaces between them: user `fred`, password `secret`.
    pub(crate) fn sasl(mut self, mechanism: &'static str) -> Self {
        self.sasl_mechanism = Some(mechanism);
        self.setting("auth_unix_rw", "sasl")
    }

    /// Offers the same mechanisms of SASL, but asks for none of it on the socket.
    pub(crate) fn sasl_elsewhere(mut self, mechanisms: &'static str) -> Self {
        self.sasl_mechanism = Some(mechanisms);
        self
    }

    /// Starts the daemon, or fails the test with what it wrote.
    #[track_caller]
    pub(crate) fn start(self) -> Daemon {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts the daemon and waits until it accepts connections.
    pub(crate) fn try_start(self) -> Result<Daemon, String> {
        self.require_parts()?;
        let directory = free_directory()?;
        self.write_files(&directory)
            .map_err(|error| format!("cannot write to {}: {error}", directory.display()))?;
        let mut unshare = match self.beside {
            None => Command::new("unshare"),
            // Becomes unshare, in the same process.
            Some(pid) => {
                let mut nsenter = Command::new("nsenter");
                nsenter.arg(format!("--net=/proc/{pid}/ns/net")).args(["--", "unshare"]);
                nsenter
            }
        };
        // The first process is killed with unshare, and everything in its pid namespace is killed with it.
        unshare.args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "--mount-proc",
        ]);
        if self.private_net && self.beside.is_none() {
            unshare.arg("--net");
        }
        unshare
            .args(["--", "bash"])
            .arg(directory.join("namespace.sh"))
            .env("LIVE_DIR", &directory)
            .env("LIVE_PRIVATE_NET", flag(self.private_net))
            .env("LIVE_VIRTLOGD", flag(self.virtlogd))
            .env("LIVE_UDEVD", flag(self.udevd))
            .env("LIVE_SYSTEM_BUS", flag(self.polkit_rules.is_some()))
            .env("LIVE_SASL", self.sasl_mechanism.unwrap_or_default())
            .env("LIVE_ARGUMENTS", self.arguments);
        let log = fs::File::create(directory.join("log/namespaces")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        unshare.current_dir("/").stdin(Stdio::piped()).stdout(log).stderr(errors);
        let namespaces = unshare.spawn().map_err(|error| format!("cannot run unshare: {error}"))?;
        let mut daemon = Daemon { directory, namespaces };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Says what to install where something is missing: a test that cannot run must not look like one that passed.
    fn require_parts(&self) -> Result<(), String> {
        let mut parts = vec![
            ("libvirtd", "libvirt-daemon"),
            ("virsh", "libvirt-clients"),
            ("unshare", "util-linux"),
            ("nsenter", "util-linux"),
            ("mount", "mount"),
            ("ip", "iproute2"),
        ];
        if self.polkit_rules.is_some() {
            parts.extend([("dbus-daemon", "dbus"), ("dbus-send", "dbus"), ("setpriv", "util-linux")]);
        }
        if self.sasl_mechanism.is_some() {
            parts.push(("saslpasswd2", "sasl2-bin"));
        }
        if self.virtlogd {
            parts.push(("virtlogd", "libvirt-daemon"));
        }
        if self.networks {
            parts.extend([("dnsmasq", "dnsmasq-base"), ("iptables", "iptables"), ("ebtables", "iptables")]);
        }
        if self.udevd {
            parts.push(("systemd-udevd", "udev"));
        }
        if self.lxc {
            parts.push(("libvirt_lxc", "libvirt-daemon-driver-lxc"));
        }
        parts.retain(|(program, _)| !installed(program));
        if !parts.is_empty() {
            let (programs, packages): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            return Err(format!(
                "this test needs a real libvirtd, and {} not found; on Debian and Ubuntu: \
                 apt-get install {}; or let tests/run install what is needed",
                programs.join(", ") + if programs.len() == 1 { " is" } else { " are" },
                packages.join(" "),
            ));
        }
        let me =
            fs::metadata("/proc/self").map_err(|error| format!("cannot read /proc/self: {error}"))?.uid();
        if me != 0 {
            return Err(format!(
                "this test starts a private libvirtd, which needs namespaces and so root, but runs as user {me}; \
                 tests/run runs such tests with sudo"
            ));
        }
        Ok(())
    }

    fn write_files(&self, directory: &Path) -> std::io::Result<()> {
        for name in [
            "etc/qemu/networks",
            "lib/images",
            "lib/qemu",
            "lib/dnsmasq",
            "run",
            "log/qemu",
            "cache",
            "polkit",
        ] {
            fs::create_dir_all(directory.join(name))?;
        }
        // Other users must come through to the sockets, and polkitd reads its rules as a user of its own.
        for name in ["", "run", "polkit"] {
            fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o755))?;
        }
        let mut conf = format!("log_outputs = \"3:file:{}/log/libvirtd.log\"\n", directory.display());
        for (name, value) in &self.settings {
            conf += &format!("{name} = {value}\n");
        }
        fs::write(directory.join("etc/libvirtd.conf"), conf)?;
        let mut qemu_conf = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\n\
                             remember_owner = 0\nnamespaces = []\n"
            .to_owned();
        if !self.cgroups {
            qemu_conf += "cgroup_controllers = []\n";
        }
        if !self.virtlogd {
            qemu_conf += "stdio_handler = \"file\"\n";
        }
        fs::write(directory.join("etc/qemu.conf"), qemu_conf)?;
        fs::write(directory.join("namespace.sh"), include_str!("../namespace.sh"))?;
        if let Some(rules) = &self.polkit_rules {
            fs::write(directory.join("polkit/10-live.rules"), rules)?;
        }
        Ok(())
    }
}

fn flag(on: bool) -> &'static str {
    if on { "1" } else { "" }
}

/// Tells whether a program is in `PATH`, or where daemons and their helpers are and `PATH` may not lead.
fn installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories = env::split_paths(&path).chain(HELPERS.map(PathBuf::from));
    directories.any(|directory| directory.join(program).is_file())
}

/// Names a directory that nobody has, short enough for the sockets in it.
fn free_directory() -> Result<PathBuf, String> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("lvt{}-{number}", process::id()));
    let longest = directory.join("run/libvirt-admin-sock");
    if longest.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(format!(
            "{} is longer than the {SOCKET_PATH_MAX} bytes that a socket's path may have; set TMPDIR to a shorter one",
            longest.display()
        ));
    }
    let _ = fs::remove_dir_all(&directory);
    Ok(directory)
}
