//! Unix sockets, and the descriptors that come and go beside the bytes.

use std::{
    fmt, io,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Sleep,
};

use crate::error::{Error, Result};

/// A connected Unix socket.
///
/// It is watched for what comes; whether it takes more to send is asked only when it has refused some. A socket
/// that is watched for both, as tokio's is, wakes its task each time that the daemon has read a call, which makes two
/// wake-ups of one.
pub struct UnixSocket {
    stream: AsyncFd<UnixStream>,
    /// How room to send is waited for while there is none.
    full: Option<Full>,
    /// Where descriptors are received: kept, so that reading need not clear it anew each time.
    ancillary: Box<[MaybeUninit<u8>]>,
}

/// The kernel hands over at most this many descriptors in one message (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;

/// Connects to the socket at `path`. On Linux, a path that starts with `@` names an abstract socket.
///
/// # Errors
/// [`Error::Connect`], which says what the operating system's error means here.
pub async fn connect(path: &Path) -> Result<UnixSocket> {
    let connected = async { UnixSocket::new(tokio::net::UnixStream::connect(socket_name(path)).await?) };
    connected.await.map_err(|error| Error::Connect {
        address: path.display().to_string(),
        hint: explain(path, &error),
        source: Arc::new(error),
    })
}

/// tokio takes a name with a leading zero byte for an abstract one.
fn socket_name(path: &Path) -> std::path::PathBuf {
    match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) if cfg!(target_os = "linux") => format!("\0{name}").into(),
        _ => path.to_owned(),
    }
}

fn explain(path: &Path, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "no such socket; is the daemon installed and running here?",
        io::ErrorKind::ConnectionRefused if path.is_file() => "this is a file, not a socket",
        io::ErrorKind::ConnectionRefused => "nobody listens on this socket; has the daemon been stopped?",
        io::ErrorKind::PermissionDenied => {
            "permission denied; be root or join the group that owns the socket (often \"libvirt\"), \
             or connect read-only"
        }
        io::ErrorKind::WouldBlock => "the daemon's queue of new connections is full; try again later",
        io::ErrorKind::InvalidInput => "the path is too long for a Unix socket (107 bytes on Linux)",
        _ => return error.to_string(),
    };
    advice.to_owned()
}

impl UnixSocket {
    /// Takes over a stream that is connected already.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        Ok(Self {
            stream: watch(stream.into_std()?, Interest::READABLE)?,
            full: None,
            ancillary: vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_DESCRIPTORS))].into(),
        })
    }

    /// Receives bytes, and passes on the descriptors that come with them, closed on exec. Zero bytes are the end.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        descriptors: &mut dyn FnMut(OwnedFd),
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.stream.poll_read_ready(cx))?;
            match receive(self.stream.as_fd(), buffer, &mut self.ancillary, descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(received) => {
                    if received.drained {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(received.bytes));
                }
            }
        }
    }

    /// Sends the start of `bytes`, with `descriptor` beside its first byte.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Poll<io::Result<usize>> {
        self.poll_send_slices(cx, &[IoSlice::new(bytes)], descriptor)
    }

    /// Sends the start of `head` followed by `body`, in one go.
    pub fn poll_send_both(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_slices(cx, &[IoSlice::new(head), IoSlice::new(body)], None)
    }

    fn poll_send_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match send(self.stream.as_fd(), slices, descriptor) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_room(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => {
                    // Whoever sends a lot will find it full again, and to watch it anew costs four system calls.
                    if slices.iter().map(|slice| slice.len()).sum::<usize>() < BULK {
                        self.full = None;
                    }
                    return Poll::Ready(sent);
                }
            }
        }
    }

    /// Waits until the socket takes more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let full = match &mut self.full {
            Some(full) => full,
            none => none.insert(Full::new(self.stream.as_fd())),
        };
        match full {
            Full::Watched(socket) => ready!(socket.poll_write_ready(cx))?.clear_ready(),
            Full::AskedAgain(pause) => {
                ready!(pause.as_mut().poll(cx));
                self.full = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// The operating system's.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }
}

impl fmt::Debug for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixSocket").field(&self.stream).finish()
    }
}

/// Watches a descriptor for one of reading and writing.
#[allow(
    deprecated,
    reason = "tokio trusts only unsafe callers with types that may lie about their descriptor; std's do not"
)]
fn watch<T: AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// How room to send is waited for.
enum Full {
    /// By the same socket under a descriptor of its own, since the runtime watches each but once.
    Watched(AsyncFd<OwnedFd>),
    /// By asking again after a pause: this process has no descriptor to spare just now.
    AskedAgain(Pin<Box<Sleep>>),
}

/// More than this at once is the data of a stream.
const BULK: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(10);

impl Full {
    fn new(socket: BorrowedFd<'_>) -> Self {
        let watched = socket.try_clone_to_owned().and_then(|socket| watch(socket, Interest::WRITABLE));
        watched.map_or_else(|_| Self::AskedAgain(Box::pin(tokio::time::sleep(PAUSE))), Self::Watched)
    }
}

struct Received {
    bytes: usize,
    /// Nothing is left in the socket, so the next thing to do is to wait.
    drained: bool,
}

fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    ancillary: &mut [MaybeUninit<u8>],
    descriptors: &mut dyn FnMut(OwnedFd),
) -> io::Result<Received> {
    let room = buffer.len();
    let mut ancillary = RecvAncillaryBuffer::new(ancillary);
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, receive_flags())?;
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "descriptors that came were lost: this process has too many files open",
        ));
    }
    let mut passed = false;
    for rights in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = rights {
            passed = true;
            for descriptor in rights {
                close_on_exec(&descriptor)?;
                descriptors(descriptor);
            }
        }
    }
    // On Linux, only a message with descriptors ends a read before the buffer is full or the socket empty.
    let drained = cfg!(target_os = "linux") && (1..room).contains(&message.bytes) && !passed;
    Ok(Received { bytes: message.bytes, drained })
}

fn send(
    socket: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS.into());
    }
    Ok(sendmsg(socket, slices, &mut ancillary, send_flags())?)
}

/// Elsewhere the kernel sees to it as it hands them over.
#[cfg(target_vendor = "apple")]
fn close_on_exec(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?)
}

#[cfg(not(target_vendor = "apple"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail where it does something")]
fn close_on_exec(_: &OwnedFd) -> io::Result<()> {
    Ok(())
}

fn receive_flags() -> RecvFlags {
    #[cfg(not(target_vendor = "apple"))]
    return RecvFlags::CMSG_CLOEXEC;
    #[cfg(target_vendor = "apple")]
    return RecvFlags::empty();
}

fn send_flags() -> SendFlags {
    #[cfg(not(target_vendor = "apple"))]
    return SendFlags::NOSIGNAL;
    // There, mio sets SO_NOSIGPIPE on each socket.
    #[cfg(target_vendor = "apple")]
    return SendFlags::empty();
}

#[cfg(test)]
mod tests {
    use std::{fs::File, future::poll_fn, io::Read};

    use tokio::net::UnixStream;

    use super::*;

    async fn receive(socket: &mut UnixSocket, room: usize) -> (Vec<u8>, Vec<OwnedFd>) {
        let (mut buffer, mut descriptors) = (vec![0; room], Vec::new());
        let count =
            poll_fn(|cx| socket.poll_receive(cx, &mut buffer, &mut |fd| descriptors.push(fd))).await.unwrap();
        buffer.truncate(count);
        (buffer, descriptors)
    }

    #[tokio::test]
    async fn descriptors_arrive_with_their_byte_and_nothing_is_read_past_them() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut left, mut right) = (UnixSocket::new(left).unwrap(), UnixSocket::new(right).unwrap());
        let file = File::open("/etc/hostname").or_else(|_| File::open("/etc/passwd")).unwrap();
        poll_fn(|cx| left.poll_send(cx, b"frame", None)).await.unwrap();
        poll_fn(|cx| left.poll_send(cx, &[0], Some(file.as_fd()))).await.unwrap();
        poll_fn(|cx| left.poll_send(cx, b"next", None)).await.unwrap();

        let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
        while bytes.len() < 10 {
            let (more, passed) = receive(&mut right, 64).await;
            bytes.extend(more);
            descriptors.extend(passed);
        }
        assert_eq!(bytes, b"frame\0next");
        assert_eq!(descriptors.len(), 1);
        let mut content = String::new();
        File::from(descriptors.remove(0)).read_to_string(&mut content).unwrap();
        assert!(!content.is_empty());
    }

    #[tokio::test]
    async fn a_drained_socket_wakes_its_reader_again() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut left, mut right) = (UnixSocket::new(left).unwrap(), UnixSocket::new(right).unwrap());
        for round in 0..100u8 {
            poll_fn(|cx| left.poll_send(cx, &[round], None)).await.unwrap();
            assert_eq!(receive(&mut right, 16).await.0, [round]);
        }
        drop(left);
        assert!(receive(&mut right, 16).await.0.is_empty());
    }

    #[tokio::test]
    async fn a_full_socket_takes_more_once_it_is_read() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut left, mut right) = (UnixSocket::new(left).unwrap(), UnixSocket::new(right).unwrap());
        let sender = tokio::spawn(async move {
            let data: Vec<u8> = (0..4 << 20).map(|index: u32| index as u8).collect();
            let mut sent = 0;
            while sent < data.len() {
                sent += poll_fn(|cx| left.poll_send(cx, &data[sent..], None)).await.unwrap();
            }
            left.shutdown().unwrap();
            sent
        });
        let mut received = 0;
        loop {
            let (bytes, _) = receive(&mut right, 10_000).await;
            if bytes.is_empty() {
                break;
            }
            assert!(bytes.iter().enumerate().all(|(index, &byte)| byte == (received + index) as u8));
            received += bytes.len();
        }
        assert_eq!((sender.await.unwrap(), received), (4 << 20, 4 << 20));
    }

    #[tokio::test]
    async fn errors_say_what_to_do() {
        let error = connect(Path::new("/nonexistent/libvirt-sock")).await.unwrap_err();
        assert!(error.to_string().contains("is the daemon installed and running"), "{error}");
        let error = connect(Path::new("/etc/passwd")).await.unwrap_err();
        assert!(error.to_string().contains("not a socket"), "{error}");
        let error = connect(&Path::new("/").join("x".repeat(200))).await.unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
