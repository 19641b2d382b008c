//! From a URI to an SSH connection: where to, as whom, and what to run there.

use std::path::PathBuf;

use super::{
    CommandRoute, Environment, HostKeyPolicy, RemoteSide, Route, SshFlavour, SshMethod, SshRoute, Uri, name,
    parameters::{Mode, Parameters, Proxy, invalid},
    plan::Options,
    socket,
};
use crate::error::Result;

/// The private keys that are looked for with `+libssh` and `+libssh2`, below `~/.ssh`.
const KEY_FILES: [&str; 5] = ["identity", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"];

/// Makes the route for `uri`, by this crate's own SSH or by the system's.
pub(super) fn route(
    uri: &Uri,
    parameters: &Parameters,
    flavour: SshFlavour,
    options: Options,
    environment: &Environment<'_>,
) -> Result<Route> {
    let remote = remote_side(uri, parameters, options.read_only, environment)?;
    let by_program = parameters.command.is_some() || options.system_ssh;
    if flavour == SshFlavour::Ssh && by_program {
        return Ok(Route::Command(command(uri, parameters, &remote)));
    }
    let own_files = flavour != SshFlavour::Ssh;
    let key_file = match &parameters.key_file {
        None if own_files => default_key_file(environment),
        stated => stated.clone(),
    };
    let mut methods = parameters.ssh_methods.clone().unwrap_or_else(|| SshMethod::ALL.to_vec());
    if own_files && parameters.ssh_methods.is_none() && key_file.is_none() {
        methods.retain(|method| *method != SshMethod::PrivateKey);
    }
    let known_hosts = match &parameters.known_hosts {
        None if own_files => environment.user_config_dir().map(|directory| directory.join("known_hosts")),
        stated => stated.clone(),
    };
    let host_keys = match (parameters.known_hosts_verify, own_files) {
        (Some(policy), _) => policy,
        (None, false) if parameters.no_verify => HostKeyPolicy::AcceptNew,
        (None, false) => HostKeyPolicy::Default,
        (None, true) => HostKeyPolicy::Ask,
    };
    Ok(Route::Ssh(SshRoute {
        host: host(uri),
        port: uri.port.or(own_files.then_some(22)),
        user: uri.user.clone(),
        key_file,
        methods,
        known_hosts,
        host_keys,
        batch: parameters.no_tty,
        flavour,
        remote,
    }))
}

fn remote_side(
    uri: &Uri,
    parameters: &Parameters,
    read_only: bool,
    environment: &Environment<'_>,
) -> Result<RemoteSide> {
    if parameters.mode == Some(Mode::Direct) {
        return Err(invalid(uri, "\"mode=direct\" is for the sockets of this machine only"));
    }
    let proxy = parameters.proxy.unwrap_or({
        if parameters.socket.is_some() || parameters.netcat.is_some() {
            Proxy::Netcat
        } else if socket::is_session(uri, environment) {
            // Where a session's socket is over there only the helper knows.
            Proxy::Native
        } else {
            Proxy::Auto
        }
    });
    let helper = name::for_helper(uri);
    let program = parameters.netcat.clone().unwrap_or_else(|| "nc".to_owned());
    let stated = parameters.socket.as_ref().map(|path| path.display().to_string());
    let socket = stated.unwrap_or_else(|| socket::on_other_host(read_only).to_owned());
    Ok(match proxy {
        Proxy::Native if parameters.netcat.is_some() => {
            return Err(invalid(uri, "\"netcat\" names a program that \"proxy=native\" does not use"));
        }
        Proxy::Native => RemoteSide::Helper { uri: helper, read_only },
        Proxy::Netcat => RemoteSide::Netcat { program, socket },
        Proxy::Auto => RemoteSide::Auto { uri: helper, read_only, program, socket },
    })
}

/// The system's ssh, with the arguments that libvirt's own client gives it.
fn command(uri: &Uri, parameters: &Parameters, remote: &RemoteSide) -> CommandRoute {
    let mut arguments = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
    if let Some(port) = uri.port {
        add(&["-p", &port.to_string()]);
    }
    if let Some(user) = &uri.user {
        add(&["-l", user]);
    }
    if let Some(file) = &parameters.key_file {
        add(&["-i", &file.display().to_string()]);
    }
    add(&["-T", "-e", "none"]);
    if parameters.no_tty {
        add(&["-o", "BatchMode=yes"]);
    }
    if parameters.no_verify {
        add(&["-o", "StrictHostKeyChecking=no"]);
    }
    add(&["--", &host(uri), &remote.command()]);
    CommandRoute { program: parameters.command.clone().unwrap_or_else(|| "ssh".into()), arguments }
}

fn host(uri: &Uri) -> String {
    uri.host.clone().unwrap_or_else(|| "localhost".to_owned())
}

fn default_key_file(environment: &Environment<'_>) -> Option<PathBuf> {
    let directory = environment.home.as_ref()?.join(".ssh");
    KEY_FILES.iter().map(|name| directory.join(name)).find(|path| environment.files.exists(path))
}
