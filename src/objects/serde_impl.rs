//! How values are written with serde and read back that have a form of their own (feature `serde`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{CpuMap, TypedParams, TypedValue, Uuid, Version};
use crate::{
    protocol::remote,
    serde_impl::{read_text_or_bytes, write_text_or_bytes},
};

/// `"4dea22b3-1d52-d8f3-2516-782e98ab3fa0"`; sixteen bytes in formats that nobody reads.
impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_text_or_bytes(self, &<[u8; 16]>::from(*self), serializer)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let from_bytes = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(Self::from);
        read_text_or_bytes("a UUID", from_bytes, deserializer)
    }
}

/// `"0-3,7"`; the bits in formats that nobody reads.
impl Serialize for CpuMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_text_or_bytes(self, &self.bytes, serializer)
    }
}

impl<'de> Deserialize<'de> for CpuMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text_or_bytes("a set of CPUs", |bytes| Some(Self::from(bytes)), deserializer)
    }
}

/// `"9.0.0"`; libvirt's number in formats that nobody reads.
impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64((*self).into())
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self::from)
        }
    }
}

/// As people read it: `{"type": "u64", "value": 2048}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "TypedValue", tag = "type", content = "value", rename_all = "lowercase")]
enum Tagged {
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    String(String),
}

/// The same with the name beside it.
#[derive(Serialize)]
struct Written<'a> {
    name: &'a str,
    #[serde(flatten, with = "Tagged")]
    value: &'a TypedValue,
}

#[derive(Deserialize)]
struct Read {
    name: String,
    #[serde(flatten, with = "Tagged")]
    value: TypedValue,
}

/// Formats that nobody reads have it as the wire has it: those know no tags beside values.
impl Serialize for TypedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Tagged::serialize(self, serializer)
        } else {
            remote::TypedParam::from((String::new(), self.clone())).value.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TypedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Tagged::deserialize(deserializer);
        }
        let value = remote::TypedParamValue::deserialize(deserializer)?;
        let (_, value) = remote::TypedParam { field: String::new(), value }.into();
        Ok(value)
    }
}

impl Serialize for TypedParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.iter().map(|(name, value)| Written { name, value }))
        } else {
            serializer.collect_seq(self.iter())
        }
    }
}

impl<'de> Deserialize<'de> for TypedParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let params = Vec::<Read>::deserialize(deserializer)?;
            Ok(params.into_iter().map(|Read { name, value }| (name, value)).collect())
        } else {
            Vec::<(String, TypedValue)>::deserialize(deserializer).map(Self::from_iter)
        }
    }
}
