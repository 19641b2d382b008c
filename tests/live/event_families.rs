//! Events of all families on the simulated hypervisor: what we receive and what libvirt's Python binding receives of the
//! same acts; the daemon's filter; daemons that know no callback ids.

use std::{fs, time::Duration};

use libvirt_client::{
    CloseReason, Connection, Event,
    enums::{ConnectCloseReason, DomainEventId},
    events::{ConnectionEvent, DomainEvent, Events, NetworkEvent, NodeDeviceEvent, StoragePoolEvent},
    protocol::{
        frame::FrameDecoder,
        net::{MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::ByteStream,
    xdr::to_vec,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::UnixStream,
};

use crate::{
    TEST,
    support::{Daemon, live, wait_until},
    test_domain,
};

/// Prints each event as family, object, number of the event and number of its detail.
const LISTENER: &str = "\
connection.domainEventRegisterAny(None, 0, lambda c, o, event, detail, _: print('domain', o.name(), event, detail), None)
connection.networkEventRegisterAny(None, 0, lambda c, o, event, detail, _: print('network', o.name(), event, detail), None)
connection.storagePoolEventRegisterAny(None, 0, lambda c, o, event, detail, _: print('pool', o.name(), event, detail), None)
connection.storagePoolEventRegisterAny(None, 1, lambda c, o, _: print('pool', o.name(), 'refresh'), None)
connection.nodeDeviceEventRegisterAny(None, 0, lambda c, o, event, detail, _: print('device', o.name(), event, detail), None)
print('ready')
while True: libvirt.virEventRunDefaultImpl()";

/// Writes an event as the listener does.
fn line(event: Event) -> String {
    match event {
        Event::Domain(DomainEvent::Lifecycle { domain, event, detail }) => {
            format!("domain {} {} {}", domain.name(), event.0, detail.number())
        }
        Event::Network(NetworkEvent::Lifecycle { network, event, detail }) => {
            format!("network {} {} {detail}", network.name(), event.0)
        }
        Event::StoragePool(StoragePoolEvent::Lifecycle { storage_pool, event, detail }) => {
            format!("pool {} {} {detail}", storage_pool.name(), event.0)
        }
        Event::StoragePool(event) => format!("pool {} refresh", event.storage_pool().name()),
        Event::NodeDevice(NodeDeviceEvent::Lifecycle { node_device, event, detail }) => {
            format!("device {} {} {detail}", node_device.name(), event.0)
        }
        other => panic!("not asked for: {other:?}"),
    }
}

async fn next(events: &mut Events) -> String {
    line(events.next().await.unwrap().unwrap())
}

/// Nothing more comes, for as long as it takes to be sure.
async fn expect_silence(events: &mut Events) {
    let extra = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
    assert!(extra.is_err(), "{extra:?}");
}

const NETWORK: &str = "<network><name>inner</name><ip address='10.1.0.1' netmask='255.255.255.0'/></network>";
const POOL: &str = "<pool type='dir'><name>images</name><target><path>/images</path></target></pool>";
const DEVICE: &str = "<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>\
                      <wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>";

#[test]
fn events_of_all_families_are_those_that_others_receive() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        // The kinds that this driver has; of the others the daemon says that it has none.
        let mut events = connection.events().all().subscribe().await.unwrap();
        let heard = daemon.directory().join("heard");
        let _listener = daemon.spawn_python(TEST, LISTENER, &heard);
        let heard = || fs::read_to_string(&heard).unwrap();
        wait_until(|| heard().starts_with("ready\n")).await;

        let virsh = |arguments: &[&str]| daemon.virsh(TEST, arguments);
        let file = |name: &str, xml: &str| daemon.file(name, xml).display().to_string();
        virsh(&["define", &file("domain", &test_domain("web"))]);
        virsh(&["net-define", &file("network", NETWORK)]);
        virsh(&["net-start", "inner"]);
        virsh(&["pool-define", &file("pool", POOL)]);
        virsh(&["pool-start", "images"]);
        virsh(&["pool-refresh", "images"]);
        let device = connection.create_node_device(DEVICE).await.unwrap();
        device.destroy().await.unwrap();
        virsh(&["net-destroy", "inner"]);
        virsh(&["start", "web"]);

        wait_until(|| heard().contains("domain web 2 0\n")).await;
        let mut ours = String::from("ready\n");
        while ours.lines().count() < heard().lines().count() {
            ours += &next(&mut events).await;
            ours.push('\n');
        }
        assert_eq!(ours, heard());
        for family in ["domain", "network", "pool", "device"] {
            assert!(ours.contains(family), "{ours}");
        }
        expect_silence(&mut events).await;
    });
}

#[test]
fn the_daemon_leaves_out_what_was_not_asked_for() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let [first, second, third] =
            ["first", "second", "third"].map(|name| connection.define_domain(test_domain(name)));
        let (first, second, third) = (first.await.unwrap(), second.await.unwrap(), third.await.unwrap());
        let mut one = first.events().domain_lifecycle().subscribe().await.unwrap();
        let mut two = connection
            .events()
            .of_domain(&first)
            .of_domain(&second)
            .domain_lifecycle()
            .subscribe()
            .await
            .unwrap();
        let mut networks =
            connection.events().of_domain(&first).network_lifecycle().subscribe().await.unwrap();

        for domain in [&third, &second, &first] {
            domain.start().await.unwrap();
        }
        // It has a number now; whoever asks for its events shares the registration all the same.
        let running = connection.domain_by_name("first").await.unwrap();
        let mut also = running.events().domain_lifecycle().subscribe().await.unwrap();
        running.suspend().await.unwrap();
        connection.network_by_name("default").await.unwrap().destroy().await.unwrap();

        assert_eq!([next(&mut one).await, next(&mut one).await], ["domain first 2 0", "domain first 3 0"]);
        for expected in ["domain second 2 0", "domain first 2 0", "domain first 3 0"] {
            assert_eq!(next(&mut two).await, expected);
        }
        assert_eq!(next(&mut also).await, "domain first 3 0");
        assert_eq!(next(&mut networks).await, "network default 3 0");
        for mut quiet in [one, two, also, networks] {
            expect_silence(&mut quiet).await;
        }
    });
}

#[test]
fn a_kind_that_the_daemon_lacks_is_refused_unless_it_is_one_of_all() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let unknown = connection.events().domain_event(DomainEventId(77)).domain_lifecycle();
        let error = unknown.subscribe().await.unwrap_err();
        assert_eq!(
            error.remote().unwrap().message.as_deref(),
            Some("internal error: unsupported event ID 77")
        );
        // The simulated hypervisor has no secrets.
        let error = connection.events().all_secret_events().subscribe().await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
        let error = connection.events().subscribe().await.unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("which events"), "{error}");
        // What was registered before the refusal came is cancelled, and can be had again.
        let mut events =
            connection.events().all_domain_events().domain_lifecycle().subscribe().await.unwrap();
        daemon.virsh(TEST, &["suspend", "test"]);
        assert_eq!(next(&mut events).await, "domain test 3 0");
    });
}

#[test]
fn the_end_of_the_daemons_own_connection_is_asked_for_again_and_again() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        // The daemon takes it once at a time, so each must be cancelled before the next.
        for _ in 0..3 {
            drop(connection.events().connection_closed().subscribe().await.unwrap());
        }
        let mut events =
            connection.events().connection_closed().domain_lifecycle().subscribe().await.unwrap();
        daemon.virsh(TEST, &["suspend", "test"]);
        assert_eq!(next(&mut events).await, "domain test 3 0");
        expect_silence(&mut events).await;
    });
}

#[test]
fn a_daemon_survives_subscriptions_that_end_with_their_connection() {
    live(async {
        let daemon = Daemon::start();
        // The libvirtd of this version crashed in one of some forty rounds when it cancelled and closed at once.
        for _ in 0..60 {
            let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
            drop(connection.events().all().subscribe().await.unwrap());
            connection.close().await.unwrap();
        }
        assert_eq!(daemon.virsh(TEST, &["list", "--name"]), "test");
    });
}

#[test]
fn daemons_without_callback_ids_are_asked_in_their_way() {
    live(async {
        let daemon = Daemon::start();
        let (near, far) = duplex(4096);
        let socket = UnixStream::connect(daemon.socket()).await.unwrap();
        let older = tokio::spawn(pretend_to_be_older(far, socket));
        let connection = Connection::builder("test:///default")
            .open_over(ByteStream(near), "test:///default".to_owned())
            .await
            .unwrap();
        let web = connection.define_domain(test_domain("web")).await.unwrap();
        let mut all = connection.events().all_domain_events().subscribe().await.unwrap();
        let mut own = web.events().domain_lifecycle().subscribe().await.unwrap();
        let error = connection.events().domain_job_completed().subscribe().await.unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("too old"), "{error}");

        daemon.virsh(TEST, &["suspend", "test"]);
        daemon.virsh(TEST, &["start", "web"]);
        assert_eq!([next(&mut all).await, next(&mut all).await], ["domain test 3 0", "domain web 2 0"]);
        assert_eq!(next(&mut own).await, "domain web 2 0");
        drop(own);
        daemon.virsh(TEST, &["suspend", "web"]);
        assert_eq!(next(&mut all).await, "domain web 3 0");
        // Registering anew waits until the cancelling is done.
        drop(all);
        drop(connection.events().domain_lifecycle().subscribe().await.unwrap());
        connection.close().await.unwrap();
        let seen = older.await.unwrap();
        for procedure in [
            remote::Procedure::CONNECT_DOMAIN_EVENT_REGISTER_ANY,
            remote::Procedure::CONNECT_DOMAIN_EVENT_DEREGISTER_ANY,
            remote::Procedure::DOMAIN_EVENT_LIFECYCLE,
        ] {
            assert!(seen.contains(&procedure.0), "{procedure:?} in {seen:?}");
        }
        for procedure in [
            remote::Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY,
            remote::Procedure::DOMAIN_EVENT_CALLBACK_LIFECYCLE,
        ] {
            assert!(!seen.contains(&procedure.0), "{procedure:?}");
        }
    });
}

/// None of the drivers here has a connection to a hypervisor that could end, so the event itself is put in on the way.
#[test]
fn the_end_of_the_daemons_own_connection_is_asked_for_once_and_told() {
    live(async {
        let daemon = Daemon::start();
        let (near, far) = duplex(4096);
        let socket = UnixStream::connect(daemon.socket()).await.unwrap();
        let carrying = tokio::spawn(announce_the_end(far, socket));
        let builder = Connection::builder("test:///default");
        let connection = builder.open_over(ByteStream(near), "test:///default".to_owned()).await.unwrap();
        drop(connection.events().connection_closed().subscribe().await.unwrap());
        let mut events = connection.events().connection_closed().subscribe().await.unwrap();
        let error = connection.hostname().await.unwrap_err();
        assert!(
            matches!(error.close_reason(), Some(CloseReason::Announced(ConnectCloseReason::EOF))),
            "{error:?}"
        );
        match events.next().await.unwrap().unwrap() {
            Event::Connection(ConnectionEvent::Closed { reason }) => {
                assert_eq!(reason, ConnectCloseReason::EOF)
            }
            other => panic!("{other:?}"),
        }
        drop((connection, events));
        let seen = carrying.await.unwrap();
        let about = |procedure: remote::Procedure| {
            let frames = seen.iter().filter(|header| header.proc == procedure.0);
            frames.map(|header| (header.type_, header.status)).collect::<Vec<_>>()
        };
        assert_eq!(
            about(remote::Procedure::CONNECT_REGISTER_CLOSE_CALLBACK),
            [(MessageType::CALL, MessageStatus::OK), (MessageType::REPLY, MessageStatus::OK)],
        );
        assert!(about(remote::Procedure::CONNECT_UNREGISTER_CLOSE_CALLBACK).is_empty());
    });
}

/// Carries frames between a client and a daemon until the client asks for the host name, which is answered with the event
/// that the daemon's own connection has ended. Returns the headers of all frames.
async fn announce_the_end(client: DuplexStream, daemon: UnixStream) -> Vec<MessageHeader> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_daemon, mut to_daemon) = daemon.into_split();
    let (mut calls, mut replies) = (FrameDecoder::default(), FrameDecoder::default());
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            open = receive(&mut from_client, &mut calls) => if !open { break },
            open = receive(&mut from_daemon, &mut replies) => if !open { break },
        }
        while let Some(mut frame) = calls.next().unwrap() {
            seen.push(frame.header);
            if frame.header.proc == remote::Procedure::CONNECT_GET_HOSTNAME.0 {
                let event = remote::Procedure::CONNECT_EVENT_CONNECTION_CLOSED.0;
                frame.header =
                    MessageHeader { proc: event, type_: MessageType::MESSAGE, serial: 0, ..frame.header };
                frame.payload =
                    to_vec(&remote::ConnectEventConnectionClosedMsg { reason: 1 }).unwrap().into();
                write_quietly(&mut to_client, &frame.encode().unwrap()).await;
            } else {
                to_daemon.write_all(&frame.encode().unwrap()).await.unwrap();
            }
        }
        while let Some(frame) = replies.next().unwrap() {
            seen.push(frame.header);
            write_quietly(&mut to_client, &frame.encode().unwrap()).await;
        }
    }
    seen
}

/// Carries frames between a client and a daemon, whose feature 14 it denies. Returns the procedures that it saw.
async fn pretend_to_be_older(client: DuplexStream, daemon: UnixStream) -> Vec<i32> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_daemon, mut to_daemon) = daemon.into_split();
    let (mut calls, mut replies) = (FrameDecoder::default(), FrameDecoder::default());
    let (mut seen, mut asked) = (Vec::new(), None);
    let question = to_vec(&remote::ConnectSupportsFeatureArgs { feature: 14 }).unwrap();
    loop {
        tokio::select! {
            open = receive(&mut from_client, &mut calls) => if !open { break },
            open = receive(&mut from_daemon, &mut replies) => if !open { break },
        }
        while let Some(frame) = calls.next().unwrap() {
            seen.push(frame.header.proc);
            if is_feature(&frame.header, MessageType::CALL) && frame.payload == question {
                asked = Some(frame.header.serial);
            }
            to_daemon.write_all(&frame.encode().unwrap()).await.unwrap();
        }
        while let Some(mut frame) = replies.next().unwrap() {
            seen.push(frame.header.proc);
            if is_feature(&frame.header, MessageType::REPLY) && Some(frame.header.serial) == asked {
                frame.payload = to_vec(&remote::ConnectSupportsFeatureRet { supported: 0 }).unwrap().into();
            }
            write_quietly(&mut to_client, &frame.encode().unwrap()).await;
        }
    }
    seen
}

fn is_feature(header: &MessageHeader, kind: MessageType) -> bool {
    header.prog == remote::PROGRAM.number
        && header.proc == remote::Procedure::CONNECT_SUPPORTS_FEATURE.0
        && header.type_ == kind
}

/// Tells whether there may be more. Dropping it loses nothing: bytes are counted only once they are there.
async fn receive(stream: &mut (impl AsyncRead + Unpin), decoder: &mut FrameDecoder) -> bool {
    // A daemon that closes with something of ours unread resets the connection.
    let count = stream.read(decoder.spare()).await.unwrap_or(0);
    decoder.advance(count);
    count > 0
}

/// Writes to a client that may have gone.
async fn write_quietly(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
}
