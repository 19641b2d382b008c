//! How a host is reached that cannot be reached directly.

use std::fmt;

/// What stands between this machine and a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// Other hosts, each reached through the one before it, and each with a configuration of its own (`ProxyJump`).
    Jump(Vec<Hop>),
    /// A command for the user's shell, whose standard input and output lead to the host (`ProxyCommand`).
    Command(String),
}

/// A host on the way to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The user there, where one is named.
    pub user: Option<String>,
    /// Its name, which is looked up in the configuration like any other.
    pub host: String,
    /// Its port, where one is named.
    pub port: Option<u16>,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Reads the value of `ProxyJump`: hosts between commas. No hosts is `none`.
pub(super) fn read_hops(text: &str) -> Result<Vec<Hop>, String> {
    // It ends at the first blank or comment.
    let text = text.split([' ', '\t', '#']).next().unwrap_or_default();
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    text.split(',').map(read_hop).collect()
}

/// Reads `[user@]host[:port]` or `ssh://[user@]host[:port]`.
fn read_hop(text: &str) -> Result<Hop, String> {
    let wrong = || format!("{text:?} is not a host as in user@host:port");
    let place = text.strip_prefix("ssh://").map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
    let (user, address) = match place.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, place),
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(wrong()),
            }
        }
        None => match address.split_once(':') {
            // More than one colon is an address of IPv6, without a port.
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (address, None),
        },
    };
    if host.is_empty()
        || user.is_some_and(str::is_empty)
        || !is_plain(host)
        || !user.is_none_or(is_plain_user)
    {
        return Err(wrong());
    }
    let port = port.map(self::port).transpose()?;
    Ok(Hop { user: user.map(str::to_owned), host: host.to_owned(), port })
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0 && text.starts_with(|c: char| c.is_ascii_digit()));
    port.ok_or_else(|| format!("a port of 1 to 65535 is expected, not {text:?}"))
}

/// Tells whether the name of a host or a user has nothing in it that a shell, to which it may be given, would act on, nor a
/// dash in front that a program would.
pub(super) fn is_plain(name: &str) -> bool {
    is_plain_user(name) && !name.contains(['\\', ','])
}

/// The same for users, some of whom are called `DOMAIN\user`.
pub(super) fn is_plain_user(name: &str) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || "'`\"$;&<>|(){}".contains(c);
    !name.starts_with('-') && !name.ends_with('\\') && !name.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_nothing_for_a_shell() {
        for (name, host, user) in [
            ("host.example", true, true),
            ("fe80::1%eth0", true, true),
            ("DOMAIN\\me", false, true),
            ("a,b", false, true),
            ("me\\", false, false),
            ("-oProxyCommand=x", false, false),
            ("$(x)", false, false),
            ("a b", false, false),
            ("a`x`", false, false),
            ("a;x", false, false),
        ] {
            assert_eq!((is_plain(name), is_plain_user(name)), (host, user), "{name}");
        }
    }
}
