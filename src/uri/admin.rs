//! The socket for the administration of a daemon.

use super::{Environment, Socket, Transport, Uri, parameters::invalid};
use crate::error::{Error, Result};

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
        Some(path) => {
            return Ok(Socket { path: path.into(), because: "the URI names it".to_owned(), autostart: None });
        }
        None => {}
    }
    // The monolithic daemon's socket has the name of the whole.
    let daemon = if uri.driver == "libvirtd" { "libvirt" } else { &uri.driver };
    let name = format!("{daemon}-admin-sock");
    let directory = match uri.path.as_str() {
        "/session" => environment.session_dir(),
        _ => {
            let directories = environment.system_dirs();
            let found = directories.iter().find(|directory| environment.files.exists(&directory.join(&name)));
            found.or(directories.first()).cloned()
        }
    };
    let Some(directory) = directory else {
        return Err(invalid(uri, "there is no directory for sockets; name the socket with \"?socket=\""));
    };
    Ok(Socket {
        path: directory.join(name),
        because: format!("where {} listens for administration", uri.driver),
        autostart: None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::uri::{NoFiles, System};

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
            let mut environment = Environment::new(System::Linux, 1000, &NoFiles);
            environment.variables.insert("XDG_RUNTIME_DIR".to_owned(), "/run/user/1000".into());
            let socket = admin_socket(&Uri::parse(uri).unwrap(), &environment);
            match (socket, expected) {
                (Ok(socket), Ok(path)) => assert_eq!(socket.path, Path::new(path), "{uri}"),
                (Err(error), Err(essential)) => assert!(error.to_string().contains(essential), "{error}"),
                (socket, _) => panic!("{uri}: {socket:?}"),
            }
        }
    }
}
