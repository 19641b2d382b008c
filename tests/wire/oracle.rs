//! The codec against serde-xdr, an implementation that shares nothing with ours: both write the same bytes, and
//! it reads ours back to the same value.

use std::{fmt, io::Cursor};

use bytes::Bytes;
use libvirt_client_codegen::spec::{Field, Primitive, Union};
use serde::{
    Deserialize, Serialize, Serializer,
    de::{self, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, VariantAccess, Visitor},
    ser::SerializeTuple,
};

use crate::{
    WIRE_TYPES, WireType,
    encoding::encode,
    model,
    value::{Model, Shape, Value, labels},
};

/// What serde-xdr cannot write, and why. The tests fail if it can write such a value after all, and if it
/// cannot write a value that is not of this table. All that it writes it can read.
const INEXPRESSIBLE: &[(&str, Applies)] = &[(
    "serde-xdr refuses to write text that is not ASCII; libvirt's names, titles and messages are UTF-8",
    Value::has_text_beyond_ascii,
)];

type Applies = fn(&Value) -> bool;

#[test]
fn both_write_the_same_bytes_and_read_the_same_values() {
    let mut compared = 0;
    let mut refused = 0;
    for wire_type in WIRE_TYPES.iter() {
        let mut written = 0;
        for value in wire_type.samples() {
            if compare(wire_type, &value) {
                written += 1;
            } else {
                refused += 1;
            }
        }
        assert!(written > 0, "serde-xdr could write no value of {}", wire_type.name);
        compared += written;
    }
    assert!(refused > 0, "no sample was of what serde-xdr cannot write: {INEXPRESSIBLE:?}");
    println!("{} types, {compared} values written alike, {refused} only by us", WIRE_TYPES.len());
}

#[test]
fn large_values_are_the_same_too() {
    for wire_type in WIRE_TYPES.iter() {
        for value in model().maxima(&wire_type.shape) {
            let bytes = encode(model(), &wire_type.shape, &value).bytes;
            assert!(serde_xdr::to_bytes(&value).unwrap() == bytes, "{}", wire_type.name);
        }
    }
}

/// What makes serde-xdr an oracle and nothing to build on: it takes what the definitions forbid.
#[test]
fn serde_xdr_checks_less_than_we_do() {
    let string =
        WIRE_TYPES.iter().find(|wire_type| wire_type.name == "remote_domain_get_xml_desc_ret").unwrap();
    let read = |bytes: &[u8]| {
        let theirs = read(model(), &string.shape, bytes).map(|(value, _)| value);
        (theirs, (string.recode)(&Bytes::copy_from_slice(bytes)))
    };
    let (theirs, ours) = read(b"\0\0\0\x01a\0\x01\0");
    assert!(theirs.is_ok() && ours.is_err(), "padding that is not zero: {theirs:?}, {ours:?}");
    let mut long = vec![b'a'; 4 + 4_194_308];
    long[..4].copy_from_slice(&4_194_308u32.to_be_bytes());
    let (theirs, ours) = read(&long);
    assert!(theirs.is_ok() && ours.is_err(), "a string over its bound: {ours:?}");
    let (theirs, ours) = read(b"\0\0\0\x02\xc3\xa9\0\0");
    assert!(theirs.is_ok() && ours.is_ok(), "text beyond ASCII is read by both: {theirs:?}, {ours:?}");
}

/// Compares the two on one value; tells whether serde-xdr could write it.
fn compare(wire_type: &WireType, value: &Value) -> bool {
    let name = wire_type.name;
    let bytes = encode(model(), &wire_type.shape, value).bytes;
    let ours =
        (wire_type.recode)(&Bytes::from(bytes)).unwrap_or_else(|error| panic!("{name}: {error}: {value:?}"));
    let (read_back, used) =
        read(model(), &wire_type.shape, &ours).unwrap_or_else(|error| panic!("{name}: {error}: {value:?}"));
    assert_eq!(&read_back, value, "serde-xdr reads our bytes of {name} as another value");
    assert_eq!(used, ours.len(), "serde-xdr leaves bytes of {name}: {value:?}");

    let reason = INEXPRESSIBLE.iter().find(|(_, applies)| applies(value)).map(|(reason, _)| reason);
    match (serde_xdr::to_bytes(value), reason) {
        (Ok(theirs), None) => {
            assert_eq!(theirs, ours, "serde-xdr's bytes of {name} and ours differ: {value:?}");
            true
        }
        (Err(_), Some(_)) => false,
        (Ok(_), Some(reason)) => panic!("{name}: serde-xdr writes {value:?} after all, although {reason}"),
        (Err(error), None) => panic!("{name}: serde-xdr cannot write {value:?}: {error}"),
    }
}

/// Has serde-xdr read a value; returns how many bytes it took as well.
fn read<'a>(
    model: Model<'a>,
    shape: &Shape<'a>,
    bytes: &[u8],
) -> Result<(Value, usize), serde_xdr::CompatDeserializationError> {
    let mut cursor = Cursor::new(bytes);
    let value = Reading { model, shape: shape.clone() }
        .deserialize(&mut serde_xdr::Deserializer::new(&mut cursor))?;
    Ok((value, cursor.position() as usize))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(number) => serializer.serialize_i32(*number),
            Self::Uint(number) => serializer.serialize_u32(*number),
            Self::Hyper(number) => serializer.serialize_i64(*number),
            Self::UnsignedHyper(number) => serializer.serialize_u64(*number),
            Self::Float(bits) => serializer.serialize_f32(f32::from_bits(*bits)),
            Self::Double(bits) => serializer.serialize_f64(f64::from_bits(*bits)),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Opaque(bytes) => serializer.serialize_bytes(bytes),
            // Neither has a form of its own in serde: their words do for them.
            Self::Quadruple(bytes) => serialize_tuple(serializer, &words(bytes)),
            Self::FixedOpaque(bytes) => serialize_tuple(serializer, &words(bytes)),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Repeated(value, count) => serializer.collect_seq(std::iter::repeat_n(value, *count)),
            Self::FixedArray(values) | Self::Struct(values) => serialize_tuple(serializer, values),
            Self::Optional(Some(value)) => serializer.serialize_some(value),
            Self::Optional(None) => serializer.serialize_none(),
            Self::Union(word, Some(value)) => {
                serializer.serialize_newtype_variant("union", *word, "arm", value)
            }
            Self::Union(word, None) => serializer.serialize_unit_variant("union", *word, "arm"),
        }
    }
}

fn serialize_tuple<S: Serializer, T: Serialize>(serializer: S, values: &[T]) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(values.len())?;
    for value in values {
        tuple.serialize_element(value)?;
    }
    tuple.end()
}

/// Splits bytes into words, the last one padded with zeros.
fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_be_bytes(word)
    };
    bytes.chunks(4).map(word).collect()
}

/// Reads a value of a type that is only known while the test runs.
#[derive(Clone)]
struct Reading<'a> {
    model: Model<'a>,
    shape: Shape<'a>,
}

impl<'a> Reading<'a> {
    fn field(&self, field: &'a Field) -> Self {
        Self { model: self.model, shape: self.model.shape(&field.ty) }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match &self.shape {
            Shape::Primitive(primitive) => match primitive {
                Primitive::Char => i8::deserialize(deserializer).map(|number| Value::Int(number.into())),
                Primitive::UnsignedChar => {
                    u8::deserialize(deserializer).map(|number| Value::Uint(number.into()))
                }
                Primitive::Short => i16::deserialize(deserializer).map(|number| Value::Int(number.into())),
                Primitive::UnsignedShort => {
                    u16::deserialize(deserializer).map(|number| Value::Uint(number.into()))
                }
                Primitive::Int => i32::deserialize(deserializer).map(Value::Int),
                Primitive::UnsignedInt => u32::deserialize(deserializer).map(Value::Uint),
                Primitive::Hyper => i64::deserialize(deserializer).map(Value::Hyper),
                Primitive::UnsignedHyper => u64::deserialize(deserializer).map(Value::UnsignedHyper),
                Primitive::Float => {
                    f32::deserialize(deserializer).map(|number| Value::Float(number.to_bits()))
                }
                Primitive::Double => {
                    f64::deserialize(deserializer).map(|number| Value::Double(number.to_bits()))
                }
                Primitive::Bool => bool::deserialize(deserializer).map(Value::Bool),
                Primitive::Quadruple => deserializer.deserialize_tuple(4, self),
            },
            Shape::Enum(_) => i32::deserialize(deserializer).map(Value::Int),
            Shape::Text(_) => String::deserialize(deserializer).map(Value::Text),
            Shape::Opaque(_) => deserializer.deserialize_byte_buf(self),
            Shape::FixedOpaque(length) => deserializer.deserialize_tuple(length.div_ceil(4), self),
            Shape::Array(..) => deserializer.deserialize_seq(self),
            Shape::FixedArray(_, length) => deserializer.deserialize_tuple(*length, self),
            Shape::Optional(_) => deserializer.deserialize_option(self),
            Shape::Struct(fields) => deserializer.deserialize_tuple(fields.len(), self),
            Shape::Union(_) => deserializer.deserialize_enum("union", &[], self),
        }
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {:?}", self.shape)
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Opaque(bytes))
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Optional(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Shape::Optional(target) = self.shape else {
            return Err(de::Error::custom("no optional value here"));
        };
        let target = Self { shape: self.model.shape(target), ..self };
        target.deserialize(deserializer).map(|value| Value::Optional(Some(Box::new(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        match &self.shape {
            Shape::Struct(fields) => {
                for field in *fields {
                    values.extend(seq.next_element_seed(self.field(field))?);
                }
                return Ok(Value::Struct(values));
            }
            Shape::Array(element, _) | Shape::FixedArray(element, _) => {
                let element = Self { shape: self.model.shape(element), ..self.clone() };
                while let Some(value) = seq.next_element_seed(element.clone())? {
                    values.push(value);
                }
                return Ok(match &self.shape {
                    Shape::Array(..) => Value::Array(values),
                    _ => Value::FixedArray(values),
                });
            }
            _ => {}
        }
        let mut bytes = Vec::new();
        while let Some(word) = seq.next_element::<u32>()? {
            bytes.extend(word.to_be_bytes());
        }
        Ok(match self.shape {
            Shape::FixedOpaque(length) => {
                bytes.truncate(length);
                Value::FixedOpaque(bytes)
            }
            _ => Value::Quadruple(
                bytes.try_into().map_err(|_| de::Error::custom("a quadruple has four words"))?,
            ),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let Shape::Union(union) = &self.shape else { return Err(de::Error::custom("no union here")) };
        let (word, arm) = data.variant::<u32>()?;
        match arm_of(union, word).ok_or_else(|| de::Error::custom("no such arm"))? {
            Some(field) => {
                let value = arm.newtype_variant_seed(self.field(field))?;
                Ok(Value::Union(word, Some(Box::new(value))))
            }
            None => arm.unit_variant().map(|()| Value::Union(word, None)),
        }
    }
}

fn arm_of(union: &Union, word: u32) -> Option<Option<&Field>> {
    labels(union).into_iter().find(|(label, _)| *label == word).map(|(_, field)| field)
}
