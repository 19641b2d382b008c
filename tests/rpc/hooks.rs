//! Who is told of errors, and of which.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use libvirt_client::{
    Connection, Error,
    protocol::{Call, frame::FrameDecoder, remote},
    rpc::{ByteStream, Config, ErrorHook, EventSource, Family},
};
use tokio::io::duplex;

use super::{Daemon, hostname};

/// What a hook was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn hook(&self) -> impl Fn(&Error) + Send + Sync + 'static {
        let told = self.0.clone();
        move |error| told.lock().unwrap().push(error.to_string())
    }

    /// Returns what was told since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_is_told_once_of_each_error_that_a_caller_gets() {
    let told = Told::default();
    let mut config = Config::default();
    config.on_error = Some(ErrorHook::new(told.hook()));
    let (client, mut daemon) = Daemon::start(&config);
    let daemon = tokio::spawn(async move {
        for code in [9, 9, 38] {
            let call = daemon.receive().await.unwrap();
            daemon.refuse(&call, code).await;
        }
        let call = daemon.receive().await.unwrap();
        daemon.reply(&call, &Bytes::from_static(&[0, 0, 0, 9])).await;
        let call = daemon.receive().await.unwrap();
        daemon.reply(&call, &7i32).await;
        let call = daemon.receive().await.unwrap();
        daemon.reply(&call, &remote::ConnectGetHostnameRet { hostname: "here".to_owned() }).await;
        daemon.receive().await.unwrap();
        daemon
    });
    let events = |event_id| {
        let cancel = remote::ConnectDomainEventCallbackDeregisterAnyArgs::PROCEDURE;
        let call = remote::ConnectDomainEventCallbackRegisterAnyArgs { event_id, dom: None };
        EventSource::new(&call, Family::Domain, cancel).unwrap()
    };
    let procedure = remote::ConnectGetHostnameArgs::PROCEDURE;

    let error = client.call(hostname()).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "refused");
    let error = client.call_raw(procedure, Bytes::new(), Vec::new()).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "refused, raw");
    let error = client.subscribe(events(0)).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "not subscribed");
    let error = client.call(hostname()).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "not understood");
    let name = "x".repeat(remote::STRING_MAX as usize + 1);
    let error = client.call(remote::DomainLookupByNameArgs { name }).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "not sent");

    let mut subscription = client.subscribe(events(1)).await.unwrap();
    client.call(hostname()).await.unwrap();
    assert!(told.take().is_empty(), "nothing went wrong");
    let error = client.with_timeout(Duration::from_secs(1)).call(hostname()).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "too late");
    drop(daemon.await.unwrap());
    let error = subscription.next().await.unwrap().unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "the end of the events");
    assert!(subscription.next().await.is_none());
    drop(subscription);
    let error = client.call(hostname()).await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "after the end, and nothing of what nobody gets");
}

#[tokio::test]
async fn a_hook_is_not_told_of_what_is_an_answer() {
    let told = Told::default();
    let (near, far) = duplex(64);
    tokio::spawn(Daemon { stream: far, decoder: FrameDecoder::default() }.serve_events());
    let builder = Connection::builder("unused:///").on_error(told.hook());
    let connection = builder.open_over(ByteStream(near), "test:///default".to_owned()).await.unwrap();
    assert!(connection.find_domain_by_name("nobody").await.unwrap().is_none());
    assert!(told.take().is_empty());
    let error = connection.domain_by_name("nobody").await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()]);
    connection.close().await.unwrap();
    assert!(told.take().is_empty());
}

#[tokio::test]
async fn a_hook_is_told_once_of_an_opening_that_fails() {
    let told = Told::default();
    let (near, far) = duplex(64);
    let mut daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
    tokio::spawn(async move {
        while let Some(call) = daemon.receive().await {
            daemon.refuse(&call, 45).await;
        }
    });
    let builder = Connection::builder("unused:///").on_error(told.hook());
    let error = builder.clone().open_over(ByteStream(near), None).await.unwrap_err();
    assert!(error.is_auth(), "{error:?}");
    assert_eq!(told.take(), [error.to_string()]);
    let error = builder.open().await.unwrap_err();
    assert_eq!(told.take(), [error.to_string()], "without any call");
}

#[tokio::test]
async fn a_hook_that_panics_breaks_only_its_own_task() {
    let mut config = Config::default();
    config.on_error = Some(ErrorHook::new(|error| panic!("on purpose: {error}")));
    let (client, mut daemon) = Daemon::start(&config);
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.call(hostname()).await.map(drop) }
    });
    let call = daemon.receive().await.unwrap();
    daemon.refuse(&call, 9).await;
    assert!(asking.await.unwrap_err().is_panic());
    tokio::spawn(daemon.serve_hostnames());
    assert_eq!(client.call(hostname()).await.unwrap().hostname, "host-1");
}
