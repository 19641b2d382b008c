//! SASL (RFC 4422): which mechanism to use, and its exchange of messages. Nothing is sent here.
//!
//! Mechanisms that encrypt what follows, as DIGEST-MD5 and GSSAPI can, are not there: the one is obsolete, the other binds a
//! C library. So SASL works where the connection is encrypted or local already; over plain TCP a daemon offers nothing
//! else, and the error says so.

mod exchange;

use std::fmt;

pub use exchange::{Exchange, Identity, Next};

use super::Channel;
use crate::error::{Error, Result};

/// A way to prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Mechanism {
    /// A password that is not sent; the daemon proves that it knows it, too (RFC 7677, with SHA-512).
    ScramSha512,
    /// The same with SHA-256.
    ScramSha256,
    /// The same with SHA-1 (RFC 5802).
    ScramSha1,
    /// What the connection proves already, such as a certificate (RFC 4422).
    External,
    /// A password, as it is (RFC 4616).
    Plain,
    /// Nothing (RFC 4505).
    Anonymous,
}

impl Mechanism {
    /// All there are, best first.
    pub const ALL: [Self; 6] =
        [Self::ScramSha512, Self::ScramSha256, Self::ScramSha1, Self::External, Self::Plain, Self::Anonymous];

    /// Chooses the best of the mechanisms in a daemon's list, or the one that `asked`, the URI's `auth=sasl.MECHANISM`, names.
    ///
    /// # Errors
    /// [`Error::Auth`] if there is none that both have and that does on this channel.
    pub fn choose(offered: &str, asked: Option<&str>, channel: Channel) -> Result<Self> {
        let offered: Vec<&str> =
            offered.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_offered = |wanted: &str| offered.iter().any(|name| name.eq_ignore_ascii_case(wanted));
        if let Some(asked) = asked.filter(|asked| !is_offered(asked)) {
            return Err(Error::Auth(format!(
                "the URI asks for {asked} by SASL, but the daemon offers {}",
                list(&offered)
            )));
        }
        if channel == Channel::Open {
            return Err(Error::Auth(in_the_open(&offered)));
        }
        let known = match asked {
            Some(asked) => Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(asked)),
            None => Self::ALL.into_iter().find(|known| is_offered(known.name())),
        };
        known.ok_or_else(|| Error::Auth(unknown(&offered, asked)))
    }

    /// Returns its name, as daemons know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::External => "EXTERNAL",
            Self::Plain => "PLAIN",
            Self::Anonymous => "ANONYMOUS",
        }
    }

    /// Tells whether it needs a name and a password.
    #[must_use]
    pub fn needs_password(self) -> bool {
        self.is_scram() || self == Self::Plain
    }

    fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha512 | Self::ScramSha256 | Self::ScramSha1)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn in_the_open(offered: &[&str]) -> String {
    format!(
        "over plain TCP, or a program (+ext), only mechanisms of SASL do that encrypt what follows, of which this client has none (the daemon \
         offers {}); reach the daemon by TLS (qemu+tls://…, and auth_tls = \"sasl\" in its libvirtd.conf) or by SSH \
         (qemu+ssh://…)",
        list(offered)
    )
}

fn unknown(offered: &[&str], asked: Option<&str>) -> String {
    let known = Mechanism::ALL.map(Mechanism::name);
    format!(
        "{}, but this client has {}; put one of these into mech_list of the daemon's SASL configuration \
         (/etc/sasl2/libvirt.conf)",
        match asked {
            Some(asked) => format!("the URI asks for {asked} by SASL"),
            None => format!("the daemon offers {} by SASL", list(offered)),
        },
        known.join(", ")
    )
}

fn list(offered: &[&str]) -> String {
    match offered {
        [] => "nothing".to_owned(),
        offered => offered.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_mechanism_that_both_have_is_chosen() {
        use Mechanism::{Anonymous, External, Plain, ScramSha1, ScramSha256, ScramSha512};
        for (offered, asked, expected) in [
            ("SCRAM-SHA-1,SCRAM-SHA-512,SCRAM-SHA-256", None, Ok(ScramSha512)),
            ("PLAIN,SCRAM-SHA-256,GSSAPI", None, Ok(ScramSha256)),
            ("DIGEST-MD5,PLAIN,SCRAM-SHA-1", None, Ok(ScramSha1)),
            ("ANONYMOUS PLAIN", None, Ok(Plain)),
            ("PLAIN,EXTERNAL", None, Ok(External)),
            ("ANONYMOUS", None, Ok(Anonymous)),
            ("PLAIN,ANONYMOUS,SCRAM-SHA-1", Some("ANONYMOUS"), Ok(Anonymous)),
            ("PLAIN,SCRAM-SHA-256", Some("plain"), Ok(Plain)),
            ("PLAIN", Some("SCRAM-SHA-256"), Err("the daemon offers PLAIN")),
            ("GSSAPI,PLAIN", Some("GSSAPI"), Err("this client has SCRAM-SHA-512")),
            ("GSSAPI", None, Err("mech_list")),
            ("", None, Err("offers nothing")),
        ] {
            match (Mechanism::choose(offered, asked, Channel::Private), expected) {
                (Ok(mechanism), Ok(expected)) => assert_eq!(mechanism, expected, "{offered} {asked:?}"),
                (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
                (result, expected) => panic!("{offered} {asked:?}: {result:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn nothing_is_said_in_the_open() {
        for offered in ["DIGEST-MD5", "SCRAM-SHA-256,PLAIN", "ANONYMOUS"] {
            let error = Mechanism::choose(offered, None, Channel::Open).unwrap_err();
            let said = error.to_string();
            assert!(error.is_auth() && said.contains(offered.split(',').next().unwrap()), "{said}");
            assert!(said.contains("auth_tls") && said.contains("qemu+ssh"), "what to do: {said}");
        }
    }
}
