//! What a client does while something goes wrong, and what it should get out of it.

use std::{
    fs,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    os::unix::net::UnixStream,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, DomainEvent, Error, Event, Events, KeepaliveConfig, StorageVol, TypedParams,
    TypedValue, Waiting,
    protocol::{
        Call,
        net::{MessageStatus, MessageType},
        remote::{self, TypedParamValue},
    },
    xdr::{Decode, from_bytes},
};

use crate::{
    fault::{Fault, Side},
    frames::Frame,
    proxy::Proxy,
    support::daemon::through_socket,
    world::{DISK, World},
};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Opening,
    Info,
    Lookup,
    List,
    Parameters,
    Download,
    Upload,
    Registration,
    Events,
    FilesFrom,
    FilesTo,
    Close,
    Idle,
}

impl Phase {
    pub(crate) const ALL: [Self; 13] = [
        Self::Opening,
        Self::Info,
        Self::Lookup,
        Self::List,
        Self::Parameters,
        Self::Download,
        Self::Upload,
        Self::Registration,
        Self::Events,
        Self::FilesFrom,
        Self::FilesTo,
        Self::Close,
        Self::Idle,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Info => "call",
            Self::Lookup => "lookup",
            Self::List => "list of 1,000",
            Self::Parameters => "typed parameters",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Registration => "registration",
            Self::Events => "events",
            Self::FilesFrom => "descriptor from the daemon",
            Self::FilesTo => "descriptor to the daemon",
            Self::Close => "close",
            Self::Idle => "idle",
        }
    }

    /// What is connected to.
    fn uri(self) -> &'static str {
        match self {
            Self::Download | Self::Upload | Self::FilesFrom | Self::FilesTo => "qemu:///system",
            _ => "test:///default",
        }
    }
}

/// How long things may take, short where that is what has to happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) call: Duration,
    pub(crate) keepalive: Option<KeepaliveConfig>,
}

/// What has been done, in words that can be compared, and what it was done with.
pub(crate) struct Done {
    pub(crate) result: Result<String, Error>,
    pub(crate) connection: Option<Connection>,
    pub(crate) events: Option<Events>,
}

/// What is about to be done, and whatever it needs.
pub(crate) type Act = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Does all that comes before the phase.
pub(crate) async fn prepare(
    world: &Arc<World>,
    phase: Phase,
    proxy: &Arc<Proxy>,
    fault: Fault,
    limits: Limits,
) -> Result<Act, Error> {
    let uri = through_socket(phase.uri(), proxy.path());
    if phase == Phase::Opening {
        return Ok(Box::pin(async move {
            let builder = Connection::builder(uri).keepalive(None).open_timeout(limits.call);
            let (result, connection) = match builder.open().await {
                Ok(connection) => (Ok("open".to_owned()), Some(connection)),
                Err(error) => (Err(error), None),
            };
            Done { result, connection, events: None }
        }));
    }
    let connection = Connection::builder(uri).keepalive(None).open().await?;
    let act = act(world, phase, proxy, fault, &connection, limits.call).await?;
    if let Some(keepalive) = limits.keepalive {
        connection.client().start_keepalive(keepalive);
    }
    Ok(act)
}

async fn act(
    world: &Arc<World>,
    phase: Phase,
    proxy: &Arc<Proxy>,
    fault: Fault,
    connection: &Connection,
    limit: Duration,
) -> Result<Act, Error> {
    let limited = connection.with_timeout(limit);
    let whole = connection.clone();
    let whole = move |result| Done { result, connection: Some(whole), events: None };
    Ok(match phase {
        Phase::Info => {
            let domain = limited.domain_by_name("test").await?;
            Box::pin(async move { whole(info(&domain).await) })
        }
        Phase::Lookup => Box::pin(async move {
            let found = limited.domain_by_name("test").await;
            whole(found.map(|domain| named(&domain)))
        }),
        Phase::List => Box::pin(async move {
            let found = limited.domains().await;
            whole(found.map(|domains| domains.iter().map(named).collect::<Vec<_>>().join(" ")))
        }),
        Phase::Parameters => {
            let domain = limited.domain_by_name("test").await?;
            Box::pin(async move { whole(parameters(&domain).await) })
        }
        Phase::Download => {
            let disk = limited.volume_by_path(world.disk().display().to_string()).await?;
            Box::pin(async move { whole(download(&disk, limit).await) })
        }
        Phase::Upload => {
            let disk = limited.volume_by_path(world.target().display().to_string()).await?;
            let world = world.clone();
            fs::write(world.target(), vec![0; DISK]).unwrap();
            Box::pin(async move { whole(upload(&world, &disk, limit).await) })
        }
        Phase::Registration => Box::pin(async move {
            let (result, events) = match limited.events().domain_lifecycle().subscribe().await {
                Ok(events) => (Ok("registered".to_owned()), Some(events)),
                Err(error) => (Err(error), None),
            };
            Done { events, ..whole(result) }
        }),
        Phase::Events => {
            let events = limited.events().domain_lifecycle().subscribe().await?;
            let (world, proxy) = (world.clone(), proxy.clone());
            Box::pin(async move {
                let mut events = events;
                let result = listen(&world, &proxy, limited, &mut events).await;
                Done { events: Some(events), ..whole(result) }
            })
        }
        Phase::FilesFrom => {
            let domain = limited.domain_by_name("bios").await?;
            Box::pin(async move { whole(display(&domain).await) })
        }
        Phase::FilesTo => {
            let domain = limited.domain_by_name("bios").await?;
            Box::pin(async move {
                let file = fs::File::open("/dev/null").unwrap();
                whole(domain.associate_fds("group", [file]).await.map(|()| "handed over".to_owned()))
            })
        }
        Phase::Close => {
            drop(limited);
            let connection = connection.clone();
            Box::pin(async move {
                let result = connection.close().await.map(|()| "closed".to_owned());
                Done { result, connection: None, events: None }
            })
        }
        Phase::Idle => {
            let proxy = proxy.clone();
            Box::pin(async move { whole(idle(&proxy, fault, &limited).await) })
        }
        Phase::Opening => unreachable!("it has nothing before it"),
    })
}

async fn info(domain: &Domain) -> Result<String, Error> {
    let info = domain.info().await?;
    let time = info.cpu_time.as_nanos();
    Ok(format!("{} {} {} {} {time}", info.state.0, info.max_memory_kib, info.memory_kib, info.vcpus))
}

fn named(domain: &Domain) -> String {
    format!("{} {}", domain.name(), domain.uuid())
}

async fn parameters(domain: &Domain) -> Result<String, Error> {
    let params = TypedParams::from(domain.memory_parameters().await?);
    let params: Vec<(String, TypedValue)> = params.into_iter().collect();
    Ok(format!("{params:?}"))
}

async fn download(disk: &StorageVol, limit: Duration) -> Result<String, Error> {
    let mut download = disk.download().await?;
    let mut content = Vec::new();
    while let Some(chunk) = within(limit, async { download.next().await.transpose() }).await? {
        content.extend_from_slice(&chunk);
    }
    Ok(hashed(&content))
}

/// A piece of a stream may take as long as the connection lives, so a program that will not wait says so.
pub(crate) async fn within<T>(
    after: Duration,
    piece: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Err(Error::Timeout { what: "the next piece", after, waiting: Waiting::ForAnswer });
    tokio::time::timeout(after, piece).await.unwrap_or_else(late)
}

async fn upload(world: &World, disk: &StorageVol, limit: Duration) -> Result<String, Error> {
    let content = &world.content;
    let mut upload = disk.upload(content.len() as u64).await?;
    for piece in content.chunks(150_000) {
        within(limit, upload.write_bytes(piece.to_vec())).await?;
    }
    upload.finish().await?;
    let file = fs::read(world.target()).unwrap();
    Ok(hashed(&file[..file.len().min(DISK)]))
}

fn hashed(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{} bytes {:016x}", content.len(), hasher.finish())
}

/// Has two events happen, and returns those that have come when an answer to a later call has.
async fn listen(
    world: &World,
    proxy: &Arc<Proxy>,
    connection: Connection,
    events: &mut Events,
) -> Result<String, Error> {
    world.two_events().await;
    let proxy = proxy.clone();
    let came = move || proxy.wait_for(Side::Daemon, 2, Duration::from_secs(20));
    assert!(tokio::task::spawn_blocking(came).await.unwrap(), "the daemon tells of no events");
    let asked = connection.hostname().await;
    let mut told = Vec::new();
    loop {
        // Where the connection ends, so does the stream of events, and that says why.
        let next = match asked.as_ref().err().and_then(Error::close_reason) {
            Some(_) => events.next().await,
            None => {
                match Pin::new(&mut Box::pin(events.next())).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(next) => next,
                    Poll::Pending => break,
                }
            }
        };
        match next {
            Some(Ok(Event::Domain(DomainEvent::Lifecycle { domain, event, detail }))) => {
                told.push(format!("{} {} {}", named(&domain), event.0, detail.number()));
            }
            Some(Ok(other)) => told.push(format!("{other:?}")),
            // What was asked last was answered: this came later.
            Some(Err(error)) if asked.is_ok() && error.close_reason().is_some() => break,
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    match asked {
        Ok(_) => Ok(told.join(", ")),
        Err(error) => Err(error),
    }
}

async fn display(domain: &Domain) -> Result<String, Error> {
    let socket = domain.open_graphics_fd(0).await?;
    let greeting = tokio::task::spawn_blocking(move || {
        let mut viewer = UnixStream::from(socket);
        viewer.set_nonblocking(false).unwrap();
        viewer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut greeting = [0; 11];
        viewer.read_exact(&mut greeting).map(|()| String::from_utf8_lossy(&greeting).into_owned())
    });
    Ok(greeting.await.unwrap().unwrap_or_else(|error| error.to_string()))
}

/// Waits for what happens, and makes a call if the connection is to live on.
async fn idle(proxy: &Proxy, fault: Fault, connection: &Connection) -> Result<String, Error> {
    if fault != Fault::None {
        proxy.fire(fault);
    }
    if matches!(fault, Fault::Cut(..)) {
        return Err(Error::Closed(connection.closed().await));
    }
    connection.hostname().await.map(|_| "alive".to_owned())
}

/// Returns what a client that understands all that was said would have got. `meant` is what the daemon sent.
pub(crate) fn heard(
    phase: Phase,
    from_client: &[Frame],
    meant: &[Frame],
    from_daemon: &[Frame],
) -> Option<String> {
    match phase {
        Phase::Opening => Some("open".to_owned()),
        Phase::Info => {
            let info = reply::<remote::DomainGetInfoArgs>(from_client, from_daemon, 0)?;
            let remote::DomainGetInfoRet { state, max_mem, memory, nr_virt_cpu, cpu_time } = info;
            Some(format!("{state} {max_mem} {memory} {nr_virt_cpu} {cpu_time}"))
        }
        Phase::Lookup => {
            let found = reply::<remote::DomainLookupByNameArgs>(from_client, from_daemon, 0)?;
            Some(wire_name(&found.dom))
        }
        Phase::List => {
            let found = reply::<remote::ConnectListAllDomainsArgs>(from_client, from_daemon, 0)?;
            Some(found.domains.iter().map(wire_name).collect::<Vec<_>>().join(" "))
        }
        Phase::Parameters => {
            let found = reply::<remote::DomainGetMemoryParametersArgs>(from_client, from_daemon, 1)?;
            let params: Vec<(String, TypedValue)> =
                found.params.into_iter().map(|param| (param.field, value(param.value))).collect();
            Some(format!("{params:?}"))
        }
        Phase::Download => {
            let serial = from_client.first()?.header().serial;
            Some(hashed(&stream_data::<remote::StorageVolDownloadArgs>(from_daemon, serial, false)))
        }
        Phase::Upload => {
            let serial = from_client.first()?.header().serial;
            let mut content = stream_data::<remote::StorageVolUploadArgs>(from_client, serial, true);
            content.resize(DISK, 0);
            Some(hashed(&content))
        }
        Phase::Registration => Some("registered".to_owned()),
        Phase::Events => {
            let ours = events_in(meant).first()?.callback_id;
            let told = events_in(from_daemon).into_iter().filter(|event| event.callback_id == ours);
            Some(told.map(|event| wire_event(&event.msg)).collect::<Vec<_>>().join(", "))
        }
        Phase::FilesFrom => Some("RFB 003.008".to_owned()),
        Phase::FilesTo => Some("handed over".to_owned()),
        Phase::Close => Some("closed".to_owned()),
        Phase::Idle => Some("alive".to_owned()),
    }
}

/// Returns the answer to one of the calls of a procedure, by their order.
fn reply<C: Call>(from_client: &[Frame], from_daemon: &[Frame], number: usize) -> Option<C::Reply>
where
    C::Reply: Decode,
{
    let is_of_call = |frame: &&Frame| {
        let (header, procedure) = (frame.header(), C::PROCEDURE);
        (header.prog, header.vers, header.proc)
            == (procedure.program.number, procedure.program.version, procedure.number)
    };
    let mut serials: Vec<u32> =
        from_client.iter().filter(is_of_call).map(|frame| frame.header().serial).collect();
    serials.dedup();
    let serial = *serials.get(number)?;
    let is_reply = |frame: &&Frame| {
        let header = frame.header();
        header.serial == serial
            && header.status == MessageStatus::OK
            && matches!(header.type_, MessageType::REPLY | MessageType::REPLY_WITH_FDS)
    };
    let reply = from_daemon.iter().filter(is_of_call).find(is_reply)?;
    from_bytes(&reply.payload().to_vec().into()).ok()
}

/// Joins the data of a stream, up to where it is said that there is no more: by an empty frame, or by one that finishes it,
/// which only who is told to finish heeds.
fn stream_data<C: Call>(frames: &[Frame], serial: u32, heeds_finish: bool) -> Vec<u8> {
    let procedure = C::PROCEDURE;
    let is_of_stream = |frame: &&Frame| {
        let header = frame.header();
        (header.prog, header.vers, header.proc, header.serial)
            == (procedure.program.number, procedure.program.version, procedure.number, serial)
            && header.type_ == MessageType::STREAM
    };
    let mut content = Vec::new();
    for frame in frames.iter().filter(is_of_stream) {
        match frame.header().status {
            MessageStatus::CONTINUE if frame.payload().is_empty() => break,
            MessageStatus::CONTINUE => content.extend_from_slice(frame.payload()),
            _ if heeds_finish => break,
            _ => {}
        }
    }
    content
}

fn events_in(frames: &[Frame]) -> Vec<remote::DomainEventCallbackLifecycleMsg> {
    let is_event = |frame: &&Frame| {
        let header = frame.header();
        header.prog == remote::PROGRAM.number
            && header.proc == remote::Procedure::DOMAIN_EVENT_CALLBACK_LIFECYCLE.0
            && (header.type_, header.status) == (MessageType::MESSAGE, MessageStatus::OK)
    };
    let events = frames.iter().filter(is_event);
    events.filter_map(|frame| from_bytes(&frame.payload().to_vec().into()).ok()).collect()
}

fn wire_event(event: &remote::DomainEventLifecycleMsg) -> String {
    format!("{} {} {}", wire_name(&event.dom), event.event, event.detail)
}

fn wire_name(domain: &remote::NonnullDomain) -> String {
    format!("{} {}", domain.name, libvirt_client::Uuid::from(domain.uuid))
}

fn value(value: TypedParamValue) -> TypedValue {
    match value {
        TypedParamValue::Int(value) => TypedValue::I32(value),
        TypedParamValue::Uint(value) => TypedValue::U32(value),
        TypedParamValue::Llong(value) => TypedValue::I64(value),
        TypedParamValue::Ullong(value) => TypedValue::U64(value),
        TypedParamValue::Double(value) => TypedValue::F64(value),
        TypedParamValue::Boolean(value) => TypedValue::Bool(value != 0),
        TypedParamValue::String(value) => TypedValue::String(value),
    }
}
