//! The ways to a daemon, each with all that its transport has to know.

use std::{fmt, path::PathBuf};

use super::{RemoteSide, Uri};

/// The way to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Route {
    /// A Unix socket of this machine.
    Unix(Socket),
    /// TCP without encryption.
    Tcp(Endpoint),
    /// TLS over TCP.
    Tls(TlsRoute),
    /// A command on the far side of an SSH connection, made by this crate.
    Ssh(SshRoute),
    /// A local program whose standard input and output are the connection, such as the system's `ssh`.
    Command(CommandRoute),
}

/// A Unix socket, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Socket {
    /// Its path; `@` at the start names an abstract socket of Linux.
    pub path: PathBuf,
    /// Why.
    pub because: String,
    /// How the daemon is started if nobody listens there.
    pub autostart: Option<Autostart>,
}

/// How a session's daemon is started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Autostart {
    /// The daemon's program.
    pub program: PathBuf,
    /// Its arguments: it ends by itself when nobody has used it for two minutes.
    pub arguments: Vec<String>,
    /// The file that is locked meanwhile, so that of several clients one starts it.
    pub lock: PathBuf,
}

/// A host and a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Endpoint {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What a TLS connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TlsRoute {
    /// Where to connect to.
    pub endpoint: Endpoint,
    /// Whether the server has to prove who it is.
    pub verify: bool,
    /// Whether our own certificates are looked at before they are used.
    pub sanity: bool,
    /// The files.
    pub files: PkiFiles,
    /// Which algorithms and versions to use, in the language of GnuTLS.
    pub priority: Option<String>,
}

/// The files with certificates and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PkiFiles {
    /// The certificates of those who sign the server's.
    pub ca: PathBuf,
    /// The list of certificates that are revoked.
    pub crl: Option<PathBuf>,
    /// Our own certificate.
    pub certificate: Option<CertificateFiles>,
    /// Why these.
    pub because: String,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What an SSH connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SshRoute {
    /// The host, as ssh's configuration may know it.
    pub host: String,
    /// The port, if it is stated.
    pub port: Option<u16>,
    /// The user to log in as, if it is stated.
    pub user: Option<String>,
    /// The file with the private key, if it is stated.
    pub key_file: Option<PathBuf>,
    /// The ways to log in that may be tried, in their order.
    pub methods: Vec<SshMethod>,
    /// The file with the keys of known hosts, if it is not ssh's own.
    pub known_hosts: Option<PathBuf>,
    /// What to do about the key of a host.
    pub host_keys: HostKeyPolicy,
    /// Whether nobody may be asked for anything.
    pub batch: bool,
    /// Which of libvirt's SSH transports the URI names.
    pub flavour: SshFlavour,
    /// What runs on the far side.
    pub remote: RemoteSide,
}

/// A way to log in by SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SshMethod {
    /// A key that the agent holds.
    Agent,
    /// A private key in a file.
    PrivateKey,
    /// A password.
    Password,
    /// Questions of the server.
    KeyboardInteractive,
}

/// What to do about the key of an SSH host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// What ssh's configuration says.
    Default,
    /// Ask the user about a key that is not known.
    Ask,
    /// Take and keep a key of a host that is not known; one that has changed is refused.
    AcceptNew,
    /// Take any key.
    Ignore,
}

/// Which of libvirt's SSH transports a URI names. They differ in their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SshFlavour {
    /// `+ssh`: as the program ssh does it, with its configuration.
    Ssh,
    /// `+libssh`: with files of libvirt's own.
    Libssh,
    /// `+libssh2`: as `+libssh`.
    Libssh2,
}

/// A program, run with its standard input and output as the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CommandRoute {
    /// The program, which is looked for in `PATH` if it is a mere name.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Route {
    /// Returns where it leads to: a socket's path, a host, a program.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Unix(socket) => socket.path.display().to_string(),
            Self::Tcp(endpoint) => endpoint.to_string(),
            Self::Tls(route) => route.endpoint.to_string(),
            Self::Ssh(route) => route.host.clone(),
            Self::Command(route) => route.program.display().to_string(),
        }
    }
}

impl Endpoint {
    pub(super) fn of(uri: &Uri, default_port: u16) -> Self {
        let host = uri.host.clone().unwrap_or_else(|| "localhost".to_owned());
        Self { host, port: uri.port.unwrap_or(default_port) }
    }
}

impl SshMethod {
    /// All of them, in the order in which they are tried unless something else is stated.
    pub const ALL: [Self; 4] = [Self::Agent, Self::PrivateKey, Self::Password, Self::KeyboardInteractive];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Returns the name that a URI's `sshauth` has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::PrivateKey => "privkey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(socket) => write!(f, "the socket {socket}"),
            Self::Tcp(endpoint) => write!(f, "TCP without encryption to {endpoint}"),
            Self::Tls(route) => write!(f, "TLS to {}", route.endpoint),
            Self::Ssh(route) => write!(f, "SSH to {route}"),
            Self::Command(route) => write!(f, "the program {route}"),
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.because)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for SshRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, " port {port}")?;
        }
        write!(f, ", there {}", self.remote)
    }
}

impl fmt::Display for CommandRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " [{argument}]"))
    }
}
