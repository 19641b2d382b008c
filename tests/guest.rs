//! What is asked of guests, over an in-memory pipe, with a scripted daemon and agent on the other side: what a real guest does
//! not do on demand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test ends it"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, Error,
    enums::DomainInterfaceAddressesSource as Source,
    guest::ExecStatus,
    protocol::{
        frame::{Frame, FrameDecoder},
        net::{MessageError, MessageHeader, MessageStatus, MessageType},
        qemu, remote,
    },
    rpc::ByteStream,
    xdr::{Encode, from_bytes, to_vec},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Long enough for whatever does happen, on a busy machine too.
const LONG: Duration = Duration::from_secs(60);
/// For what never happens.
const SHORT: Duration = Duration::from_millis(300);

/// What the daemon answers.
enum Answer {
    Value(Vec<u8>),
    Error(i32, &'static str),
    /// It is busy with the call for ever.
    Never,
}

fn value(body: &impl Encode) -> Answer {
    Answer::Value(to_vec(body).unwrap())
}

/// What the agent answers, by way of the daemon.
fn agent(result: Value) -> Answer {
    value(&qemu::DomainAgentCommandRet { result: Some(json!({ "return": result }).to_string()) })
}

const INTERNAL_ERROR: i32 = 1;
const NO_DOMAIN: i32 = 42;
const OPERATION_INVALID: i32 = 55;
const AGENT_UNRESPONSIVE: i32 = 86;
const ARGUMENT_UNSUPPORTED: i32 = 74;

/// What the client asks for, beyond opening and finding its domain.
#[derive(Clone, Debug)]
enum Asked {
    Agent { command: String, arguments: Value },
    Addresses(Source),
    Other(remote::Procedure),
}

impl Asked {
    fn of(call: &Frame) -> Self {
        if call.header.prog == qemu::PROGRAM.number {
            let arguments: qemu::DomainAgentCommandArgs = from_bytes(&call.payload).unwrap();
            let command: Value = serde_json::from_str(&arguments.cmd).unwrap();
            let name = command["execute"].as_str().unwrap().to_owned();
            return Self::Agent { command: name, arguments: command["arguments"].clone() };
        }
        match remote::Procedure(call.header.proc) {
            remote::Procedure::DOMAIN_INTERFACE_ADDRESSES => {
                let arguments: remote::DomainInterfaceAddressesArgs = from_bytes(&call.payload).unwrap();
                Self::Addresses(Source(i32::try_from(arguments.source).unwrap()))
            }
            other => Self::Other(other),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Agent { command, .. } => command.clone(),
            Self::Addresses(source) => format!("{source:?}"),
            Self::Other(procedure) => format!("{procedure:?}"),
        }
    }
}

type Lines = Arc<Mutex<Vec<String>>>;

/// A daemon with one domain, and what was asked of it.
struct Daemon {
    domain: Domain,
    heard: Lines,
    /// What the hook for errors was told.
    errors: Lines,
}

impl Daemon {
    async fn start(mut answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let (near, far) = duplex(1 << 16);
        let (heard, errors) = (Lines::default(), Lines::default());
        let listening = heard.clone();
        tokio::spawn(async move {
            let mut wire = Wire { stream: far, decoder: FrameDecoder::default() };
            while let Some(call) = wire.receive().await {
                let answer = opening(&call).unwrap_or_else(|| {
                    let asked = Asked::of(&call);
                    listening.lock().unwrap().push(asked.name());
                    answer(&asked)
                });
                wire.send(&call, answer).await;
            }
        });
        let telling = errors.clone();
        let tell = move |error: &Error| telling.lock().unwrap().push(error.to_string());
        let builder = Connection::builder("unused:///").on_error(tell);
        let opening = builder.open_over(ByteStream(near), "qemu:///system".to_owned());
        // In a box: tests that start several would overflow the stack of their thread otherwise.
        let connection = Box::pin(opening).await.unwrap();
        let domain = connection.domain_by_name("web").await.unwrap();
        Self { domain, heard, errors }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until something was asked for so often.
    async fn hears(&self, name: &str, times: usize) {
        let count = || self.heard().iter().filter(|heard| *heard == name).count();
        tokio::time::timeout(LONG, async {
            while count() < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{name} was not asked for {times} times: {:?}", self.heard()));
        assert_eq!(count(), times, "{:?}", self.heard());
    }
}

fn opening(call: &Frame) -> Option<Answer> {
    if call.header.prog != remote::PROGRAM.number {
        return None;
    }
    Some(match remote::Procedure(call.header.proc) {
        remote::Procedure::AUTH_LIST => value(&remote::AuthListRet { types: Vec::new() }),
        remote::Procedure::CONNECT_OPEN
        | remote::Procedure::CONNECT_CLOSE
        | remote::Procedure::CONNECT_REGISTER_CLOSE_CALLBACK => value(&()),
        remote::Procedure::CONNECT_SUPPORTS_FEATURE => value(&0_i32),
        remote::Procedure::DOMAIN_LOOKUP_BY_NAME => value(&remote::DomainLookupByNameRet {
            dom: remote::NonnullDomain { name: "web".to_owned(), uuid: [7; 16], id: 1 },
        }),
        _ => return None,
    })
}

/// The daemon's side of the pipe.
struct Wire {
    stream: DuplexStream,
    decoder: FrameDecoder,
}

impl Wire {
    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return Some(frame);
            }
            let count = self.stream.read(self.decoder.spare()).await.unwrap();
            if count == 0 {
                return None;
            }
            self.decoder.advance(count);
        }
    }

    async fn send(&mut self, call: &Frame, answer: Answer) {
        let (status, payload) = match answer {
            Answer::Value(payload) => (MessageStatus::OK, payload),
            Answer::Error(code, message) => {
                let message = Some(message.to_owned());
                let error = MessageError { code, domain: 10, message, level: 2, ..Default::default() };
                (MessageStatus::ERROR, to_vec(&error).unwrap())
            }
            Answer::Never => return,
        };
        let header = MessageHeader { type_: MessageType::REPLY, status, ..call.header };
        let frame = Frame { header, payload: payload.into(), descriptors: Vec::new() };
        let _ = self.stream.write_all(&frame.encode().unwrap()).await;
    }
}

// --- programs

/// An agent that starts a program as process 7, and tells of it these one after the other, the last one again and again.
async fn running(statuses: Vec<Value>) -> Daemon {
    let mut statuses = statuses.into_iter();
    let mut last = json!(null);
    Daemon::start(move |asked| {
        let Asked::Agent { command, arguments } = asked else { panic!("{asked:?}") };
        match command.as_str() {
            "guest-exec" => agent(json!({ "pid": 7 })),
            "guest-exec-status" => {
                assert_eq!(arguments, &json!({ "pid": 7 }));
                last = statuses.next().unwrap_or(last.take());
                agent(last.clone())
            }
            other => panic!("{other}"),
        }
    })
    .await
}

#[tokio::test]
async fn output_that_the_agent_cut_is_told_so() {
    let daemon = running(vec![
        json!({ "exited": false }),
        json!({ "exited": true, "exitcode": 3, "out-data": "aGFsZg==", "out-truncated": true, "err-data": "/w==" }),
    ])
    .await;
    let output = daemon.domain.guest().exec("/bin/half").output().await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"half"[..], &[0xff][..]));
    assert!(output.stdout_truncated && !output.stderr_truncated);
    assert_eq!(output.status, ExecStatus::Exited(3));
    assert_eq!(daemon.heard(), ["guest-exec", "guest-exec-status", "guest-exec-status"]);
}

#[tokio::test]
async fn a_program_that_does_not_end_is_given_up_and_can_be_waited_for_again() {
    let daemon = running(vec![json!({ "exited": false })]).await;
    let process = daemon.domain.guest().exec("/bin/sleep").arg("9").start().await.unwrap();
    assert_eq!(process.pid(), 7);
    let error = process.wait(SHORT).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(error.to_string(), "/bin/sleep (process 7) did not end in web within 300ms");
    assert_eq!(*daemon.errors.lock().unwrap(), [error.to_string()]);
    let error = daemon.domain.guest().exec("/bin/sleep").deadline(SHORT).output().await.unwrap_err();
    assert!(matches!(error, Error::GuestTimeout { after: SHORT, .. }), "{error:?}");
}

#[tokio::test]
async fn refusals_say_what_helps() {
    let say = |message: &'static str| Daemon::start(move |_| Answer::Error(INTERNAL_ERROR, message));
    let refused = async |message| {
        let daemon = say(message).await;
        let error = daemon.domain.guest().exec("x").output().await.unwrap_err();
        assert_eq!(*daemon.errors.lock().unwrap(), [error.to_string()], "hooks hear of it once");
        error
    };
    let missing = refused(
        "internal error: unable to execute QEMU agent command 'guest-exec': Guest agent command failed, error was \
         'Failed to execute child process “x” (No such file or directory)'",
    )
    .await;
    assert!(missing.is_not_found(), "{missing:?}");
    let disabled = refused(
        "internal error: unable to execute QEMU agent command 'guest-exec': Command guest-exec has been disabled: \
         the command is not allowed",
    )
    .await;
    assert!(disabled.is_unsupported(), "{disabled:?}");
    // What the daemon itself says stays as it is.
    let other = refused("internal error: out of luck").await;
    assert!(matches!(other, Error::Remote(_)), "{other:?}");
}

// --- files

/// An agent with a file that has these parts; what it is written is counted by `takes`.
async fn with_file(mut parts: Vec<Answer>, takes: usize) -> Daemon {
    parts.reverse();
    Daemon::start(move |asked| {
        let Asked::Agent { command, arguments } = asked else { panic!("{asked:?}") };
        match command.as_str() {
            "guest-file-open" => agent(json!(1000)),
            "guest-file-read" => parts.pop().unwrap_or_else(|| agent(json!({ "buf-b64": "", "eof": true }))),
            "guest-file-write" => {
                let length = arguments["buf-b64"].as_str().unwrap().len() / 4 * 3;
                agent(json!({ "count": length.min(takes), "eof": false }))
            }
            "guest-file-close" => agent(json!({})),
            other => panic!("{other}"),
        }
    })
    .await
}

fn part(text: &str) -> Answer {
    agent(json!({ "buf-b64": text, "count": 1, "eof": false }))
}

#[tokio::test]
async fn files_are_closed_whatever_happens() {
    let daemon = with_file(vec![part("YWJj"), part("ZGVm")], 0).await;
    assert_eq!(daemon.domain.guest().read_file("/f", 6).await.unwrap(), b"abcdef");
    daemon.hears("guest-file-close", 1).await;

    let daemon = with_file(vec![part("YWJj"), part("ZGVm")], 0).await;
    let error = daemon.domain.guest().read_file("/f", 5).await.unwrap_err();
    assert_eq!(error.to_string(), "/f in web is longer than 5 bytes");
    daemon.hears("guest-file-close", 1).await;

    let daemon = with_file(vec![part("YWJj"), Answer::Error(AGENT_UNRESPONSIVE, "gone")], 0).await;
    let error = daemon.domain.guest().read_file("/f", 5).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    daemon.hears("guest-file-close", 1).await;

    let daemon = with_file(vec![Answer::Never], 0).await;
    let dropped = tokio::time::timeout(SHORT, daemon.domain.guest().read_file("/f", 5)).await;
    assert!(dropped.is_err());
    daemon.hears("guest-file-close", 1).await;

    let daemon = with_file(Vec::new(), 0).await;
    let error = daemon.domain.guest().write_file("/f", "abc").await.unwrap_err();
    assert!(error.to_string().contains("wrote 0 of 3 bytes"), "{error}");
    daemon.hears("guest-file-close", 1).await;
}

#[tokio::test]
async fn what_the_agent_did_not_take_is_written_again() {
    let daemon = with_file(Vec::new(), 4 * 3).await;
    daemon.domain.guest().write_file("/f", [7; 30]).await.unwrap();
    daemon.hears("guest-file-write", 3).await;
    daemon.hears("guest-file-close", 1).await;
}

#[tokio::test]
async fn a_file_is_closed_that_opened_for_nobody() {
    for polls in 0..40 {
        let daemon = with_file(Vec::new(), 0).await;
        let guest = daemon.domain.guest();
        drop(poll_and_drop(guest.open_file("/f", "r"), polls).await);
        // Whoever has asked is answered before this is.
        guest.open_file("/g", "r").await.unwrap().close().await.unwrap();
        let opened = daemon.heard().iter().filter(|heard| *heard == "guest-file-open").count();
        daemon.hears("guest-file-close", opened).await;
    }
}

/// Polls a future so often, leaving others their turn, and drops it if it has no result by then.
async fn poll_and_drop<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let patience = async {
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = patience => None,
        done = future => Some(done),
    }
}

// --- file systems

async fn freezing(freeze: fn() -> Answer) -> Daemon {
    Daemon::start(move |asked| match asked {
        Asked::Other(remote::Procedure::DOMAIN_FSFREEZE) => freeze(),
        Asked::Other(remote::Procedure::DOMAIN_FSTHAW) => value(&remote::DomainFsthawRet { filesystems: 2 }),
        other => panic!("{other:?}"),
    })
    .await
}

fn two_frozen() -> Answer {
    value(&remote::DomainFsfreezeRet { filesystems: 2 })
}

const THAW: &str = "Procedure::DOMAIN_FSTHAW";

#[tokio::test]
async fn what_was_frozen_is_thawed_once() {
    let daemon = freezing(two_frozen).await;
    let frozen = daemon.domain.guest().freeze().await.unwrap();
    assert_eq!(frozen.count(), 2);
    daemon.hears(THAW, 0).await;
    assert_eq!(frozen.thaw().await.unwrap(), 2);
    daemon.hears(THAW, 1).await;

    let frozen = daemon.domain.guest().freeze().await.unwrap();
    drop(frozen);
    daemon.hears(THAW, 2).await;
}

#[tokio::test]
async fn a_freeze_that_nobody_waits_for_is_thawed() {
    for polls in 0..40 {
        let daemon = freezing(two_frozen).await;
        match poll_and_drop(daemon.domain.guest().freeze(), polls).await {
            Some(frozen) => drop(frozen.unwrap()),
            // Not even begun.
            None if polls == 0 => continue,
            None => {}
        }
        daemon.hears(THAW, 1).await;
    }
}

#[tokio::test]
async fn a_freeze_without_an_answer_is_thawed() {
    let daemon = freezing(|| Answer::Error(AGENT_UNRESPONSIVE, "Guest agent not available for now")).await;
    let error = daemon.domain.guest().freeze().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    daemon.hears(THAW, 1).await;
    // A refusal froze nothing.
    let daemon = freezing(|| Answer::Error(OPERATION_INVALID, "domain is not running")).await;
    daemon.domain.guest().freeze().await.unwrap_err();
    daemon.hears(THAW, 0).await;
}

// --- readiness

#[tokio::test]
async fn the_agent_is_waited_for() {
    let mut pings = 0;
    let daemon = Daemon::start(move |asked| match asked {
        Asked::Agent { command, .. } if command == "guest-ping" => {
            pings += 1;
            if pings < 3 { Answer::Error(AGENT_UNRESPONSIVE, "not connected") } else { agent(json!({})) }
        }
        other => panic!("{other:?}"),
    })
    .await;
    daemon.domain.guest().wait_until_ready(LONG).await.unwrap();
    daemon.hears("guest-ping", 3).await;
    assert!(daemon.errors.lock().unwrap().is_empty(), "what is waited for is no news");
}

#[tokio::test]
async fn an_agent_that_does_not_come_is_given_up() {
    let daemon = Daemon::start(|_| Answer::Error(AGENT_UNRESPONSIVE, "agent is not connected")).await;
    let error = daemon.domain.guest().wait_until_ready(SHORT).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    let said = error.to_string();
    assert!(
        said.starts_with("the agent of web did not answer (") && said.contains("not connected"),
        "{said}"
    );
    assert_eq!(*daemon.errors.lock().unwrap(), [said]);

    let daemon = Daemon::start(|_| Answer::Error(ARGUMENT_UNSUPPORTED, "agent is not configured")).await;
    let error = daemon.domain.guest().wait_until_ready(LONG).await.unwrap_err();
    assert!(error.is_unsupported(), "at once: {error:?}");
}

/// Answers that the domain does not run, and whether it is active.
fn not_running(asked: &Asked, active: i32) -> Answer {
    match asked {
        Asked::Other(remote::Procedure::DOMAIN_IS_ACTIVE) => value(&remote::DomainIsActiveRet { active }),
        Asked::Other(remote::Procedure::DOMAIN_GET_XML_DESC) => xml(CARD),
        _ => Answer::Error(OPERATION_INVALID, "domain is not running"),
    }
}

#[tokio::test]
async fn a_domain_that_stops_is_not_waited_for() {
    let daemon = Daemon::start(|asked| not_running(asked, 0)).await;
    let error = daemon.domain.guest().wait_until_ready(LONG).await.unwrap_err();
    assert!(error.is_invalid_state(), "{error:?}");
    let error = daemon.domain.wait_for_address(LONG).await.unwrap_err();
    assert!(error.is_invalid_state(), "{error:?}");

    // One that is paused may go on.
    let daemon = Daemon::start(|asked| not_running(asked, 1)).await;
    let error = daemon.domain.guest().wait_until_ready(SHORT).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");

    let daemon = Daemon::start(|_| Answer::Error(NO_DOMAIN, "no domain with matching uuid")).await;
    let error = daemon.domain.wait_for_address(LONG).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
}

// --- addresses

const CARD: &str = "<domain><devices><interface type='network'><mac address='52:54:00:00:00:01'/>\
                    <source network='default'/></interface></devices></domain>";

fn xml(text: &str) -> Answer {
    value(&remote::DomainGetXmlDescRet { xml: text.to_owned() })
}

fn interfaces(interfaces: &[(&str, &str, &[&str])]) -> Answer {
    let one = |(name, mac, addresses): &(&str, &str, &[&str])| remote::DomainInterface {
        name: (*name).to_owned(),
        hwaddr: Some((*mac).to_owned()),
        addrs: addresses
            .iter()
            .map(|address| remote::DomainIpAddr {
                type_: i32::from(address.contains(':')),
                addr: (*address).to_owned(),
                prefix: 24,
            })
            .collect(),
    };
    value(&remote::DomainInterfaceAddressesRet { ifaces: interfaces.iter().map(one).collect() })
}

const MINE: &str = "52:54:00:00:00:01";
const LEASED: &[(&str, &str, &[&str])] = &[("vnet0", MINE, &["192.168.122.9"])];
const IN_THE_GUEST: &[(&str, &str, &[&str])] = &[
    ("lo", "00:00:00:00:00:00", &["127.0.0.1", "::1"]),
    ("docker0", "02:42:00:00:00:01", &["172.17.0.1"]),
    ("eth0", MINE, &["fe80::1%eth0", "2001:db8::9", "192.168.122.9"]),
];

async fn addressed(mut answer: impl FnMut(Source) -> Answer + Send + 'static) -> Daemon {
    Daemon::start(move |asked| match asked {
        Asked::Addresses(source) => answer(*source),
        Asked::Other(remote::Procedure::DOMAIN_GET_XML_DESC) => xml(CARD),
        Asked::Other(remote::Procedure::NETWORK_LOOKUP_BY_NAME) => {
            let net = remote::NonnullNetwork { name: "default".to_owned(), uuid: [1; 16] };
            value(&remote::NetworkLookupByNameRet { net })
        }
        Asked::Other(remote::Procedure::NETWORK_GET_XML_DESC) => {
            value(&remote::NetworkGetXmlDescRet { xml: "<network><ip><dhcp/></ip></network>".to_owned() })
        }
        other => panic!("{other:?}"),
    })
    .await
}

#[tokio::test]
async fn a_source_that_hangs_holds_up_no_other() {
    let mut leases = 0;
    let daemon = addressed(move |source| match source {
        Source::AGENT => Answer::Never,
        Source::LEASE => {
            leases += 1;
            interfaces(if leases < 3 { &[] } else { LEASED })
        }
        _ => Answer::Error(INTERNAL_ERROR, "internal error: wrong nlmsg len"),
    })
    .await;
    let found = daemon.domain.wait_for_address(LONG).await.unwrap();
    assert_eq!((found.address.to_string(), found.prefix), ("192.168.122.9".to_owned(), 24));
    assert_eq!((found.interface.as_str(), found.sources), ("vnet0", vec![Source::LEASE]));
    daemon.hears("DomainInterfaceAddressesSource::AGENT", 1).await;
    assert!(daemon.errors.lock().unwrap().is_empty());
}

#[tokio::test]
async fn addresses_are_chosen() {
    let daemon = addressed(|_| interfaces(IN_THE_GUEST)).await;
    let wait = || daemon.domain.wait_for_address(LONG).from_sources([Source::AGENT]);
    assert_eq!(wait().await.unwrap().address.to_string(), "192.168.122.9");
    assert_eq!(wait().ipv6().await.unwrap().address.to_string(), "2001:db8::9");
    assert_eq!(wait().ipv6().or_link_local().await.unwrap().address.to_string(), "fe80::1");
    assert_eq!(wait().of_mac("02:42:00:00:00:01").await.unwrap().address.to_string(), "172.17.0.1");
    assert_eq!(wait().of_mac("52:54:00:00:00:01".to_uppercase()).ipv4().await.unwrap().interface, "eth0");
    let error = daemon.domain.wait_for_address(SHORT).of_interface("eth1").await.unwrap_err();
    assert!(error.to_string().contains("none that is wanted among 127.0.0.1 of lo"), "{error}");
}

#[tokio::test]
async fn a_deadline_tells_what_each_source_said() {
    let daemon = addressed(|source| match source {
        Source::AGENT => Answer::Error(AGENT_UNRESPONSIVE, "Guest agent is not responding"),
        Source::LEASE => interfaces(&[]),
        _ => Answer::Never,
    })
    .await;
    let error = daemon.domain.wait_for_address(SHORT).await.unwrap_err();
    assert!(matches!(error, Error::GuestTimeout { .. }) && error.is_timeout() && error.is_transient());
    let said = error.to_string();
    for essential in [
        "web had no address",
        "agent: ",
        "not responding",
        "leases: no address yet",
        "ARP table: no answer yet",
        "300ms",
    ] {
        assert!(said.contains(essential), "{essential:?} is expected in: {said}");
    }
}

#[tokio::test]
async fn where_no_address_can_come_nobody_waits() {
    let daemon = Daemon::start(|asked| match asked {
        Asked::Addresses(Source::AGENT) => Answer::Error(ARGUMENT_UNSUPPORTED, "agent is not configured"),
        Asked::Addresses(Source::LEASE) => interfaces(&[]),
        Asked::Addresses(_) => Answer::Error(INTERNAL_ERROR, "internal error: wrong nlmsg len"),
        Asked::Other(remote::Procedure::DOMAIN_GET_XML_DESC) => xml("<domain><devices></devices></domain>"),
        other => panic!("{other:?}"),
    })
    .await;
    let error = daemon.domain.wait_for_address(LONG).await.unwrap_err();
    assert!(error.is_unsupported(), "{error:?}");
    let said = error.to_string();
    for essential in
        ["web cannot have an address", "not configured", "no interface is in one of libvirt's networks"]
    {
        assert!(said.contains(essential), "{essential:?} is expected in: {said}");
    }
}

#[tokio::test]
async fn what_all_sources_know_is_joined() {
    let daemon = addressed(|source| match source {
        Source::AGENT => interfaces(IN_THE_GUEST),
        Source::LEASE => interfaces(LEASED),
        _ => Answer::Error(INTERNAL_ERROR, "internal error: wrong nlmsg len"),
    })
    .await;
    let all = daemon.domain.addresses().await.unwrap();
    let shown: Vec<_> = all.iter().map(|one| format!("{} {}", one.interface, one.address)).collect();
    assert_eq!(shown, ["docker0 172.17.0.1", "eth0 fe80::1", "eth0 2001:db8::9", "eth0 192.168.122.9"]);
    assert_eq!(all[3].sources, [Source::AGENT, Source::LEASE]);
    assert!(daemon.errors.lock().unwrap().is_empty());

    let daemon = Daemon::start(|_| Answer::Error(OPERATION_INVALID, "domain is not running")).await;
    let error = daemon.domain.addresses().await.unwrap_err();
    assert!(error.is_invalid_state(), "{error}");
    assert_eq!(*daemon.errors.lock().unwrap(), [error.to_string()]);
}
