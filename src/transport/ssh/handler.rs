//! What is done about what comes unasked: the server's key, its messages, its end, and channels that it opens.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use russh::{
    Channel, Disconnect,
    client::{ChannelOpenHandle, DisconnectReason, Msg, RemoteDisconnectInfo, Session},
    keys::PublicKeyOrCertificate,
};
use tokio::sync::watch;

use super::{
    host_key::HostKeyCheck,
    line::{End, Fate},
};
use crate::error::Error;

/// The one that the session's task tells.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) check: HostKeyCheck,
    pub(super) fate: Arc<Fate>,
    /// Dropped with the task, which tells those who wait for its end.
    pub(super) alive: watch::Sender<()>,
}

/// Why a session was not made, or ended.
#[derive(Debug)]
pub(super) enum Failure {
    Ssh(russh::Error),
    HostKey(Error),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl russh::client::Handler for Handler {
    type Error = Failure;

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Failure> {
        tracing::info!(banner = banner.trim_end(), "the SSH server says");
        Ok(())
    }

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let (mut checking, mut given_up) = (pin!(self.check.check(key)), pin!(self.alive.closed()));
        poll_fn(|cx| match checking.as_mut().poll(cx) {
            Poll::Pending => {
                // A user may be asked for long, and whoever wanted the session no longer wait for it.
                given_up.as_mut().poll(cx).map(|()| Err(Failure::Ssh(russh::Error::Disconnect)))
            }
            checked => checked.map(|checked| checked.map_err(Failure::HostKey)),
        })
        .await?;
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        let (kind, why) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => (
                if refuses_the_user(&info) {
                    io::ErrorKind::PermissionDenied
                } else {
                    io::ErrorKind::ConnectionAborted
                },
                format!("the server ended it: {}", info.message.trim().replace(char::is_control, "?")),
            ),
            DisconnectReason::Error(Failure::Ssh(russh::Error::KeepaliveTimeout)) => {
                (io::ErrorKind::TimedOut, "the server has not answered for too long".to_owned())
            }
            // The stream's own end, which the stream has told.
            DisconnectReason::Error(Failure::Ssh(
                russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_),
            )) => return Ok(()),
            DisconnectReason::Error(Failure::Ssh(error)) => {
                (io::ErrorKind::InvalidData, format!("the SSH protocol was broken: {error}"))
            }
            DisconnectReason::Error(Failure::HostKey(error)) => {
                (io::ErrorKind::InvalidData, error.to_string())
            }
        };
        self.fate.end(End { kind, why });
        Ok(())
    }

    // A server has no business to open channels to us, since nothing is forwarded in that direction. What is not accepted
    // is refused when its handle is dropped.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Failure> {
        Ok(())
    }
}

/// Tells whether a server ended the session since it will not let the user in. OpenSSH has a message for that, and the number
/// of a broken protocol.
fn refuses_the_user(info: &RemoteDisconnectInfo) -> bool {
    matches!(info.reason_code, Disconnect::NoMoreAuthMethodsAvailable | Disconnect::IllegalUserName)
        || info.message.contains("Too many authentication failures")
}
