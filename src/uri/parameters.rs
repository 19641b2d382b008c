//! The parameters that are for the client, with what is allowed in each.

use std::path::PathBuf;

use super::{HostKeyPolicy, SshMethod, Transport, Uri};
use crate::error::{Error, Result};

/// The parameters of a URI that are for the client. All others are for the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) name: Option<String>,
    pub(super) command: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) auth: Option<String>,
    pub(super) auth_file: Option<PathBuf>,
    pub(super) ssh_methods: Option<Vec<SshMethod>>,
    pub(super) netcat: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) known_hosts: Option<PathBuf>,
    pub(super) known_hosts_verify: Option<HostKeyPolicy>,
    pub(super) no_verify: bool,
    pub(super) no_tty: bool,
    pub(super) no_sanity: bool,
    pub(super) pki_path: Option<PathBuf>,
    pub(super) tls_priority: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) proxy: Option<Proxy>,
}

/// Which daemon's socket is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The driver's own daemon if it is there, else the one for all.
    Auto,
    /// The daemon for all drivers.
    Legacy,
    /// The driver's own daemon.
    Direct,
}

/// What is run on the far side of SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    /// libvirt's helper if it is there, else netcat.
    Auto,
    /// netcat.
    Netcat,
    /// libvirt's helper.
    Native,
}

impl Parameters {
    /// The names of all of them, as libvirt spells them.
    pub(super) const NAMES: [&str; 17] = [
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

    /// Returns the names of those in `uri` that mean nothing for its transport.
    pub(super) fn unused(uri: &Uri, transport: Transport) -> impl Iterator<Item = &'static str> {
        use Transport::{Ext, Libssh, Libssh2, Ssh, Tls, Unix};
        let for_transports = |name| -> &[Transport] {
            match name {
                "command" => &[Ssh, Ext],
                "socket" | "mode" => &[Unix, Ssh, Libssh, Libssh2],
                "sshauth" | "netcat" | "keyfile" | "known_hosts" | "known_hosts_verify" | "proxy" => {
                    &[Ssh, Libssh, Libssh2]
                }
                "no_verify" => &[Ssh, Tls],
                "no_tty" => &[Ssh],
                "no_sanity" | "pkipath" | "tls_priority" => &[Tls],
                _ => &[],
            }
        };
        Self::NAMES.into_iter().filter(move |name| {
            let transports = for_transports(name);
            uri.parameter(name).is_some() && !transports.is_empty() && !transports.contains(&transport)
        })
    }

    /// Reads those that `uri` has.
    pub(super) fn of(uri: &Uri) -> Result<Self> {
        let text = |name| uri.parameter(name).map(str::to_owned);
        let path = |name| match uri.parameter(name) {
            Some("") => Err(invalid(uri, format!("\"{name}\" is empty"))),
            value => Ok(value.map(PathBuf::from)),
        };
        Ok(Self {
            name: text("name"),
            command: path("command")?,
            socket: path("socket")?,
            auth: one(uri, "auth", "sasl, sasl.MECHANISM and polkit", |value| {
                let mechanism = value.strip_prefix("sasl.").is_some_and(|mechanism| !mechanism.is_empty());
                (mechanism || matches!(value, "sasl" | "polkit")).then(|| value.to_owned())
            })?,
            auth_file: path("authfile")?,
            ssh_methods: one(
                uri,
                "sshauth",
                "a list, parted by commas, of agent, privkey, password and keyboard-interactive",
                |value| value.split(',').map(SshMethod::from_name).collect(),
            )?,
            netcat: text("netcat"),
            key_file: path("keyfile")?,
            known_hosts: path("known_hosts")?,
            known_hosts_verify: one(uri, "known_hosts_verify", "normal, auto and ignore", |value| {
                Some(match value {
                    "normal" => HostKeyPolicy::Ask,
                    "auto" => HostKeyPolicy::AcceptNew,
                    "ignore" => HostKeyPolicy::Ignore,
                    _ => return None,
                })
            })?,
            no_verify: flag(uri, "no_verify")?,
            no_tty: flag(uri, "no_tty")?,
            no_sanity: flag(uri, "no_sanity")?,
            pki_path: path("pkipath")?,
            tls_priority: text("tls_priority"),
            mode: one(uri, "mode", Mode::NAMES, Mode::from_name)?,
            proxy: one(uri, "proxy", Proxy::NAMES, Proxy::from_name)?,
        })
    }
}

impl Mode {
    pub(super) const NAMES: &str = "auto, legacy and direct";

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "auto" => Self::Auto,
            "legacy" => Self::Legacy,
            "direct" => Self::Direct,
            _ => return None,
        })
    }
}

impl Proxy {
    pub(super) const NAMES: &str = "auto, netcat and native";

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "auto" => Self::Auto,
            "netcat" => Self::Netcat,
            "native" => Self::Native,
            _ => return None,
        })
    }
}

fn one<T>(uri: &Uri, name: &str, allowed: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(value) = uri.parameter(name) else { return Ok(None) };
    match read(value) {
        Some(value) => Ok(Some(value)),
        None => Err(invalid(uri, format!("\"{name}={value}\" is none of {allowed}"))),
    }
}

/// Reads a flag, which is a number as in libvirt's own client: 0 is the same as none.
fn flag(uri: &Uri, name: &str) -> Result<bool> {
    let Some(value) = uri.parameter(name) else { return Ok(false) };
    match value.trim_ascii_start().parse::<i32>() {
        Ok(number) => Ok(number != 0),
        Err(_) => Err(invalid(uri, format!("\"{name}={value}\" is no number: 1 is yes and 0 is no"))),
    }
}

pub(super) fn invalid(uri: &Uri, reason: impl Into<String>) -> Error {
    Error::Uri { uri: uri.text.clone(), reason: reason.into() }
}
