//! Typed parameters: named values of six kinds, which settings and statistics travel as.

use std::fmt;

use crate::protocol::{admin, remote};

/// Named values in their order, as settings are given and statistics are told. The names are in
/// [`fields`](crate::fields). Those that belong together are structs too, in [`params`](crate::params) and
/// [`stats`](crate::stats): these are made of parameters, and wherever parameters are taken they can be given.
///
/// ```
/// use libvirt_client::{TypedParams, fields};
///
/// let params = TypedParams::new().with(fields::DOMAIN_SCHEDULER_CPU_SHARES, 2048_u64).with("vcpu_quota", -1_i64);
/// assert_eq!(params.u64("cpu_shares"), Some(2048));
/// assert_eq!(params.i64("vcpu_quota"), Some(-1));
/// assert_eq!(params.u64("vcpu_quota"), None, "a negative number");
/// assert_eq!(params.str("cpu_shares"), None, "a number");
/// ```
///
/// A daemon takes each name in one type only. It is the one of the value: `2048_u64` is an unsigned long long to C.
///
/// With the feature `serde`, JSON has a list that keeps order, repetition and types:
/// `[{"name": "cpu_shares", "type": "u64", "value": 2048}]`.
///
/// C: `virTypedParameterPtr`.
#[derive(Clone, Default, PartialEq)]
#[doc(alias = "virTypedParameter")]
pub struct TypedParams {
    params: Vec<(String, TypedValue)>,
}

/// The value of a typed parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedValue {
    /// C: `VIR_TYPED_PARAM_INT`.
    I32(i32),
    /// C: `VIR_TYPED_PARAM_UINT`.
    U32(u32),
    /// C: `VIR_TYPED_PARAM_LLONG`.
    I64(i64),
    /// C: `VIR_TYPED_PARAM_ULLONG`.
    U64(u64),
    /// C: `VIR_TYPED_PARAM_DOUBLE`.
    F64(f64),
    /// C: `VIR_TYPED_PARAM_BOOLEAN`.
    Bool(bool),
    /// C: `VIR_TYPED_PARAM_STRING`.
    String(String),
}

impl TypedParams {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value at the end, and returns the whole. The same name may come several times, as the disks do that a
    /// migration copies.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<TypedValue>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a value at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<TypedValue>) {
        self.params.push((name.into(), value.into()));
    }

    /// Returns the first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TypedValue> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns all values of this name, in their order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &TypedValue> {
        self.params.iter().filter(move |(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns an integer of any type that fits, or `None` if there is no such name, no integer or too large a one.
    #[must_use]
    pub fn i64(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// Returns an integer of any type that fits, or `None` if there is no such name, no integer or a negative one.
    #[must_use]
    pub fn u64(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    /// Returns an integer of any type that fits, or `None`.
    #[must_use]
    pub fn i32(&self, name: &str) -> Option<i32> {
        self.i64(name)?.try_into().ok()
    }

    /// Returns an integer of any type that fits, or `None`.
    #[must_use]
    pub fn u32(&self, name: &str) -> Option<u32> {
        self.u64(name)?.try_into().ok()
    }

    /// Returns a floating-point number, or `None` if there is no such name or it is of another type.
    #[must_use]
    pub fn f64(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            TypedValue::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns a truth value, or `None` if there is no such name or it is of another type.
    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            TypedValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns a text, or `None` if there is no such name or it is of another type.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            TypedValue::String(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the names and values, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &TypedValue)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Takes them from the structs of a program.
    pub(in crate::objects) fn from_wire<W: Into<(String, TypedValue)>>(params: Vec<W>) -> Self {
        Self { params: params.into_iter().map(Into::into).collect() }
    }

    /// Makes them the structs of a program.
    pub(in crate::objects) fn into_wire<W: From<(String, TypedValue)>>(self) -> Vec<W> {
        self.params.into_iter().map(W::from).collect()
    }
}

impl TypedValue {
    /// Returns an integer of any type that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            Self::U64(value) => value.try_into().ok(),
            Self::F64(_) | Self::Bool(_) | Self::String(_) => None,
        }
    }

    /// Returns an integer of any type that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U64(value) => Some(value),
            _ => self.as_i64()?.try_into().ok(),
        }
    }
}

impl fmt::Debug for TypedParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Display for TypedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32(value) => value.fmt(f),
            Self::U32(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
        }
    }
}

impl<N: Into<String>, V: Into<TypedValue>> FromIterator<(N, V)> for TypedParams {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(params: I) -> Self {
        Self { params: params.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl<N: Into<String>, V: Into<TypedValue>> Extend<(N, V)> for TypedParams {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, params: I) {
        self.params.extend(params.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
}

impl<N: Into<String>, V: Into<TypedValue>, const COUNT: usize> From<[(N, V); COUNT]> for TypedParams {
    fn from(params: [(N, V); COUNT]) -> Self {
        params.into_iter().collect()
    }
}

impl IntoIterator for TypedParams {
    type Item = (String, TypedValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.params.into_iter()
    }
}

/// The programs have the same struct, each for itself.
macro_rules! wire {
    ($($program:ident)*) => {
        $(impl From<$program::TypedParam> for (String, TypedValue) {
            fn from(param: $program::TypedParam) -> Self {
                use $program::TypedParamValue as Wire;
                let value = match param.value {
                    Wire::Int(value) => TypedValue::I32(value),
                    Wire::Uint(value) => TypedValue::U32(value),
                    Wire::Llong(value) => TypedValue::I64(value),
                    Wire::Ullong(value) => TypedValue::U64(value),
                    Wire::Double(value) => TypedValue::F64(value),
                    Wire::Boolean(value) => TypedValue::Bool(value != 0),
                    Wire::String(value) => TypedValue::String(value),
                };
                (param.field, value)
            }
        }

        impl From<(String, TypedValue)> for $program::TypedParam {
            fn from((field, value): (String, TypedValue)) -> Self {
                use $program::TypedParamValue as Wire;
                let value = match value {
                    TypedValue::I32(value) => Wire::Int(value),
                    TypedValue::U32(value) => Wire::Uint(value),
                    TypedValue::I64(value) => Wire::Llong(value),
                    TypedValue::U64(value) => Wire::Ullong(value),
                    TypedValue::F64(value) => Wire::Double(value),
                    TypedValue::Bool(value) => Wire::Boolean(value.into()),
                    TypedValue::String(value) => Wire::String(value),
                };
                Self { field, value }
            }
        })*
    };
}

wire! { remote admin }

macro_rules! from {
    ($($ty:ty => $variant:ident,)*) => {
        $(impl From<$ty> for TypedValue {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from! {
    i32 => I32,
    u32 => U32,
    i64 => I64,
    u64 => U64,
    f64 => F64,
    bool => Bool,
    String => String,
    &str => String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> TypedParams {
        TypedParams::new()
            .with("int", -1)
            .with("uint", 2_u32)
            .with("llong", i64::MIN)
            .with("ullong", u64::MAX)
            .with("double", 0.5)
            .with("boolean", true)
            .with("string", "text")
    }

    #[test]
    fn all_six_types_and_text_go_over_the_wire_and_back() {
        let wire: Vec<remote::TypedParam> = all().into_wire();
        let kinds: Vec<i32> = wire.iter().map(|param| param.value.discriminant()).collect();
        assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(TypedParams::from_wire(wire), all());
    }

    #[test]
    fn integers_are_taken_where_they_fit() {
        let params = all();
        assert_eq!((params.i64("int"), params.u64("int"), params.u32("int")), (Some(-1), None, None));
        assert_eq!((params.i32("uint"), params.u64("uint")), (Some(2), Some(2)));
        assert_eq!((params.i64("llong"), params.i32("llong")), (Some(i64::MIN), None));
        assert_eq!((params.u64("ullong"), params.i64("ullong")), (Some(u64::MAX), None));
        assert_eq!((params.i64("double"), params.i64("boolean"), params.i64("none")), (None, None, None));
        assert_eq!((params.f64("double"), params.bool("boolean")), (Some(0.5), Some(true)));
        assert_eq!((params.str("string"), params.str("int")), (Some("text"), None));
    }

    #[test]
    fn order_and_repetition_are_kept() {
        let params = TypedParams::from([("disk", "vda"), ("name", "web"), ("disk", "vdb")]);
        assert_eq!(params.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["disk", "name", "disk"]);
        let disks: Vec<String> = params.get_all("disk").map(ToString::to_string).collect();
        assert_eq!((disks, params.str("disk")), (vec!["vda".to_owned(), "vdb".to_owned()], Some("vda")));
        assert_eq!(format!("{params:?}").matches("disk").count(), 2);
    }
}
