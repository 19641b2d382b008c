//! Descriptors that nobody asked for: they are closed, and few are open at once.

use std::{
    fs::{self, File},
    io::IoSlice,
    mem::MaybeUninit,
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use libvirt_client::{
    CloseReason,
    protocol::{
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::{Client, Config},
};
use rustix::{
    cmsg_space,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use crate::peer::{Peer, event, framed, held, poll_once};

/// As many as the kernel takes at once.
const AT_ONCE: usize = 253;

/// A file whose descriptors can be told from all others of this process.
struct Marked {
    path: PathBuf,
    file: File,
}

impl Marked {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("libvirt-client-{name}-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        Self { path: path.canonicalize().unwrap(), file }
    }

    /// Counts its descriptors, beside ours.
    fn open(&self) -> usize {
        let links =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.as_path() == Path::new(&self.path)).count() - 1
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Sends bytes with descriptors at their first.
fn send_with(socket: &UnixStream, bytes: &[u8], marked: &Marked, count: usize) -> bool {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = vec![marked.file.as_fd(); count];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let mut rest = match sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
        Ok(sent) => &bytes[sent..],
        Err(_) => return false,
    };
    std::io::Write::write_all(&mut &*socket, std::mem::take(&mut rest)).is_ok()
}

/// Ends the counting, however the test ends.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let marked = Marked::new("flood");
    let (most, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _counted = Done(&done);
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                most.fetch_max(marked.open(), Ordering::SeqCst);
                // The others need the machine, too.
                thread::sleep(Duration::from_millis(1));
            }
        });
        let daemon = |peer: &mut Peer| {
            let unwanted = event(7, 4);
            for _ in 0..500 {
                // A whole message, and then one byte after another, but for the first: a zero with a descriptor between two
                // messages is no part of either.
                assert!(send_with(&peer.0, &unwanted, &marked, AT_ONCE));
                let (first, others) = unwanted.split_at(1);
                assert!(peer.send(first));
                for byte in others.chunks(1) {
                    assert!(send_with(&peer.0, byte, &marked, 8));
                }
            }
            let (call, _) = peer.call();
            peer.reply(&call, &remote::ConnectGetHostnameRet { hostname: "here".to_owned() });
            peer.wait();
        };
        let (left, _) = held(Config::default(), daemon, async |client: Client| {
            let reply = client.call(remote::ConnectGetHostnameArgs).await.unwrap();
            assert_eq!(reply.hostname, "here");
            marked.open()
        });
        assert_eq!(left, 0, "descriptors are open, and the connection lives");
    });
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 2 * AT_ONCE, "{most} were open at once");
    println!("{most} were open at once");
}

#[test]
fn more_descriptors_than_a_message_claims_are_closed_and_fewer_end_the_connection() {
    let marked = Marked::new("claims");
    for (claimed, sent, is_answered) in [(1, 32, true), (32, 32, true), (2, 1, false), (1, 0, false)] {
        let daemon = |peer: &mut Peer| {
            let (call, _) = peer.call();
            let header =
                MessageHeader { type_: MessageType::REPLY_WITH_FDS, status: MessageStatus::OK, ..call };
            let count: i32 = claimed;
            peer.send(&framed(header, &[count.to_be_bytes(), [0; 4]].concat()));
            for byte in 0..claimed {
                let here = if byte == 0 { sent } else { 0 };
                match (sent, claimed) {
                    (32, 32) => assert!(send_with(&peer.0, &[0], &marked, 1)),
                    _ if here > 0 => assert!(send_with(&peer.0, &[0], &marked, here)),
                    _ => assert!(peer.send(&[0])),
                }
            }
            peer.wait();
        };
        let (answered, _) = held(Config::default(), daemon, async |client: Client| {
            let call = client
                .call_with_descriptors(remote::ConnectIsSecureArgs, Vec::new())
                .await
                .map(|(_, descriptors)| (descriptors.len(), marked.open()));
            if call.is_err() {
                assert!(matches!(client.closed().await, CloseReason::Protocol(_)));
            }
            call.ok()
        });
        let expected = is_answered.then_some((claimed as usize, claimed as usize));
        assert_eq!(answered, expected, "{claimed} are claimed and {sent} come");
        assert_eq!(marked.open(), 0, "nothing is left of them");
    }
}

#[test]
fn descriptors_for_a_caller_who_has_gone_are_closed() {
    const ROUNDS: usize = 50;
    let (marked, left_behind) = (Marked::new("gone"), AtomicUsize::new(0));
    let daemon = |peer: &mut Peer| {
        let mut rounds = 0;
        while rounds < ROUNDS {
            let (call, _) = peer.call();
            if call.proc == remote::Procedure::CONNECT_GET_HOSTNAME.0 {
                peer.reply(&call, &remote::ConnectGetHostnameRet::default());
                rounds += 1;
                continue;
            }
            let header = MessageHeader { type_: MessageType::REPLY_WITH_FDS, ..call };
            peer.send(&framed(header, &[8i32.to_be_bytes(), [0; 4]].concat()));
            for _ in 0..8 {
                assert!(send_with(&peer.0, &[0], &marked, 1));
            }
            left_behind.fetch_add(1, Ordering::SeqCst);
        }
        peer.wait();
    };
    let (left, _) = held(Config::default(), daemon, async |client: Client| {
        for _ in 0..ROUNDS {
            let mut call = Box::pin(client.call_with_descriptors(remote::ConnectIsSecureArgs, Vec::new()));
            assert!(poll_once(&mut call).await.is_none());
            // The connection sends it; nobody looks at the answer.
            tokio::task::yield_now().await;
            drop(call);
            client.call(remote::ConnectGetHostnameArgs).await.unwrap();
        }
        marked.open()
    });
    assert_eq!(left, 0);
    assert!(left_behind.into_inner() > 0, "no call was sent");
}
