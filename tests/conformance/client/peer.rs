//! The daemon's end of a connection, which knows no more than lengths.

use std::io;

use libvirt_client::{
    protocol::frame::Descriptor,
    rpc::{Client, Config},
    testing::RecordedFrame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) enum Peer {
    Pipe(DuplexStream),
    #[cfg(unix)]
    Unix(libvirt_client::transport::unix::UnixSocket),
}

/// A connection that passes descriptors.
#[cfg(unix)]
pub(crate) fn unix(config: &Config) -> (Client, Peer) {
    use libvirt_client::transport::unix::UnixSocket;
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    (Client::start(UnixSocket::new(near).unwrap(), config), Peer::Unix(UnixSocket::new(far).unwrap()))
}

#[cfg(not(unix))]
pub(crate) fn unix(_: &Config) -> (Client, Peer) {
    panic!("descriptors are passed on Unix only");
}

#[cfg(unix)]
pub(crate) fn descriptors(count: usize) -> Vec<Descriptor> {
    (0..count).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect()
}

#[cfg(not(unix))]
pub(crate) fn descriptors(_: usize) -> Vec<Descriptor> {
    Vec::new()
}

impl Peer {
    /// Reads a frame and the bytes with its descriptors, and returns the frame and how many came.
    pub(crate) async fn receive(&mut self) -> io::Result<(Vec<u8>, usize)> {
        let mut frame = vec![0; 28];
        let mut descriptors = self.read(&mut frame).await?;
        let length = u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize;
        frame.resize(length, 0);
        descriptors += self.read(&mut frame[28..]).await?;
        if matches!(frame[19], 4 | 5) {
            let mut carriers = vec![0; usize::from(frame[31])];
            descriptors += self.read(&mut carriers).await?;
        }
        Ok((frame, descriptors))
    }

    /// Fills `buffer`, and returns how many descriptors came with its bytes.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.read_exact(buffer).await.map(|_| 0),
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (mut filled, mut descriptors) = (0, 0);
                while filled < buffer.len() {
                    let rest = &mut buffer[filled..];
                    let count =
                        std::future::poll_fn(|cx| socket.poll_receive(cx, rest, &mut |_| descriptors += 1))
                            .await?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    filled += count;
                }
                Ok(descriptors)
            }
        }
    }

    /// Writes a frame, and descriptors if it had some.
    pub(crate) async fn send(&mut self, frame: &RecordedFrame) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write_all(frame.bytes()).await,
            #[cfg(unix)]
            Self::Unix(socket) => {
                use std::os::fd::AsFd;
                let mut rest = frame.bytes();
                while !rest.is_empty() {
                    let count = std::future::poll_fn(|cx| socket.poll_send(cx, rest, None)).await?;
                    rest = &rest[count..];
                }
                for descriptor in descriptors(frame.descriptors()) {
                    std::future::poll_fn(|cx| socket.poll_send(cx, &[0], Some(descriptor.as_fd()))).await?;
                }
                Ok(())
            }
        }
    }

    /// Says that nothing more will come.
    pub(crate) async fn hang_up(&mut self) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.shutdown().await,
            #[cfg(unix)]
            Self::Unix(socket) => socket.shutdown(),
        }
    }
}
