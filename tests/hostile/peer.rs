//! The two sides: a client whose memory is measured, and a daemon that says what it likes.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
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

/// How long anything here may take on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(100);
/// How long a socket takes nothing before its reader is taken to have stopped.
const STOPPED: Duration = Duration::from_secs(1);

/// Has a client talk to a daemon; returns what came of it, and how many bytes the client's side held at most.
pub(crate) fn held<T: Send>(
    config: Config,
    daemon: impl FnOnce(&mut Peer) + Send,
    client: impl AsyncFnOnce(Client) -> T + Send,
) -> (T, u64) {
    let (near, far) = UnixStream::pair().unwrap();
    far.set_write_timeout(Some(STOPPED)).unwrap();
    far.set_read_timeout(Some(LIMIT)).unwrap();
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
    far.set_read_timeout(Some(LIMIT)).unwrap();
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

/// Runs something on a runtime that has only this thread; returns what came of it and how many bytes were held at most.
pub(crate) fn measured<T>(run: impl AsyncFnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let allocated = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        result = Some(runtime.block_on(async { tokio::time::timeout(LIMIT, run()).await }));
    });
    (result.unwrap().expect("it takes too long"), allocated.bytes_max)
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
                remote::Procedure::CONNECT_OPEN => self.reply(&call, &()),
                _ => return call,
            };
        }
    }

    /// Sends bytes; tells whether the client still takes some.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        match self.0.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, WouldBlock};
                assert!(
                    matches!(error.kind(), BrokenPipe | ConnectionReset | TimedOut | WouldBlock),
                    "{error}"
                );
                false
            }
        }
    }

    /// Sends the same bytes so many times, or until the client takes no more.
    pub(crate) fn flood(&mut self, bytes: &[u8], times: usize) -> bool {
        (0..times).all(|_| self.send(bytes))
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
