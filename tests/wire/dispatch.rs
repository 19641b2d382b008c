//! From procedure numbers to types: `visit_call`, the tables of procedures, and the decoders of events.

use std::any::TypeId;

use bytes::Bytes;
use libvirt_client::{
    protocol::{
        Call, CallVisitor, Priority, ProcedureInfo, ProcedureKind, Program, SparseFlag, StreamDirection,
        WireType, admin, keepalive, lxc, qemu, remote, visit_call,
    },
    xdr::DecodeError,
};
use libvirt_client_codegen::spec::{DefinitionKind, Enumerator, Protocol};

use crate::{SPEC, WIRE_TYPES, encoding::encode, model, value::Shape};

/// Events without a `_msg` structure: they carry nothing.
const BODILESS: [&str; 2] = ["KEEPALIVE_PROC_PING", "KEEPALIVE_PROC_PONG"];

/// The one table of each program.
const TABLES: [(&Program, &[ProcedureInfo]); 5] = [
    (&remote::PROGRAM, remote::PROCEDURES),
    (&qemu::PROGRAM, qemu::PROCEDURES),
    (&lxc::PROGRAM, lxc::PROCEDURES),
    (&admin::PROGRAM, admin::PROCEDURES),
    (&keepalive::PROGRAM, keepalive::PROCEDURES),
];

#[test]
fn visit_call_knows_every_call_with_its_types_and_no_event() {
    let (mut calls, mut events) = (0, 0);
    for procedure in procedures() {
        let name = &procedure.enumerator.name;
        let visited = visit_call(procedure.program, procedure.number, Types);
        if procedure.is_event() {
            events += 1;
            assert!(visited.is_none(), "{name} is an event, but visit_call has it");
            continue;
        }
        calls += 1;
        let Some((info, arguments, reply)) = visited else { panic!("visit_call does not know {name}") };
        assert_eq!((info.name, info.number), (name.as_str(), procedure.number));
        match procedure.structure("_args") {
            Some(id) => assert_eq!(arguments.id, id, "{name} has other arguments than those of its name"),
            None => assert_eq!((arguments.recode_nothing)(), Some(Vec::new()), "{name} has no arguments"),
        }
        let id = procedure.structure("_ret").unwrap_or(TypeId::of::<()>());
        assert_eq!(reply.id, id, "{name} has another reply than that of its name");
    }
    println!("{calls} calls, {events} events");
    for (program, number) in [(0x2000_8086, 0), (0x2000_8086, -1), (0x2000_8086, 1_000_000), (1, 1)] {
        assert!(visit_call(program, number, Types).is_none(), "{program:#x} has a procedure {number}");
    }
}

#[test]
fn the_tables_say_what_the_definitions_say() {
    for (program, table) in TABLES {
        let mut expected: Vec<Procedure> =
            procedures().into_iter().filter(|procedure| procedure.program == program.number).collect();
        expected.sort_by_key(|procedure| procedure.number);
        assert_eq!(table.len(), expected.len(), "procedures of {}", program.name);
        for (info, procedure) in table.iter().zip(expected) {
            let enumerator = procedure.enumerator;
            let name = enumerator.name.as_str();
            let annotated = |key: &str| {
                let own = enumerator.annotations.iter().filter(|annotation| annotation.key == key);
                own.map(|annotation| annotation.value.as_str()).collect::<Vec<_>>()
            };
            assert_eq!((info.name, info.number, &info.program), (name, procedure.number, program));
            assert_eq!(procedure.version, program.version, "{name}");
            assert_eq!(info.kind == ProcedureKind::Event, procedure.is_event(), "{name}");
            assert_eq!(info.has_callback_id, procedure.message_starts_with("callbackID"), "{name}");
            assert_eq!(info.priority == Priority::High, annotated("priority") == ["high"], "{name}");
            assert_eq!(
                info.stream == Some(StreamDirection::Read),
                !annotated("readstream").is_empty(),
                "{name}"
            );
            assert_eq!(
                info.stream == Some(StreamDirection::Write),
                !annotated("writestream").is_empty(),
                "{name}"
            );
            assert_eq!(
                info.sparse_flag.map(|flag| flag.name),
                annotated("sparseflag").first().copied(),
                "{name}"
            );
            assert_eq!(info.acl, annotated("acl"), "{name}");
            assert_eq!(info.acl_filter, annotated("aclfilter"), "{name}");
        }
    }
    let sparse = |flag: Option<SparseFlag>| flag.map(|flag| flag.value);
    let info = |procedure: remote::Procedure| procedure.info().unwrap();
    assert_eq!(sparse(info(remote::Procedure::STORAGE_VOL_DOWNLOAD).sparse_flag), Some(1));
    assert_eq!(sparse(info(remote::Procedure::DOMAIN_SCREENSHOT).sparse_flag), None);
    assert_eq!(info(remote::Procedure::DOMAIN_GET_INFO).number, 16);
    assert!(remote::Procedure(1_000_000).info().is_none());
}

#[test]
fn every_event_is_decoded_and_unknown_ones_are_kept() {
    let mut events = 0;
    for procedure in procedures().iter().filter(|procedure| procedure.is_event()) {
        let Some(message) = procedure.structure("_msg") else { continue };
        let name = procedure.enumerator.name.as_str();
        let decode: DecodeEvent = match procedure.program {
            number if number == remote::PROGRAM.number => |number, payload| {
                let event = remote::Event::decode(number, payload)?;
                Ok((event.procedure().0, matches!(event, remote::Event::Unknown { .. })))
            },
            number if number == qemu::PROGRAM.number => |number, payload| {
                let event = qemu::Event::decode(number, payload)?;
                Ok((event.procedure().0, matches!(event, qemu::Event::Unknown { .. })))
            },
            _ => panic!("{name} is an event of a program without an event decoder here"),
        };
        let wire_type = WIRE_TYPES.iter().find(|wire_type| wire_type.id == message).unwrap();
        for value in wire_type.full() {
            let mut bytes = encode(model(), &wire_type.shape, &value).bytes;
            assert_eq!(
                decode(procedure.number, &bytes.clone().into()),
                Ok((procedure.number, false)),
                "{name}"
            );
            bytes.push(0);
            assert!(decode(procedure.number, &bytes.into()).is_err(), "{name} takes a byte too many");
        }
        events += 1;
    }
    println!("{events} events");

    let payload = Bytes::from_static(b"from a later libvirt");
    let unknown = remote::Event::decode(1_000_000, &payload).unwrap();
    assert_eq!(unknown, remote::Event::Unknown { procedure: 1_000_000, payload });
    assert_eq!(unknown.procedure(), remote::Procedure(1_000_000));
}

/// Decodes an event; returns the number of its procedure, and whether it is unknown.
type DecodeEvent = fn(i32, &Bytes) -> Result<(i32, bool), DecodeError>;

/// A procedure as the definitions have it.
struct Procedure<'a> {
    program: u32,
    version: u32,
    number: i32,
    enumerator: &'a Enumerator,
}

impl Procedure<'_> {
    /// Returns the generated type of `remote_domain_get_info` with this ending.
    fn structure(&self, ending: &str) -> Option<TypeId> {
        let name = self.enumerator.name.to_lowercase().replacen("_proc_", "_", 1) + ending;
        WIRE_TYPES.iter().find(|wire_type| wire_type.name == name).map(|wire_type| wire_type.id)
    }

    fn message_starts_with(&self, field: &str) -> bool {
        let Some(id) = self.structure("_msg") else { return false };
        let message = WIRE_TYPES.iter().find(|wire_type| wire_type.id == id).unwrap();
        matches!(message.shape, Shape::Struct([first, ..]) if first.name == field)
    }

    fn is_event(&self) -> bool {
        self.structure("_msg").is_some() || BODILESS.contains(&self.enumerator.name.as_str())
    }
}

fn procedures() -> Vec<Procedure<'static>> {
    let procedures: Vec<_> = SPEC.protocols.iter().flat_map(procedures_of).collect();
    assert!(procedures.len() > 400, "only {} procedures found", procedures.len());
    procedures
}

fn procedures_of(protocol: &'static Protocol) -> Vec<Procedure<'static>> {
    let constant = |ending: &str| {
        protocol.definitions.iter().find_map(|definition| match &definition.kind {
            DefinitionKind::Const(value) if definition.name.ends_with(ending) => Some(value.number() as u32),
            _ => None,
        })
    };
    let Some(DefinitionKind::Enum(enumerators)) = protocol
        .definitions
        .iter()
        .find(|definition| definition.name.ends_with("_procedure"))
        .map(|definition| &definition.kind)
    else {
        return Vec::new();
    };
    let program = constant("_PROGRAM").unwrap();
    let version = constant("_PROTOCOL_VERSION").unwrap();
    let procedure = |enumerator: &'static Enumerator| Procedure {
        program,
        version,
        number: enumerator.value.number() as i32,
        enumerator,
    };
    enumerators.iter().map(procedure).collect()
}

/// Returns what a procedure is called with and answers.
struct Types;

struct Visited {
    id: TypeId,
    /// Decodes no bytes and encodes the value again.
    recode_nothing: fn() -> Option<Vec<u8>>,
}

impl CallVisitor for Types {
    type Output = (&'static ProcedureInfo, Visited, Visited);

    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType,
    {
        (C::PROCEDURE, visited::<C>(), visited::<C::Reply>())
    }
}

fn visited<T: WireType>() -> Visited {
    Visited { id: TypeId::of::<T>(), recode_nothing: || crate::recode::<T>(&Bytes::new()).ok() }
}
