//! What was generated says what the definitions say: every procedure with its number and annotations, every type,
//! and which arguments, results and messages belong together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests stop at what they did not expect"
)]

use std::{
    any::type_name,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bytes::Bytes;
use libvirt_client::error::{ErrorCode, ErrorDomain, ErrorLevel};
use libvirt_client::protocol::{
    Call, CallVisitor, Priority, ProcedureInfo, ProcedureKind, Program, StreamDirection, TypeVisitor,
    WireType, admin, keepalive, lxc, qemu, remote, visit_call, visit_types,
};
use libvirt_client_codegen::{
    PROTOCOLS, read_directory,
    spec::{DefinitionKind, Enumerator, Protocol, Spec},
};

/// The directory that the crate was built from.
fn directory() -> &'static Path {
    Path::new(option_env!("LIBVIRT_PROTOCOL_DIR").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/protocol")))
}

fn spec() -> Spec {
    let (mut spec, _) = read_directory(directory()).expect("the definitions that the crate was built from");
    spec.protocols.retain(|protocol| PROTOCOLS.contains(&protocol.name.as_str()));
    spec
}

/// Each program with its table, and the file that defines it.
fn programs() -> [(&'static str, Program, &'static [ProcedureInfo]); 5] {
    [
        ("remote_protocol", remote::PROGRAM, remote::PROCEDURES),
        ("qemu_protocol", qemu::PROGRAM, qemu::PROCEDURES),
        ("lxc_protocol", lxc::PROGRAM, lxc::PROCEDURES),
        ("admin_protocol", admin::PROGRAM, admin::PROCEDURES),
        ("virkeepaliveprotocol", keepalive::PROGRAM, keepalive::PROCEDURES),
    ]
}

fn protocol<'a>(spec: &'a Spec, name: &str) -> &'a Protocol {
    spec.protocols.iter().find(|protocol| protocol.name == name).expect(name)
}

fn enumerators<'a>(protocol: &'a Protocol, program: &Program) -> &'a [Enumerator] {
    match &protocol.find(&format!("{}_procedure", program.name)).expect("an enum of procedures").kind {
        DefinitionKind::Enum(enumerators) => enumerators,
        other => panic!("{other:?}"),
    }
}

fn annotations<'a>(enumerator: &'a Enumerator, key: &str) -> Vec<&'a str> {
    enumerator.annotations.iter().filter(|entry| entry.key == key).map(|entry| entry.value.as_str()).collect()
}

/// The structs that are named after a procedure.
fn structs(protocol: &Protocol, procedure: &str) -> [Option<String>; 3] {
    let stem = procedure.to_lowercase().replacen("_proc_", "_", 1);
    ["args", "ret", "msg"].map(|end| {
        let name = format!("{stem}_{end}");
        protocol.find(&name).map(|_| name)
    })
}

#[test]
fn all_procedures_are_there() {
    if option_env!("LIBVIRT_PROTOCOL_DIR").is_none() {
        let counts: Vec<usize> = programs().iter().map(|(.., procedures)| procedures.len()).collect();
        assert_eq!(counts, [456, 7, 1, 19, 2]);
    }
    let numbers: Vec<u32> = programs().iter().map(|(_, program, _)| program.number).collect();
    assert_eq!(numbers, [0x2000_8086, 0x2000_8087, 0x0006_8000, 0x0690_0690, 0x6b65_6570]);
}

#[test]
fn the_tables_say_what_the_definitions_say() {
    let spec = spec();
    for (file, program, procedures) in programs() {
        let protocol = protocol(&spec, file);
        let defined = enumerators(protocol, &program);
        assert_eq!(procedures.len(), defined.len(), "{file}");
        assert!(procedures.windows(2).all(|pair| pair[0].number < pair[1].number), "{file} is in order");
        for enumerator in defined {
            let name = &enumerator.name;
            let number = i32::try_from(enumerator.value.number()).unwrap();
            let info = procedures.iter().find(|info| info.number == number).expect(name);
            assert_eq!(info.name, name);
            assert_eq!(info.program, program, "{name}");
            let priority =
                if annotations(enumerator, "priority") == ["high"] { Priority::High } else { Priority::Low };
            assert_eq!(info.priority, priority, "{name}");
            let stream = match (
                annotations(enumerator, "readstream").len(),
                annotations(enumerator, "writestream").len(),
            ) {
                (0, 0) => None,
                (_, 0) => Some(StreamDirection::Read),
                (_, _) => Some(StreamDirection::Write),
            };
            assert_eq!(info.stream, stream, "{name}");
            assert_eq!(
                info.sparse_flag.iter().map(|flag| flag.name).collect::<Vec<_>>(),
                annotations(enumerator, "sparseflag"),
                "{name}"
            );
            assert_eq!(info.acl, annotations(enumerator, "acl"), "{name}");
            assert_eq!(info.acl_filter, annotations(enumerator, "aclfilter"), "{name}");
            let [_, _, message] = structs(protocol, name);
            let is_event = message.is_some() || file == "virkeepaliveprotocol";
            assert_eq!(info.kind == ProcedureKind::Event, is_event, "{name}");
            let first = message.and_then(|name| match &protocol.find(&name)?.kind {
                DefinitionKind::Struct(fields) => Some(fields.first()?.name.as_str()),
                _ => None,
            });
            assert_eq!(info.has_callback_id, first == Some("callbackID"), "{name}");
        }
    }
}

/// The names of the types that a call is made of.
struct Names;

impl CallVisitor for Names {
    type Output = (String, String, &'static ProcedureInfo);

    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        (folded(type_name::<C>()), folded(type_name::<C::Reply>()), C::PROCEDURE)
    }
}

/// What is left of a type's name without its path, or of a wire name without underscores.
fn folded(name: &str) -> String {
    name.rsplit("::").next().unwrap_or(name).replace('_', "").to_lowercase()
}

#[test]
fn procedures_know_since_when_there_are() {
    let api = include_str!("../protocol/api.toml");
    let mut known = 0;
    for info in programs().into_iter().flat_map(|(.., procedures)| procedures) {
        let head = format!("[{}.{}]\n", info.program.name, info.short_name());
        let entry = api.split_once(&head).map_or("", |(_, rest)| rest.split("\n[").next().unwrap_or(rest));
        let said = entry.lines().find_map(|line| line.strip_prefix("since = \"")?.strip_suffix('"'));
        assert_eq!(info.since, said, "{}", info.name);
        known += usize::from(said.is_some());
    }
    assert!(known > 400, "{known} procedures have a version");
}

#[test]
fn arguments_and_results_belong_to_their_procedures() {
    let spec = spec();
    let mut owners: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (file, program, procedures) in programs() {
        let protocol = protocol(&spec, file);
        for info in procedures {
            let call = visit_call(program.number, info.number, Names);
            let [arguments, reply, _] = structs(protocol, info.name);
            for name in [&arguments, &reply].into_iter().flatten() {
                owners.entry(name.clone()).or_default().push(info.name);
            }
            if info.kind == ProcedureKind::Event {
                assert!(call.is_none() && arguments.is_none() && reply.is_none(), "{}", info.name);
                continue;
            }
            let (call_type, reply_type, of) = call.expect(info.name);
            let prefix = format!("{}_", program.name);
            let wire = |name: String| folded(name.trim_start_matches(&prefix));
            let made_up = format!("{prefix}{}_args", info.short_name());
            assert_eq!(call_type, wire(arguments.unwrap_or(made_up.to_lowercase())), "{}", info.name);
            assert_eq!(reply_type, reply.map_or("()".to_owned(), wire), "{}", info.name);
            assert!(std::ptr::eq(of, info), "{} has the entry of {}", info.name, of.name);
        }
        for definition in &protocol.definitions {
            let name = &definition.name;
            if name.ends_with("_args") || name.ends_with("_ret") {
                let owners = owners.get(name).map(Vec::as_slice).unwrap_or_default();
                assert_eq!(owners.len(), 1, "{name} belongs to {owners:?}");
            }
        }
    }
    assert!(visit_call(remote::PROGRAM.number, 1_000_000, Names).is_none());
    assert!(visit_call(1, 1, Names).is_none());
}

#[test]
fn every_message_has_its_event() {
    let spec = spec();
    let protocol = protocol(&spec, "remote_protocol");
    let messages = protocol.definitions.iter().filter(|definition| definition.name.ends_with("_msg")).count();
    let events: Vec<&ProcedureInfo> =
        remote::PROCEDURES.iter().filter(|info| info.kind == ProcedureKind::Event).collect();
    assert_eq!(events.len(), messages);
    let nothing = Bytes::new();
    for info in events {
        // Every message starts with something; an unknown event would take the empty payload as it is.
        match remote::Event::decode(info.number, &nothing) {
            Err(error) => assert_eq!(error.offset(), 0, "{}", info.name),
            Ok(event) => assert!(
                matches!(event, remote::Event::ConnectEventConnectionClosed(_))
                    && event.procedure().0 == info.number,
                "{} became {event:?}",
                info.name
            ),
        }
    }
    let unknown = remote::Event::decode(1_000_000, &Bytes::from_static(b"abc")).unwrap();
    assert_eq!(unknown.procedure(), remote::Procedure(1_000_000));
    assert!(matches!(unknown, remote::Event::Unknown { payload, .. } if payload == "abc"));
}

#[test]
fn all_types_are_visited() {
    struct Collect(BTreeSet<String>);

    impl TypeVisitor for Collect {
        fn visit<T: WireType>(&mut self, name: &'static str) {
            assert!(self.0.insert(name.to_owned()), "{name} twice");
            assert!(
                folded(name).ends_with(&folded(type_name::<T>()).replace("optionalstring", "string")),
                "{name} is {}",
                type_name::<T>()
            );
        }
    }

    let spec = spec();
    let defined: BTreeSet<String> = spec
        .protocols
        .iter()
        .flat_map(|protocol| &protocol.definitions)
        .filter(|definition| {
            matches!(
                definition.kind,
                DefinitionKind::Struct(_) | DefinitionKind::Union(_) | DefinitionKind::Enum(_)
            )
        })
        .map(|definition| definition.name.clone())
        .collect();
    let mut visited = Collect(BTreeSet::new());
    visit_types(&mut visited);
    let differences: Vec<&String> = visited.0.symmetric_difference(&defined).collect();
    assert!(differences.is_empty(), "{differences:?}");
    assert!(defined.len() > 700, "{}", defined.len());
}

#[test]
fn procedures_are_named() {
    let procedure = remote::Procedure::DOMAIN_GET_INFO;
    assert_eq!(procedure.name(), Some("DOMAIN_GET_INFO"));
    assert_eq!(
        format!("{procedure:?} {procedure}"),
        "Procedure::DOMAIN_GET_INFO REMOTE_PROC_DOMAIN_GET_INFO"
    );
    let unknown = remote::Procedure(-3);
    assert_eq!((unknown.info(), unknown.name()), (None, None));
    assert_eq!(format!("{unknown:?} {unknown}"), "Procedure(-3) -3");
}

#[test]
fn errors_are_named_and_unknown_ones_survive() {
    assert_eq!(ErrorCode::NO_DOMAIN.0, 42);
    assert_eq!(
        format!("{} {:?}", ErrorCode::NO_DOMAIN, ErrorCode::NO_DOMAIN),
        "42 NO_DOMAIN ErrorCode::NO_DOMAIN"
    );
    assert_eq!(format!("{} {:?}", ErrorCode(9999), ErrorCode(9999)), "9999 ErrorCode(9999)");
    assert_eq!(format!("{} {}", ErrorDomain::QEMU, ErrorDomain(9999)), "qemu 9999");
    assert_eq!(format!("{:?} {}", ErrorLevel::WARNING, ErrorLevel::ERROR), "ErrorLevel::WARNING error");
    assert_eq!(ErrorCode::WAR_NO_NETWORK.name(), Some("WAR_NO_NETWORK"));
}
