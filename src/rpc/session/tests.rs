use super::*;
use crate::protocol::{admin, frame::FrameDecoder, remote};
use crate::xdr::to_vec;

const HOSTNAME: &ProcedureInfo = procedure(remote::Procedure::CONNECT_GET_HOSTNAME);
const CREATE: &ProcedureInfo = procedure(remote::Procedure::DOMAIN_CREATE);

const fn procedure(number: remote::Procedure) -> &'static ProcedureInfo {
    // Procedures are numbered from 1 without a gap.
    &remote::PROCEDURES[number.0 as usize - 1]
}

fn call(
    session: &mut Session<&'static str>,
    procedure: &'static ProcedureInfo,
    waiter: &'static str,
) -> (u32, Frame) {
    let mut bytes = frame::encode(&frame::call_header(procedure, 0), 0, &()).unwrap();
    let serial = session.begin_call(procedure, &mut bytes, waiter);
    (serial, only_frame(&bytes))
}

pub(super) fn only_frame(bytes: &[u8]) -> Frame {
    let mut decoder = FrameDecoder::default();
    decoder.spare()[..bytes.len()].copy_from_slice(bytes);
    decoder.advance(bytes.len());
    let frame = decoder.next().unwrap().unwrap();
    assert!(!decoder.is_mid_frame());
    frame
}

fn reply(call: &Frame, status: MessageStatus, payload: impl Into<Bytes>) -> Frame {
    let header = MessageHeader { type_: MessageType::REPLY, status, ..call.header };
    Frame { header, payload: payload.into(), descriptors: Vec::new() }
}

fn error_payload(code: i32, domain: i32, message: Option<&str>) -> Vec<u8> {
    let message = message.map(str::to_owned);
    to_vec(&net::MessageError { code, domain, message, level: 2, ..Default::default() }).unwrap()
}

fn answered(delivery: Delivery<&'static str>) -> (&'static str, Result<Bytes, String>) {
    match delivery {
        Delivery::Reply { waiter, outcome: Ok(answer), .. } => (waiter, Ok(answer.payload)),
        Delivery::Reply { waiter, outcome: Err(Refusal::Remote(error)), .. } => {
            (waiter, Err(error.to_string()))
        }
        Delivery::Reply { waiter, outcome: Err(Refusal::Unreadable(error)), .. } => {
            (waiter, Err(error.to_string()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn replies_find_their_calls_in_any_order() {
    let mut session = Session::default();
    let (first, one) = call(&mut session, HOSTNAME, "one");
    let (second, two) = call(&mut session, CREATE, "two");
    assert_ne!(first, second);
    assert_eq!((one.header.serial, two.header.serial), (first, second));
    let delivery = session.receive(reply(&two, MessageStatus::OK, Bytes::new())).unwrap();
    assert_eq!(answered(delivery), ("two", Ok(Bytes::new())));
    let delivery = session.receive(reply(&one, MessageStatus::OK, "host")).unwrap();
    assert_eq!(answered(delivery), ("one", Ok(Bytes::from("host"))));
    assert_eq!(session.in_flight(), 0);
}

#[test]
fn serials_in_use_are_skipped_when_they_wrap() {
    let mut session = Session { next_serial: u32::MAX, ..Session::default() };
    assert_eq!(call(&mut session, HOSTNAME, "").0, u32::MAX);
    assert_eq!(call(&mut session, HOSTNAME, "").0, 0);
    session.next_serial = u32::MAX;
    assert_eq!(call(&mut session, HOSTNAME, "").0, 1);
}

#[test]
fn errors_carry_what_the_daemon_said() {
    let mut session = Session::default();
    let (_, frame) = call(&mut session, CREATE, "");
    let payload = error_payload(42, 10, Some("no domain with matching name 'x'"));
    let (_, outcome) = answered(session.receive(reply(&frame, MessageStatus::ERROR, payload)).unwrap());
    let text = outcome.unwrap_err();
    assert!(text.starts_with("no domain with matching name 'x' (REMOTE_PROC_DOMAIN_CREATE, code"), "{text}");

    let (_, frame) = call(&mut session, CREATE, "");
    let (_, outcome) =
        answered(session.receive(reply(&frame, MessageStatus::ERROR, error_payload(1, 0, None))).unwrap());
    assert!(outcome.unwrap_err().starts_with("the daemon gave no message"));

    let (_, frame) = call(&mut session, CREATE, "");
    let (_, outcome) =
        answered(session.receive(reply(&frame, MessageStatus::ERROR, Bytes::from_static(b"\0"))).unwrap());
    assert_eq!(outcome.unwrap_err(), "code: 3 more bytes expected (at byte 0)");
}

#[test]
fn an_unknown_procedure_is_told_as_unsupported() {
    for (code, domain, message, expected) in [
        (39, 7, "unknown procedure: 350", ErrorCode::NO_SUPPORT),
        (39, 13, "unknown procedure: 350", ErrorCode::NO_SUPPORT),
        (39, 7, "authentication required", ErrorCode::RPC),
        (39, 10, "unknown procedure: 350", ErrorCode::RPC),
    ] {
        let error =
            net::MessageError { code, domain, message: Some(message.to_owned()), ..Default::default() };
        let error = remote_error(CREATE, error);
        assert_eq!(error.code, expected, "{code} {domain} {message}");
        let since = (expected == ErrorCode::NO_SUPPORT).then_some("0.1.1");
        assert_eq!(error.since, since, "{code} {domain} {message}");
    }
}

#[test]
fn what_nobody_asked_for_is_left_alone() {
    let mut session = Session::<&str>::default();
    let (_, frame) = call(&mut session, CREATE, "");
    session.receive(reply(&frame, MessageStatus::OK, Bytes::new())).unwrap();
    let again = session.receive(reply(&frame, MessageStatus::OK, Bytes::new())).unwrap();
    assert!(matches!(again, Delivery::Ignored(Ignored::ReplyToNobody)), "{again:?}");
    for (kind, status) in [
        (MessageType::STREAM, MessageStatus::CONTINUE),
        (MessageType::STREAM, MessageStatus::ERROR),
        (MessageType::STREAM_HOLE, MessageStatus::CONTINUE),
    ] {
        let header = MessageHeader { type_: kind, status, ..frame.header };
        let delivery =
            session.receive(Frame { header, payload: Bytes::new(), descriptors: Vec::new() }).unwrap();
        assert!(matches!(delivery, Delivery::Ignored(Ignored::StreamOfNobody)), "{delivery:?}");
    }
}

#[test]
fn what_a_daemon_must_not_send_is_a_violation() {
    for (kind, status, proc, reason) in [
        (MessageType::CALL, MessageStatus::OK, HOSTNAME.number, "does not call"),
        (MessageType::REPLY, MessageStatus::CONTINUE, HOSTNAME.number, "does not go with"),
        (MessageType::MESSAGE, MessageStatus::ERROR, HOSTNAME.number, "does not go with"),
        (MessageType::REPLY, MessageStatus::OK, CREATE.number, "names another procedure"),
    ] {
        let mut session = Session::default();
        let (_, frame) = call(&mut session, HOSTNAME, "");
        let header = MessageHeader { type_: kind, status, proc, ..frame.header };
        let frame = Frame { header, payload: Bytes::new(), descriptors: Vec::new() };
        let violation = session.receive(frame).unwrap_err().to_string();
        assert!(violation.contains(reason), "{violation}");
        // The caller is still there to be told.
        assert_eq!(session.into_waiters().count(), 1);
    }
}

#[test]
fn events_are_delivered_whatever_they_are() {
    let mut session = Session::<&str>::default();
    for (prog, proc) in
        [(remote::PROGRAM.number, 318), (remote::PROGRAM.number, 9999), (admin::PROGRAM.number, 1), (7, 7)]
    {
        let header = MessageHeader {
            prog,
            vers: 1,
            proc,
            type_: MessageType::MESSAGE,
            serial: 1,
            status: MessageStatus::OK,
        };
        let frame = Frame { header, payload: Bytes::from_static(b"body"), descriptors: Vec::new() };
        match session.receive(frame).unwrap() {
            Delivery::Event { program, procedure, payload } => {
                assert_eq!((program, procedure, payload), (prog, proc, Bytes::from_static(b"body")));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn pings_are_answered_with_the_bytes_of_libvirts_own_client() {
    let mut session = Session::<&str>::default();
    let ping = only_frame(&keepalive_frame(keepalive::Procedure::PING));
    let Delivery::Send(pong) = session.receive(ping).unwrap() else { panic!() };
    let expected = [0x1c, 0x6b65_6570, 1, 2, 2, 0, 0].map(u32::to_be_bytes).concat();
    assert_eq!(pong, expected);
    let pong = only_frame(&pong);
    assert!(matches!(session.receive(pong).unwrap(), Delivery::Nothing));
}

#[test]
fn a_silent_daemon_is_asked_and_then_given_up() {
    let start = Instant::now();
    let second = |count| start + Duration::from_secs(count);
    let mut session = Session::<&str>::default();
    assert_eq!((session.next_tick(), session.tick(second(1000))), (None, Tick::Nothing));

    session.start_keepalive(Duration::from_secs(5), 2, start);
    assert_eq!(session.next_tick(), Some(second(5)));
    assert_eq!(session.tick(second(4)), Tick::Nothing);
    assert!(matches!(session.tick(second(5)), Tick::Send(_)));
    session.heard(second(6));
    assert_eq!(session.tick(second(10)), Tick::Nothing);
    assert!(matches!(session.tick(second(11)), Tick::Send(_)));
    assert!(matches!(session.tick(second(16)), Tick::Send(_)));
    assert_eq!(session.tick(second(20)), Tick::Nothing);
    assert_eq!(session.tick(second(21)), Tick::Dead { silence: Duration::from_secs(15) });
}

#[test]
fn a_daemon_that_is_not_listened_to_is_told_once_a_second_that_we_live() {
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let mut session = Session::<&str>::default();
    session.start_keepalive(Duration::from_secs(5), 0, start);
    let mut signs = Vec::new();
    for now in (2_000..12_000).step_by(250) {
        session.pause(at(now));
        if let Tick::Send(pong) = session.tick(at(now)) {
            assert_eq!(pong, keepalive_frame(keepalive::Procedure::PONG));
            signs.push(now);
        }
        // It need not last a second each time.
        session.resume(at(now + 100));
    }
    assert_eq!(signs, (2_000..12_000).step_by(1_000).collect::<Vec<_>>());
    // The silence that counts begins anew.
    assert_eq!(session.next_tick(), Some(at(16_850)));
}

#[test]
fn an_interval_of_zero_or_of_forever_is_never() {
    for interval in [Duration::ZERO, Duration::MAX] {
        let mut session = Session::<&str>::default();
        session.start_keepalive(interval, 5, Instant::now());
        assert_eq!(session.next_tick(), None);
    }
}

#[test]
fn bytes_that_are_not_utf8_do_not_hide_an_error() {
    let mut session = Session::default();
    let (_, frame) = call(&mut session, CREATE, "");
    let mut payload = error_payload(42, 10, Some("no domain 'x'"));
    let quote = payload.iter().position(|&byte| byte == b'x').unwrap();
    payload[quote] = 0xff;
    let (_, outcome) = answered(session.receive(reply(&frame, MessageStatus::ERROR, payload)).unwrap());
    assert!(outcome.unwrap_err().starts_with("no domain '\u{fffd}'"));
}

#[test]
fn a_count_of_zero_gives_up_at_the_first_silence() {
    let start = Instant::now();
    let mut session = Session::<&str>::default();
    session.start_keepalive(Duration::from_secs(1), 0, start);
    assert_eq!(session.tick(start + Duration::from_secs(1)), Tick::Dead { silence: Duration::from_secs(1) });
}
