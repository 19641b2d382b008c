//! The two sides: a client whose memory is measured, and a daemon that says what it likes.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use libvirt_client::{
    Connection,
    protocol::{
        frame,
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::{Client, Config},
    transport::unix::UnixSocket,
    xdr::{Encode, to_vec},
};

/// The longest message that the protocol has, with its length word.
pub(crate) const LONGEST: usize = 32 * 1024 * 1024 + 4;

/// How long anything here may take on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(100);
/// How long a client takes nothing before it is taken to have stopped.
const STOPPED: Duration = Duration::from_millis(300);

/// Has a client talk to a daemon; returns what came of it, and how many bytes the client's side held at most.
pub(crate) fn held<T: Send>(
    config: Config,
    daemon: impl FnOnce(&mut Peer) + Send,
    client: impl AsyncFnOnce(Client) -> T + Send,
) -> (T, u64) {
    let (near, far) = UnixStream::pair().unwrap();
    limited(&far);
    let start = async move || {
        near.set_nonblocking(true).unwrap();
        let socket = UnixSocket::new(tokio::net::UnixStream::from_std(near).unwrap()).unwrap();
        client(Client::start(socket, &config)).await
    };
    thread::scope(|scope| {
        scope.spawn(|| daemon(&mut Peer(far)));
        scope.spawn(|| measured(start)).join().unwrap()
    })
}

/// The same with a whole connection, which the daemon opens by [`Peer::opening`].
pub(crate) fn held_open<T: Send>(
    daemon: impl FnOnce(&mut Peer) + Send,
    client: impl AsyncFnOnce(Connection) -> T + Send,
) -> (T, u64) {
    let (near, far) = UnixStream::pair().unwrap();
    limited(&far);
    let start = async move || {
        near.set_nonblocking(true).unwrap();
        let socket = UnixSocket::new(tokio::net::UnixStream::from_std(near).unwrap()).unwrap();
        let opening = Connection::builder("unused:///").open_over(socket, "test:///default".to_owned());
        client(opening.await.unwrap()).await
    };
    thread::scope(|scope| {
        scope.spawn(|| daemon(&mut Peer(far)));
        scope.spawn(|| measured(start)).join().unwrap()
    })
}

fn limited(socket: &UnixStream) {
    socket.set_write_timeout(Some(LIMIT)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
}

/// Runs something on a runtime that has only this thread; returns what came of it and how many bytes were held at most.
pub(crate) fn measured<T>(run: impl AsyncFnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let allocated = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        result = Some(runtime.block_on(async { tokio::time::timeout(LIMIT, run()).await }));
    });
    (result.unwrap().expect("it takes too long"), allocated.bytes_max)
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// The daemon's end of a socket.
pub(crate) struct Peer(pub(crate) UnixStream);

impl Peer {
    /// Takes the next call: its header, and its arguments.
    pub(crate) fn call(&mut self) -> (MessageHeader, Vec<u8>) {
        let mut word = [0; 4];
        self.0.read_exact(&mut word).unwrap();
        let mut bytes = vec![0; u32::from_be_bytes(word) as usize - 4];
        self.0.read_exact(&mut bytes).unwrap();
        let arguments = bytes.split_off(24);
        let mut header: [i32; 6] = [0; 6];
        for (word, bytes) in header.iter_mut().zip(bytes.chunks(4)) {
            *word = i32::from_be_bytes(bytes.try_into().unwrap());
        }
        let [prog, vers, proc, type_, serial, status] = header;
        let header = MessageHeader {
            prog: prog as u32,
            vers: vers as u32,
            proc,
            type_: MessageType(type_),
            serial: serial as u32,
            status: MessageStatus(status),
        };
        (header, arguments)
    }

    /// Answers the calls that open a connection; returns the first one after them.
    pub(crate) fn opening(&mut self) -> MessageHeader {
        loop {
            let (call, _) = self.call();
            match remote::Procedure(call.proc) {
                remote::Procedure::AUTH_LIST => self.reply(&call, &remote::AuthListRet { types: Vec::new() }),
                remote::Procedure::CONNECT_SUPPORTS_FEATURE => {
                    self.reply(&call, &remote::ConnectSupportsFeatureRet { supported: 0 })
                }
                remote::Procedure::CONNECT_OPEN | remote::Procedure::CONNECT_REGISTER_CLOSE_CALLBACK => {
                    self.reply(&call, &())
                }
                _ => return call,
            };
        }
    }

    /// Sends bytes; tells whether the client is still there.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        match self.0.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                assert!(
                    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
                    "{error}"
                );
                false
            }
        }
    }

    /// Sends the same bytes so many times, all of which the client takes.
    pub(crate) fn flood(&mut self, bytes: &[u8], times: usize) {
        assert!((0..times).all(|_| self.send(bytes)), "the client has gone");
    }

    /// Sends the same bytes over and over until the client takes no more, not before it has taken so many: one that has taken
    /// less need not have stopped, and may wait for its turn on a busy machine.
    pub(crate) fn flood_until_stopped(&mut self, bytes: &[u8], least: usize) {
        /// So much is more than anybody should take.
        const MOST: usize = 1 << 30;
        self.0.set_write_timeout(Some(STOPPED)).unwrap();
        let (begun, mut taken) = (Instant::now(), 0);
        while taken < MOST {
            match self.0.write(&bytes[taken % bytes.len()..]) {
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken >= least => return,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
            assert!(begun.elapsed() < LIMIT, "no more than {taken} bytes are taken, of {least}");
        }
        panic!("the client takes whatever comes");
    }

    pub(crate) fn reply(&mut self, call: &MessageHeader, results: &impl Encode) -> bool {
        self.send(&framed(MessageHeader { type_: MessageType::REPLY, ..*call }, &to_vec(results).unwrap()))
    }

    /// Waits until the client has gone.
    pub(crate) fn wait(&mut self) {
        let _ = io::copy(&mut self.0, &mut io::sink());
    }
}

/// A whole frame, whatever the protocol thinks of it.
pub(crate) fn framed(header: MessageHeader, payload: &[u8]) -> Vec<u8> {
    let length = (frame::PREFIX + payload.len()) as u32;
    [&length.to_be_bytes(), to_vec(&header).unwrap().as_slice(), payload].concat()
}

/// An event of a callback, with so many bytes in its message.
pub(crate) fn event(callback: i32, length: usize) -> Vec<u8> {
    let header = MessageHeader {
        prog: remote::PROGRAM.number,
        vers: remote::PROGRAM.version,
        proc: remote::Procedure::DOMAIN_EVENT_CALLBACK_LIFECYCLE.0,
        type_: MessageType::MESSAGE,
        serial: 0,
        status: MessageStatus::OK,
    };
    let mut message = vec![0; length.max(4)];
    message[..4].copy_from_slice(&callback.to_be_bytes());
    framed(header, &message)
}
