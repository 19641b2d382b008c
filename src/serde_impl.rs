//! How public data is written with serde, and read back (feature `serde`): what derives cannot do.
//!
//! Formats that people read (JSON, TOML, YAML) get names and text; those that they do not, numbers and bytes.

use std::{fmt, marker::PhantomData, str::FromStr};

use bitflags::Flags;
use serde::{
    Deserializer, Serializer,
    de::{self, Unexpected, Visitor},
    ser,
};

/// Implements both traits for an open enum, by its constants.
macro_rules! open_enum {
    ($name:ident: $($constant:ident)*) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                $crate::serde_impl::write_number(self.name(), self.0, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                let names = &[$((stringify!($constant), Self::$constant.0)),*];
                $crate::serde_impl::read_number(stringify!($name), names, deserializer).map(Self)
            }
        }
    };
}

/// Implements both traits for a set of flags.
macro_rules! flags_with_serde {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                $crate::serde_impl::write_flags(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                $crate::serde_impl::read_flags(stringify!($name), deserializer)
            }
        }
    };
}

/// Writes `"RUNNING"`, or the number where it has no name.
pub(crate) fn write_number<S: Serializer>(
    name: Option<&'static str>,
    number: i32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) if serializer.is_human_readable() => serializer.serialize_str(name),
        _ => serializer.serialize_i32(number),
    }
}

/// Reads either.
pub(crate) fn read_number<'de, D: Deserializer<'de>>(
    what: &'static str,
    names: &[(&str, i32)],
    deserializer: D,
) -> Result<i32, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Number { what, names })
    } else {
        serde::Deserialize::deserialize(deserializer)
    }
}

struct Number<'a> {
    what: &'static str,
    names: &'a [(&'a str, i32)],
}

impl Visitor<'_> for Number<'_> {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of a {} or its number", self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i32, E> {
        match self.names.iter().find(|(name, _)| *name == text) {
            Some(&(_, number)) => Ok(number),
            // Keys of maps are text, even where they are numbers.
            None => text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i32, E> {
        number.try_into().map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i32, E> {
        number.try_into().map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

/// Writes `"PAUSED | 0x40"`, as bitflags does.
pub(crate) fn write_flags<F: Flags<Bits = u32>, S: Serializer>(
    flags: &F,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_u32(flags.bits());
    }
    let mut text = String::new();
    bitflags::parser::to_writer(flags, &mut text).map_err(ser::Error::custom)?;
    serializer.serialize_str(&text)
}

/// Reads that, or the number.
pub(crate) fn read_flags<'de, F: Flags<Bits = u32>, D: Deserializer<'de>>(
    what: &'static str,
    deserializer: D,
) -> Result<F, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Bits { what, flags: PhantomData })
    } else {
        serde::Deserialize::deserialize(deserializer).map(F::from_bits_retain)
    }
}

struct Bits<F> {
    what: &'static str,
    flags: PhantomData<F>,
}

impl<F: Flags<Bits = u32>> Visitor<'_> for Bits<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "names of {} with | between them, or their number", self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<F, E> {
        bitflags::parser::from_str(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, bits: u64) -> Result<F, E> {
        match bits.try_into() {
            Ok(bits) => Ok(F::from_bits_retain(bits)),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(bits), &self)),
        }
    }
}

/// Writes text for people and bytes for others.
pub(crate) fn write_text_or_bytes<S: Serializer>(
    text: &impl fmt::Display,
    bytes: &[u8],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.collect_str(text)
    } else {
        serializer.serialize_bytes(bytes)
    }
}

/// Reads either.
pub(crate) fn read_text_or_bytes<'de, T, D>(
    what: &'static str,
    from_bytes: fn(&[u8]) -> Option<T>,
    deserializer: D,
) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let visitor = TextOrBytes { what, from_bytes };
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(visitor)
    } else {
        deserializer.deserialize_bytes(visitor)
    }
}

struct TextOrBytes<T> {
    what: &'static str,
    from_bytes: fn(&[u8]) -> Option<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextOrBytes<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        (self.from_bytes)(bytes).ok_or_else(|| E::invalid_value(Unexpected::Bytes(bytes), &self))
    }
}

/// Arrays that are longer than those that serde knows, for `#[serde(with)]`.
#[allow(dead_code, reason = "our definitions have none, but the generator takes others")]
pub(crate) mod long_array {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<T: Serialize, S: Serializer, const LENGTH: usize>(
        array: &[T; LENGTH],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(array)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>, const LENGTH: usize>(
        deserializer: D,
    ) -> Result<[T; LENGTH], D::Error> {
        let elements = Vec::deserialize(deserializer)?;
        elements.try_into().map_err(|elements: Vec<T>| {
            D::Error::invalid_length(elements.len(), &format!("{LENGTH} elements").as_str())
        })
    }
}
