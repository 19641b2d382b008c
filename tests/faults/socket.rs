//! What the proxy does with sockets: bytes and descriptors in and out, without waiting or with.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};

/// Waits for bytes and for the descriptors that come with them. None are the end.
pub(crate) fn receive(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(253))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let received =
            recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        match received {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let mut descriptors = Vec::new();
    for rights in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = rights {
            descriptors.extend(rights);
        }
    }
    Ok((message.bytes, descriptors))
}

/// Sends all of it, with a descriptor beside its first byte.
pub(crate) fn send(socket: &UnixStream, mut bytes: &[u8], descriptor: Option<&OwnedFd>) -> io::Result<()> {
    let mut rights: Vec<_> = descriptor.iter().map(|descriptor| descriptor.as_fd()).collect();
    while !bytes.is_empty() {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !rights.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&rights)), "there is room for one");
        }
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => continue,
            sent => bytes = &bytes[sent?..],
        }
        rights.clear();
    }
    Ok(())
}

/// Returns a copy of what waits, and takes all of it but the last byte: a socket that is closed with something unread is
/// reset.
pub(crate) fn take_all_but_one(socket: &UnixStream) -> io::Result<Vec<u8>> {
    let waiting = rustix::io::ioctl_fionread(socket)? as usize;
    let mut bytes = vec![0; waiting];
    let (seen, _) = rustix::net::recv(socket, &mut bytes[..], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    bytes.truncate(seen);
    if seen > 1 {
        let _ = rustix::net::recv(socket, &mut vec![0; seen - 1][..], RecvFlags::DONTWAIT)?;
    }
    Ok(bytes)
}
