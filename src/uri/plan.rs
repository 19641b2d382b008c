//! From a URI and a description of this machine to what is to be done.

use std::{fmt, path::Path};

use super::{
    AuthFile, ClientConfig, CommandRoute, Endpoint, Environment, Route, Socket, SshFlavour, Transport, Uri,
    auth_conf,
    environment::Steps,
    name,
    parameters::{Mode, Parameters, invalid},
    resolve::resolve,
    socket::{self, Wanted},
    ssh::Ssh,
    tls,
};
use crate::error::Result;

/// How a connection will be made, and why so. Its `Display` explains it, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Plan {
    /// The URI that it is about, once aliases and defaults are resolved. `None` if there is none, so that any daemon of this
    /// machine will do.
    pub uri: Option<Uri>,
    /// The name that the daemon is asked to open (`CONNECT_OPEN`). `None` lets it choose its driver.
    pub name: Option<String>,
    /// Whether nothing may be changed over the connection.
    pub read_only: bool,
    /// The way to the daemon.
    pub route: Route,
    /// What the URI's `auth` parameter asks for: `polkit`, `sasl` or `sasl.MECHANISM`.
    pub auth: Option<String>,
    /// The file with user names and passwords, if there is one.
    pub auth_file: Option<AuthFile>,
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
    /// Decides how to connect to what `text` names: a URI, an alias that libvirt's configuration knows, or, if it is empty, the
    /// default.
    ///
    /// # Errors
    /// [`Error::Uri`](crate::Error::Uri) for what cannot be meant, [`Error::Config`](crate::Error::Config) for a wrong
    /// `libvirt.conf`, [`Error::Unsupported`](crate::Error::Unsupported) for what this system does not have.
    pub fn new(text: &str, options: Options, environment: &Environment<'_>) -> Result<Self> {
        let mut steps = Steps::new();
        let config = ClientConfig::load("libvirt.conf", environment, &mut steps)?;
        match resolve(text, "LIBVIRT_DEFAULT_URI", &config, environment, &mut steps) {
            Some(text) => Planner { options, environment, config, steps }.reach(Uri::parse(&text)?),
            None => Planner { options, environment, config, steps }.reach_any_daemon(),
        }
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

struct Planner<'a> {
    options: Options,
    environment: &'a Environment<'a>,
    config: ClientConfig,
    steps: Steps,
}

impl Planner<'_> {
    fn reach(mut self, uri: Uri) -> Result<Plan> {
        let parameters = self.parameters(&uri)?;
        let route = match uri.effective_transport() {
            Transport::Unix => Route::Unix(self.socket(&uri, &parameters)?),
            Transport::Tcp => Route::Tcp(Endpoint::of(&uri, 16509)),
            Transport::Tls => Route::Tls(tls::route(&uri, &parameters, self.environment, &mut self.steps)?),
            Transport::Ssh => self.ssh(&uri, &parameters, SshFlavour::Ssh)?,
            Transport::Libssh => self.ssh(&uri, &parameters, SshFlavour::Libssh)?,
            Transport::Libssh2 => self.ssh(&uri, &parameters, SshFlavour::Libssh2)?,
            Transport::Ext => match parameters.command.clone() {
                Some(program) => Route::Command(CommandRoute { program, arguments: Vec::new() }),
                None => {
                    let reason = "\"+ext\" needs a program: name it with \"?command=\"";
                    return Err(invalid(&uri, reason));
                }
            },
        };
        let auth_file = auth_conf::find(parameters.auth_file, self.environment, &mut self.steps);
        Ok(Plan {
            name: name::for_daemon(&uri),
            read_only: self.options.read_only,
            route,
            auth: parameters.auth,
            auth_file,
            steps: self.steps,
            uri: Some(uri),
        })
    }

    /// Without any URI a daemon of this machine is asked, and chooses its driver itself.
    fn reach_any_daemon(mut self) -> Result<Plan> {
        self.steps.push("so any daemon of this machine will do".to_owned());
        let wanted = Wanted {
            uri: None,
            mode: self.config.mode().unwrap_or(Mode::Auto),
            read_only: self.options.read_only,
            session: socket::is_session(None, self.environment),
        };
        let socket = socket::choose(&wanted, self.environment, &mut self.steps)?;
        let auth_file = auth_conf::find(None, self.environment, &mut self.steps);
        Ok(Plan {
            uri: None,
            name: None,
            read_only: self.options.read_only,
            route: Route::Unix(socket),
            auth: None,
            auth_file,
            steps: self.steps,
        })
    }

    /// Reads the URI's parameters. What it leaves open the configuration may say.
    fn parameters(&mut self, uri: &Uri) -> Result<Parameters> {
        let mut parameters = Parameters::of(uri)?;
        let transport = uri.effective_transport();
        self.steps.push(match (uri.transport, &uri.host) {
            (Some(stated), _) => format!("the scheme names the transport {stated}"),
            (None, Some(host)) => {
                format!("{host:?} is another host, and TLS is for these unless something else is named")
            }
            (None, None) => "no host is named, so the daemon is on this machine".to_owned(),
        });
        let is_ssh = matches!(transport, Transport::Ssh | Transport::Libssh | Transport::Libssh2);
        if let (None, true, Some(mode)) =
            (parameters.mode, is_ssh || transport == Transport::Unix, self.config.mode())
        {
            self.steps
                .push(format!("remote_mode is {:?}", self.config.remote_mode.as_deref().unwrap_or_default()));
            parameters.mode = Some(mode);
        }
        if let (None, true, Some(proxy)) = (parameters.proxy, is_ssh, self.config.proxy()) {
            self.steps.push(format!(
                "remote_proxy is {:?}",
                self.config.remote_proxy.as_deref().unwrap_or_default()
            ));
            parameters.proxy = Some(proxy);
        }
        if let (None, Transport::Tls, Some(priority)) =
            (&parameters.tls_priority, transport, &self.config.tls_priority)
        {
            self.steps.push(format!("tls_priority is {priority:?}"));
            parameters.tls_priority = Some(priority.clone());
        }
        let unused = Parameters::unused(uri, transport);
        self.steps
            .extend(unused.map(|name| format!("\"{name}\" means nothing for {transport}, and is not used")));
        Ok(parameters)
    }

    fn socket(&mut self, uri: &Uri, parameters: &Parameters) -> Result<Socket> {
        if let Some(path) = &parameters.socket {
            return socket::named(path, self.environment);
        }
        let wanted = Wanted {
            uri: Some(uri),
            mode: parameters.mode.unwrap_or(Mode::Auto),
            read_only: self.options.read_only,
            session: socket::is_session(Some(uri), self.environment),
        };
        socket::choose(&wanted, self.environment, &mut self.steps)
    }

    fn ssh(&mut self, uri: &Uri, parameters: &Parameters, flavour: SshFlavour) -> Result<Route> {
        let (environment, options, steps) = (self.environment, self.options, &mut self.steps);
        Ssh { uri, parameters, flavour, options, environment, steps }.route()
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
