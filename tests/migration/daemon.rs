//! A daemon that knows the calls of a migration, notes them, and does with each what it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use libvirt_client::{
    Builder, Connection, ErrorCode, TypedParams, TypedValue,
    protocol::{
        frame::{Frame, FrameDecoder},
        net::{MessageError, MessageHeader, MessageStatus, MessageType},
        remote::{self, Procedure},
    },
    rpc::ByteStream,
    xdr::{Decode, Encode, from_bytes, to_vec},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Notify, watch},
};

/// What a daemon does when it is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// It says no.
    Refuse(ErrorCode),
    /// It answers with bytes that are no answer.
    Nonsense,
    /// It ends the connection.
    HangUp,
    /// It does not say where the domain is to be sent to.
    NoUri,
    /// It says that the domain is paused.
    Paused,
    /// It says that the domain is backed up.
    Backup,
    /// It answers when the job is aborted, that it was.
    UntilAborted,
    /// It answers when it is let go on.
    UntilReleased,
}

/// The test's end of it.
pub(crate) struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    features: &'static [i32],
    acts: HashMap<&'static str, Act>,
    calls: Arc<Mutex<Vec<String>>>,
    /// The parameters that each phase came with.
    params: Mutex<HashMap<String, TypedParams>>,
    /// The phase that was called last, and has been noted.
    last: watch::Sender<String>,
    released: Notify,
    hung_up: Notify,
}

impl Host {
    pub(crate) async fn start(
        name: &'static str,
        features: &'static [i32],
        acts: &[(&'static str, Act)],
        calls: &Arc<Mutex<Vec<String>>>,
    ) -> (Self, Connection) {
        Self::start_with(Connection::builder("test:///default"), name, features, acts, calls).await
    }

    pub(crate) async fn start_with(
        builder: Builder,
        name: &'static str,
        features: &'static [i32],
        acts: &[(&'static str, Act)],
        calls: &Arc<Mutex<Vec<String>>>,
    ) -> (Self, Connection) {
        let shared = Arc::new(Shared {
            features,
            acts: acts.iter().copied().collect(),
            calls: calls.clone(),
            params: Mutex::default(),
            last: watch::Sender::new(String::new()),
            released: Notify::new(),
            hung_up: Notify::new(),
        });
        let (near, stream) = duplex(1 << 16);
        let daemon =
            Daemon { stream, decoder: FrameDecoder::default(), shared: shared.clone(), waiting: None };
        tokio::spawn(daemon.serve());
        // In a box: some tests have so many of these that they overflow the stack of their thread.
        let opening = Box::pin(builder.open_over(ByteStream(near), format!("test:///{name}")));
        let connection = opening.await.unwrap();
        (Self { shared }, connection)
    }

    /// Waits until a phase is called.
    pub(crate) async fn wait_for(&self, phase: &str) {
        let mut last = self.shared.last.subscribe();
        let called = last.wait_for(|last| last == phase);
        tokio::time::timeout(Duration::from_secs(20), called)
            .await
            .unwrap_or_else(|_| panic!("{phase}"))
            .unwrap();
    }

    /// Lets the call go on that waits for it.
    pub(crate) fn release(&self) {
        self.shared.released.notify_one();
    }

    /// Ends the connection.
    pub(crate) fn hang_up(&self) {
        self.shared.hung_up.notify_one();
    }

    /// Returns the parameters that a phase came with.
    pub(crate) fn params(&self, phase: &str) -> TypedParams {
        self.shared.params.lock().unwrap()[phase].clone()
    }
}

/// What is known of a call of a migration.
struct Phase {
    name: &'static str,
    /// How it is noted.
    note: String,
    flags: Option<u64>,
    cancelled: bool,
}

/// The daemon's end.
struct Daemon {
    stream: DuplexStream,
    decoder: FrameDecoder,
    shared: Arc<Shared>,
    /// A call that is answered later: when the job is aborted, or when it is let go on.
    waiting: Option<(Frame, Act)>,
}

impl Daemon {
    async fn serve(mut self) {
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                frame = receive(&mut self.stream, &mut self.decoder) => match frame {
                    Some(frame) => if !self.take(frame).await { return },
                    None => return,
                },
                () = shared.released.notified() => {
                    if let Some((call, Act::UntilReleased)) = self.waiting.take() {
                        self.answer(&call, None).await;
                    }
                }
                () = shared.hung_up.notified() => return,
            }
        }
    }

    /// Carries out a call, and tells whether the daemon goes on.
    async fn take(&mut self, call: Frame) -> bool {
        let Some(phase) = self.phase(&call) else {
            self.answer(&call, None).await;
            return true;
        };
        let name = phase.name;
        // Finish and confirm that call it off do what they do without being told anything else.
        let act = self.shared.acts.get(name).copied();
        let act = act.filter(|act| !phase.cancelled || matches!(act, Act::Refuse(_)));
        let note = match phase.flags {
            Some(flags) => format!("{} flags {flags}", phase.note),
            None => phase.note,
        };
        self.shared.calls.lock().unwrap().push(note);
        if name == "abort" {
            self.reply(&call, &()).await;
            if let Some((perform, Act::UntilAborted)) = self.waiting.take() {
                self.refuse(&perform, ErrorCode::OPERATION_ABORTED).await;
            }
        } else {
            match act {
                Some(Act::HangUp) => return false,
                Some(Act::Refuse(code)) => self.refuse(&call, code).await,
                // As daemons say that they have done so.
                None if phase.cancelled && name == "finish" => {
                    self.refuse(&call, ErrorCode::MIGRATE_FINISH_OK).await;
                }
                Some(act @ (Act::UntilAborted | Act::UntilReleased)) => self.waiting = Some((call, act)),
                act => self.answer(&call, act).await,
            }
        }
        self.shared.last.send_replace(name.to_owned());
        true
    }

    /// Reads a call of a migration.
    fn phase(&self, call: &Frame) -> Option<Phase> {
        let payload = &call.payload;
        let with = |name, note: &str, cookie: &Bytes, flags: u64, cancelled: i32| {
            let mark = if cancelled == 0 { "" } else { "!" };
            let note = format!("{note}{mark} <{}", String::from_utf8_lossy(cookie));
            Phase { name, note, flags: Some(flags), cancelled: cancelled != 0 }
        };
        let plain = |name: &'static str| Phase { name, note: name.to_owned(), flags: None, cancelled: false };
        let none = Bytes::new();
        Some(match Procedure(call.header.proc) {
            Procedure::DOMAIN_MIGRATE_BEGIN3_PARAMS => {
                let call: remote::DomainMigrateBegin3ParamsArgs = read(payload);
                self.keep("begin", call.params);
                with("begin", "begin", &none, call.flags.into(), 0)
            }
            Procedure::DOMAIN_MIGRATE_PREPARE3_PARAMS => {
                let call: remote::DomainMigratePrepare3ParamsArgs = read(payload);
                self.keep("prepare", call.params);
                with("prepare", "prepare", &call.cookie_in, call.flags.into(), 0)
            }
            Procedure::DOMAIN_MIGRATE_PERFORM3_PARAMS => {
                let call: remote::DomainMigratePerform3ParamsArgs = read(payload);
                self.keep("perform", call.params);
                let mut phase = with("perform", "perform", &call.cookie_in, call.flags.into(), 0);
                phase.note.extend(call.dconnuri.map(|uri| format!(" to {uri}")));
                phase
            }
            Procedure::DOMAIN_MIGRATE_FINISH3_PARAMS => {
                let call: remote::DomainMigrateFinish3ParamsArgs = read(payload);
                self.keep("finish", call.params);
                with("finish", "finish", &call.cookie_in, call.flags.into(), call.cancelled)
            }
            Procedure::DOMAIN_MIGRATE_CONFIRM3_PARAMS => {
                let call: remote::DomainMigrateConfirm3ParamsArgs = read(payload);
                self.keep("confirm", call.params);
                with("confirm", "confirm", &call.cookie_in, call.flags.into(), call.cancelled)
            }
            Procedure::DOMAIN_MIGRATE_BEGIN3 => {
                let call: remote::DomainMigrateBegin3Args = read(payload);
                with("begin", "begin", &none, call.flags, 0)
            }
            Procedure::DOMAIN_MIGRATE_PREPARE3 => {
                let call: remote::DomainMigratePrepare3Args = read(payload);
                assert_eq!(call.dom_xml, "<begun/>");
                with("prepare", "prepare", &call.cookie_in, call.flags, 0)
            }
            Procedure::DOMAIN_MIGRATE_PERFORM3 => {
                let call: remote::DomainMigratePerform3Args = read(payload);
                let mut phase = with("perform", "perform", &call.cookie_in, call.flags, 0);
                match (call.dconnuri, call.uri.as_deref()) {
                    (Some(uri), None) => phase.note += &format!(" to {uri}"),
                    (None, Some("tcp:there:49152")) => {}
                    (None, Some(uri)) => phase.note += &format!(" to {uri}"),
                    other => panic!("{other:?}"),
                }
                phase
            }
            Procedure::DOMAIN_MIGRATE_FINISH3 => {
                let call: remote::DomainMigrateFinish3Args = read(payload);
                assert_eq!(call.dname, "web");
                with("finish", "finish", &call.cookie_in, call.flags, call.cancelled)
            }
            Procedure::DOMAIN_MIGRATE_CONFIRM3 => {
                let call: remote::DomainMigrateConfirm3Args = read(payload);
                with("confirm", "confirm", &call.cookie_in, call.flags, call.cancelled)
            }
            Procedure::DOMAIN_MIGRATE_PREPARE2 => {
                let call: remote::DomainMigratePrepare2Args = read(payload);
                assert_eq!(call.dom_xml, "<defined/>");
                with("prepare", "prepare2", &none, call.flags, 0)
            }
            Procedure::DOMAIN_MIGRATE_PREPARE => {
                let call: remote::DomainMigratePrepareArgs = read(payload);
                with("prepare", "prepare1", &none, call.flags, 0)
            }
            Procedure::DOMAIN_MIGRATE_PERFORM => {
                let call: remote::DomainMigratePerformArgs = read(payload);
                let mut phase = with("perform", "perform", &call.cookie, call.flags, 0);
                if call.uri != "tcp:there:49152" {
                    phase.note += &format!(" to {}", call.uri);
                }
                phase
            }
            Procedure::DOMAIN_MIGRATE_FINISH2 => {
                let call: remote::DomainMigrateFinish2Args = read(payload);
                with("finish", "finish2", &call.cookie, call.flags, call.retcode)
            }
            Procedure::DOMAIN_MIGRATE_FINISH => {
                let call: remote::DomainMigrateFinishArgs = read(payload);
                with("finish", "finish1", &call.cookie, call.flags, 0)
            }
            Procedure::DOMAIN_GET_XML_DESC => {
                let call: remote::DomainGetXmlDescArgs = read(payload);
                // With secrets, as the CPU really is, and without what other versions do not know.
                let migratable = if self.shared.features.contains(&11) { 8 } else { 0 };
                assert_eq!(call.flags, 1 | 4 | migratable);
                plain("xml")
            }
            Procedure::DOMAIN_ABORT_JOB => plain("abort"),
            Procedure::DOMAIN_MIGRATE_START_POST_COPY => plain("post-copy"),
            _ => return None,
        })
    }

    fn keep(&self, phase: &str, params: Vec<remote::TypedParam>) {
        let params = params.into_iter().map(<(String, TypedValue)>::from).collect();
        self.shared.params.lock().unwrap().insert(phase.to_owned(), params);
    }

    /// Answers a call as a daemon does to which nothing happens.
    async fn answer(&mut self, call: &Frame, act: Option<Act>) {
        if act == Some(Act::Nonsense) {
            let header = MessageHeader { type_: MessageType::REPLY, ..call.header };
            return self.send(header, &u32::MAX).await;
        }
        let cookie = |text: &'static str| Bytes::from_static(text.as_bytes());
        let uri = || (act != Some(Act::NoUri)).then(|| "tcp:there:49152".to_owned());
        let moved = || remote::NonnullDomain { name: "web".to_owned(), uuid: [7; 16], id: 77 };
        let is_paused = self.shared.acts.get("state") == Some(&Act::Paused);
        let state = if is_paused { 3 } else { 1 };
        match Procedure(call.header.proc) {
            Procedure::AUTH_LIST => self.reply(call, &remote::AuthListRet { types: Vec::new() }).await,
            Procedure::CONNECT_SUPPORTS_FEATURE => {
                let asked: remote::ConnectSupportsFeatureArgs = read(&call.payload);
                let supported = self.shared.features.contains(&asked.feature).into();
                self.reply(call, &remote::ConnectSupportsFeatureRet { supported }).await;
            }
            Procedure::DOMAIN_LOOKUP_BY_NAME => {
                let dom = remote::NonnullDomain { id: 5, ..moved() };
                self.reply(call, &remote::DomainLookupByNameRet { dom }).await;
            }
            Procedure::DOMAIN_GET_STATE => {
                self.reply(call, &remote::DomainGetStateRet { state, reason: 0 }).await;
            }
            Procedure::DOMAIN_GET_INFO => {
                let (max_mem, memory, nr_virt_cpu, cpu_time) = (1, 1, 1, 1);
                let state = u8::from(is_paused) * 2 + 1;
                let info = remote::DomainGetInfoRet { state, max_mem, memory, nr_virt_cpu, cpu_time };
                self.reply(call, &info).await;
            }
            Procedure::DOMAIN_GET_XML_DESC => {
                self.reply(call, &remote::DomainGetXmlDescRet { xml: "<defined/>".to_owned() }).await;
            }
            Procedure::DOMAIN_GET_JOB_STATS => {
                let operation = if self.shared.acts.get("job") == Some(&Act::Backup) { 9_i32 } else { 5 };
                let stats = [
                    ("operation", operation.into()),
                    ("data_total", 400_u64.into()),
                    ("data_remaining", 100_u64.into()),
                    ("memory_iteration", 2_u64.into()),
                ];
                let params =
                    stats.map(|(name, value)| remote::TypedParam::from((name.to_owned(), value))).to_vec();
                self.reply(call, &remote::DomainGetJobStatsRet { type_: 2, params }).await;
            }
            Procedure::DOMAIN_MIGRATE_BEGIN3_PARAMS => {
                let (cookie_out, xml) = (cookie("begin"), "<begun/>".to_owned());
                self.reply(call, &remote::DomainMigrateBegin3ParamsRet { cookie_out, xml }).await;
            }
            Procedure::DOMAIN_MIGRATE_BEGIN3 => {
                let (cookie_out, xml) = (cookie("begin"), "<begun/>".to_owned());
                self.reply(call, &remote::DomainMigrateBegin3Ret { cookie_out, xml }).await;
            }
            Procedure::DOMAIN_MIGRATE_PREPARE3_PARAMS => {
                let (cookie_out, uri_out) = (cookie("prepare"), uri());
                self.reply(call, &remote::DomainMigratePrepare3ParamsRet { cookie_out, uri_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_PREPARE3 => {
                let (cookie_out, uri_out) = (cookie("prepare"), uri());
                self.reply(call, &remote::DomainMigratePrepare3Ret { cookie_out, uri_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_PREPARE2 => {
                let (cookie, uri_out) = (cookie("prepare"), uri());
                self.reply(call, &remote::DomainMigratePrepare2Ret { cookie, uri_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_PREPARE => {
                let (cookie, uri_out) = (cookie("prepare"), uri());
                self.reply(call, &remote::DomainMigratePrepareRet { cookie, uri_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_PERFORM3_PARAMS => {
                let cookie_out = cookie("perform");
                self.reply(call, &remote::DomainMigratePerform3ParamsRet { cookie_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_PERFORM3 => {
                let cookie_out = cookie("perform");
                self.reply(call, &remote::DomainMigratePerform3Ret { cookie_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_FINISH3_PARAMS => {
                let (dom, cookie_out) = (moved(), cookie("finish"));
                self.reply(call, &remote::DomainMigrateFinish3ParamsRet { dom, cookie_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_FINISH3 => {
                let (dom, cookie_out) = (moved(), cookie("finish"));
                self.reply(call, &remote::DomainMigrateFinish3Ret { dom, cookie_out }).await;
            }
            Procedure::DOMAIN_MIGRATE_FINISH2 => {
                self.reply(call, &remote::DomainMigrateFinish2Ret { ddom: moved() }).await;
            }
            Procedure::DOMAIN_MIGRATE_FINISH => {
                self.reply(call, &remote::DomainMigrateFinishRet { ddom: moved() }).await;
            }
            Procedure::CONNECT_OPEN
            | Procedure::DOMAIN_MIGRATE_PERFORM
            | Procedure::DOMAIN_MIGRATE_CONFIRM3
            | Procedure::DOMAIN_MIGRATE_CONFIRM3_PARAMS
            | Procedure::DOMAIN_MIGRATE_START_POST_COPY => self.reply(call, &()).await,
            _ => self.refuse(call, ErrorCode::NO_SUPPORT).await,
        }
    }

    async fn reply(&mut self, call: &Frame, body: &impl Encode) {
        let header = MessageHeader { type_: MessageType::REPLY, ..call.header };
        self.send(header, body).await;
    }

    async fn refuse(&mut self, call: &Frame, code: ErrorCode) {
        let header = MessageHeader { type_: MessageType::REPLY, status: MessageStatus::ERROR, ..call.header };
        let message = Some("no".to_owned());
        let error = MessageError { code: code.0, domain: 10, message, level: 2, ..Default::default() };
        self.send(header, &error).await;
    }

    async fn send(&mut self, header: MessageHeader, body: &impl Encode) {
        let payload = to_vec(body).unwrap().into();
        let bytes = Frame { header, payload, descriptors: Vec::new() }.encode().unwrap();
        // A client that has left does not hear it.
        let _ = self.stream.write_all(&bytes).await;
    }
}

async fn receive(stream: &mut DuplexStream, decoder: &mut FrameDecoder) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.next().unwrap() {
            return Some(frame);
        }
        let count = stream.read(decoder.spare()).await.unwrap();
        if count == 0 {
            return None;
        }
        decoder.advance(count);
    }
}

#[track_caller]
fn read<T: Decode>(payload: &Bytes) -> T {
    from_bytes(payload).unwrap()
}
