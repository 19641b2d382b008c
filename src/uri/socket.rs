//! Which Unix socket a daemon listens on, on this machine, and how a session's daemon is started.

use std::path::{Path, PathBuf};

use super::{
    Autostart, Environment, Socket, System, Uri,
    environment::Steps,
    parameters::{Mode, invalid},
};
use crate::error::{Error, Result};

/// What a socket is wanted for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The URI, if there is one.
    pub(super) uri: Option<&'a Uri>,
    pub(super) mode: Mode,
    pub(super) read_only: bool,
    /// Whether the user's own daemon is meant.
    pub(super) session: bool,
}

/// The drivers that are looked for where no URI names one, in libvirt's order.
const SYSTEM_DRIVERS: [&str; 6] = ["xen", "qemu", "lxc", "vbox", "bhyve", "vz"];
const SESSION_DRIVERS: [&str; 2] = ["qemu", "vbox"];

/// Tells whether a URI means the user's own daemon, which it does by its path. Root has none. The test driver, which C runs
/// inside the client, needs no privileges. Nobody without a URI has any but their own.
pub(super) fn is_session(uri: Option<&Uri>, environment: &Environment<'_>) -> bool {
    let by_uri = uri.is_none_or(|uri| uri.path == "/session" || uri.driver.eq_ignore_ascii_case("test"));
    by_uri && !environment.is_root()
}

/// The socket of another host's system, which is never where this machine would have it.
pub(super) fn on_other_host(read_only: bool) -> PathBuf {
    Path::new("/var/run/libvirt").join(if read_only { "libvirt-sock-ro" } else { "libvirt-sock" })
}

/// Returns the socket that a URI names.
pub(super) fn named(path: &Path, environment: &Environment<'_>) -> Result<Socket> {
    check_system(environment)?;
    Ok(Socket { path: path.to_owned(), because: "the URI names it".to_owned(), autostart: None })
}

/// Chooses the socket.
pub(super) fn choose(
    wanted: &Wanted<'_>,
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Result<Socket> {
    check_system(environment)?;
    let directories = directories(wanted, environment)?;
    let daemons = daemons(wanted, &directories, environment)?;
    let whose = if wanted.session { "the session's" } else { "the system's" };
    for directory in &directories {
        for daemon in &daemons {
            let path = directory.join(&daemon.socket);
            if environment.files.exists(&path) {
                steps.push(format!("{} is there", path.display()));
                let because = format!("{whose} {} daemon is there", daemon.kind);
                let autostart = autostart(wanted, daemon, directory, environment, steps);
                return Ok(Socket { path, because, autostart });
            }
            steps.push(format!("{} does not exist", path.display()));
        }
    }
    absent(wanted, whose, &directories, &daemons, environment, steps)
}

/// Nothing is there: a session's daemon can be started, for a system's the error will name the likeliest socket, and what
/// else was looked for.
fn absent(
    wanted: &Wanted<'_>,
    whose: &str,
    directories: &[PathBuf],
    daemons: &[Daemon],
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Result<Socket> {
    let Some(directory) = directories.first() else {
        return Err(Error::Unsupported("there is no directory for sockets".to_owned()));
    };
    for daemon in daemons {
        if let Some(autostart) = autostart(wanted, daemon, directory, environment, steps) {
            return Ok(Socket {
                path: directory.join(&daemon.socket),
                because: format!("{whose} {} daemon will listen there", daemon.kind),
                autostart: Some(autostart),
            });
        }
    }
    let tried: Vec<&str> = daemons.iter().map(|daemon| daemon.socket.as_str()).collect();
    let likeliest = daemons.last().map(|daemon| (daemon.socket.as_str(), daemon.kind));
    let (name, kind) = likeliest.unwrap_or(("libvirt-sock", MONOLITHIC));
    Ok(Socket {
        path: directory.join(name),
        because: format!("{whose} {kind} daemon; looked for {} in {}", tried.join(", "), list(directories)),
        autostart: None,
    })
}

/// A daemon that may be there.
struct Daemon {
    program: String,
    socket: String,
    kind: &'static str,
}

const MONOLITHIC: &str = "monolithic";
const OF_DRIVER: &str = "driver's own";

/// Returns the daemons that would do, best first.
fn daemons(
    wanted: &Wanted<'_>,
    directories: &[PathBuf],
    environment: &Environment<'_>,
) -> Result<Vec<Daemon>> {
    // A session's daemon has no socket for read-only connections.
    let suffix = if wanted.read_only && !wanted.session { "-sock-ro" } else { "-sock" };
    // It is in front of the drivers' own daemons, too, where these are all there is.
    let monolithic =
        Daemon { program: "libvirtd".to_owned(), socket: format!("libvirt{suffix}"), kind: MONOLITHIC };
    let of_driver = |driver: &str| {
        let program = format!("virt{driver}d");
        Daemon { socket: format!("{program}{suffix}"), program, kind: OF_DRIVER }
    };
    let Some(uri) = wanted.uri else {
        return Ok(any_daemon(wanted, monolithic, of_driver, directories, environment));
    };
    let driver = uri.driver.to_ascii_lowercase();
    let direct = match driver.as_str() {
        "" | "remote" | "test" => None,
        driver => Some(of_driver(driver)),
    };
    Ok(match (wanted.mode, direct) {
        (Mode::Auto, Some(direct)) => vec![direct, monolithic],
        (Mode::Auto, None) | (Mode::Legacy, _) => vec![monolithic],
        (Mode::Direct, Some(direct)) => vec![direct],
        (Mode::Direct, None) => {
            let reason = format!("\"{driver}\" has no daemon of its own, so \"mode=direct\" cannot be");
            return Err(invalid(uri, reason));
        }
    })
}

/// Where no URI names a driver, the daemon for all knows best. Without it, each driver's is looked for.
fn any_daemon(
    wanted: &Wanted<'_>,
    monolithic: Daemon,
    of_driver: impl Fn(&str) -> Daemon,
    directories: &[PathBuf],
    environment: &Environment<'_>,
) -> Vec<Daemon> {
    let is_there = |daemon: &Daemon| {
        directories.iter().any(|directory| environment.files.exists(&directory.join(&daemon.socket)))
    };
    if wanted.mode == Mode::Legacy || (wanted.mode == Mode::Auto && is_there(&monolithic)) {
        return vec![monolithic];
    }
    let drivers: &[&str] = if wanted.session { &SESSION_DRIVERS } else { &SYSTEM_DRIVERS };
    let (there, others): (Vec<_>, Vec<_>) =
        drivers.iter().map(|driver| of_driver(driver)).partition(is_there);
    if wanted.mode == Mode::Direct {
        return there.into_iter().chain(others).collect();
    }
    let installed = others.into_iter().find(|daemon| wanted.session && has_program(daemon, environment));
    there.into_iter().chain(installed).chain([monolithic]).collect()
}

fn directories(wanted: &Wanted<'_>, environment: &Environment<'_>) -> Result<Vec<PathBuf>> {
    if !wanted.session {
        return Ok(environment.system_dirs());
    }
    match environment.session_dir() {
        Some(directory) => Ok(vec![directory]),
        None => Err(Error::Uri {
            uri: wanted.uri.map(|uri| uri.text.clone()).unwrap_or_default(),
            reason:
                "a session's socket is below XDG_RUNTIME_DIR, which is not set; name it with \"?socket=\""
                    .to_owned(),
        }),
    }
}

/// Says how a session's daemon is started if nobody listens.
fn autostart(
    wanted: &Wanted<'_>,
    daemon: &Daemon,
    directory: &Path,
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Option<Autostart> {
    if !wanted.session {
        return None;
    }
    if environment.variable("LIBVIRT_AUTOSTART").is_some_and(|value| value == "0") {
        steps.push(format!("{} is not started, since LIBVIRT_AUTOSTART is 0", daemon.program));
        return None;
    }
    let Some(program) = find_program(daemon, environment) else {
        steps.push(format!("{} cannot be started, since it is not installed", daemon.program));
        return None;
    };
    steps.push(format!("{} is started if nobody listens", program.display()));
    // Processes that start it by the C library take the same lock.
    let lock = directory.join(format!("{}.lock", daemon.program));
    Some(Autostart { program, arguments: AUTOSTART_ARGUMENTS.map(str::to_owned).to_vec(), lock })
}

/// It puts itself into the background once it listens, and ends by itself when nobody has used it for two minutes.
const AUTOSTART_ARGUMENTS: [&str; 2] = ["--daemon", "--timeout=120"];

fn has_program(daemon: &Daemon, environment: &Environment<'_>) -> bool {
    find_program(daemon, environment).is_some()
}

/// A variable may name another directory for daemons.
fn find_program(daemon: &Daemon, environment: &Environment<'_>) -> Option<PathBuf> {
    match environment.variable("VIRTD_PATH").or_else(|| environment.variable("LIBVIRTD_PATH")) {
        Some(directory) => {
            let path = Path::new(directory).join(&daemon.program);
            environment.files.is_executable(&path).then_some(path)
        }
        None => environment.program(&daemon.program),
    }
}

fn check_system(environment: &Environment<'_>) -> Result<()> {
    match environment.system {
        System::Windows => Err(Error::Unsupported(
            "on Windows there is no Unix socket of a daemon; name another host, as in \"qemu+ssh://host/system\"".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn list(directories: &[PathBuf]) -> String {
    let directories: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
    directories.join(", ")
}
