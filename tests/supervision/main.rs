//! Supervised connections to a scripted daemon that goes away and comes back: which calls are made again, what events are
//! told, and when it ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong in a test ends it")]

mod daemon;
mod losses;
mod work;

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use libvirt_client::{
    CloseReason, Connection, DomainEvent, Error, Event, Events, Waiting,
    protocol::remote::{self, Procedure},
    supervision::{LinkState, OpeningLimit, Policy},
};
use tokio::task::JoinHandle;

use self::daemon::{Act, Daemon, hasty, in_time};

/// What events of domains are registered for by.
const REGISTER: Procedure = Procedure::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY;

/// A call that must not be made twice.
fn reboot() -> remote::DomainRebootArgs {
    remote::DomainRebootArgs { dom: daemon::web(), flags: 0 }
}

/// Makes it on a task of its own.
fn calling(connection: &Connection) -> JoinHandle<Result<(), Error>> {
    let client = connection.client().clone();
    tokio::spawn(async move { client.call(reboot()).await })
}

async fn listening(connection: &Connection) -> Events {
    connection.events().domain_reboot().subscribe().await.unwrap()
}

/// Writes the next things that a stream says in words.
async fn next(events: &mut Events) -> &'static str {
    match in_time(events.next()).await {
        Some(Ok(Event::Domain(DomainEvent::Reboot { .. }))) => "reboot",
        Some(Ok(Event::Gap { .. })) => "gap",
        Some(Err(Error::Remote(_))) => "refused",
        Some(Err(Error::Interrupted { .. })) => "interrupted",
        Some(Err(Error::Closed(_))) => "closed",
        None => "end",
        other => panic!("{other:?}"),
    }
}

/// Waits for a gap, and returns when it begins.
async fn gap(events: &mut Events) -> SystemTime {
    match in_time(events.next()).await {
        Some(Ok(Event::Gap { since })) => since,
        other => panic!("{other:?}"),
    }
}

/// Has the daemon away until that was noticed, and returns when that was.
async fn absence(daemon: &mut Daemon, connection: &Connection) -> RangeInclusive<SystemTime> {
    let mut supervision = connection.supervision().unwrap();
    in_time(supervision.until_up()).await.unwrap();
    let gone = SystemTime::now();
    daemon.go_away();
    while !matches!(supervision.state(), LinkState::Down { .. }) {
        in_time(supervision.changed()).await;
    }
    let back = SystemTime::now();
    daemon.come_back();
    gone..=back
}

#[tokio::test]
async fn calls_wait_for_the_daemons_return() {
    let mut daemon = Daemon::start("calls");
    let connection = daemon.supervised().await;
    daemon.go_away();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    daemon.come_back();
    assert_eq!(in_time(waiting).await.unwrap().unwrap(), "host");
    assert_eq!(daemon.calls(Procedure::CONNECT_GET_HOSTNAME), 1);
}

#[tokio::test]
async fn a_call_without_an_answer_is_made_again_where_that_is_safe() {
    let daemon = Daemon::start("safe");
    let connection = daemon.supervised().await;
    daemon.act(Procedure::CONNECT_GET_HOSTNAME, Act::Ignore);
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await }
    });
    daemon.wait_for_calls(Procedure::CONNECT_GET_HOSTNAME, 1).await;
    daemon.act(Procedure::CONNECT_GET_HOSTNAME, None);
    daemon.hang_up();
    assert_eq!(in_time(waiting).await.unwrap().unwrap(), "host");
    assert_eq!(daemon.calls(Procedure::CONNECT_GET_HOSTNAME), 2);
}

#[tokio::test]
async fn a_call_that_the_daemon_dies_of_is_not_made_for_ever() {
    let daemon = Daemon::start("deadly");
    let connection = daemon.supervised().await;
    daemon.act(Procedure::CONNECT_GET_HOSTNAME, Act::HangUp);
    let error = in_time(connection.hostname()).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { may_have_run: true, .. }), "{error:?}");
    assert_eq!(daemon.calls(Procedure::CONNECT_GET_HOSTNAME), 4);
    assert!(in_time(connection.lib_version()).await.is_ok());
}

#[tokio::test]
async fn a_call_that_may_have_been_carried_out_is_not_made_again_where_that_does_harm() {
    let daemon = Daemon::start("unsafe");
    let connection = daemon.supervised().await;
    daemon.act(Procedure::DOMAIN_REBOOT, Act::HangUp);
    let error = in_time(connection.client().call(reboot())).await.unwrap_err();
    assert!(error.may_have_run() && error.is_transient(), "{error:?}");
    assert!(matches!(error.close_reason(), Some(CloseReason::Eof)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "REMOTE_PROC_DOMAIN_REBOOT was interrupted, and may have been carried out: \
         the connection is closed: closed by the daemon"
    );
    assert_eq!(daemon.calls(Procedure::DOMAIN_REBOOT), 1);
    daemon.act(Procedure::DOMAIN_REBOOT, None);
    in_time(connection.client().call(reboot())).await.unwrap();
}

#[tokio::test]
async fn a_call_that_the_daemon_dies_of_before_it_has_it_all_is_not_made_for_ever() {
    let daemon = Daemon::start("cut");
    let connection = daemon.supervised().await;
    daemon.cut_long_calls(true);
    // More than a socket takes at once, and not safe to repeat.
    let long = remote::DomainDefineXmlArgs { xml: "x".repeat(3 << 20) };
    let error = in_time(connection.client().call(long)).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { may_have_run: false, .. }), "{error:?}");
    assert!(matches!(error.close_reason(), Some(CloseReason::Eof)), "{error:?}");
    assert_eq!(daemon.cuts(), 4);
    assert!(in_time(connection.lib_version()).await.is_ok());
}

#[tokio::test]
async fn a_registration_that_the_daemon_dies_of_is_not_made_for_ever() {
    let daemon = Daemon::start("deadlyevent");
    let connection = daemon.supervised().await;
    daemon.act(REGISTER, Act::HangUp);
    let error = in_time(connection.events().domain_reboot().subscribe()).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { may_have_run: true, .. }), "{error:?}");
    assert_eq!(daemon.calls(REGISTER), 4);
    assert!(in_time(connection.lib_version()).await.is_ok());
}

#[tokio::test]
async fn a_registration_that_the_daemon_dies_of_is_left_out_of_the_return() {
    let mut daemon = Daemon::start("leftout");
    let connection = daemon.supervised().await;
    let mut deadly = listening(&connection).await;
    let mut networks = connection.events().network_lifecycle().subscribe().await.unwrap();
    daemon.act(REGISTER, Act::HangUp);
    let first = absence(&mut daemon, &connection).await;
    let unwatched = gap(&mut deadly).await;
    assert!(first.contains(&unwatched), "{unwatched:?}, lost during {first:?}");
    assert_eq!(next(&mut deadly).await, "interrupted");
    assert_eq!(daemon.calls(REGISTER), 1 + 4);
    // The others are there.
    assert_eq!(next(&mut networks).await, "gap");
    assert!(in_time(connection.lib_version()).await.is_ok());
    // It is tried again the next time, once.
    absence(&mut daemon, &connection).await;
    assert_eq!((next(&mut deadly).await, next(&mut deadly).await), ("gap", "interrupted"));
    assert_eq!(next(&mut networks).await, "gap");
    assert_eq!(daemon.calls(REGISTER), 1 + 4 + 1);
    daemon.act(REGISTER, None);
    absence(&mut daemon, &connection).await;
    assert_eq!(gap(&mut deadly).await, unwatched, "nothing was reported since then");
    daemon.report();
    assert_eq!(next(&mut deadly).await, "reboot");
}

#[tokio::test]
async fn a_call_that_was_not_sent_is_made_after_the_return_even_if_it_is_not_safe_to_repeat() {
    let daemon = Daemon::start("unsent");
    let connection = daemon.supervised().await;
    daemon.act(Procedure::DOMAIN_REBOOT, Act::Ignore);
    // As many as may be in flight, and one that waits for its turn.
    let sent: Vec<_> = (0..4).map(|_| calling(&connection)).collect();
    daemon.wait_for_calls(Procedure::DOMAIN_REBOOT, 4).await;
    let unsent = calling(&connection);
    tokio::task::yield_now().await;
    daemon.act(Procedure::DOMAIN_REBOOT, None);
    daemon.hang_up();
    for call in sent {
        assert!(in_time(call).await.unwrap().unwrap_err().may_have_run());
    }
    in_time(unsent).await.unwrap().unwrap();
    assert_eq!(daemon.calls(Procedure::DOMAIN_REBOOT), 5);
}

#[tokio::test]
async fn streams_of_events_have_one_gap_for_each_loss() {
    let mut daemon = Daemon::start("events");
    let connection = daemon.supervised().await;
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(listening(&connection).await);
    }
    for loss in 0..3 {
        daemon.report();
        for events in &mut all {
            assert_eq!(next(events).await, "reboot", "before loss {loss}");
        }
        daemon.go_away();
        tokio::time::sleep(Duration::from_millis(30)).await;
        daemon.come_back();
        for events in &mut all {
            assert_eq!(next(events).await, "gap", "after loss {loss}");
        }
    }
    // Equal registrations are one.
    assert_eq!(daemon.calls(REGISTER), 4);
}

#[tokio::test]
async fn what_is_asked_after_a_gap_is_answered_by_the_daemon_that_reports_from_then_on() {
    let daemon = Daemon::start("resync");
    let connection = daemon.supervised().await;
    let mut events = listening(&connection).await;
    daemon.hang_up();
    assert_eq!(next(&mut events).await, "gap");
    assert_eq!(in_time(connection.hostname()).await.unwrap(), "host");
    daemon.report();
    assert_eq!(next(&mut events).await, "reboot");
}

#[tokio::test]
async fn a_daemon_that_goes_while_events_are_registered_again_makes_no_second_gap() {
    let daemon = Daemon::start("twice");
    let connection = daemon.supervised().await;
    let mut events = listening(&connection).await;
    daemon.act(REGISTER, Act::HangUp);
    daemon.hang_up();
    daemon.wait_for_calls(REGISTER, 3).await;
    daemon.act(REGISTER, None);
    assert_eq!(next(&mut events).await, "gap");
    daemon.report();
    assert_eq!(next(&mut events).await, "reboot");
}

#[tokio::test]
async fn a_registration_that_is_refused_after_the_return_is_told_and_tried_again() {
    let mut daemon = Daemon::start("refused");
    let connection = daemon.supervised().await;
    let mut events = listening(&connection).await;
    daemon.act(REGISTER, Act::Refuse);
    let first = absence(&mut daemon, &connection).await;
    let unwatched = gap(&mut events).await;
    assert!(first.contains(&unwatched), "{unwatched:?}, lost during {first:?}");
    assert_eq!(next(&mut events).await, "refused");
    daemon.act(REGISTER, None);
    absence(&mut daemon, &connection).await;
    assert_eq!(gap(&mut events).await, unwatched, "nothing was reported since then");
    daemon.report();
    assert_eq!(next(&mut events).await, "reboot");
    let last = absence(&mut daemon, &connection).await;
    let since = gap(&mut events).await;
    assert!(last.contains(&since), "{since:?}, lost during {last:?}");
}

#[tokio::test]
async fn subscribing_waits_for_the_daemons_return_too() {
    let mut daemon = Daemon::start("subscribing");
    let connection = daemon.supervised().await;
    daemon.go_away();
    let subscribing = tokio::spawn({
        let connection = connection.clone();
        async move { listening(&connection).await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    daemon.come_back();
    let mut events = in_time(subscribing).await.unwrap();
    daemon.report();
    assert_eq!(next(&mut events).await, "reboot");
}

#[tokio::test]
async fn a_connection_can_be_there_before_its_daemon() {
    let mut daemon = Daemon::start("early");
    daemon.go_away();
    let connection = daemon.builder().supervised(hasty()).unwrap();
    let mut supervision = connection.supervision().unwrap();
    let error = loop {
        match in_time(supervision.changed()).await {
            LinkState::Down { error, attempts, .. } if attempts >= 2 => break error,
            LinkState::Down { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    daemon.come_back();
    assert_eq!(in_time(connection.hostname()).await.unwrap(), "host");
    assert!(supervision.state().is_up());
}

#[tokio::test]
async fn a_call_does_not_wait_longer_than_it_may() {
    let mut daemon = Daemon::start("late");
    let policy = hasty().wait(Duration::from_millis(100));
    let connection = daemon.builder().open().await.unwrap().supervised(policy).unwrap();
    assert!(in_time(connection.hostname()).await.is_ok());
    daemon.go_away();
    let error = in_time(connection.hostname()).await.unwrap_err();
    let Error::Interrupted { may_have_run: false, cause, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**cause, Error::Connect { .. } | Error::Closed(_)), "{error:?}");
    let hurried = connection.with_timeout(Duration::from_millis(20));
    let error = in_time(hurried.hostname()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { waiting: Waiting::ForReconnection, .. }), "{error:?}");
    let error = in_time(hurried.events().domain_reboot().subscribe()).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    daemon.come_back();
    assert_eq!(in_time(connection.with_timeout(None).hostname()).await.unwrap(), "host");
}

#[tokio::test]
async fn stopping_ends_it_for_everyone() {
    let mut daemon = Daemon::start("stop");
    let connection = daemon.supervised().await;
    let mut events = listening(&connection).await;
    daemon.go_away();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await }
    });
    tokio::task::yield_now().await;
    let mut supervision = connection.supervision().unwrap();
    supervision.stop();
    assert!(matches!(in_time(connection.closed()).await, CloseReason::Client));
    let error = in_time(waiting).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed(CloseReason::Client)), "{error:?}");
    assert_eq!((next(&mut events).await, next(&mut events).await), ("closed", "end"));
    while !matches!(in_time(supervision.changed()).await, LinkState::Ended(CloseReason::Client)) {}
    daemon.come_back();
    let opened = daemon.calls(Procedure::CONNECT_OPEN);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(daemon.calls(Procedure::CONNECT_OPEN), opened);
    assert!(in_time(connection.hostname()).await.is_err());
}

#[tokio::test]
async fn stopping_ends_calls_that_the_daemon_does_not_answer() {
    let daemon = Daemon::start("stopbusy");
    let connection = daemon.supervised().await;
    let _events = listening(&connection).await;
    daemon.act(Procedure::DOMAIN_REBOOT, Act::Ignore);
    let call = calling(&connection);
    daemon.wait_for_calls(Procedure::DOMAIN_REBOOT, 1).await;
    let conversations = daemon.conversations();
    assert_eq!(*conversations.borrow(), 1);
    connection.supervision().unwrap().stop();
    let error = in_time(call).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed(CloseReason::Client)), "{error:?}");
    in_time(conversations.clone().wait_for(|open| *open == 0)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_not_taken_into_use_is_ended() {
    let daemon = Daemon::start("unused");
    let connection = daemon.supervised().await;
    let _events = listening(&connection).await;
    daemon.act(REGISTER, Act::Ignore);
    daemon.hang_up();
    daemon.wait_for_calls(REGISTER, 2).await;
    connection.supervision().unwrap().stop();
    in_time(daemon.conversations().wait_for(|open| *open == 0)).await.unwrap();
}

#[tokio::test]
async fn a_deadline_during_a_repetition_does_not_say_that_nothing_was_done() {
    let mut daemon = Daemon::start("repetition");
    let connection = daemon.supervised().await.with_timeout(Duration::from_secs(1));
    daemon.act(Procedure::CONNECT_GET_HOSTNAME, Act::Ignore);
    let call = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await }
    });
    daemon.wait_for_calls(Procedure::CONNECT_GET_HOSTNAME, 1).await;
    daemon.go_away();
    let error = in_time(call).await.unwrap().unwrap_err();
    assert!(error.is_timeout() && error.may_have_run(), "{error:?}");
}

#[test]
fn the_end_of_the_runtime_that_supervises_is_the_end_for_all_who_wait() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (supervising, using) = (runtime(), runtime());
    let daemon = using.block_on(async { Daemon::start("runtime") });
    let connection = supervising.block_on(daemon.supervised());
    let mut events = supervising.block_on(listening(&connection));
    drop(supervising);
    using.block_on(async {
        assert!(matches!(in_time(connection.closed()).await, CloseReason::Runtime));
        assert!(matches!(in_time(connection.hostname()).await, Err(Error::Closed(CloseReason::Runtime))));
        assert_eq!(next(&mut events).await, "closed");
        drop(daemon);
    });
}

#[tokio::test]
async fn a_goodbye_over_the_connection_that_it_was_is_a_loss_like_others() {
    let daemon = Daemon::start("original");
    let original = daemon.builder().open().await.unwrap();
    let connection = original.clone().supervised(hasty()).unwrap();
    assert!(in_time(connection.hostname()).await.is_ok());
    in_time(original.close()).await.unwrap();
    assert_eq!(in_time(connection.hostname()).await.unwrap(), "host");
}

#[tokio::test]
async fn closing_says_goodbye_and_ends_it() {
    let daemon = Daemon::start("close");
    let connection = daemon.supervised().await;
    let other = connection.clone();
    let supervision = connection.supervision().unwrap();
    in_time(supervision.until_up()).await.unwrap();
    in_time(connection.close()).await.unwrap();
    assert_eq!(daemon.calls(Procedure::CONNECT_CLOSE), 1);
    assert!(matches!(in_time(other.closed()).await, CloseReason::Client));
    assert!(matches!(in_time(supervision.until_up()).await, Err(Error::Closed(CloseReason::Client))));
}

#[tokio::test]
async fn closing_while_it_is_down_does_not_wait_for_the_daemon() {
    let mut daemon = Daemon::start("closedown");
    let connection = daemon.supervised().await;
    daemon.go_away();
    let mut supervision = connection.supervision().unwrap();
    while !matches!(supervision.state(), LinkState::Down { .. }) {
        in_time(supervision.changed()).await;
    }
    in_time(connection.close()).await.unwrap();
    while !matches!(in_time(supervision.changed()).await, LinkState::Ended(_)) {}
}

#[tokio::test]
async fn without_handles_it_ends_and_with_a_stream_of_events_it_does_not() {
    let daemon = Daemon::start("handles");
    let connection = daemon.supervised().await;
    let mut events = listening(&connection).await;
    let mut supervision = connection.supervision().unwrap();
    let closed = connection.closed();
    drop(connection);
    daemon.hang_up();
    assert_eq!(next(&mut events).await, "gap");
    drop(events);
    assert!(matches!(in_time(closed).await, CloseReason::Client));
    while !matches!(in_time(supervision.changed()).await, LinkState::Ended(CloseReason::Client)) {}
}

#[tokio::test]
async fn it_is_given_up_when_the_policy_says_so() {
    let mut daemon = Daemon::start("giveup");
    let policy = hasty().give_up_after(Duration::from_millis(150));
    let connection = daemon.builder().open().await.unwrap().supervised(policy).unwrap();
    let mut events = listening(&connection).await;
    daemon.go_away();
    let error = in_time(connection.hostname()).await.unwrap_err();
    let Some(CloseReason::GivenUp { after, error: last }) = error.close_reason() else { panic!("{error:?}") };
    assert!(*after >= Duration::from_millis(150), "{after:?}");
    assert!(matches!(**last, Error::Connect { .. }), "{last:?}");
    assert!(error.is_transient());
    assert_eq!((next(&mut events).await, next(&mut events).await), ("closed", "end"));
}

#[tokio::test]
async fn a_daemon_that_lives_and_does_not_answer_is_noticed_by_asking_it() {
    let daemon = Daemon::start("health");
    let policy = hasty().health_check(Duration::from_millis(100));
    let connection = daemon.builder().open().await.unwrap().supervised(policy).unwrap();
    daemon.act(Procedure::DOMAIN_REBOOT, Act::Ignore);
    // As many as it is given at once.
    let stuck: Vec<_> = (0..4).map(|_| calling(&connection)).collect();
    daemon.wait_for_calls(Procedure::DOMAIN_REBOOT, 4).await;
    daemon.wait_for_calls(Procedure::NODE_GET_CPU_MAP, 2).await;
    assert!(stuck.iter().all(|stuck| !stuck.is_finished()), "as long as it answers, it is fine");
    daemon.act(Procedure::NODE_GET_CPU_MAP, Act::Ignore);
    for stuck in stuck {
        let error = in_time(stuck).await.unwrap().unwrap_err();
        assert!(matches!(error.close_reason(), Some(CloseReason::Unresponsive { .. })), "{error:?}");
    }
    daemon.act(Procedure::NODE_GET_CPU_MAP, None);
    assert_eq!(in_time(connection.hostname()).await.unwrap(), "host");
}

#[tokio::test]
async fn what_nobody_has_read_hides_no_daemon_that_does_not_answer() {
    let daemon = Daemon::start("unread");
    let policy = hasty().health_check(Duration::from_millis(100));
    let connection = daemon.builder().open().await.unwrap().supervised(policy).unwrap();
    let domain = connection.domain_by_name("web").await.unwrap();
    let _console = domain.open_console().await.unwrap();
    daemon.act(Procedure::DOMAIN_REBOOT, Act::Ignore);
    daemon.act(Procedure::NODE_GET_CPU_MAP, Act::Ignore);
    let error = in_time(calling(&connection)).await.unwrap().unwrap_err();
    assert!(matches!(error.close_reason(), Some(CloseReason::Unresponsive { .. })), "{error:?}");
}

#[tokio::test]
async fn what_can_never_succeed_is_refused_at_once() {
    let refused = Connection::builder("qemu+carrier-pigeon:///system").supervised(Policy::default());
    assert!(matches!(refused.unwrap_err(), Error::Uri { .. } | Error::Unsupported(_)));
}

#[tokio::test]
async fn a_mute_daemon_holds_up_the_opening_of_others_only_for_a_moment() {
    let (mute, other) = (Daemon::start("mute"), Daemon::start("other"));
    mute.act(Procedure::AUTH_LIST, Act::Ignore);
    let policy = hasty().openings(OpeningLimit::new(1));
    let stuck = mute.builder().supervised(policy.clone()).unwrap();
    mute.wait_for_calls(Procedure::AUTH_LIST, 1).await;
    let connection = other.builder().supervised(policy).unwrap();
    assert_eq!(in_time(connection.hostname()).await.unwrap(), "host");
    assert!(!stuck.supervision().unwrap().state().is_up());
}
