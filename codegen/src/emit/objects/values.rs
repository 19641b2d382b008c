//! Single values: what a field of the wire is to users, by its shape and by what `api.toml` says about it.

use std::collections::BTreeMap;

use super::Objects;
use crate::{
    api::{BOOL, COUNTER, Entry, is_flags},
    emit::model::{ItemKind, Member, Shape},
    error::Error,
    names,
    overrides::objects as overrides,
    spec::Primitive,
};

/// Where a field is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Among the arguments or results.
    Top,
    /// In a struct among the results.
    Inside,
    /// In an event.
    Event,
}

/// What `api.toml` says about fields.
#[derive(Clone, Copy)]
pub(super) struct Words<'w, 'e> {
    pub(super) entries: &'w [&'e Entry],
    pub(super) place: Place,
}

impl<'e> Words<'_, 'e> {
    /// Returns the struct that typed parameters are.
    pub(super) fn params(&self) -> Option<&'e str> {
        self.entries.iter().find_map(|entry| entry.params.as_ref()).map(|params| params.text.as_str())
    }
}

/// What a number is.
pub(super) enum Meaning {
    /// A number.
    Plain,
    /// 0 or 1.
    Bool,
    /// A count, or -1 where nothing counts.
    Counter,
    /// A type of the public enums, by its Rust name; whether its values are combined.
    Enum { rust: String, flags: bool },
    /// A time, counted in what the function of `Duration` says: `millis`.
    Time(&'static str),
    /// A version, in one number.
    Version,
}

impl Objects<'_> {
    /// Returns what a number is, as far as one of the entries says it.
    pub(super) fn meaning(&self, member: &Member, words: Words<'_, '_>) -> Result<Meaning, Error> {
        let Shape::Primitive(primitive) = member.shape else { return Ok(Meaning::Plain) };
        for entry in words.entries {
            let Some(said) = said(&entry.enums, member, words.place) else { continue };
            if said.text == BOOL {
                return Ok(Meaning::Bool);
            }
            if said.text == COUNTER {
                return Ok(Meaning::Counter);
            }
            let c_name = self.api.find_enum(self.tables, said)?;
            return Ok(Meaning::Enum { rust: names::api_enum(c_name), flags: is_flags(c_name) });
        }
        if self.unit(member, words) == Some(VERSION) {
            return Ok(Meaning::Version);
        }
        let unsigned = matches!(primitive, Primitive::UnsignedInt | Primitive::UnsignedHyper);
        let time = self.unit(member, words).and_then(|unit| match unit {
            "ns" => Some("nanos"),
            "us" | "µs" => Some("micros"),
            "ms" => Some("millis"),
            "s" => Some("secs"),
            _ => None,
        });
        Ok(time.filter(|_| unsigned).map_or(Meaning::Plain, Meaning::Time))
    }

    /// Returns the unit of a number.
    pub(super) fn unit<'e>(&self, member: &Member, words: Words<'_, 'e>) -> Option<&'e str> {
        words
            .entries
            .iter()
            .find_map(|entry| said(&entry.units, member, words.place))
            .map(|unit| unit.text.as_str())
    }

    /// Names a field or an argument, with its unit where the type does not say it.
    pub(super) fn name(&self, member: &Member, words: Words<'_, '_>) -> Result<String, Error> {
        let base = self.plain_name(member, words);
        let suffix = match self.unit(member, words) {
            Some(unit) if !matches!(self.meaning(member, words)?, Meaning::Time(_)) => suffix(unit),
            _ => None,
        };
        // `mhz` and `seconds` say it already.
        let says_it = |suffix: &&str| base.ends_with(suffix.trim_start_matches('_')) && *suffix != "_s";
        let suffix = suffix.filter(|suffix| !says_it(suffix) && !base.contains("second"));
        Ok(format!("{base}{}", suffix.unwrap_or_default()))
    }

    /// Names a field or an argument: better, or after its object, or as it is.
    pub(super) fn plain_name(&self, member: &Member, words: Words<'_, '_>) -> String {
        let better = words.entries.iter().find_map(|entry| said(&entry.names, member, words.place));
        match (better, self.handle(&member.shape), overrides::field(&member.wire)) {
            (Some(better), ..) => better.text.clone(),
            (None, Some(object), _) => super::object_value(object),
            (None, None, Some(name)) => name.to_owned(),
            (None, None, None) => member.rust.clone(),
        }
    }

    /// Returns the object that a value is the handle of.
    pub(super) fn handle(&self, shape: &Shape) -> Option<&'static str> {
        match shape {
            Shape::Item(id) => overrides::handle(&self.model.item(*id).wire),
            Shape::Optional(inner) => self.handle(inner),
            _ => None,
        }
    }

    /// Tells whether a shape is a list of typed parameters.
    pub(super) fn is_typed_params(&self, shape: &Shape) -> bool {
        let Shape::Array(element, _) = shape else { return false };
        matches!(**element, Shape::Item(id) if overrides::is_typed_param(&self.model.item(id).wire))
    }

    /// Tells whether a field is a set of CPUs.
    pub(super) fn is_cpu_map(member: &Member) -> bool {
        member.wire == overrides::CPU_MAP && matches!(member.shape, Shape::Opaque(_))
    }

    /// Tells whether a shape is a struct that is no handle.
    pub(super) fn is_plain_struct(&self, id: usize) -> bool {
        let item = self.model.item(id);
        matches!(item.kind, ItemKind::Struct(_)) && overrides::handle(&item.wire).is_none()
    }
}

/// What `api.toml` has as the unit of a version.
const VERSION: &str = "version";

/// Returns what a table of an entry says about a field, by its name on the wire or in Rust; a field of a struct in the
/// results has the path to it before its name.
fn said<'e, T>(table: &'e BTreeMap<String, T>, member: &Member, place: Place) -> Option<&'e T> {
    let is_it = |name: &str| name == member.wire || name == member.rust;
    let mut entries = table.iter();
    let found = match place {
        Place::Top | Place::Event => entries.find(|(key, _)| is_it(key)),
        Place::Inside => entries.find(|(key, _)| key.rsplit_once('.').is_some_and(|(_, name)| is_it(name))),
    };
    found.map(|(_, said)| said)
}

/// Returns the end of a name that says the unit; none for bytes, which are what one expects.
fn suffix(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "KiB" => "_kib",
        "MiB" => "_mib",
        "GiB" => "_gib",
        "MiB/s" => "_mib_per_s",
        "KiB/s" => "_kib_per_s",
        "MHz" => "_mhz",
        "ns" => "_ns",
        "us" | "µs" => "_us",
        "ms" => "_ms",
        "s" => "_s",
        _ => return None,
    })
}

/// Returns the Rust type of a number.
pub(super) fn number(primitive: Primitive) -> Option<&'static str> {
    Some(match primitive {
        Primitive::Char => "i8",
        Primitive::UnsignedChar => "u8",
        Primitive::Short => "i16",
        Primitive::UnsignedShort => "u16",
        Primitive::Int => "i32",
        Primitive::UnsignedInt => "u32",
        Primitive::Hyper => "i64",
        Primitive::UnsignedHyper => "u64",
        Primitive::Float => "f32",
        Primitive::Double => "f64",
        Primitive::Bool => "bool",
        Primitive::Quadruple => return None,
    })
}
