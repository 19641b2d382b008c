//! From a URI and a description of this machine to the socket to connect to.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Transport, Uri};
use crate::error::{Error, Result};

/// What a plan depends on besides the URI.
pub struct Environment<'a> {
    /// The effective user id; 0 is root.
    pub uid: u32,
    /// The value of `XDG_RUNTIME_DIR`, where set.
    pub runtime_dir: Option<PathBuf>,
    /// The user's cache directory, which holds a session's sockets where there is no runtime directory.
    pub cache_dir: Option<PathBuf>,
    /// The directories in which a system's daemons keep their sockets, best first.
    pub system_dirs: Vec<PathBuf>,
    /// Tells whether a file exists.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("uid", &self.uid)
            .field("runtime_dir", &self.runtime_dir)
            .field("cache_dir", &self.cache_dir)
            .field("system_dirs", &self.system_dirs)
            .finish_non_exhaustive()
    }
}

/// How a connection will be made, and why so. Its `Display` is a line of explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Plan {
    /// The socket to connect to.
    pub socket: Socket,
    /// The name that the daemon is asked to open (`CONNECT_OPEN`). `None` lets it choose its driver.
    pub name: Option<String>,
    /// What the URI's `auth` parameter asks for.
    pub auth: Option<String>,
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
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("whatever the daemon chooses");
        write!(f, "open {name} over {} ({})", self.socket.path.display(), self.socket.because)
    }
}

/// The parameters that are for the client, and are not passed on to the daemon.
const CONSUMED: [&str; 17] = [
    "name",
    "command",
    "socket",
    "auth",
    "authfile",
    "sshauth",
    "netcat",
    "keyfile",
    "known_hosts",
    "known_hosts_verify",
    "no_verify",
    "no_tty",
    "no_sanity",
    "pkipath",
    "tls_priority",
    "mode",
    "proxy",
];

/// The drivers that have a daemon of their own where libvirt's daemons are modular: `virt<driver>d`.
const MODULAR: [&str; 13] = [
    "qemu",
    "xen",
    "lxc",
    "vbox",
    "bhyve",
    "vz",
    "ch",
    "network",
    "storage",
    "nodedev",
    "secret",
    "nwfilter",
    "interface",
];

impl Plan {
    /// Decides how to connect to what `uri` names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a transport that this version lacks, [`Error::Uri`] for parameters without sense.
    pub fn new(uri: &Uri, read_only: bool, environment: &Environment<'_>) -> Result<Self> {
        match uri.effective_transport() {
            Transport::Unix => {}
            other => {
                return Err(Error::Unsupported(format!(
                    "this version reaches daemons over Unix sockets only, not over {other}; \
                     forward the remote socket (ssh -L) and name it with \"?socket=\""
                )));
            }
        }
        let socket = match uri.parameter("socket") {
            Some("") => return Err(invalid(uri, "\"socket\" is empty")),
            Some(path) => Socket { path: path.into(), because: "the URI names it".to_owned() },
            None => default_socket(uri, read_only, environment)?,
        };
        Ok(Self { socket, name: open_name(uri), auth: uri.parameter("auth").map(str::to_owned) })
    }
}

/// Finds the socket for the administration of the daemon that `uri` names, as in `libvirtd:///system` or
/// `virtqemud:///session`.
///
/// # Errors
/// [`Error::Unsupported`] for other hosts, [`Error::Uri`] for parameters without sense.
pub fn admin_socket(uri: &Uri, environment: &Environment<'_>) -> Result<Socket> {
    if uri.effective_transport() != Transport::Unix {
        let reason = "a daemon's administration is on a Unix socket of its own host; forward it (ssh -L) and name it with \
                      \"?socket=\"";
        return Err(Error::Unsupported(reason.to_owned()));
    }
    match uri.parameter("socket") {
        Some("") => return Err(invalid(uri, "\"socket\" is empty")),
        Some(path) => return Ok(Socket { path: path.into(), because: "the URI names it".to_owned() }),
        None => {}
    }
    // The monolithic daemon's socket has the name of the whole.
    let daemon = if uri.driver == "libvirtd" { "libvirt" } else { &uri.driver };
    let name = format!("{daemon}-admin-sock");
    let directory = match uri.path.as_str() {
        "/session" => session_dir(environment),
        _ => environment
            .system_dirs
            .iter()
            .find(|directory| (environment.exists)(&directory.join(&name)))
            .or(environment.system_dirs.first())
            .cloned(),
    };
    let Some(directory) = directory else {
        return Err(invalid(uri, "there is no directory for sockets; name the socket with \"?socket=\""));
    };
    Ok(Socket {
        path: directory.join(name),
        because: format!("where {} listens for administration", uri.driver),
    })
}

fn default_socket(uri: &Uri, read_only: bool, environment: &Environment<'_>) -> Result<Socket> {
    let session = is_session(uri, environment.uid);
    let (directories, whose) = if session {
        (session_dir(environment).into_iter().collect(), "the session's")
    } else {
        (environment.system_dirs.clone(), "the system's")
    };
    let Some(first) = directories.first() else {
        return Err(invalid(
            uri,
            "a session's socket is below XDG_RUNTIME_DIR, which is not set; name it with \"?socket=\"",
        ));
    };
    // A session's daemon has no socket for read-only connections.
    let suffix = if read_only && !session { "-sock-ro" } else { "-sock" };
    let legacy = format!("libvirt{suffix}");
    let direct = MODULAR.contains(&uri.driver.as_str()).then(|| format!("virt{}d{suffix}", uri.driver));
    let names: Vec<(String, &str)> = match (uri.parameter("mode").unwrap_or("auto"), direct) {
        ("auto", Some(direct)) => vec![(direct, "driver's own"), (legacy, "monolithic")],
        ("auto", None) | ("legacy", _) => vec![(legacy, "monolithic")],
        ("direct", Some(direct)) => vec![(direct, "driver's own")],
        ("direct", None) => {
            return Err(invalid(
                uri,
                &format!("\"{}\" has no daemon of its own, so \"mode=direct\" cannot be", uri.driver),
            ));
        }
        (other, _) => {
            return Err(invalid(uri, &format!("\"mode={other}\" is none of auto, legacy and direct")));
        }
    };
    for directory in &directories {
        for (name, kind) in &names {
            let path = directory.join(name);
            if (environment.exists)(&path) {
                return Ok(Socket { path, because: format!("{whose} {kind} daemon is there") });
            }
        }
    }
    // Nothing is there: the error will name the likeliest, and this what else was looked for.
    let (name, kind) = names.last().cloned().unwrap_or_default();
    let tried: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Socket {
        path: first.join(name),
        because: format!("{whose} {kind} daemon; looked for {} in {}", tried.join(", "), list(&directories)),
    })
}

/// A URI means the user's own daemon by its path; root has none. The test driver, which C runs inside the client, needs
/// no privileges.
fn is_session(uri: &Uri, uid: u32) -> bool {
    uid != 0 && (uri.path == "/session" || uri.driver == "test")
}

fn session_dir(environment: &Environment<'_>) -> Option<PathBuf> {
    let base = environment.runtime_dir.as_ref().or(environment.cache_dir.as_ref())?;
    Some(base.join("libvirt"))
}

/// Returns the name to open: the URI without what is for the client.
fn open_name(uri: &Uri) -> Option<String> {
    if let Some(name) = uri.parameter("name") {
        return Some(name.to_owned());
    }
    if uri.driver.is_empty() || uri.driver == "remote" {
        return None;
    }
    let mut name = format!("{}://{}", uri.driver, escape(&uri.path, "/;:@&=+$,"));
    let passed_on =
        uri.parameters.iter().filter(|(name, _)| !CONSUMED.iter().any(|own| own.eq_ignore_ascii_case(name)));
    for (index, (key, value)) in passed_on.enumerate() {
        name.push(if index == 0 { '?' } else { '&' });
        name.push_str(&format!("{}={}", escape(key, "/:"), escape(value, "/:")));
    }
    if let Some(fragment) = &uri.fragment {
        name.push('#');
        name.push_str(&escape(fragment, "/:"));
    }
    Some(name)
}

fn escape(text: &str, kept: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.!~*'()".contains(c) || (c.is_ascii() && kept.contains(c)) {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn invalid(uri: &Uri, reason: &str) -> Error {
    Error::Uri { uri: uri.text.clone(), reason: reason.to_owned() }
}

fn list(directories: &[PathBuf]) -> String {
    let directories: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
    directories.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(uri: &str, uid: u32, read_only: bool, existing: &[&str]) -> Result<Plan> {
        let environment = Environment {
            uid,
            runtime_dir: Some("/run/user/1000".into()),
            cache_dir: Some("/home/u/.cache".into()),
            system_dirs: vec!["/var/run/libvirt".into()],
            exists: &|path| existing.iter().any(|there| Path::new(there) == path),
        };
        Plan::new(&Uri::parse(uri)?, read_only, &environment)
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
            assert_eq!(plan.socket.path, Path::new(expected), "{uri} as {uid}: {plan}");
        }
    }

    #[test]
    fn administration_is_beside_the_daemons_own_socket() {
        for (uri, expected) in [
            ("libvirtd:///system", Ok("/var/run/libvirt/libvirt-admin-sock")),
            ("virtqemud:///system", Ok("/var/run/libvirt/virtqemud-admin-sock")),
            ("libvirtd:///session", Ok("/run/user/1000/libvirt/libvirt-admin-sock")),
            ("libvirtd:///system?socket=/a/b", Ok("/a/b")),
            ("libvirtd:///system?socket=", Err("empty")),
            ("libvirtd+ssh://host/system", Err("?socket=")),
        ] {
            let environment = Environment {
                uid: 1000,
                runtime_dir: Some("/run/user/1000".into()),
                cache_dir: None,
                system_dirs: vec!["/var/run/libvirt".into()],
                exists: &|_| false,
            };
            let socket = admin_socket(&Uri::parse(uri).unwrap(), &environment);
            match (socket, expected) {
                (Ok(socket), Ok(path)) => assert_eq!(socket.path, Path::new(path), "{uri}"),
                (Err(error), Err(essential)) => assert!(error.to_string().contains(essential), "{error}"),
                (socket, _) => panic!("{uri}: {socket:?}"),
            }
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
        let environment = Environment {
            uid: 1000,
            runtime_dir: None,
            cache_dir: None,
            system_dirs: Vec::new(),
            exists: &|_| false,
        };
        let error = Plan::new(&Uri::parse("qemu:///session").unwrap(), false, &environment).unwrap_err();
        assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
    }

    #[test]
    fn what_is_not_possible_is_said() {
        for (uri, reason) in [
            ("qemu+ssh://host/system", "over Unix sockets only, not over ssh"),
            ("qemu://host/system", "not over tls"),
            ("test:///default?mode=direct", "has no daemon of its own"),
            ("qemu:///system?mode=x", "none of auto, legacy and direct"),
            ("qemu:///system?socket=", "\"socket\" is empty"),
        ] {
            let error = plan(uri, 0, false, &[]).unwrap_err().to_string();
            assert!(error.contains(reason), "{uri}: {error}");
        }
    }
}
