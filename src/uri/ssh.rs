//! From a URI to an SSH connection: where to, as whom, and what to run there.

use std::path::PathBuf;

use super::{
    CommandRoute, Environment, HostKeyPolicy, RemoteSide, Route, SshFlavour, SshMethod, SshRoute, System,
    Uri,
    environment::Steps,
    name,
    parameters::{Mode, Parameters, Proxy, invalid},
    plan::Options,
    socket,
};
use crate::error::Result;

/// The private keys that are looked for with `+libssh` and `+libssh2`, below `~/.ssh`.
const KEY_FILES: [&str; 5] = ["identity", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"];

/// What a route by SSH follows from.
pub(super) struct Ssh<'a> {
    pub(super) uri: &'a Uri,
    pub(super) parameters: &'a Parameters,
    pub(super) flavour: SshFlavour,
    pub(super) options: Options,
    pub(super) environment: &'a Environment<'a>,
    pub(super) steps: &'a mut Steps,
}

impl Ssh<'_> {
    /// Makes the route, by this crate's own SSH or by the system's.
    pub(super) fn route(&mut self) -> Result<Route> {
        let remote = self.remote_side()?;
        let by_program = match (self.flavour, &self.parameters.command) {
            (SshFlavour::Ssh, Some(_)) => Some("the URI names the program"),
            (SshFlavour::Ssh, None) if self.options.system_ssh => Some("the system's ssh is asked for"),
            _ => None,
        };
        Ok(match by_program {
            Some(reason) => {
                self.note(reason);
                Route::Command(self.program(&remote))
            }
            None => Route::Ssh(self.own(remote)),
        })
    }

    fn own(&mut self, remote: RemoteSide) -> SshRoute {
        let parameters = self.parameters;
        // The libraries read no configuration of ssh.
        let as_library = self.flavour != SshFlavour::Ssh;
        let key_file = match &parameters.key_file {
            None if as_library => self.default_key_file(),
            stated => stated.clone(),
        };
        let methods = match &parameters.ssh_methods {
            Some(stated) => stated.clone(),
            None if as_library && key_file.is_none() => {
                SshMethod::ALL.into_iter().filter(|method| *method != SshMethod::PrivateKey).collect()
            }
            None => SshMethod::ALL.to_vec(),
        };
        let known_hosts = match &parameters.known_hosts {
            None if as_library => {
                self.environment.user_config_dir().map(|directory| directory.join("known_hosts"))
            }
            stated => stated.clone(),
        };
        let host_keys = match parameters.known_hosts_verify {
            Some(policy) => policy,
            None if as_library => HostKeyPolicy::Ask,
            None if parameters.no_verify => HostKeyPolicy::AcceptNew,
            None => HostKeyPolicy::Default,
        };
        SshRoute {
            host: self.host(),
            port: self.uri.port.or(as_library.then_some(22)),
            user: self.uri.user.clone(),
            key_file,
            methods,
            known_hosts,
            host_keys,
            batch: parameters.no_tty,
            flavour: self.flavour,
            remote,
        }
    }

    fn default_key_file(&mut self) -> Option<PathBuf> {
        let directory = self.environment.home.as_ref()?.join(".ssh");
        let files = KEY_FILES.iter().map(|name| directory.join(name));
        let found = files.into_iter().find(|path| self.environment.files.exists(path));
        match &found {
            Some(file) => self.note(format!("{} is there, for a private key", file.display())),
            None => self.note(format!("{} has none of {}", directory.display(), KEY_FILES.join(", "))),
        }
        found
    }

    /// The system's ssh, with the arguments that libvirt's own client gives it.
    fn program(&self, remote: &RemoteSide) -> CommandRoute {
        let mut arguments = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        if let Some(port) = self.uri.port {
            add(&["-p", &port.to_string()]);
        }
        if let Some(user) = &self.uri.user {
            add(&["-l", user]);
        }
        if let Some(file) = &self.parameters.key_file {
            add(&["-i", &file.display().to_string()]);
        }
        add(&["-T", "-e", "none"]);
        if self.parameters.no_tty {
            add(&["-o", "BatchMode=yes"]);
        }
        if self.parameters.no_verify {
            add(&["-o", "StrictHostKeyChecking=no"]);
        }
        add(&["--", &self.host(), &remote.command()]);
        CommandRoute { program: self.parameters.command.clone().unwrap_or_else(|| "ssh".into()), arguments }
    }

    fn host(&self) -> String {
        self.uri.host.clone().unwrap_or_else(|| "localhost".to_owned())
    }

    fn remote_side(&mut self) -> Result<RemoteSide> {
        if self.parameters.mode == Some(Mode::Direct) && self.parameters.socket.is_none() {
            return self
                .refuse("\"mode=direct\" is for sockets of this machine; name the other's with \"socket=\"");
        }
        let uri = name::for_helper(self.uri);
        // The programs over there would take it for an option, and some have options that run others.
        if uri.starts_with('-') {
            return self.refuse("what the helper on the other host is to reach cannot begin with \"-\"");
        }
        let read_only = self.options.read_only;
        let program = self.parameters.netcat.clone().unwrap_or_else(|| "nc".to_owned());
        Ok(match (self.proxy(), self.parameters.netcat.is_some()) {
            (Proxy::Native, true) => {
                return self
                    .refuse("\"netcat\" names a program that \"proxy=native\" and sessions do not use");
            }
            (Proxy::Native, false) => RemoteSide::Helper { uri, read_only },
            // Whoever names the program wants that one.
            (Proxy::Netcat, _) | (Proxy::Auto, true) => {
                RemoteSide::Netcat { program, socket: self.socket()? }
            }
            (Proxy::Auto, false) => RemoteSide::Auto { uri, read_only, program, socket: self.socket()? },
        })
    }

    fn proxy(&mut self) -> Proxy {
        if let Some(stated) = self.parameters.proxy {
            return stated;
        }
        if self.parameters.socket.is_some() {
            self.note("the URI names a socket, to which netcat connects");
            return Proxy::Netcat;
        }
        if self.is_session() {
            self.note("where a session's socket is over there only virt-ssh-helper knows");
            return Proxy::Native;
        }
        Proxy::Auto
    }

    /// The socket over there, for netcat.
    fn socket(&mut self) -> Result<String> {
        let path = match &self.parameters.socket {
            Some(stated) => stated.clone(),
            None if self.is_session() => self.session_socket()?,
            None => socket::on_other_host(self.options.read_only),
        };
        let path = path.to_string_lossy().into_owned();
        match path.starts_with('-') {
            true => self.refuse("the path of a socket on another host cannot begin with \"-\""),
            false => Ok(path),
        }
    }

    /// libvirt's own client takes the path that the socket has here, which between systems that are alike is the same.
    fn session_socket(&mut self) -> Result<PathBuf> {
        let runtime = self.environment.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        match runtime.filter(|_| self.environment.system == System::Linux) {
            Some(directory) => {
                self.note("the session's socket is taken to be where this user's is here");
                Ok(directory.join("libvirt/libvirt-sock"))
            }
            None => self.refuse(
                "where the session's socket is over there is not known here: leave out \"proxy\", or name it with \"socket=\"",
            ),
        }
    }

    fn is_session(&self) -> bool {
        socket::is_session(Some(self.uri), self.environment)
    }

    fn note(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    fn refuse<T>(&self, reason: &str) -> Result<T> {
        Err(invalid(self.uri, reason))
    }
}
