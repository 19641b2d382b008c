//! Which authentication to use, and whom to ask for what it needs. The messages are sent by whoever opens the connection.

mod credentials;
#[cfg(feature = "sasl")]
pub mod sasl;

use std::fmt;

pub use credentials::{CredentialKind, CredentialRequest, Credentials, Secret};

use crate::error::{Error, Result};

/// A way to authenticate, by the daemon's numbers (`remote_auth_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Method {
    /// Nothing is asked.
    None,
    /// The exchange of RFC 4422.
    Sasl,
    /// The daemon asks polkit about the process at the other end of the Unix socket.
    Polkit,
    /// One that this version does not know.
    Other(i32),
}

impl From<i32> for Method {
    fn from(number: i32) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Sasl,
            2 => Self::Polkit,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Sasl => f.write_str("sasl"),
            Self::Polkit => f.write_str("polkit"),
            Self::Other(number) => write!(f, "number {number}"),
        }
    }
}

/// Who else may read what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Channel {
    /// Nobody: it is encrypted, or stays on this machine.
    Private,
    /// The network.
    Open,
}

/// Chooses one of the methods that the daemon offers: the first, or the one that the URI's `auth` parameter asks for.
///
/// # Errors
/// [`Error::Auth`] if the one asked for is unknown or not offered, or if this version cannot do it.
pub fn choose(offered: &[Method], asked: Option<&str>) -> Result<Method> {
    let chosen = match asked {
        None => offered.first().copied().unwrap_or(Method::None),
        Some(asked) => {
            let method = match asked.split('.').next() {
                Some("polkit") => Method::Polkit,
                Some("sasl") => Method::Sasl,
                _ => {
                    return Err(Error::Auth(format!(
                        "\"auth={asked}\" is none of sasl, sasl.MECHANISM and polkit"
                    )));
                }
            };
            if !offered.contains(&method) {
                let offered = list(offered);
                return Err(Error::Auth(format!(
                    "the URI asks for {method}, but the daemon offers {offered}"
                )));
            }
            method
        }
    };
    match chosen {
        Method::None | Method::Polkit => Ok(chosen),
        Method::Sasl if cfg!(feature = "sasl") => Ok(chosen),
        Method::Sasl | Method::Other(_) => Err(Error::Auth(format!(
            "{} {chosen}, which this client does not have{}; the daemon offers {}{}",
            if asked.is_some() { "the URI asks for" } else { "the daemon asks for" },
            if chosen == Method::Sasl { " (it was built without its feature sasl)" } else { "" },
            list(offered),
            if offered.contains(&Method::Polkit) {
                ", of which \"auth=polkit\" in the URI chooses polkit"
            } else {
                ""
            }
        ))),
    }
}

fn list(methods: &[Method]) -> String {
    match methods {
        [] => "nothing".to_owned(),
        methods => methods.iter().map(Method::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_offer_is_taken_unless_another_is_asked_for() {
        use Method::{None as Nothing, Polkit, Sasl};
        for (offered, asked, expected) in [
            (&[][..], None, Ok(Nothing)),
            (&[Nothing], None, Ok(Nothing)),
            (&[Polkit, Sasl], None, Ok(Polkit)),
            (&[Sasl, Polkit], Some("polkit"), Ok(Polkit)),
            (&[Nothing], Some("polkit"), Err("the daemon offers none")),
            (
                &[Sasl],
                Some("sasl.PLAIN"),
                if cfg!(feature = "sasl") { Ok(Sasl) } else { Err("without its feature") },
            ),
            (&[Method::Other(7)], None, Err("number 7")),
            (&[Nothing], Some("magic"), Err("none of sasl")),
        ] {
            match (choose(offered, asked), expected) {
                (Ok(method), Ok(expected)) => assert_eq!(method, expected),
                (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
                (result, expected) => panic!("{offered:?} {asked:?}: {result:?}, not {expected:?}"),
            }
        }
    }
}
