//! Plans for described machines, in tables: what each part of a URI, each file and each variable does.

mod default;
mod parameters;
mod sockets;
mod ssh;
mod tls;

use std::{collections::BTreeMap, io, path::Path};

use super::*;
use crate::error::Result;

/// A machine with these files, some of them with contents, and a user.
#[derive(Default)]
struct Machine {
    files: BTreeMap<String, String>,
    /// A directory that the user may not enter.
    closed: Option<String>,
    variables: Vec<(String, String)>,
    system: Option<System>,
    uid: u32,
}

/// Root on Linux.
fn root() -> Machine {
    Machine::default()
}

/// A user on Linux who has logged in.
fn user() -> Machine {
    Machine { uid: 1000, ..Machine::default() }
        .variable("XDG_RUNTIME_DIR", "/run/user/1000")
        .variable("PATH", "/usr/bin")
}

impl Machine {
    fn on(mut self, system: System) -> Self {
        self.system = Some(system);
        self
    }

    fn file(self, path: &str) -> Self {
        self.contents(path, "")
    }

    fn files(self, paths: &[&str]) -> Self {
        paths.iter().fold(self, |machine, path| machine.file(path))
    }

    fn contents(mut self, path: &str, contents: &str) -> Self {
        self.files.insert(path.to_owned(), contents.to_owned());
        self
    }

    fn closed(mut self, directory: &str) -> Self {
        self.closed = Some(directory.to_owned());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self
    }

    fn environment(&self) -> Environment<'_> {
        let mut environment = Environment::new(self.system.unwrap_or(System::Linux), self.uid, self);
        environment.home = Some(if self.uid == 0 { "/root".into() } else { "/home/u".into() });
        environment.variables.extend(self.variables.iter().map(|(name, value)| (name.clone(), value.into())));
        environment
    }

    fn plan(&self, uri: &str) -> Result<Plan> {
        Plan::new(uri, Options::default(), &self.environment())
    }

    fn plan_read_only(&self, uri: &str) -> Result<Plan> {
        Plan::new(uri, Options::default().read_only(true), &self.environment())
    }
}

impl Files for Machine {
    fn exists(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| self.files.contains_key(path))
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.exists(path)
    }

    fn is_readable(&self, path: &Path) -> bool {
        self.exists(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.closed.as_ref().is_some_and(|directory| path.starts_with(directory)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let contents = path.to_str().and_then(|path| self.files.get(path));
        contents.map(|contents| contents.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[test]
fn a_plan_says_what_was_looked_at() {
    let machine = user()
        .contents(
            "/home/u/.config/libvirt/libvirt.conf",
            "uri_default = 'mine'\nuri_aliases = ['mine=qemu:///session']\n",
        )
        .file("/usr/bin/virtqemud");
    assert_eq!(
        machine.plan("").unwrap().to_string(),
        "open qemu:///session\n\
         over the socket /run/user/1000/libvirt/virtqemud-sock (the session's driver's own daemon will listen there)\n\
         - /home/u/.config/libvirt/libvirt.conf is read\n\
         - no URI was given\n\
         - LIBVIRT_DEFAULT_URI is not set\n\
         - uri_default is \"mine\"\n\
         - \"mine\" is an alias for \"qemu:///session\" (uri_aliases)\n\
         - no host is named, so the daemon is on this machine\n\
         - /run/user/1000/libvirt/virtqemud-sock does not exist\n\
         - /run/user/1000/libvirt/libvirt-sock does not exist\n\
         - /usr/bin/virtqemud is started if nobody listens\n\
         - there is no auth.conf with credentials"
    );
}
