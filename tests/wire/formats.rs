//! With the feature `serde`, all values go through JSON, and through a format that nobody reads, and come back the same.

use bytes::Bytes;
use libvirt_client::xdr::{from_bytes, to_vec};

use crate::{WIRE_TYPES, encoding::encode, model};

/// The list of all types once more, for a visitor that asks for serde's traits.
mod protocol {
    use libvirt_client::protocol::{Call, admin, keepalive, lxc, net, qemu, remote};
    use serde::{Serialize, de::DeserializeOwned};

    pub(super) trait WireType:
        libvirt_client::protocol::WireType + Serialize + DeserializeOwned
    {
    }

    impl<T: libvirt_client::protocol::WireType + Serialize + DeserializeOwned> WireType for T {}

    pub(super) trait TypeVisitor {
        fn visit<T: WireType>(&mut self, name: &'static str);
    }

    trait CallVisitor {
        type Output;

        fn visit<C: Call + WireType>(self) -> Self::Output;
    }

    #[allow(dead_code, private_bounds, unreachable_pub, reason = "it is written for the library")]
    mod visit {
        use super::*;

        include!(concat!(env!("OUT_DIR"), "/visit.rs"));
    }

    pub(super) use visit::visit_types;
}

/// A type, by its name, and what tries its encoded values in the formats.
struct Trial {
    name: &'static str,
    run: fn(&Bytes, bool),
}

struct Trials(Vec<Trial>);

impl protocol::TypeVisitor for Trials {
    fn visit<T: protocol::WireType>(&mut self, name: &'static str) {
        self.0.push(Trial { name, run: try_value::<T> });
    }
}

/// JSON has no infinite numbers and none that is not one.
fn try_value<T: protocol::WireType>(encoded: &Bytes, finite: bool) {
    let value: T = from_bytes(encoded).unwrap();
    let compact = postcard::to_stdvec(&value).unwrap();
    let again: T = postcard::from_bytes(&compact).unwrap_or_else(|error| panic!("{error}: {value:?}"));
    assert_eq!(to_vec(&again).unwrap(), *encoded, "{value:?} became {again:?}");
    if finite {
        let json = serde_json::to_string(&value).unwrap();
        let again: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!(to_vec(&again).unwrap(), *encoded, "{value:?} became {again:?}");
    }
}

#[test]
fn every_type_goes_through_text_and_bytes() {
    let mut trials = Trials(Vec::new());
    protocol::visit_types(&mut trials);
    assert_eq!(trials.0.len(), WIRE_TYPES.len());
    for (wire_type, Trial { name, run }) in WIRE_TYPES.iter().zip(trials.0) {
        assert_eq!(name, wire_type.name);
        for value in wire_type.samples() {
            run(
                &Bytes::from(encode(model(), &wire_type.shape, &value).bytes),
                !value.has_float(|number| !number.is_finite()),
            );
        }
    }
}
