//! Which Unix socket a daemon listens on, on this machine.

use std::path::{Path, PathBuf};

use super::{
    Environment, Socket, System, Uri,
    parameters::{Mode, Parameters, invalid},
};
use crate::error::{Error, Result};

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

/// Chooses the socket for `uri`.
pub(super) fn choose(
    uri: &Uri,
    parameters: &Parameters,
    read_only: bool,
    environment: &Environment<'_>,
) -> Result<Socket> {
    if environment.system == System::Windows {
        return Err(Error::Unsupported(
            "on Windows there are no Unix sockets for a daemon; name its host, as in \"qemu+ssh://host/system\"".to_owned(),
        ));
    }
    if let Some(path) = &parameters.socket {
        return Ok(Socket { path: path.clone(), because: "the URI names it".to_owned(), autostart: None });
    }
    let session = is_session(uri, environment);
    let (directories, whose) = if session {
        (environment.session_dir().into_iter().collect(), "the session's")
    } else {
        (environment.system_dirs(), "the system's")
    };
    let Some(first) = directories.first() else {
        return Err(invalid(
            uri,
            "a session's socket is below XDG_RUNTIME_DIR, which is not set; name it with \"?socket=\"",
        ));
    };
    // A session's daemon has no socket for read-only connections.
    let suffix = if read_only && !session { "-sock-ro" } else { "-sock" };
    let driver = uri.driver.to_ascii_lowercase();
    let legacy = format!("libvirt{suffix}");
    let direct = MODULAR.contains(&driver.as_str()).then(|| format!("virt{driver}d{suffix}"));
    let names: Vec<(String, &str)> = match (parameters.mode.unwrap_or(Mode::Auto), direct) {
        (Mode::Auto, Some(direct)) => vec![(direct, "driver's own"), (legacy, "monolithic")],
        (Mode::Auto, None) | (Mode::Legacy, _) => vec![(legacy, "monolithic")],
        (Mode::Direct, Some(direct)) => vec![(direct, "driver's own")],
        (Mode::Direct, None) => {
            let reason = format!("\"{driver}\" has no daemon of its own, so \"mode=direct\" cannot be");
            return Err(invalid(uri, reason));
        }
    };
    for directory in &directories {
        for (name, kind) in &names {
            let path = directory.join(name);
            if environment.files.exists(&path) {
                return Ok(Socket {
                    path,
                    because: format!("{whose} {kind} daemon is there"),
                    autostart: None,
                });
            }
        }
    }
    // Nothing is there: the error will name the likeliest, and this what else was looked for.
    let (name, kind) = names.last().cloned().unwrap_or_default();
    let tried: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Socket {
        path: first.join(name),
        because: format!("{whose} {kind} daemon; looked for {} in {}", tried.join(", "), list(&directories)),
        autostart: None,
    })
}

/// Tells whether a URI means the user's own daemon, which it does by its path. Root has none. The test driver, which C runs
/// inside the client, needs no privileges.
pub(super) fn is_session(uri: &Uri, environment: &Environment<'_>) -> bool {
    !environment.is_root() && (uri.path == "/session" || uri.driver.eq_ignore_ascii_case("test"))
}

/// The socket on another host, which is never where this machine would have it.
pub(super) fn on_other_host(read_only: bool) -> &'static str {
    if read_only { "/var/run/libvirt/libvirt-sock-ro" } else { "/var/run/libvirt/libvirt-sock" }
}

fn list(directories: &[PathBuf]) -> String {
    let directories: Vec<_> = directories.iter().map(|directory: &PathBuf| show(directory)).collect();
    directories.join(", ")
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
