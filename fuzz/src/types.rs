//! Every wire type, decoded from arbitrary bytes.
//!
//! Input: a word that chooses the type, then the bytes of a value. The word is compared with a hash of the
//! types' names, so that the corpus outlives a change of the definitions.

use std::sync::LazyLock;

use bytes::Bytes;
use libvirt_client::{
    protocol::{TypeVisitor, WireType, visit_types},
    xdr::{from_bytes, to_vec},
};

use super::Input;

/// Decodes one input as the type that it chooses; tells whether it is a value.
pub fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let chosen = input.word();
    let at = TYPES.partition_point(|&(hash, _)| hash < chosen) % TYPES.len();
    let (_, decode) = TYPES[at];
    decode(&Bytes::copy_from_slice(input.0))
}

/// Returns the word that chooses the type with this name in the definitions.
fn hash(name: &str) -> u32 {
    // FNV-1a.
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

type Decode = fn(&Bytes) -> bool;

static TYPES: LazyLock<Vec<(u32, Decode)>> = LazyLock::new(|| {
    struct List(Vec<(u32, Decode)>);
    impl TypeVisitor for List {
        fn visit<T: WireType>(&mut self, name: &'static str) {
            self.0.push((hash(name), decode::<T>));
        }
    }
    let mut list = List(Vec::new());
    visit_types(&mut list);
    list.0.sort_unstable_by_key(|&(hash, _)| hash);
    list.0
});

/// What decodes must come back the same. Its bytes may differ from those that came: a peer may write the upper
/// half of `char` as 128 to 255.
fn decode<T: WireType>(bytes: &Bytes) -> bool {
    let value: T = match from_bytes(bytes) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset() <= bytes.len(), "{error}");
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let encoded = Bytes::from(to_vec(&value).expect("what was decoded is within its bounds"));
    assert_eq!(encoded.len(), bytes.len(), "{value:?}");
    let again: T = from_bytes(&encoded).expect("our own bytes decode");
    // Floats that are no numbers are not equal to themselves; their text is.
    assert!(value == again || format!("{value:?}") == format!("{again:?}"), "{value:?} became {again:?}");
    assert_eq!(to_vec(&again).expect("within bounds"), encoded, "{value:?} encodes differently again");
    true
}
