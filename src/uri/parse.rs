//! The grammar: `driver[+transport]://[user@][host][:port]/path[?name=value&…][#fragment]`.

use std::fmt;

use crate::error::{Error, Result};

/// A connection URI in its parts, escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Uri {
    /// As it was given.
    pub text: String,
    /// The hypervisor driver, as it was written: `qemu`, `test`, `lxc`, …. Empty or `remote` lets the daemon choose.
    pub driver: String,
    /// How to reach the daemon, when the scheme says it.
    pub transport: Option<Transport>,
    /// The user to log in as.
    pub user: Option<String>,
    /// The host, without the brackets of an IPv6 address. `None` is this machine.
    pub host: Option<String>,
    /// The port, if it is stated and not zero.
    pub port: Option<u16>,
    /// What the driver is to open: `/system`, `/session`, `/default`, a file's path.
    pub path: String,
    /// The parameters after `?`, in their order.
    pub parameters: Vec<(String, String)>,
    /// What follows `#`.
    pub fragment: Option<String>,
}

/// How to reach a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Transport {
    /// A Unix socket of this machine.
    Unix,
    /// TLS over TCP.
    Tls,
    /// Plain TCP.
    Tcp,
    /// A command on the far side of an SSH connection, made as the program ssh makes it.
    Ssh,
    /// The same, made as libvirt makes it with libssh: with a file of known hosts of its own.
    Libssh,
    /// The same, made as libvirt makes it with libssh2.
    Libssh2,
    /// Any local program.
    Ext,
}

impl Transport {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "unix" => Self::Unix,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "ssh" => Self::Ssh,
            "libssh" => Self::Libssh,
            "libssh2" => Self::Libssh2,
            "ext" => Self::Ext,
            _ => return None,
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix => "unix",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Ssh => "ssh",
            Self::Libssh => "libssh",
            Self::Libssh2 => "libssh2",
            Self::Ext => "ext",
        })
    }
}

impl Uri {
    /// Takes a URI apart.
    ///
    /// # Errors
    /// [`Error::Uri`], which says what is wrong and, for common mistakes, what was meant.
    pub fn parse(text: &str) -> Result<Self> {
        parse(text).map_err(|reason| Error::Uri { uri: text.to_owned(), reason })
    }

    /// Returns how to reach the daemon: what the scheme says, else TLS for another host and a Unix socket for this
    /// one.
    #[must_use]
    pub fn effective_transport(&self) -> Transport {
        self.transport.unwrap_or(if self.host.is_some() { Transport::Tls } else { Transport::Unix })
    }

    /// Tells whether the daemon is to choose its driver.
    #[must_use]
    pub fn lets_daemon_choose(&self) -> bool {
        self.driver.is_empty() || self.driver.eq_ignore_ascii_case("remote")
    }

    /// Returns the value of a parameter, the last if there are several. Names are compared without regard to case, as
    /// libvirt does.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

fn parse(given: &str) -> Result<Uri, String> {
    if given.is_empty() {
        return Err("it is empty; name a driver, as in \"qemu:///system\"".to_owned());
    }
    let (rest, fragment) = split_off(given, '#');
    let (rest, query) = split_off(rest, '?');
    let missing = || "\"://\" is missing after the driver, as in \"qemu:///system\"".to_owned();
    let (scheme, rest) = rest.split_once(':').ok_or_else(missing)?;
    let (driver, transport) = parse_scheme(scheme)?;
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)),
        // `qemu:/system` is the same as with nothing between two more slashes.
        None if rest.starts_with('/') => ("", rest),
        None => return Err(missing()),
    };
    let (user, host, port) = parse_authority(authority)?;

    if path.is_empty()
        && ["qemu", "vbox", "vz"].iter().any(|name| driver.eq_ignore_ascii_case(name))
        && let Some(host @ ("system" | "session")) = host.as_deref()
    {
        return Err(format!("\"{host}\" stands where a host would; did you mean \"{scheme}:///{host}\"?"));
    }
    if transport == Some(Transport::Unix)
        && let Some(host) = &host
    {
        return Err(format!("a Unix socket is on this machine, so there cannot be a host (\"{host}\")"));
    }
    Ok(Uri {
        text: given.to_owned(),
        driver,
        transport,
        user,
        host,
        port,
        path: unescape(path)?,
        parameters: query.map(parse_query).transpose()?.unwrap_or_default(),
        fragment: fragment.map(unescape).transpose()?,
    })
}

fn parse_scheme(scheme: &str) -> Result<(String, Option<Transport>), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if let Some(bad) = scheme.chars().find(|&c| !allowed(c)) {
        return Err(format!("{bad:?} cannot be part of the driver's name"));
    }
    let Some((driver, name)) = scheme.split_once('+') else { return Ok((scheme.to_owned(), None)) };
    let transport = Transport::from_name(name).ok_or_else(|| {
        format!("there is no transport \"{name}\": unix, ssh, libssh, libssh2, tls, tcp and ext are known")
    })?;
    Ok((driver.to_owned(), Some(transport)))
}

type Authority = (Option<String>, Option<String>, Option<u16>);

fn parse_authority(authority: &str) -> Result<Authority, String> {
    let (user, server) = match authority.rsplit_once('@') {
        Some((user, server)) => (Some(unescape(user)?).filter(|user| !user.is_empty()), server),
        None => (None, authority),
    };
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("\"]\" is missing after the IPv6 address")?;
            match (rest, rest.strip_prefix(':')) {
                ("", _) => (host, ""),
                (_, Some(port)) => (host, port),
                _ => return Err(format!("\"{rest}\" after the IPv6 address is no port")),
            }
        }
        None => server.rsplit_once(':').unwrap_or((server, "")),
    };
    if !server.starts_with('[') && host.contains(':') {
        return Err(format!(
            "\"{server}\" has more than one \":\"; an IPv6 address goes into brackets, as in \"[2001:db8::5]\""
        ));
    }
    let port = match port {
        "" => None,
        port => Some(port.parse::<u16>().map_err(|_| format!("\"{port}\" is no port number (1 to 65535)"))?),
    };
    let host = Some(unescape(host)?).filter(|host| !host.is_empty());
    // As libvirt does: a port of 0, or one without a host, says nothing.
    let port = port.filter(|&port| port != 0 && host.is_some());
    Ok((user, host, port))
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut parameters = Vec::new();
    let mut rest = query;
    while !rest.is_empty() {
        // As libvirt does: ";" parts them only where no "&" follows.
        let end = rest.find('&').or_else(|| rest.find(';')).unwrap_or(rest.len());
        let (pair, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !name.is_empty() {
            parameters.push((unescape(name)?, unescape(value)?));
        }
    }
    Ok(parameters)
}

fn split_off(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => {
                        return Err(format!("\"%\" in \"{text}\" is not followed by two hexadecimal digits"));
                    }
                }
            }
            byte => byte,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err("it contains a zero byte".to_owned()),
        Ok(text) => Ok(text),
        Err(_) => Err(format!("\"{text}\" is not UTF-8 once its escapes are resolved")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> String {
        let uri = Uri::parse(text).unwrap();
        let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {} {} {} {} {:?}",
            uri.driver,
            uri.effective_transport(),
            or(&uri.user),
            or(&uri.host),
            uri.port.unwrap_or_default(),
            uri.path,
            uri.parameters
        )
    }

    #[test]
    fn uris_are_taken_apart() {
        for (uri, expected) in [
            ("qemu:///system", "qemu unix - - 0 /system []"),
            ("test:///default", "test unix - - 0 /default []"),
            ("qemu+unix:///system?socket=/a%20b", r#"qemu unix - - 0 /system [("socket", "/a b")]"#),
            ("qemu+ssh://root@host.example:2222/system", "qemu ssh root host.example 2222 /system []"),
            ("qemu+libssh2://host/session", "qemu libssh2 - host 0 /session []"),
            ("qemu://host/system", "qemu tls - host 0 /system []"),
            ("qemu+tcp://[::1]:16509/system", "qemu tcp - ::1 16509 /system []"),
            ("qemu+tls://[fe80::1%25eth0]/system", "qemu tls - fe80::1%eth0 0 /system []"),
            (
                "qemu+SSH://host:0/system?no_tty=1&x",
                r#"qemu ssh - host 0 /system [("no_tty", "1"), ("x", "")]"#,
            ),
            ("qemu:/system", "qemu unix - - 0 /system []"),
            ("QEMU+Ssh://h/system", "QEMU ssh - h 0 /system []"),
            ("+ssh://h/system", " ssh - h 0 /system []"),
            ("remote:///?a=b:/c#d?e", r#"remote unix - - 0 / [("a", "b:/c")]"#),
            ("qemu+ssh://:7/system", "qemu ssh - - 0 /system []"),
            ("qemu+ssh://h:/system", "qemu ssh - h 0 /system []"),
            ("qemu+ssh://u%40x:pw@h/x", "qemu ssh u@x:pw h 0 /x []"),
            ("qemu+ssh://system/x", "qemu ssh - system 0 /x []"),
            ("xen+ssh://system", "xen ssh - system 0  []"),
            ("qemu:///?a=1;b=2&c=3&&=d&e", r#"qemu unix - - 0 / [("a", "1;b=2"), ("c", "3"), ("e", "")]"#),
            ("qemu:///?c=3&a=1;b=2", r#"qemu unix - - 0 / [("c", "3"), ("a", "1"), ("b", "2")]"#),
            ("qemu:///?a==b=c&A%20=%3d", r#"qemu unix - - 0 / [("a", "=b=c"), ("A ", "=")]"#),
            ("test:///tmp/node.xml#here", "test unix - - 0 /tmp/node.xml []"),
        ] {
            assert_eq!(parts(uri), expected, "{uri}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (uri, reason) in [
            ("", "name a driver"),
            ("qemu", "\"://\" is missing"),
            ("qemu:system", "\"://\" is missing"),
            ("://host/system?a=%2", "two hexadecimal digits"),
            ("qemu://system", "did you mean \"qemu:///system\"?"),
            ("qemu+ssh://session", "did you mean \"qemu+ssh:///session\"?"),
            ("qemu+unix://host/system", "there cannot be a host"),
            ("qemu+carrier-pigeon:///system", "there is no transport \"carrier-pigeon\""),
            ("qemu+tcp://host:http/system", "\"http\" is no port number"),
            ("qemu+tcp://host:99999/system", "\"99999\" is no port number"),
            ("qemu+tcp://[::1/system", "\"]\" is missing"),
            (
                "qemu+tls://2001:db8::5/system",
                "\"2001:db8::5\" has more than one \":\"; an IPv6 address goes into",
            ),
            ("qemu+ssh://u@fe80::1%25eth0/system", "brackets"),
            ("qemu+tcp://::1/system", "brackets"),
            ("qemu+tcp://host:1:2/system", "more than one"),
            ("qemu:///%zz", "two hexadecimal digits"),
            ("qemu:///%00", "zero byte"),
            ("qemu:///%ff", "not UTF-8"),
            ("qe mu:///system", "' ' cannot be part"),
        ] {
            let error = Uri::parse(uri).unwrap_err().to_string();
            assert!(error.contains(reason), "{uri}: {error}");
        }
    }
}
