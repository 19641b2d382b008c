//! SSH: sessions with the hosts that daemons run on, and what can be reached through them.
//!
//! A [`Session`] is what [`connect`](Session::connect) makes of a [`Destination`]: over TCP, through other hosts
//! (`ProxyJump`) or a program (`ProxyCommand`). It checks the host's key, logs in, and is shared by all that is opened over
//! it: commands ([`exec`](Session::exec)), TCP ports and Unix sockets of the host ([`Tunnel`]), local ports that lead to
//! them ([`Forward`]). It ends when the last of them is dropped. [`Connection::ssh`](crate::Connection::ssh) returns that of
//! a libvirt connection.
//!
//! What is not stated is as `ssh` has it: [`config`] has the table of what is understood of its configuration, and
//! [`known_hosts`] knows hosts by their keys.
//!
//! # Logging in
//!
//! | way | with | in which order |
//! |---|---|---|
//! | a key, in the agent (`SSH_AUTH_SOCK`, `IdentityAgent`) or in a file | ED25519, ECDSA, RSA with SHA-2; files of OpenSSH, PEM and PKCS #8; certificates of OpenSSH, in the agent, beside the key (`-cert.pub`) or named by `CertificateFile` | the key that the URI names (`keyfile`), the agent's keys that are also in files, the agent's others unless `IdentitiesOnly`, files |
//! | a password | [`Credentials`](crate::auth::Credentials), until an answer comes twice | after keys |
//! | the server's questions (`keyboard-interactive`) | the same, a question at a time; what `auth.conf` tells answers the first one for a password, and no other | after the password |
//!
//! A key's file is decrypted only once the server has said that it wants the key, where the file or the one beside it tells
//! which key it is. As with `ssh`, a file that others can read is not used. GSSAPI, host-based authentication, keys on
//! security tokens without an agent, and SHA-1 are not there; the system's ssh has them (`command=ssh` in the URI).
//!
//! # Security
//!
//! - A key that has changed, or is revoked, is refused, whatever is to become of unknown ones; only
//!   [`HostKeyPolicy::Ignore`] (`known_hosts_verify=ignore` in the URI) takes any key, and then whoever is on the way can read
//!   and change everything. `no_verify=1` and `StrictHostKeyChecking=no` are weaker: unknown keys are taken and kept.
//! - Nothing is forwarded from the server to here: it can neither use the agent nor open channels to this program.
//! - Passwords and passphrases are overwritten in memory after use, but pass through the buffers of the SSH library.
//! - Signing with RSA keys is not free of differences in time (RUSTSEC-2023-0071), which somebody who can measure many logins
//!   closely might use; ED25519 is.
//!
//! # Errors
//!
//! | what is wrong | error | answers |
//! |---|---|---|
//! | the host cannot be reached, or the session ended before the login | [`Error::Connect`](crate::Error::Connect) | `is_transient` |
//! | something else than an SSH server answers, or one without a common algorithm | [`Error::Connect`](crate::Error::Connect) | none |
//! | the host's key is unknown, has changed, is revoked | [`Error::Connect`](crate::Error::Connect), with a [`HostKeyError`] inside | none |
//! | ssh's configuration is wrong, or a list of revoked keys that it names cannot be read | [`Error::Config`](crate::Error::Config), which names file and line | none |
//! | a file of known hosts cannot be read | [`Error::Connect`](crate::Error::Connect), which names it | none |
//! | the user is not let in | [`Error::Auth`](crate::Error::Auth), which says what was tried and what the server takes | `is_auth` |
//! | the server does not open a channel | [`Error::Connect`](crate::Error::Connect) | `is_auth` where it says that it must not |
//! | the command over there fails: no netcat, no helper, no socket | [`Error::Connect`](crate::Error::Connect), with its words and a [`Farewell`](crate::transport::Farewell) inside | as the words are |

mod agent;
mod channel;
mod ciphers;
pub mod config;
mod destination;
mod handler;
mod host_key;
mod key_files;
mod keys;
pub mod known_hosts;
mod line;
mod login;
mod pattern;
mod reach;
mod resolve;
mod session;
mod tunnel;

pub use self::{
    channel::ChannelStream,
    destination::{ConfigFiles, Destination, HostKeyPolicy, Method},
    host_key::{HostKeyError, HostKeyProblem},
    session::Session,
    tunnel::{Forward, Tunnel},
};

#[cfg(test)]
#[cfg(unix)]
mod tests;
