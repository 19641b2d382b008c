//! Our client makes the recorded calls, and gets the recorded answers.
//!
//! The test is the daemon: it goes through a recording frame by frame. For each call it lets the client make the
//! same one, from the decoded arguments, and compares what arrives; it sends what the daemon sent, under the
//! client's serials, and compares what the client makes of it.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::OnceLock,
    time::Duration,
};

use bytes::Bytes;
use libvirt_client::{
    CloseReason, Error, RemoteError,
    protocol::{Call, CallVisitor, ProcedureInfo, WireType, keepalive, net, qemu, remote, visit_call},
    rpc::{ByteStream, Client, Config, EventSource, Family, Notice, Stream, Subscription},
    testing::{Body, Direction, Message, RecordedFrame, Recording},
    xdr,
};
use tokio::task::JoinHandle;

use super::recordings::{self, Report};

mod peer;
mod streams;

use peer::Peer;

/// The types of frames that go over streams.
const STREAM: u32 = 3;
const STREAM_HOLE: u32 = 6;

/// Nothing here takes long, unless it never happens.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let counted = [
            "calls",
            "replies",
            "errors",
            "events delivered",
            "events to nobody",
            "pings",
            "frames of streams",
        ];
        let mut report = Report::new("made by our client", &counted);
        for (name, recording) in recordings::all() {
            // A runtime for each, so that nothing of one recording is left when the next begins.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(play(name, recording, &mut report));
        }
        report
    })
}

async fn play(name: &str, recording: &Recording, report: &mut Report) {
    let mut config = Config::default();
    config.in_flight = 64;
    let passes_descriptors = recording.frames().iter().any(|frame| frame.descriptors() > 0);
    let (client, peer) = if passes_descriptors {
        peer::unix(&config)
    } else {
        let (near, far) = tokio::io::duplex(4096);
        (Client::start(ByteStream(near), &config), Peer::Pipe(far))
    };
    let mut play = Play {
        client,
        peer,
        report,
        running: HashMap::new(),
        streams: HashMap::new(),
        subscriptions: HashMap::new(),
        registering: 0,
        early: HashMap::new(),
    };
    for (index, frame) in recording.frames().iter().enumerate() {
        let played = match tokio::time::timeout(PATIENCE, play.frame(frame)).await {
            Ok(played) => played,
            Err(_) => Err("nothing happened for a long time".to_owned()),
        };
        if let Err(problem) = played {
            play.report.difference(name, index, format!("{frame:?}: {problem}"));
            return;
        }
    }
    if let Err(problem) = play.end().await {
        play.report.difference(name, recording.frames().len(), problem);
    }
}

struct Play<'a> {
    client: Client,
    peer: Peer,
    report: &'a mut Report,
    /// The calls without a reply, by program, procedure and recorded serial, with the serial that our client gave
    /// them.
    running: HashMap<(u32, i32, u32), (u32, Running)>,
    /// The open streams, by the same, with the serial that our client gave them.
    streams: HashMap<(u32, i32, u32), (u32, streams::Playing)>,
    subscriptions: HashMap<(Family, i32), (Subscription, VecDeque<RecordedFrame>)>,
    /// How many registrations for events have no reply.
    registering: usize,
    /// Events that came while there were such registrations, and nobody to take them.
    early: HashMap<(Family, i32), VecDeque<RecordedFrame>>,
}

enum Running {
    Typed(JoinHandle<Result<Vec<u8>, Error>>),
    Opening(JoinHandle<Result<(Vec<u8>, Stream), Error>>),
    Raw(JoinHandle<Result<(Bytes, usize), Error>>),
    Registration(Family, JoinHandle<Result<Subscription, Error>>),
    /// It was made by dropping a subscription.
    Cancellation,
}

impl Play<'_> {
    async fn frame(&mut self, frame: &RecordedFrame) -> Result<(), String> {
        let message = Message::decode(frame).map_err(|error| error.to_string())?;
        let procedure = message.procedure();
        let is_of_stream = [STREAM, STREAM_HOLE].contains(&frame.kind());
        match (frame.direction(), message.body()) {
            _ if is_of_stream => self.stream(frame, &message).await,
            (Direction::FromClient, Body::Call(_)) => self.call(frame, procedure).await,
            (Direction::FromDaemon, Body::Reply(_) | Body::Error(_)) => self.reply(frame, &message).await,
            (Direction::FromDaemon, Body::Event(_)) if procedure.program == keepalive::PROGRAM => {
                self.ping(frame).await
            }
            (Direction::FromDaemon, Body::Event(_)) => self.event(frame, procedure).await,
            _ => Ok(()),
        }
    }

    async fn call(&mut self, frame: &RecordedFrame, procedure: &'static ProcedureInfo) -> Result<(), String> {
        let running = self.start_call(frame, procedure).await?;
        let (sent, descriptors) = self.peer.receive().await.map_err(|error| error.to_string())?;
        let sent = RecordedFrame::new(Direction::FromClient, sent).map_err(|error| error.to_string())?;
        if frame.clone().with_serial(sent.serial()).bytes() != sent.bytes() {
            return Err(format!("our client sent {:02x?}", sent.bytes()));
        }
        if descriptors != frame.descriptors() {
            return Err(format!("our client sent {descriptors} descriptors"));
        }
        self.report.count("calls", 1);
        let key = (frame.program(), frame.procedure(), frame.serial());
        self.running.insert(key, (sent.serial(), running));
        Ok(())
    }

    async fn start_call(
        &mut self,
        frame: &RecordedFrame,
        procedure: &'static ProcedureInfo,
    ) -> Result<Running, String> {
        let payload = Bytes::copy_from_slice(frame.payload());
        let client = self.client.clone();
        if procedure.stream.is_some() {
            return Running::open(client, frame, payload);
        }
        if frame.descriptors() > 0 || may_pass_descriptors(procedure) {
            let descriptors = peer::descriptors(frame.descriptors());
            let arguments = if frame.descriptors() > 0 { payload.slice(4..) } else { payload };
            return Ok(Running::Raw(tokio::spawn(async move {
                let reply = client.call_raw(procedure, arguments, descriptors).await?;
                Ok((reply.payload, reply.descriptors.len()))
            })));
        }
        if let Some((family, cancel)) = registers(procedure) {
            self.registering += 1;
            let visitor = Subscribe { client, payload, family, cancel };
            let subscribing = visit_call(frame.program(), frame.procedure(), visitor).unwrap();
            return Ok(Running::Registration(family, subscribing));
        }
        if let Some(family) = cancels(procedure) {
            let id = i32::from_be_bytes(*payload.first_chunk().unwrap());
            if let Some((subscription, expected)) = self.subscriptions.remove(&(family, id)) {
                self.take_events(subscription, expected).await?;
                return Ok(Running::Cancellation);
            }
        }
        let visitor = MakeCall { client, payload };
        Ok(Running::Typed(visit_call(frame.program(), frame.procedure(), visitor).unwrap()))
    }

    async fn reply(&mut self, frame: &RecordedFrame, message: &Message) -> Result<(), String> {
        let key = (frame.program(), frame.procedure(), frame.serial());
        let (serial, running) = self.running.remove(&key).ok_or("no such call is running")?;
        self.peer.send(&frame.clone().with_serial(serial)).await.map_err(|error| error.to_string())?;

        let payload = if frame.descriptors() > 0 { &frame.payload()[4..] } else { frame.payload() };
        let refused = match running {
            Running::Opening(opening) => return self.opened(frame, message, serial, opening).await,
            Running::Cancellation => {
                self.report.count("replies", 1);
                return Ok(());
            }
            Running::Typed(call) => match call.await.unwrap() {
                Ok(reply) if reply == payload => None,
                Ok(reply) => return Err(format!("our client understood {reply:02x?}")),
                Err(error) => Some(error),
            },
            Running::Raw(call) => match call.await.unwrap() {
                Ok((reply, descriptors)) if reply == payload && descriptors == frame.descriptors() => None,
                Ok((reply, descriptors)) => {
                    return Err(format!("our client took {reply:02x?} and {descriptors} descriptors"));
                }
                Err(error) => Some(error),
            },
            Running::Registration(family, subscribing) => {
                self.registering -= 1;
                match subscribing.await.unwrap() {
                    Ok(subscription) => {
                        let id = i32::from_be_bytes(*payload.first_chunk().unwrap());
                        let expected = self.early.remove(&(family, id)).unwrap_or_default();
                        self.subscriptions.insert((family, id), (subscription, expected));
                        None
                    }
                    Err(error) => Some(error),
                }
            }
        };
        match (message.body(), refused) {
            (Body::Error(expected), Some(error)) => {
                self.report.count("errors", 1);
                compare_error(expected, &error)
            }
            (_, None) => {
                self.report.count("replies", 1);
                Ok(())
            }
            (_, Some(error)) => Err(format!("our client understood {error}")),
        }
    }

    async fn event(&mut self, frame: &RecordedFrame, procedure: &ProcedureInfo) -> Result<(), String> {
        self.peer.send(frame).await.map_err(|error| error.to_string())?;
        let id = || i32::from_be_bytes(*frame.payload().first_chunk().unwrap());
        let Some(key) = family_of(procedure).map(|family| (family, id())) else {
            {
                self.report.count("events to nobody", 1);
                return Ok(());
            }
        };
        match self.subscriptions.get_mut(&key) {
            Some((_, expected)) => expected.push_back(frame.clone()),
            None if self.registering > 0 => self.early.entry(key).or_default().push_back(frame.clone()),
            None => self.report.count("events to nobody", 1),
        }
        Ok(())
    }

    /// The client answers pings at once, whatever else goes on.
    async fn ping(&mut self, frame: &RecordedFrame) -> Result<(), String> {
        self.peer.send(frame).await.map_err(|error| error.to_string())?;
        if frame.procedure() != keepalive::Procedure::PING.0 {
            return Ok(());
        }
        let (sent, _) = self.peer.receive().await.map_err(|error| error.to_string())?;
        let mut pong = frame.bytes().to_vec();
        pong[15] = 2;
        self.report.count("pings", 1);
        if sent == pong { Ok(()) } else { Err(format!("our client answered {sent:02x?}")) }
    }

    async fn take_events(
        &mut self,
        mut subscription: Subscription,
        expected: VecDeque<RecordedFrame>,
    ) -> Result<(), String> {
        for frame in expected {
            match subscription.next().await {
                Some(Ok(Notice::Event(event)))
                    if event.payload == frame.payload() && event.procedure == frame.procedure() =>
                {
                    self.report.count("events delivered", 1);
                }
                other => return Err(format!("instead of {frame:?} the subscription gave {other:?}")),
            }
        }
        Ok(())
    }

    /// All events are taken, and the client hears that the daemon hangs up.
    async fn end(&mut self) -> Result<(), String> {
        for (_, (subscription, expected)) in std::mem::take(&mut self.subscriptions) {
            let taken = tokio::time::timeout(PATIENCE, self.take_events(subscription, expected));
            taken.await.map_err(|_| "an event never came")??;
        }
        if let Some(reason) = self.client.close_reason() {
            return Err(format!("the connection ended early: {reason}"));
        }
        self.peer.hang_up().await.map_err(|error| error.to_string())?;
        match in_time(self.client.closed()).await? {
            // After the goodbye the daemon hangs up because we asked for it.
            CloseReason::Eof | CloseReason::Client => Ok(()),
            reason => Err(format!("the connection ended: {reason}")),
        }
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| "nothing happened for a long time".to_owned())
}

/// Decodes the arguments, and makes the call with them.
struct MakeCall {
    client: Client,
    payload: Bytes,
}

impl CallVisitor for MakeCall {
    type Output = JoinHandle<Result<Vec<u8>, Error>>;

    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        let arguments: C = xdr::from_bytes(&self.payload).unwrap();
        tokio::spawn(async move { Ok(xdr::to_vec(&self.client.call(arguments).await?).unwrap()) })
    }
}

/// Decodes the arguments, and registers for events with them.
struct Subscribe {
    client: Client,
    payload: Bytes,
    family: Family,
    cancel: &'static ProcedureInfo,
}

impl CallVisitor for Subscribe {
    type Output = JoinHandle<Result<Subscription, Error>>;

    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        let arguments: C = xdr::from_bytes(&self.payload).unwrap();
        tokio::spawn(async move {
            let source = EventSource::new(&arguments, self.family, self.cancel)?;
            self.client.subscribe(source).await
        })
    }
}

const FAMILIES: [(&str, &str, &str, Family); 6] = [
    (
        "DOMAIN_EVENT_CALLBACK_",
        "DOMAIN_EVENT_CALLBACK_REGISTER_ANY",
        "DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY",
        Family::Domain,
    ),
    ("NETWORK_EVENT_", "NETWORK_EVENT_REGISTER_ANY", "NETWORK_EVENT_DEREGISTER_ANY", Family::Network),
    (
        "STORAGE_POOL_EVENT_",
        "STORAGE_POOL_EVENT_REGISTER_ANY",
        "STORAGE_POOL_EVENT_DEREGISTER_ANY",
        Family::StoragePool,
    ),
    (
        "NODE_DEVICE_EVENT_",
        "NODE_DEVICE_EVENT_REGISTER_ANY",
        "NODE_DEVICE_EVENT_DEREGISTER_ANY",
        Family::NodeDevice,
    ),
    ("SECRET_EVENT_", "SECRET_EVENT_REGISTER_ANY", "SECRET_EVENT_DEREGISTER_ANY", Family::Secret),
    (
        "DOMAIN_MONITOR_EVENT",
        "DOMAIN_MONITOR_EVENT_REGISTER",
        "DOMAIN_MONITOR_EVENT_DEREGISTER",
        Family::QemuMonitor,
    ),
];

/// Returns the family whose events the procedure registers for, and what cancels that.
fn registers(procedure: &ProcedureInfo) -> Option<(Family, &'static ProcedureInfo)> {
    let name = procedure.short_name().strip_prefix("CONNECT_")?;
    let (.., cancel, family) = FAMILIES.iter().find(|(_, register, ..)| *register == name)?;
    let cancel = format!("CONNECT_{cancel}");
    let of_remote = (1..1000).filter_map(|number| remote::Procedure(number).info());
    let of_qemu = (1..100).filter_map(|number| qemu::Procedure(number).info());
    let cancel = of_remote.chain(of_qemu).find(|info| info.short_name() == cancel).unwrap();
    Some((*family, cancel))
}

fn cancels(procedure: &ProcedureInfo) -> Option<Family> {
    let name = procedure.short_name().strip_prefix("CONNECT_")?;
    FAMILIES.iter().find(|(_, _, cancel, _)| *cancel == name).map(|(.., family)| *family)
}

/// Returns the family of an event that starts with a callback id.
fn family_of(procedure: &ProcedureInfo) -> Option<Family> {
    let name = procedure.short_name();
    // Domain events that were added after callback ids lack CALLBACK in their names.
    let is_domain = name.starts_with("DOMAIN_EVENT_") && procedure.has_callback_id;
    let named = FAMILIES.iter().find(|(prefix, ..)| name.starts_with(prefix)).map(|(.., family)| *family);
    named.or(is_domain.then_some(Family::Domain))
}

fn may_pass_descriptors(procedure: &ProcedureInfo) -> bool {
    ["DOMAIN_OPEN_GRAPHICS_FD", "DOMAIN_OPEN_NAMESPACE", "DOMAIN_MONITOR_COMMAND_WITH_FILES"]
        .contains(&procedure.short_name())
}

fn compare_error(expected: &net::MessageError, error: &Error) -> Result<(), String> {
    let Error::Remote(error) = error else { return Err(format!("our client understood {error}")) };
    let error: &RemoteError = error;
    let about_domain =
        error.about_domain.as_ref().map(|about| (about.name.clone(), about.uuid, about.id.unwrap_or(-1)));
    let about_network = error.about_network.as_ref().map(|about| (about.name.clone(), about.uuid));
    let ours = (
        (error.code.0, error.domain.0, error.level.0, &error.message),
        (about_domain, about_network),
        (&error.strings, error.numbers),
    );
    let theirs = (
        (expected.code, expected.domain, expected.level, &expected.message),
        (
            expected.dom.clone().map(|domain| (domain.name, domain.uuid, domain.id)),
            expected.net.clone().map(|network| (network.name, network.uuid)),
        ),
        (
            &[expected.str1.clone(), expected.str2.clone(), expected.str3.clone()],
            [expected.int1, expected.int2],
        ),
    );
    if ours == theirs { Ok(()) } else { Err(format!("our client understood {error:?}")) }
}
