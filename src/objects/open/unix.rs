//! Unix sockets: the connection to one, and its bytes and descriptors as the session wants them.

use std::{
    io,
    os::fd::AsFd,
    task::{Context, Poll},
};

use super::autostart;
use crate::{
    error::{Error, Result},
    protocol::frame::Descriptor,
    rpc::Wire,
    transport::unix::{self, UnixSocket},
    uri::Socket,
};

/// Connects to a socket, and starts the daemon behind it if the plan says so and nobody listens.
pub(super) async fn connect(socket: &Socket) -> Result<UnixSocket> {
    let connected = match (unix::connect(&socket.path).await, &socket.autostart) {
        (Err(error), Some(how)) if autostart::nobody_listens(&error) => {
            autostart::connect(&socket.path, how).await
        }
        (connected, _) => connected,
    };
    connected.map_err(|error| explain(error, socket))
}

/// Says why it was this socket.
fn explain(error: Error, socket: &Socket) -> Error {
    match error {
        Error::Connect { address, hint, source } => {
            Error::Connect { address, hint: format!("{hint} ({})", socket.because), source }
        }
        other => other,
    }
}

impl Wire for UnixSocket {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        descriptors: &mut dyn FnMut(Descriptor),
    ) -> Poll<io::Result<usize>> {
        self.poll_receive(cx, buffer, descriptors)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        descriptor: Option<&Descriptor>,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes, descriptor.map(AsFd::as_fd))
    }

    fn poll_send_both(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_both(cx, head, body)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown())
    }

    fn joins_frames(&self) -> bool {
        true
    }

    fn passes_descriptors(&self) -> bool {
        true
    }
}
