//! Authentication over the local socket.

use std::path::Path;

use libvirt_client::{
    Connection, Error, ErrorCode,
    protocol::remote,
    rpc::{Client, Config},
    transport::unix,
};
use tracing::Instrument;

use crate::{
    TEST,
    support::{Daemon, daemon::through_socket, inside, live},
};

/// What polkit asks its rules about, for the socket of writers.
const MAY_MANAGE: &str = "\
polkit.addRule(function(action, subject) {
    if (action.id == 'org.libvirt.unix.manage' && subject.user == 'nobody') return polkit.Result.YES;
});";

fn polkit(rules: &str) -> Daemon {
    Daemon::builder()
        .setting("auth_unix_rw", "polkit")
        .setting("auth_unix_ro", "polkit")
        .polkit(rules)
        .start()
}

#[test]
fn polkit_lets_in_whom_its_rules_allow() {
    let name = "auth::polkit_lets_in_whom_its_rules_allow";
    inside::as_nobody(
        name,
        || polkit(MAY_MANAGE),
        async |socket| {
            let connection = Connection::open(through_socket(TEST, Path::new(&socket))).await.unwrap();
            let domain = connection.domain_by_name("test").await.unwrap();
            domain.destroy().await.unwrap();
            assert_eq!(domain.state().await.unwrap().state.0, 5);
        },
    );
}

#[test]
fn polkit_refuses_whom_its_rules_do_not_allow() {
    let name = "auth::polkit_refuses_whom_its_rules_do_not_allow";
    inside::as_nobody(
        name,
        || polkit(""),
        async |socket| {
            let error = Connection::open(through_socket(TEST, Path::new(&socket))).await.unwrap_err();
            assert_eq!(error.code(), Some(ErrorCode::AUTH_UNAVAILABLE), "{error:?}");
            assert_eq!(error.code(), Some(ErrorCode(94)));
            assert!(error.is_auth() && !error.is_read_only(), "{error:?}");
            let said = error.to_string();
            assert!(said.contains("no polkit agent") && said.contains("org.libvirt.unix.manage"), "{said}");
            assert!(said.contains("pkttyagent"), "what to do: {said}");
        },
    );
}

#[test]
fn polkit_lets_everybody_read() {
    let name = "auth::polkit_lets_everybody_read";
    inside::as_nobody(
        name,
        || polkit(""),
        async |socket| {
            let socket = format!("{socket}-ro");
            let connection = Connection::open(through_socket(TEST, Path::new(&socket))).await.unwrap();
            let domain = connection.domain_by_name("test").await.unwrap();
            assert_eq!(domain.state().await.unwrap().state.0, 1);
            assert_eq!(domain.destroy().await.unwrap_err().code(), Some(ErrorCode::OPERATION_DENIED));
        },
    );
}

#[test]
fn what_the_daemon_does_not_offer_is_said() {
    live(async {
        let daemon = Daemon::start();
        let uri = daemon.uri(TEST) + "&auth=polkit";
        let error = Connection::open(uri).await.unwrap_err();
        assert!(matches!(error, Error::Auth(_)), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("polkit") && said.contains("offers none"), "asked for and offered: {said}");
    });
}

/// The connection has no such mechanism, and says so. Its procedures are there, and the daemon answers them.
#[test]
fn sasl_is_asked_for_and_answered() {
    live(async {
        let daemon = Daemon::builder().sasl("login").start();
        let error = Connection::open(daemon.uri(TEST)).await.unwrap_err();
        assert!(matches!(&error, Error::Auth(why) if why.contains("sasl")), "{error}");

        // Whoever makes a connection by hand says what it is to.
        let span = tracing::info_span!("connection", uri = TEST);
        let (open, client) = log_in(&daemon, "secret").instrument(span).await;
        open.unwrap();
        let hostname = client.call(remote::ConnectGetHostnameArgs).await.unwrap().hostname;
        assert_eq!(hostname, daemon.shell("hostname"));

        let (refused, _) = log_in(&daemon, "guess").await;
        let refused = refused.unwrap_err();
        assert!(refused.is_auth(), "{refused}");
        assert_eq!(refused.code(), Some(ErrorCode::AUTH_FAILED));
    });
}

/// Gives user and password by the mechanism LOGIN, a step each, and opens the simulated hypervisor.
async fn log_in(daemon: &Daemon, password: &str) -> (Result<(), Error>, Client) {
    let client = Client::start(unix::connect(&daemon.socket()).await.unwrap(), &Config::default());
    let offered = client.call(remote::AuthListArgs).await.unwrap().types;
    assert_eq!(offered, [remote::AuthType::SASL]);
    let init = client.call(remote::AuthSaslInitArgs).await.unwrap();
    assert_eq!(init.mechlist, "LOGIN");
    let mech = init.mechlist;
    let begun = client.call(remote::AuthSaslStartArgs { mech, nil: 1, data: Vec::new() }).await.unwrap();
    assert_eq!((begun.complete, begun.data.as_slice()), (0, b"Username:".as_slice()));
    let step = |text: &str| remote::AuthSaslStepArgs { nil: 0, data: text.as_bytes().to_vec() };
    let asked = client.call(step("fred")).await.unwrap();
    assert_eq!((asked.complete, asked.data.as_slice()), (0, b"Password:".as_slice()));
    let done = match client.call(step(password)).await {
        Ok(done) => done,
        Err(error) => return (Err(error), client),
    };
    assert_eq!(done.complete, 1);
    let name = Some(TEST.to_owned());
    (client.call(remote::ConnectOpenArgs { name, flags: 0 }).await, client)
}
