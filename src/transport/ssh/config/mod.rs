//! How a host is reached by SSH: `~/.ssh/config` and `/etc/ssh/ssh_config`, read as OpenSSH does.
//!
//! Of each keyword the first value that applies to the host counts, the user's file before the system's. A word that nobody
//! knows is an error, as it is for `ssh`. `Match exec` would have to run programs, and so is an error where the answer would
//! depend on it; the system's `ssh` can be used for such a host.
//!
//! | what | how |
//! |---|---|
//! | `Host`, `Match` with `all`, `host`, `originalhost`, `user`, `localuser`, `tagged`, `final`, `canonical` | as OpenSSH; names are not canonicalized, so `canonical` never matches |
//! | `Include` | as OpenSSH, with `*` and `?` |
//! | `HostName`, `User`, `Port`, `Tag` | as OpenSSH |
//! | `IdentityFile`, `CertificateFile`, `IdentityAgent`, `IdentitiesOnly`, `UserKnownHostsFile`, `GlobalKnownHostsFile` | as OpenSSH, with `~`, tokens and `${NAME}` |
//! | `RevokedHostKeys` | the same; of its files those with a public key on each line are understood, and a session is an error with others (KRL) |
//! | `StrictHostKeyChecking`, `HostKeyAlias`, `HashKnownHosts` | as OpenSSH |
//! | `ProxyJump`, `ProxyCommand` | as OpenSSH |
//! | `ConnectTimeout`, `ServerAliveInterval`, `ServerAliveCountMax` | as OpenSSH |
//! | `BatchMode`, `PasswordAuthentication`, `KbdInteractiveAuthentication`, `PubkeyAuthentication`, `PreferredAuthentications`, `NumberOfPasswordPrompts` | as OpenSSH |
//! | `AddressFamily`, `HostKeyAlgorithms`, `KexAlgorithms`, `Ciphers`, `MACs`, `PubkeyAcceptedAlgorithms`, `CASignatureAlgorithms` | told in [`HostConfig`]; the sessions of this crate do not follow them |
//! | all others that OpenSSH knows | without effect; [`HostConfig::notes`] names those that change whom one talks to or who is let in |

mod expand;
mod glob;
mod keywords;
mod machine;
mod proxy;
mod read;
mod settings;
mod words;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub use self::proxy::{Hop, Proxy};

/// What a configuration depends on besides its files.
pub struct Environment<'a> {
    /// The home directory of the user, for `~`.
    pub home: PathBuf,
    /// The user's name here, which is the name on the other side where nothing else is said.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// This machine's name.
    pub host: String,
    /// Returns the value of a variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file.
    pub read: &'a dyn Fn(&ConfigFile) -> io::Result<Vec<u8>>,
    /// Returns the names in a directory; none if it cannot be read.
    pub entries: &'a dyn Fn(&Path) -> Vec<String>,
}

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is the user's, or all users'.
    pub owner: Owner,
}

/// Whose a configuration file is. By it OpenSSH decides what may stand in it, and where the files are that it includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user's.
    User,
    /// The system's.
    System,
}

/// The host that is asked for, and what is decided already: the configuration does not change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The host's name.
    pub host: String,
    /// The user there.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
}

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostConfig {
    /// Its real name, or its address, in lower case (`HostName`).
    pub host_name: String,
    /// The user there (`User`).
    pub user: String,
    /// The port (`Port`).
    pub port: u16,
    /// Which kind of address is wanted (`AddressFamily`).
    pub address_family: AddressFamily,
    /// The files of private keys to try, in this order (`IdentityFile`); the usual ones if none is named.
    pub identity_files: Vec<PathBuf>,
    /// Whether the configuration names those files. One that is missing is nothing to speak of otherwise.
    pub identities_named: bool,
    /// The files of certificates to try (`CertificateFile`).
    pub certificate_files: Vec<PathBuf>,
    /// The socket of the agent that holds keys (`IdentityAgent`, or the variable `SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// Of the agent's keys only those may be tried that are in a file of [`identity_files`](Self::identity_files) (`IdentitiesOnly`).
    pub identities_only: bool,
    /// The files of the user that say which keys hosts have; keys are added to the first (`UserKnownHostsFile`).
    pub user_known_hosts: Vec<PathBuf>,
    /// The files of the system that do (`GlobalKnownHostsFile`).
    pub global_known_hosts: Vec<PathBuf>,
    /// The files with keys that no host may have (`RevokedHostKeys`). One that cannot be read bars all hosts.
    pub revoked_host_keys: Vec<PathBuf>,
    /// What becomes of a host whose key is not known (`StrictHostKeyChecking`).
    pub host_key_check: HostKeyCheck,
    /// The name by which the host's key is known, in the place of its own (`HostKeyAlias`).
    pub host_key_alias: Option<String>,
    /// Names are hashed when keys are added (`HashKnownHosts`).
    pub hash_known_hosts: bool,
    /// What stands between here and the host (`ProxyJump`, `ProxyCommand`).
    pub proxy: Option<Proxy>,
    /// How long connecting may take (`ConnectTimeout`).
    pub connect_timeout: Option<Duration>,
    /// After how long a silence the server is asked whether it is there (`ServerAliveInterval`).
    pub alive_interval: Option<Duration>,
    /// How often it may leave that unanswered (`ServerAliveCountMax`).
    pub alive_count_max: u32,
    /// Nobody is there to be asked (`BatchMode`).
    pub batch_mode: bool,
    /// Keys may be tried (`PubkeyAuthentication`).
    pub public_key: bool,
    /// A password may be tried (`PasswordAuthentication`).
    pub password: bool,
    /// The server's questions may be answered (`KbdInteractiveAuthentication`).
    pub keyboard_interactive: bool,
    /// The order of the ways to log in, by their names (`PreferredAuthentications`).
    pub preferred_authentications: Option<Vec<String>>,
    /// How often a password may be asked for (`NumberOfPasswordPrompts`).
    pub password_prompts: u32,
    /// `HostKeyAlgorithms`, as it stands there.
    pub host_key_algorithms: Option<String>,
    /// `KexAlgorithms`, as it stands there.
    pub kex_algorithms: Option<String>,
    /// `Ciphers`, as it stands there.
    pub ciphers: Option<String>,
    /// `MACs`, as it stands there.
    pub macs: Option<String>,
    /// `PubkeyAcceptedAlgorithms`, as it stands there.
    pub public_key_algorithms: Option<String>,
    /// `CASignatureAlgorithms`, as it stands there.
    pub ca_signature_algorithms: Option<String>,
    /// What is said for this host and has no effect.
    pub notes: Vec<Note>,
}

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressFamily {
    /// Either.
    Any,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// What becomes of a host whose key is not the known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyCheck {
    /// Only known keys are accepted.
    Strict,
    /// The user is asked about unknown ones.
    Ask,
    /// Unknown ones are accepted, and known from then on; changed ones are not.
    AcceptNew,
    /// All are accepted.
    Off,
}

/// Something in a configuration that has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The file.
    pub file: PathBuf,
    /// The line's number; the first is 1.
    pub line: usize,
    /// What it is about, in words.
    pub text: String,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", Place { file, line })]
#[non_exhaustive]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line's number; the first is 1. There is none where it is about the whole file.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

struct Place<'a> {
    file: &'a Path,
    line: &'a Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

impl HostConfig {
    /// Reads what the files of this user and of this machine say about a host.
    ///
    /// The user is the one whose number this process has, whatever the variables `USER` and `HOME` say, as for `ssh`.
    ///
    /// # Errors
    /// A file is wrong, cannot be read, or may be written by others than the user, in which case it is not trusted. The group
    /// is others, too, as in OpenSSH; Debian's takes a file that the user's own group may write to.
    pub fn for_host(asked: &Asked) -> Result<Self, ConfigError> {
        machine::with_environment(|environment| {
            let files = [
                ConfigFile { path: environment.home.join(".ssh/config"), owner: Owner::User },
                ConfigFile { path: "/etc/ssh/ssh_config".into(), owner: Owner::System },
            ];
            Self::resolve(asked, &files, environment)
        })
    }

    /// Reads what other files of this machine say about a host, as with `ssh -F`.
    ///
    /// # Errors
    /// As [`for_host`](Self::for_host).
    pub fn from_files(asked: &Asked, files: &[ConfigFile]) -> Result<Self, ConfigError> {
        machine::with_environment(|environment| Self::resolve(asked, files, environment))
    }

    /// Reads what some files say about a host, the first file first. One that does not exist says nothing.
    ///
    /// # Errors
    /// A file is wrong or cannot be read; the host or the user has a name that no such thing has.
    pub fn resolve(
        asked: &Asked,
        files: &[ConfigFile],
        environment: &Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let settings = read::settings(asked, files, environment)?;
        settings.resolve(asked, environment)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("home", &self.home)
            .field("user", &self.user)
            .field("uid", &self.uid)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
