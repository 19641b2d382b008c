//! Where to connect to by SSH, as far as it is stated, and what that comes to with ssh's configuration.

use std::{path::PathBuf, time::Duration};

use super::config::Hop;
use crate::auth::Credentials;

/// A host to connect to by SSH. What is not stated comes from ssh's configuration, or is as `ssh` has it.
///
/// ```
/// use libvirt_client::transport::ssh::{Destination, HostKeyPolicy};
///
/// let mut destination = Destination::new("host.example.com");
/// destination.user = Some("root".to_owned());
/// destination.host_keys = Some(HostKeyPolicy::Strict);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Destination {
    /// A name, an address, or what the configuration knows it by.
    pub host: String,
    /// The port; 22 unless stated.
    pub port: Option<u16>,
    /// The user to log in as; the local user's name unless stated.
    pub user: Option<String>,
    /// A file with a private key, which is tried first; the agent may hold it.
    pub key_file: Option<PathBuf>,
    /// The ways to log in, in the order in which they are tried; all of them, in the configuration's order, if empty.
    pub methods: Vec<Method>,
    /// The file of known hosts, in place of the configuration's.
    pub known_hosts: Option<PathBuf>,
    /// What to do about the key of a host.
    pub host_keys: Option<HostKeyPolicy>,
    /// Whether nobody may be asked for anything.
    pub batch: bool,
    /// Which configuration is read.
    pub config: ConfigFiles,
    /// Whom to ask for passwords, passphrases and about unknown host keys.
    pub credentials: Credentials,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// A key that the agent holds.
    Agent,
    /// A private key in a file.
    PrivateKey,
    /// A password.
    Password,
    /// Questions of the server.
    KeyboardInteractive,
}

impl Method {
    /// All of them, in the order in which they are tried unless something else is stated.
    pub const ALL: [Self; 4] = [Self::Agent, Self::PrivateKey, Self::Password, Self::KeyboardInteractive];
}

/// What to do about the key of a host. One that is revoked or has changed is never taken, except by [`Ignore`](Self::Ignore).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// Only known ones are taken.
    Strict,
    /// The user is asked about one that is not known, and it is kept if the answer is yes.
    Ask,
    /// One that is not known is taken and kept.
    AcceptNew,
    /// Any is taken: whoever is on the way can read and change everything.
    Ignore,
}

/// Which configuration of ssh is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigFiles {
    /// The user's (`~/.ssh/config`) and the system's.
    #[default]
    Default,
    /// None.
    None,
    /// This one.
    File(PathBuf),
}

impl Destination {
    /// Describes a host of which nothing else is stated.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: None,
            user: None,
            key_file: None,
            methods: Vec::new(),
            known_hosts: None,
            host_keys: None,
            batch: false,
            config: ConfigFiles::default(),
            credentials: Credentials::none(),
        }
    }
}

/// What a destination comes to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The host as people call it.
    pub(super) host: String,
    /// Where it is.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) way: Way,
    pub(super) connect_timeout: Option<Duration>,
    /// How long the server may be silent before it is asked for a sign of life, and how often in vain.
    pub(super) alive: (Duration, usize),
    pub(super) host_keys: HostKeys,
    pub(super) identities: Identities,
    pub(super) methods: Vec<Method>,
    /// How often a password is asked for.
    pub(super) prompts: u32,
    pub(super) credentials: Credentials,
}

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    /// Through these hosts, one after the other.
    Jump(Vec<Hop>),
    /// Through a program, which a shell starts.
    Command(String),
}

/// How the key of a host is judged.
#[derive(Clone, Debug)]
pub(super) struct HostKeys {
    pub(super) policy: HostKeyPolicy,
    /// Under which name the host is looked for, if not its own.
    pub(super) alias: Option<String>,
    /// Files of known hosts. New ones are kept in the first.
    pub(super) files: Vec<PathBuf>,
    /// The system's, which are only read.
    pub(super) global_files: Vec<PathBuf>,
    /// Files with keys that are taken from no host.
    pub(super) revoked_files: Vec<PathBuf>,
    /// Whether names are hidden in what is kept.
    pub(super) hash: bool,
}

/// With which keys a user can prove who they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    /// A private key that is tried before all others.
    pub(super) stated: Option<PathBuf>,
    /// Private keys that the configuration names. One that is missing is worth telling.
    pub(super) files: Vec<PathBuf>,
    /// Private keys where ssh looks for some by itself.
    pub(super) default_files: Vec<PathBuf>,
    pub(super) certificates: Vec<PathBuf>,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
    /// Whether the agent's keys are limited to those in the files.
    pub(super) only: bool,
}

impl Settings {
    /// Returns what people are told: the name, and the address where it is another.
    pub(super) fn place(&self) -> String {
        let port = self.port;
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self.host == self.address {
            true => format!("{}:{port}", bracketed(&self.host)),
            false => format!("{} ({}:{port})", self.host, bracketed(&self.address)),
        }
    }
}
