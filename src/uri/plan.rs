//! From a URI and a description of this machine to what is to be done.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    CommandRoute, Endpoint, Environment, Route, SshFlavour, Transport, Uri, name,
    parameters::{Parameters, invalid},
    socket, ssh, tls,
};
use crate::error::Result;

/// How a connection will be made, and why so. Its `Display` explains it, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Plan {
    /// The URI that it is about.
    pub uri: Option<Uri>,
    /// The name that the daemon is asked to open (`CONNECT_OPEN`). `None` lets it choose its driver.
    pub name: Option<String>,
    /// Whether nothing may be changed over the connection.
    pub read_only: bool,
    /// The way to the daemon.
    pub route: Route,
    /// What the URI's `auth` parameter asks for: `polkit`, `sasl` or `sasl.MECHANISM`.
    pub auth: Option<String>,
    /// The file with user names and passwords that the URI names.
    pub auth_file: Option<PathBuf>,
    /// What was looked at on the way to all this, and what followed from it.
    pub steps: Vec<String>,
}

/// What a plan depends on besides the URI and the environment: what the program asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Options {
    /// Whether nothing is to be changed over the connection.
    pub read_only: bool,
    /// Whether the system's `ssh` is to be run for `+ssh`.
    pub system_ssh: bool,
}

impl Options {
    /// Asks for a connection that cannot change anything.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Asks for the system's `ssh` in place of this crate's own.
    #[must_use]
    pub fn system_ssh(mut self, system_ssh: bool) -> Self {
        self.system_ssh = system_ssh;
        self
    }
}

impl Plan {
    /// Decides how to connect to what `text` names.
    ///
    /// # Errors
    /// [`Error::Uri`](crate::Error::Uri) for what cannot be meant, [`Error::Unsupported`](crate::Error::Unsupported) for
    /// what this system does not have.
    pub fn new(text: &str, options: Options, environment: &Environment<'_>) -> Result<Self> {
        let uri = Uri::parse(text)?;
        let parameters = Parameters::of(&uri)?;
        let mut steps = Vec::new();
        let transport = uri.effective_transport();
        steps.push(format!("{:?} is reached over {transport}", uri.text));
        let route = match transport {
            Transport::Unix => {
                Route::Unix(socket::choose(&uri, &parameters, options.read_only, environment)?)
            }
            Transport::Tcp => Route::Tcp(Endpoint::new(
                uri.host.as_deref().unwrap_or("localhost"),
                uri.port.unwrap_or(16509),
            )),
            Transport::Tls => Route::Tls(tls::route(&uri, &parameters, environment)?),
            Transport::Ssh => ssh::route(&uri, &parameters, SshFlavour::Ssh, options, environment)?,
            Transport::Libssh => ssh::route(&uri, &parameters, SshFlavour::Libssh, options, environment)?,
            Transport::Libssh2 => ssh::route(&uri, &parameters, SshFlavour::Libssh2, options, environment)?,
            Transport::Ext => match parameters.command.clone() {
                Some(program) => Route::Command(CommandRoute { program, arguments: Vec::new() }),
                None => {
                    let reason = "\"+ext\" needs a program: name it with \"?command=\"";
                    return Err(invalid(&uri, reason));
                }
            },
        };
        Ok(Self {
            name: name::for_daemon(&uri),
            read_only: options.read_only,
            route,
            auth: parameters.auth,
            auth_file: parameters.auth_file,
            steps,
            uri: Some(uri),
        })
    }

    /// Returns the local socket's path, if the connection is over one.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match &self.route {
            Route::Unix(socket) => Some(&socket.path),
            _ => None,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("whatever the daemon chooses");
        let how = if self.read_only { ", to read only" } else { "" };
        write!(f, "open {name}{how}\nover {}", self.route)?;
        self.steps.iter().try_for_each(|step| write!(f, "\n- {step}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::{Files, System};

    struct Existing<'a>(&'a [&'a str]);

    impl Files for Existing<'_> {
        fn exists(&self, path: &Path) -> bool {
            self.0.iter().any(|there| Path::new(there) == path)
        }

        fn is_executable(&self, path: &Path) -> bool {
            self.exists(path)
        }

        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn plan(uri: &str, uid: u32, read_only: bool, existing: &[&str]) -> Result<Plan> {
        let files = Existing(existing);
        let mut environment = Environment::new(System::Linux, uid, &files);
        environment.variables.insert("XDG_RUNTIME_DIR".to_owned(), "/run/user/1000".into());
        environment.home = Some("/home/u".into());
        Plan::new(uri, Options::default().read_only(read_only), &environment)
    }

    #[test]
    fn sockets_are_chosen_as_libvirts_own_client_does() {
        const LEGACY: &str = "/var/run/libvirt/libvirt-sock";
        const DIRECT: &str = "/var/run/libvirt/virtqemud-sock";
        for (uri, uid, read_only, existing, expected) in [
            ("qemu:///system", 0, false, &[][..], LEGACY),
            ("qemu:///system", 1000, false, &[LEGACY], LEGACY),
            ("qemu:///system", 0, false, &[LEGACY, DIRECT], DIRECT),
            ("qemu:///system?mode=legacy", 0, false, &[LEGACY, DIRECT], LEGACY),
            ("qemu:///system?mode=direct", 0, false, &[LEGACY], DIRECT),
            ("qemu:///system", 0, true, &[], "/var/run/libvirt/libvirt-sock-ro"),
            ("qemu:///session", 1000, false, &[], "/run/user/1000/libvirt/libvirt-sock"),
            ("qemu:///session", 1000, true, &[], "/run/user/1000/libvirt/libvirt-sock"),
            ("qemu:///session", 0, false, &[], LEGACY),
            ("test:///default", 0, false, &[], LEGACY),
            ("test:///default", 1000, false, &[], "/run/user/1000/libvirt/libvirt-sock"),
            ("test+unix:///default?socket=/a/b", 1000, true, &[], "/a/b"),
            ("qemu:///system?SOCKET=@abstract", 0, false, &[], "@abstract"),
            (
                "network:///system",
                0,
                false,
                &["/var/run/libvirt/virtnetworkd-sock"],
                "/var/run/libvirt/virtnetworkd-sock",
            ),
        ] {
            let plan = plan(uri, uid, read_only, existing).unwrap();
            assert_eq!(plan.socket(), Some(Path::new(expected)), "{uri} as {uid}: {plan}");
        }
    }

    #[test]
    fn the_daemon_is_asked_for_what_is_not_for_the_client() {
        for (uri, expected) in [
            ("qemu:///system", Some("qemu:///system")),
            ("test+unix:///default?socket=/a", Some("test:///default")),
            ("test:///tmp/a%20node.xml", Some("test:///tmp/a%20node.xml")),
            ("qemu:///system?socket=/a&x=1%262&Mode=auto#f", Some("qemu:///system?x=1%262#f")),
            ("qemu:///system?name=test:///default", Some("test:///default")),
            ("remote:///", None),
        ] {
            assert_eq!(plan(uri, 0, false, &[]).unwrap().name.as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn a_session_without_a_directory_says_what_to_do() {
        let environment = Environment::new(System::Linux, 1000, &Existing(&[]));
        let error = Plan::new("qemu:///session", Options::default(), &environment).unwrap_err();
        assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
    }

    #[test]
    fn what_is_not_possible_is_said() {
        for (uri, reason) in [
            ("test:///default?mode=direct", "has no daemon of its own"),
            ("qemu:///system?mode=x", "none of auto, legacy and direct"),
            ("qemu:///system?socket=", "\"socket\" is empty"),
            ("qemu+ext:///system", "?command="),
        ] {
            let error = plan(uri, 0, false, &[]).unwrap_err().to_string();
            assert!(error.contains(reason), "{uri}: {error}");
        }
    }
}
