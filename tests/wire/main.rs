//! Every wire type, driven by the definitions in `protocol/`: values that the definitions allow, made and
//! encoded here without the generated Rust, go through the generated types and come back the same; what the
//! definitions forbid is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bounds;
mod damage;
mod dispatch;
mod encoding;
#[cfg(feature = "serde")]
mod formats;
mod oracle;
mod round_trip;
mod value;

use std::{
    any::TypeId,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::LazyLock,
};

use arbtest::arbtest;
use bytes::Bytes;
use libvirt_client::{
    protocol::{self, TypeVisitor, visit_types},
    xdr::{DecodeError, from_bytes, to_vec},
};
use libvirt_client_codegen::{read_directory, spec::Spec};

use crate::value::{Extreme, Model, Shape, Value};

/// How many random values each type is tried with.
const RANDOM_VALUES: u32 = 24;

/// The definitions that the crate was built from.
static SPEC: LazyLock<Spec> = LazyLock::new(|| {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol");
    let directory = option_env!("LIBVIRT_PROTOCOL_DIR").map_or(own.as_path(), Path::new);
    read_directory(directory).unwrap_or_else(|error| panic!("{error}")).0
});

/// All types that the generator wrote, as they are listed by `visit_types`.
static WIRE_TYPES: LazyLock<Vec<WireType>> = LazyLock::new(|| {
    let mut list = List(Vec::new());
    visit_types(&mut list);
    list.0
});

/// One of the generated types, with the Rust type behind function pointers.
struct WireType {
    /// As the definition calls it.
    name: &'static str,
    id: TypeId,
    shape: Shape<'static>,
    /// Decodes bytes and encodes the value again.
    recode: fn(&Bytes) -> Result<Vec<u8>, DecodeError>,
    /// Tells whether the value of some bytes equals its clone and the value of the same bytes elsewhere.
    equals_itself: fn(&Bytes) -> bool,
}

struct List(Vec<WireType>);

impl TypeVisitor for List {
    fn visit<T: protocol::WireType>(&mut self, name: &'static str) {
        self.0.push(WireType {
            name,
            id: TypeId::of::<T>(),
            shape: model().named_shape(name),
            recode: recode::<T>,
            equals_itself: equals_itself::<T>,
        });
    }
}

fn model() -> Model<'static> {
    Model { spec: &SPEC }
}

fn recode<T: protocol::WireType>(bytes: &Bytes) -> Result<Vec<u8>, DecodeError> {
    from_bytes::<T>(bytes).map(|value| to_vec(&value).unwrap_or_else(|error| panic!("decoded, but: {error}")))
}

fn equals_itself<T: protocol::WireType>(bytes: &Bytes) -> bool {
    let value: T = from_bytes(bytes).unwrap();
    let twin: T = from_bytes(&Bytes::copy_from_slice(bytes)).unwrap();
    value == twin && value.clone() == twin && format!("{value:?}") == format!("{twin:?}")
}

impl WireType {
    /// Returns the small values of a type: minimal, full, with extreme numbers, random. They are the same in
    /// each run.
    fn samples(&self) -> Vec<Value> {
        let mut samples = vec![model().minimal(&self.shape)];
        samples.extend(self.full());
        for arm in 0..model().arms(&self.shape) {
            samples.push(model().extreme(&self.shape, arm, Extreme::Least));
            samples.push(model().extreme(&self.shape, arm, Extreme::Greatest));
        }
        samples.extend((0..RANDOM_VALUES).map(|turn| self.random(turn)));
        samples
    }

    /// Returns a value without absences for each arm of the unions in it.
    fn full(&self) -> impl Iterator<Item = Value> + '_ {
        (0..model().arms(&self.shape)).map(|arm| model().full(&self.shape, arm))
    }

    /// Returns a value made of a random seed, which arbtest prints if that fails.
    fn random(&self, turn: u32) -> Value {
        let mut hasher = DefaultHasher::new();
        (self.name, turn).hash(&mut hasher);
        let size = 32 << (turn % 6);
        let mut made = None;
        arbtest(|u| {
            made = Some(model().random(&self.shape, u)?);
            Ok(())
        })
        .seed((hasher.finish() | 1) << 32 | size)
        .run();
        made.unwrap()
    }
}

#[test]
fn every_definition_is_a_generated_type() {
    use libvirt_client_codegen::spec::DefinitionKind::{Enum, Struct, Union};
    let generated: Vec<&str> = WIRE_TYPES.iter().map(|wire_type| wire_type.name).collect();
    let mut unique = generated.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), generated.len(), "visit_types names a type twice");
    for protocol in &SPEC.protocols {
        for definition in &protocol.definitions {
            if matches!(definition.kind, Enum(_) | Struct(_) | Union(_)) {
                assert!(
                    unique.binary_search(&definition.name.as_str()).is_ok(),
                    "no type for {}",
                    definition.name
                );
            }
        }
    }
}
