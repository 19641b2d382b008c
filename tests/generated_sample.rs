//! The text that the generator's golden tests expect is compiled here and put to use: every construct of the
//! language is written, read back and refused where it must be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests stop at what they did not expect"
)]
#![allow(
    unreachable_pub,
    dead_code,
    unused_macros,
    reason = "the text is that of a library, and not all of it is used here"
)]

use bytes::Bytes;

use self::{
    protocol::{
        Call, CallVisitor, EventMessage, Priority, ProcedureInfo, ProcedureKind, SparseFlag, StreamDirection,
        TypeVisitor, WireType, other,
        sample::{self, *},
    },
    xdr::{DecodeErrorKind, from_bytes, to_vec},
};

#[cfg(feature = "serde")]
#[macro_use]
#[path = "../src/serde_impl.rs"]
mod serde_impl;

/// The emitted text refers to the crate it is part of.
mod xdr {
    pub use libvirt_client::xdr::*;
}

mod protocol {
    pub use libvirt_client::protocol::{
        Call, CallVisitor, EventMessage, Priority, ProcedureInfo, ProcedureKind, Program, SparseFlag,
        StreamDirection, TypeVisitor, WireType,
    };

    pub mod sample {
        include!("../codegen/tests/golden/sample.rs");
    }

    pub mod other {
        include!("../codegen/tests/golden/other.rs");
    }

    include!("../codegen/tests/golden/visit.rs");
}

fn read<T: WireType>(bytes: &[u8]) -> Result<T, xdr::DecodeError> {
    from_bytes(&Bytes::copy_from_slice(bytes))
}

/// What serde asks for, where the feature `serde` is on.
#[cfg(feature = "serde")]
trait Data: serde::Serialize + serde::de::DeserializeOwned {}
#[cfg(feature = "serde")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Data for T {}
#[cfg(not(feature = "serde"))]
trait Data {}
#[cfg(not(feature = "serde"))]
impl<T> Data for T {}

/// Writes a value, reads it back, and sees that nothing shorter or longer is taken for it.
#[track_caller]
fn round_trip<T: WireType + Data>(value: &T) -> Vec<u8> {
    let bytes = to_vec(value).unwrap();
    assert_eq!(read::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert!(read::<T>(&bytes[..end]).is_err(), "the first {end} bytes");
    }
    #[cfg(feature = "serde")]
    {
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&json).as_ref().unwrap(), value, "{json}");
    }
    let longer = [bytes.as_slice(), &[0; 4]].concat();
    assert_eq!(read::<T>(&longer).unwrap_err().kind(), DecodeErrorKind::Leftover { bytes: 4 });
    bytes
}

fn texts() -> Texts {
    Texts {
        name: "name".to_owned(),
        nickname: Some("nick".to_owned()),
        aliases: vec!["a".to_owned(), "bc".to_owned()],
        more: Some(vec!["more".to_owned()]),
        unlimited: "x".repeat(100),
        numbered: "12345678".to_owned(),
        bytes: vec![1, 2, 200],
        model: *b"model\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff",
        cookie: Bytes::from_static(b"cookie"),
        any: Bytes::from_static(&[7; 33]),
        uuid: [9; 16],
        digest: [8; 48],
    }
}

#[test]
fn defaults_round_trip() {
    struct Defaults(Vec<&'static str>);

    impl TypeVisitor for Defaults {
        fn visit<T: WireType>(&mut self, name: &'static str) {
            self.0.push(name);
        }
    }

    let mut visited = Defaults(Vec::new());
    protocol::visit_types(&mut visited);
    assert_eq!(visited.0.len(), 28, "{:?}", visited.0);
    round_trip(&Numbers::default());
    round_trip(&Fractions::default());
    round_trip(&Texts::default());
    round_trip(&Lists::default());
    round_trip(&Words::default());
    round_trip(&Entry::default());
    round_trip(&Tree::default());
    round_trip(&Chain::default());
    round_trip(&Holder::default());
    round_trip(&Value::default());
    round_trip(&Rest::default());
    round_trip(&Paint::default());
    round_trip(&Outer::default());
    round_trip(&Boxed::default());
    assert_eq!(to_vec(&Empty).unwrap(), [0; 0]);
    assert_eq!(read::<Empty>(&[]), Ok(Empty));
}

#[test]
fn numbers() {
    let numbers = Numbers {
        c: -1,
        uc: 255,
        s: -2,
        us: 65535,
        i: i32::MIN,
        ui: u32::MAX,
        h: i64::MIN,
        uh: u64::MAX,
        b: true,
        color: Color::DARK_GREEN,
    };
    assert_eq!(
        round_trip(&numbers),
        [
            [0xff, 0xff, 0xff, 0xff].as_slice(),
            &[0, 0, 0, 0xff],
            &[0xff, 0xff, 0xff, 0xfe],
            &[0, 0, 0xff, 0xff],
            &[0x80, 0, 0, 0],
            &[0xff, 0xff, 0xff, 0xff],
            &[0x80, 0, 0, 0, 0, 0, 0, 0],
            &[0xff; 8],
            &[0, 0, 0, 1],
            &[0, 0, 0, 0x11],
        ]
        .concat()
    );
    round_trip(&Fractions { f: 1.5, d: -0.1, q: [3; 16] });
}

#[test]
fn enums_are_open() {
    assert_eq!((Color::RED.0, Color::GREEN.0, Color::DARK_GREEN.0), (1, 16, 17));
    assert_eq!(read::<Color>(&[0, 0, 0, 2]), Ok(Color(2)));
    assert_eq!(to_vec(&Color(-7)).unwrap(), [0xff, 0xff, 0xff, 0xf9]);
    assert_eq!(format!("{:?} {:?}", Color::DARK_GREEN, Color(2)), "Color::DARK_GREEN Color(2)");
    assert_eq!(format!("{} {}", Color::DARK_GREEN, Color(2)), "dark green 2");
}

#[test]
fn constants() {
    assert_eq!((sample::STRING_MAX, sample::LIST_MAX), (16, 4));
    assert_eq!((sample::BELOW_ZERO, sample::OVER_32_BITS), (-5, 0x1_ffff_ffff));
    assert_eq!((sample::PROGRAM.number, sample::PROGRAM.version), (0x2000_9999, 2));
}

#[test]
fn texts_and_bytes() {
    let bytes = round_trip(&texts());
    let bare = Texts { nickname: None, more: None, ..texts() };
    assert!(round_trip(&bare).len() < bytes.len());
}

#[test]
fn bounds_hold_in_both_directions_and_have_names() {
    let too_long = |change: fn(&mut Texts)| {
        let mut value = texts();
        change(&mut value);
        to_vec(&value).unwrap_err().to_string()
    };
    assert_eq!(
        too_long(|texts| texts.name = "x".repeat(17)),
        "name: length 17 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX)"
    );
    assert_eq!(
        too_long(|texts| texts.nickname = Some("x".repeat(17))),
        "nickname: length 17 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX)"
    );
    assert_eq!(
        too_long(|texts| texts.aliases = vec![String::new(); 5]),
        "aliases: length 5 exceeds the protocol's limit of 4 (SAMPLE_LIST_MAX)"
    );
    assert_eq!(
        too_long(|texts| texts.more = Some(vec![String::new(), "x".repeat(18)])),
        "more[1]: length 18 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX)"
    );
    assert_eq!(
        too_long(|texts| texts.numbered = "x".repeat(9)),
        "numbered: length 9 exceeds the protocol's limit of 8 (8)"
    );
    assert_eq!(
        too_long(|texts| texts.bytes = vec![0; 5]),
        "bytes: length 5 exceeds the protocol's limit of 4 (SAMPLE_LIST_MAX)"
    );
    assert_eq!(
        too_long(|texts| texts.cookie = Bytes::from_static(&[0; 17])),
        "cookie: length 17 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX)"
    );

    let error = read::<Texts>(&[0, 0, 0, 17]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "name: length 17 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX) (at byte 0)"
    );
    let error = read::<Lists>(&[0, 0, 0, 5]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "numbers: length 5 exceeds the protocol's limit of 4 (SAMPLE_LIST_MAX) (at byte 0)"
    );
}

#[test]
fn lists() {
    let point = |x, y| Point { x, y };
    let lists = Lists {
        numbers: vec![1, 2],
        points: vec![point(1, 2)],
        corners: [point(3, 4), point(5, 6), point(7, 8)],
        names: ["first".to_owned(), "second".to_owned()],
        uuids: vec![[1; 16], [2; 16]],
        colors: vec![Color::RED, Color(99)],
        maybe: Some(point(9, 10)),
        raw: vec![0, 255],
    };
    round_trip(&lists);
    let error = to_vec(&Lists { names: [String::new(), "x".repeat(17)], ..lists.clone() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "names[1]: length 17 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX)"
    );
    let error = to_vec(&Lists { points: vec![point(0, 0); 3], ..lists }).unwrap_err();
    assert_eq!(error.to_string(), "points: length 3 exceeds the protocol's limit of 2 (2)");
}

#[test]
fn field_names_are_rust() {
    let words = Words { type_: 1, self_: 2, callback_id: 3, max_mem: 4, disk_uris: 5 };
    assert_eq!(round_trip(&words).len(), 20);
}

/// A list of this many entries, each pointing to the next.
fn entries(count: usize) -> Entry {
    (1..count).fold(Entry { value: 0, next: None }, |next, _| Entry { value: 1, next: Some(Box::new(next)) })
}

fn tree(depth: usize) -> Tree {
    (1..depth).fold(Tree::default(), |child, _| Tree { label: "branch".to_owned(), children: vec![child] })
}

fn chain(count: usize) -> Chain {
    (0..count).fold(Chain::False, |rest, _| Chain::True(Some(Box::new(Link { value: 1, rest }))))
}

#[test]
fn recursion_is_limited() {
    round_trip(&entries(20));
    round_trip(&tree(20));
    round_trip(&chain(20));
    round_trip(&Holder { first: Some(Box::new(entries(3))) });
    // The outermost value is no part of another one.
    assert_eq!(read(&to_vec(&entries(65)).unwrap()), Ok(entries(65)));
    assert_eq!(read(&to_vec(&tree(65)).unwrap()), Ok(tree(65)));
    assert_eq!(read(&to_vec(&chain(64)).unwrap()), Ok(chain(64)));
    let too_deep = DecodeErrorKind::TooDeep { limit: 64 };
    assert_eq!(read::<Entry>(&to_vec(&entries(66)).unwrap()).unwrap_err().kind(), too_deep);
    assert_eq!(read::<Tree>(&to_vec(&tree(66)).unwrap()).unwrap_err().kind(), too_deep);
    assert_eq!(read::<Chain>(&to_vec(&chain(65)).unwrap()).unwrap_err().kind(), too_deep);
}

#[test]
fn a_union_on_an_int() {
    assert_eq!(round_trip(&Value::BelowZero(-1)), [0xff, 0xff, 0xff, 0xfb, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(round_trip(&Value::Number1(5))[..4], [0, 0, 0, 1]);
    assert_eq!(round_trip(&Value::Number2(5))[..4], [0, 0, 0, 2]);
    round_trip(&Value::Text("text".to_owned()));
    assert_eq!(round_trip(&Value::Case4), [0, 0, 0, 4]);
    assert_eq!(Value::Number2(5).discriminant(), 2);
    let error = read::<Value>(&[0, 0, 0, 9]).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::UnknownDiscriminant { union: "sample_value", value: 9 });
    let error = to_vec(&Value::Text("x".repeat(17))).unwrap_err();
    assert_eq!(error.to_string(), "text: length 17 exceeds the protocol's limit of 16 (SAMPLE_STRING_MAX)");
}

#[test]
fn unions_with_a_default() {
    assert_eq!(round_trip(&Rest::Case0), [0; 4]);
    assert_eq!(round_trip(&Rest::Default(u32::MAX, None)), [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    round_trip(&Rest::Default(7, Some("text".to_owned())));
    round_trip(&Paint::Red(3));
    round_trip(&Paint::DarkGreen(0.5));
    assert_eq!(round_trip(&Paint::Default(Color(77))), [0, 0, 0, 77]);
    assert_eq!(Paint::Red(3).discriminant(), Color::RED);
}

#[test]
fn anonymous_bodies_have_names() {
    let outer =
        Outer { size: OuterSize { width: 1, unit: OuterSizeUnit::FOOT }, choice: OuterChoice::One(5) };
    assert_eq!(round_trip(&outer).len(), 16);
    round_trip(&Outer { choice: OuterChoice::Default(-1), ..outer });
}

#[test]
fn procedures() {
    let info = ThingReadArgsInfo::get();
    assert_eq!(
        *info,
        ProcedureInfo {
            name: "SAMPLE_PROC_THING_READ3",
            number: 5,
            program: sample::PROGRAM,
            kind: ProcedureKind::Call,
            has_callback_id: false,
            priority: Priority::Low,
            stream: Some(StreamDirection::Read),
            sparse_flag: Some(SparseFlag { name: "SAMPLE_READ_SPARSE", value: 8 }),
            acl: &["thing:read"],
            acl_filter: &[],
            since: Some("1.2.3"),
        }
    );
    assert_eq!(PingArgs::PROCEDURE.priority, Priority::High);
    assert_eq!(ThingWriteArgs::PROCEDURE.stream, Some(StreamDirection::Write));
    assert_eq!(ThingLookupArgs::PROCEDURE.acl, ["thing:getattr", "thing:read_secure:SAMPLE_SECURE"]);
    assert_eq!(ThingCountArgs::PROCEDURE.acl_filter, ["thing:getattr"]);
    assert_eq!(ThingChangedMsg::PROCEDURE.kind, ProcedureKind::Event);
    assert!(ThingChangedMsg::PROCEDURE.has_callback_id && !ThingMovedMsg::PROCEDURE.has_callback_id);
    assert_eq!(Procedure(6).name(), Some("THING_WRITE"));
    assert_eq!((Procedure(4).info(), Procedure(9).info()), (None, None), "gaps");
    assert!(PROCEDURES.iter().all(|info| Procedure(info.number).info() == Some(info)));
    assert_eq!(other::ThingTagArgs::PROCEDURE.program, other::PROGRAM);
    round_trip(&other::ThingTagArgs { uuid: [1; 16], tag: Some("tag".to_owned()), at: Point { x: 1, y: 2 } });
}

/// The entry that the arguments of procedure 5 lead to, by way of their number.
struct ThingReadArgsInfo;

impl ThingReadArgsInfo {
    fn get() -> &'static ProcedureInfo {
        protocol::visit_call(sample::PROGRAM.number, 5, Self).unwrap()
    }
}

impl CallVisitor for ThingReadArgsInfo {
    type Output = &'static ProcedureInfo;

    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        C::PROCEDURE
    }
}

#[test]
fn events() {
    let message = ThingMovedMsg { by: Fractions { f: 1.0, ..Fractions::default() } };
    let payload = Bytes::from(to_vec(&message).unwrap());
    let event = Event::decode(8, &payload).unwrap();
    assert_eq!(event, Event::ThingMoved(message));
    assert_eq!(event.procedure(), Procedure::THING_MOVED);
    assert!(Event::decode(7, &payload).is_err());
    let longer = Bytes::from([&payload[..], &[0; 4]].concat());
    assert_eq!(Event::decode(8, &longer).unwrap_err().kind(), DecodeErrorKind::Leftover { bytes: 4 });
    let unknown = Event::decode(99, &payload).unwrap();
    assert_eq!(unknown, Event::Unknown { procedure: 99, payload });
}
