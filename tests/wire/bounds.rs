//! Values over their bounds are not written: nothing leaves that the daemon would drop the connection for.

use std::{env, fmt::Write, fs, path::Path};

use bytes::Bytes;
use libvirt_client::{
    protocol::{admin, net, qemu, remote},
    xdr::{EncodeError, from_bytes, to_vec},
};
use libvirt_client_codegen::{
    names::{self, Prefix},
    spec::DefinitionKind,
};

use crate::{
    SPEC, WIRE_TYPES,
    encoding::encode,
    model,
    value::{Limit, Shape},
};

/// One bounded place of a generated type.
struct Case {
    /// The definition and the place in it, as in `remote_domain_get_xml_desc_ret.xml`.
    wire: &'static str,
    limit: (&'static str, u32),
    /// Decodes the bytes of a full value, makes what stands at the place so long, and encodes the value.
    encode_with: fn(&Bytes, usize) -> Result<Vec<u8>, EncodeError>,
}

macro_rules! cases {
    ($($wire:literal $module:ident::$type:ident $limit:ident $max:literal ($($place:tt)+);)*) => {
        &[$(Case {
            wire: $wire,
            limit: (stringify!($limit), $max),
            encode_with: |bytes, length| {
                let mut value: $module::$type = from_bytes(bytes).unwrap();
                value.$($place)+.lengthen(length);
                to_vec(&value)
            },
        },)*]
    };
}

/// Everything that a structure bounds. The Rust names of fields can only be had by writing them, so the file is
/// written from the definitions; the test below sees to it that it stays the same as them.
const CASES: &[Case] = include!("bounded_fields.in");

const CASES_FILE: &str = "tests/wire/bounded_fields.in";

#[test]
fn nothing_over_its_bound_is_encoded() {
    for case in CASES {
        let (definition, field) = case.wire.split_once('.').unwrap();
        let wire_type = WIRE_TYPES.iter().find(|wire_type| wire_type.name == definition).unwrap();
        let full = wire_type.full().next().unwrap();
        let bytes = Bytes::from(encode(model(), &wire_type.shape, &full).bytes);
        let (name, max) = case.limit;
        let over = max as usize + 1;
        let Err(error) = (case.encode_with)(&bytes, over) else { panic!("{} may have {over}", case.wire) };
        assert_eq!(
            (error.bound().name, error.bound().max, error.length()),
            (name, max, over),
            "{}",
            case.wire
        );
        let expected = format!("{field}: length {over} exceeds the protocol's limit of {max} ({name})");
        assert_eq!(error.to_string(), expected, "{}", case.wire);
    }
    println!("{} places", CASES.len());
}

#[test]
fn text_in_unions_is_bounded() {
    let long = || "x".repeat(4_194_305);
    let error = to_vec(&remote::TypedParamValue::String(long())).unwrap_err();
    assert_eq!(error.bound().name, "REMOTE_STRING_MAX");
    let error = to_vec(&admin::TypedParamValue::String(long())).unwrap_err();
    assert_eq!(error.bound().name, "ADMIN_STRING_MAX");
    let unions = SPEC.protocols.iter().flat_map(|protocol| &protocol.definitions);
    let unions = unions.filter(|definition| matches!(definition.kind, DefinitionKind::Union(_)));
    let mut unions: Vec<_> = unions.map(|definition| definition.name.as_str()).collect();
    unions.sort_unstable();
    assert_eq!(
        unions,
        ["admin_typed_param_value", "remote_typed_param_value"],
        "another union: test it here"
    );
}

/// The error leads to a place deep inside.
#[test]
fn the_error_names_the_path() {
    let bytes = |name: &str| {
        let wire_type = WIRE_TYPES.iter().find(|wire_type| wire_type.name == name).unwrap();
        Bytes::from(encode(model(), &wire_type.shape, &wire_type.full().last().unwrap()).bytes)
    };
    let mut stats: remote::ConnectGetAllDomainStatsRet =
        from_bytes(&bytes("remote_connect_get_all_domain_stats_ret")).unwrap();
    stats.ret_stats[0].params[0].field = "f".repeat(4_194_305);
    let error = to_vec(&stats).unwrap_err();
    assert!(error.to_string().starts_with("retStats[0].params[0].field: length 4194305 exceeds"), "{error}");
}

#[test]
fn the_cases_are_those_of_the_definitions() {
    let expected = cases_text();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES_FILE);
    if env::var_os("WRITE_CASES").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(
        found == expected,
        "{CASES_FILE} is not what the definitions say; `WRITE_CASES=1 cargo test --test wire` writes it anew"
    );
}

fn cases_text() -> String {
    let mut text = "// Every bounded place in a structure of the definitions in protocol/.\n\
         // Written by `WRITE_CASES=1 cargo test --test wire`; where it does not compile, delete the cases first.\n\
         cases! {\n"
        .to_owned();
    let mut protocols: Vec<_> = SPEC.protocols.iter().collect();
    protocols.sort_by_key(|protocol| &protocol.name);
    for protocol in protocols {
        let prefix = Prefix::of_file(&protocol.name);
        for definition in &protocol.definitions {
            let DefinitionKind::Struct(fields) = &definition.kind else { continue };
            let ty = format!("{}::{}", prefix.module(), prefix.type_name(&definition.name));
            for field in fields {
                for (limit, inwards) in limits(&model().shape(&field.ty)) {
                    let (wire, rust) = (&field.name, names::field(&field.name));
                    let Limit { name, max } = limit;
                    let _ = writeln!(
                        text,
                        "    \"{}.{wire}{inwards}\" {ty} {name} {max} ({rust}{inwards});",
                        definition.name
                    );
                }
            }
        }
    }
    text + "}\n"
}

/// Returns the bounds of a field itself, and of what it holds without another name; with the way there.
fn limits(shape: &Shape<'static>) -> Vec<(Limit, String)> {
    match shape {
        Shape::Text(limit) | Shape::Opaque(limit) => vec![(limit.clone(), String::new())],
        Shape::Array(element, limit) => {
            let inner = if is_named_type(element) { Vec::new() } else { limits(&model().shape(element)) };
            let inner = inner.into_iter().map(|(limit, inwards)| (limit, format!("[0]{inwards}")));
            [(limit.clone(), String::new())].into_iter().chain(inner).collect()
        }
        Shape::Optional(target) if !is_named_type(target) => limits(&model().shape(target)),
        _ => Vec::new(),
    }
}

/// Tells whether a type is a structure, union or enum of its own, whose bounds are tested there.
fn is_named_type(ty: &libvirt_client_codegen::spec::Type) -> bool {
    use libvirt_client_codegen::spec::Type;
    match ty {
        Type::Named(name) => {
            !matches!(SPEC.find(name).map(|definition| &definition.kind), Some(DefinitionKind::Typedef(_)))
        }
        _ => false,
    }
}

/// Makes a value so many bytes or elements long.
trait Lengthen {
    fn lengthen(&mut self, length: usize);
}

impl Lengthen for String {
    fn lengthen(&mut self, length: usize) {
        *self = "x".repeat(length);
    }
}

impl Lengthen for Bytes {
    fn lengthen(&mut self, length: usize) {
        *self = vec![0; length].into();
    }
}

impl<T: Clone> Lengthen for Vec<T> {
    fn lengthen(&mut self, length: usize) {
        let element = self[0].clone();
        self.resize(length, element);
    }
}

impl<T: Lengthen> Lengthen for Option<T> {
    fn lengthen(&mut self, length: usize) {
        self.as_mut().unwrap().lengthen(length);
    }
}
