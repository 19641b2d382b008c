//! How to reach the administration of a daemon.

use std::fmt;

use super::{
    ClientConfig, Environment, Socket, Transport, Uri, environment::Steps, parameters::invalid,
    resolve::resolve, socket,
};
use crate::error::{Error, Result};

/// How a connection to a daemon's administration will be made, and why so. Its `Display` explains it, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AdminPlan {
    /// The URI, once aliases and defaults are resolved.
    pub uri: Uri,
    /// The socket to connect to.
    pub socket: Socket,
    /// What was looked at on the way to all this, and what followed from it.
    pub steps: Vec<String>,
}

impl AdminPlan {
    /// Decides how to connect to the administration of the daemon that `text` names, as in `libvirtd:///system` or
    /// `virtqemud:///session`; of the default one if it is empty.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other hosts, [`Error::Uri`] for what cannot be meant, [`Error::Config`] for a wrong
    /// `libvirt-admin.conf`.
    pub fn new(text: &str, environment: &Environment<'_>) -> Result<Self> {
        let mut steps = Steps::new();
        let config = ClientConfig::load("libvirt-admin.conf", environment, &mut steps)?;
        let resolved = resolve(text, "LIBVIRT_ADMIN_DEFAULT_URI", &config, environment, &mut steps);
        let default = if environment.is_root() { "libvirtd:///system" } else { "libvirtd:///session" };
        let uri = Uri::parse(resolved.as_deref().unwrap_or(default))?;
        let socket = choose(&uri, environment, &mut steps)?;
        Ok(Self { uri, socket, steps })
    }
}

impl fmt::Display for AdminPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open the administration of {}\nover the socket {}", self.uri.driver, self.socket)?;
        self.steps.iter().try_for_each(|step| write!(f, "\n- {step}"))
    }
}

fn choose(uri: &Uri, environment: &Environment<'_>, steps: &mut Steps) -> Result<Socket> {
    if uri.effective_transport() != Transport::Unix {
        let reason = "a daemon's administration is on a Unix socket of its own host; forward it (ssh -L) and name it with \
                      \"?socket=\"";
        return Err(Error::Unsupported(reason.to_owned()));
    }
    match uri.parameter("socket") {
        Some("") => return Err(invalid(uri, "\"socket\" is empty")),
        Some(path) => return socket::named(path.as_ref(), environment),
        None => {}
    }
    // The monolithic daemon's socket has the name of the whole.
    let daemon = if uri.driver == "libvirtd" { "libvirt" } else { &uri.driver };
    let name = format!("{daemon}-admin-sock");
    let directories = match uri.path.as_str() {
        "/session" => environment.session_dir().into_iter().collect(),
        _ => environment.system_dirs(),
    };
    let paths: Vec<_> = directories.iter().map(|directory| directory.join(&name)).collect();
    let found = paths.iter().find(|path| {
        let exists = environment.files.exists(path);
        steps.push(format!("{} {}", path.display(), if exists { "is there" } else { "does not exist" }));
        exists
    });
    match found.or(paths.first()) {
        Some(path) => Ok(Socket {
            path: path.clone(),
            because: format!("where {} listens for administration", uri.driver),
            autostart: None,
        }),
        None => Err(invalid(uri, "there is no directory for sockets; name the socket with \"?socket=\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::uri::{NoFiles, System};

    #[test]
    fn administration_is_beside_the_daemons_own_socket() {
        for (uri, uid, expected) in [
            ("libvirtd:///system", 1000, Ok("/var/run/libvirt/libvirt-admin-sock")),
            ("virtqemud:///system", 0, Ok("/var/run/libvirt/virtqemud-admin-sock")),
            ("libvirtd:///session", 1000, Ok("/run/user/1000/libvirt/libvirt-admin-sock")),
            ("", 1000, Ok("/run/user/1000/libvirt/libvirt-admin-sock")),
            ("", 0, Ok("/var/run/libvirt/libvirt-admin-sock")),
            ("libvirtd:///system?socket=/a/b", 0, Ok("/a/b")),
            ("libvirtd:///system?socket=", 0, Err("empty")),
            ("libvirtd+ssh://host/system", 0, Err("?socket=")),
        ] {
            let mut environment = Environment::new(System::Linux, uid, &NoFiles);
            environment.variables.insert("XDG_RUNTIME_DIR".to_owned(), "/run/user/1000".into());
            match (AdminPlan::new(uri, &environment), expected) {
                (Ok(plan), Ok(path)) => assert_eq!(plan.socket.path, Path::new(path), "{plan}"),
                (Err(error), Err(essential)) => assert!(error.to_string().contains(essential), "{error}"),
                (plan, _) => panic!("{uri}: {plan:?}"),
            }
        }
    }
}
