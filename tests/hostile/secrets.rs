//! Where passwords stay: not in what is logged, nor in errors, nor in memory once they were sent.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Read,
    os::unix::{fs::FileExt, net::UnixStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use libvirt_client::{
    Connection, Error,
    auth::{CredentialKind, Secret},
    protocol::{
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    transport::unix::UnixSocket,
    xdr::to_vec,
};
use tracing::{Subscriber, field::Visit, span};
use tracing_subscriber::{Layer, layer::SubscriberExt, registry::LookupSpan};
use zeroize::{Zeroize, Zeroizing};

use crate::peer::{Peer, framed, measured};

/// As long as that, so that what is left of it is seen where the start has been used for something else.
const LENGTH: usize = 96;
/// So much of it is too much.
const WINDOW: usize = 12;

/// A password that is nowhere in this program's memory as it is.
#[derive(Clone, Copy)]
struct Masked(u32);

impl Masked {
    fn letter(self, index: usize) -> char {
        let number = (self.0 + std::hint::black_box(index) as u32).wrapping_mul(2_654_435_761) >> 16;
        char::from(b'a' + (number % 26) as u8)
    }

    fn text(self) -> String {
        let mut text = String::with_capacity(LENGTH);
        text.extend((0..LENGTH).map(|index| self.letter(index)));
        text
    }
}

/// What a daemon does that asks for a password: lets in, or not, and keeps nothing of what it reads.
fn daemon(peer: &mut Peer, mechanism: &str, lets_in: bool) {
    while let Some((call, arguments)) = next_call(peer) {
        let procedure = remote::Procedure(call.proc);
        let answered = match procedure {
            remote::Procedure::AUTH_LIST => {
                peer.reply(&call, &remote::AuthListRet { types: vec![remote::AuthType::SASL] })
            }
            remote::Procedure::AUTH_SASL_INIT => {
                peer.reply(&call, &remote::AuthSaslInitRet { mechlist: mechanism.to_owned() })
            }
            remote::Procedure::AUTH_SASL_START if mechanism == "PLAIN" && lets_in => {
                peer.reply(&call, &remote::AuthSaslStartRet { complete: 1, nil: 1, data: Vec::new() })
            }
            remote::Procedure::AUTH_SASL_START if mechanism != "PLAIN" => peer
                .reply(&call, &remote::AuthSaslStartRet { complete: 0, nil: 0, data: challenge(&arguments) }),
            remote::Procedure::AUTH_SASL_START | remote::Procedure::AUTH_SASL_STEP => refuse(peer, &call),
            remote::Procedure::CONNECT_SUPPORTS_FEATURE => {
                peer.reply(&call, &remote::ConnectSupportsFeatureRet { supported: 0 })
            }
            _ => peer.reply(&call, &()),
        };
        if !answered {
            return;
        }
    }
}

/// As SCRAM has it: the client's nonce and more, a salt, a count.
fn challenge(arguments: &[u8]) -> Vec<u8> {
    let text: String = arguments.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let nonce = text.rsplit("r=").next().unwrap_or_default();
    format!("r={nonce}more,s=QSXCR+Q6sek8bf92,i=4096").into_bytes()
}

fn refuse(peer: &mut Peer, call: &MessageHeader) -> bool {
    let error = libvirt_client::protocol::net::MessageError {
        code: 45,
        domain: 7,
        message: Some("authentication failed".to_owned()),
        level: 2,
        ..Default::default()
    };
    let header = MessageHeader { type_: MessageType::REPLY, status: MessageStatus::ERROR, ..*call };
    peer.send(&framed(header, &to_vec(&error).unwrap()))
}

/// Takes a call out of the socket and forgets all that it need not know.
fn next_call(peer: &mut Peer) -> Option<(MessageHeader, Zeroizing<Vec<u8>>)> {
    let mut word = [0; 4];
    peer.0.read_exact(&mut word).ok()?;
    let mut bytes = Zeroizing::new(vec![0; u32::from_be_bytes(word) as usize - 4]);
    peer.0.read_exact(&mut bytes).ok()?;
    let mut words = bytes.chunks(4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
    let mut next = || words.next().unwrap();
    let header = MessageHeader {
        prog: next(),
        vers: next(),
        proc: next() as i32,
        type_: MessageType(next() as i32),
        serial: next(),
        status: MessageStatus(next() as i32),
    };
    Some((header, Zeroizing::new(bytes[24..].to_vec())))
}

/// Logs in, and returns what came of it.
fn log_in(password: Masked, mechanism: &'static str, lets_in: bool) -> Result<(), Error> {
    let (near, far) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || daemon(&mut Peer(far), mechanism, lets_in));
        let (opened, _) = measured(async move || {
            near.set_nonblocking(true).unwrap();
            let socket = UnixSocket::new(tokio::net::UnixStream::from_std(near).unwrap()).unwrap();
            let builder = Connection::builder("unused:///").credentials(move |request| {
                std::future::ready(match request.kind {
                    CredentialKind::Password => Some(Secret::from(password.text())),
                    CredentialKind::AuthorizationName => Some("fred".into()),
                    _ => None,
                })
            });
            let connection = builder.open_over(socket, "test:///default".to_owned()).await?;
            connection.domain_by_name("nobody").await.unwrap_err();
            Ok(())
        });
        opened
    })
}

#[test]
fn nothing_that_is_logged_or_reported_has_the_password() {
    for (mechanism, lets_in) in [("PLAIN", true), ("PLAIN", false), ("SCRAM-SHA-256", false)] {
        let log = Log::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        let opened =
            tracing::subscriber::with_default(subscriber, || log_in(Masked(1000), mechanism, lets_in));
        assert_eq!(opened.is_ok(), lets_in, "{opened:?}");
        let log = log.0.lock().unwrap();
        assert!(log.contains("AUTH_SASL_START") && log.contains("fred"), "what is logged is seen: {log}");
        let said = format!(
            "{log}{opened:?}{}",
            opened.as_ref().err().map(|error| error.to_string()).unwrap_or_default()
        );
        let password = Masked(1000).text();
        let bytes = password.as_bytes();
        let forms = [password.clone(), format!("{bytes:?}"), format!("{bytes:x?}"), format!("{bytes:02x?}")];
        for form in forms {
            let core = form.trim_matches(['[', ']']);
            assert!(!said.contains(core), "{mechanism}: {said}");
        }
    }
}

/// In a process of its own: what other tests leave in memory takes long to look through.
#[test]
fn nothing_is_left_of_the_password_in_memory() {
    const ALONE: &str = "LIBVIRT_CLIENT_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", "secrets::nothing_is_left_of_the_password_in_memory"]).env(ALONE, "1");
        let output = alone.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    for (mechanism, lets_in) in [("PLAIN", true), ("PLAIN", false), ("SCRAM-SHA-256", false)] {
        let password = Masked(2000);
        let here = Zeroizing::new(password.text());
        assert!(find(password) > 0, "a password in memory is not found");
        drop(here);
        assert_eq!(find(password), 0, "before");
        let opened = log_in(password, mechanism, lets_in);
        assert_eq!(opened.is_ok(), lets_in, "{opened:?}");
        assert_eq!(find(password), 0, "{mechanism}, {lets_in}: copies of the password are left in memory");
    }
}

/// Counts the places in this process's memory that hold the password, as it is or with a word for each byte.
fn find(password: Masked) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut chunk = Zeroizing::new(vec![0; 1 << 20]);
    let mut found = 0;
    for line in maps.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        if !rest.starts_with("rw") || rest.contains("[v") {
            continue;
        }
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (number(start), number(end));
        while at < end {
            let length = (end - at).min(chunk.len() as u64) as usize;
            // Another thread may have given it back meanwhile.
            let Ok(count) = memory.read_at(&mut chunk[..length], at) else { break };
            found += [1, 4].map(|step| matches(&chunk[..count], password, step)).iter().sum::<usize>();
            chunk.zeroize_chunk();
            // What spans two chunks is seen in the second.
            at += if count == 1 << 20 { count as u64 - 128 } else { count.max(1) as u64 };
        }
    }
    found
}

trait ZeroizeChunk {
    fn zeroize_chunk(&mut self);
}

impl ZeroizeChunk for Vec<u8> {
    fn zeroize_chunk(&mut self) {
        self.as_mut_slice().zeroize();
    }
}

/// Counts the places where a part of the password stands, with each byte that many bytes behind the one before.
fn matches(bytes: &[u8], password: Masked, step: usize) -> usize {
    let is_part = |at: usize, from: usize| {
        (0..WINDOW).all(|index| {
            bytes
                .get(at + index * step)
                .is_some_and(|byte| char::from(*byte) == password.letter(from + index))
        })
    };
    let starts = [0, LENGTH / 2, LENGTH - WINDOW].map(|from| (from, password.letter(from) as u8));
    let mut found = 0;
    for (page, bytes) in bytes.chunks(PAGE.len()).enumerate() {
        // Most of the memory is that, and a debug build takes its time for each byte.
        if *bytes == PAGE[..bytes.len()] {
            continue;
        }
        for (at, byte) in bytes.iter().enumerate() {
            for (from, letter) in starts {
                if *byte == letter && is_part(page * PAGE.len() + at, from) {
                    found += 1;
                }
            }
        }
    }
    found
}

/// Memory that nobody has used.
static PAGE: [u8; 4096] = [0; 4096];

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        _: &span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        attributes.record(&mut Text(&mut self.0.lock().unwrap()));
    }

    fn on_record(
        &self,
        _: &span::Id,
        values: &span::Record<'_>,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        values.record(&mut Text(&mut self.0.lock().unwrap()));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        event.record(&mut Text(&mut self.0.lock().unwrap()));
    }
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = writeln!(self.0, "{field}={value:?}");
    }
}
