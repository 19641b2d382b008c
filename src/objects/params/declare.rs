//! How structs of typed parameters are declared: a line for each value, and all that has no line is kept.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    time::{Duration, SystemTime},
};

use super::typed::{TypedParams, TypedValue};
use crate::objects::{enums, saturating};

/// Declares a struct of typed parameters, with the conversions from and to [`TypedParams`].
///
/// A field is `name: Type = "name on the wire"` and becomes an `Option`; `as Form` says how the wire has it where that is
/// not its own type. Four sections may follow: `lists` of names that come several times, `groups` of names with a number in
/// them (`vcpu.0.time`, whose struct is declared with `[number]`), and `parts`, which are structs, or [`TypedParams`], of
/// all names that begin alike. What fits nowhere is in `rest`, so that nothing is lost there and back.
macro_rules! params {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident $([$number:ident])? {
            $($(#[$doc:meta])* $field:ident: $ty:ty $(as $form:ty)? = $wire:literal,)*
        }
        $(lists {
            $($(#[$list_doc:meta])* $list:ident: $list_ty:ty = $list_wire:literal,)*
        })?
        $(groups {
            $($(#[$group_doc:meta])* $group:ident: $group_ty:ty = $group_prefix:literal,)*
        })?
        $(parts {
            $($(#[$part_doc:meta])* $part:ident: $part_ty:ty = $part_prefix:literal,)*
        })?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Default, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
        pub struct $name {
            $(
                /// Its number, which is in the names of its values.
                pub $number: u32,
            )?
            $($(#[$doc])* #[doc = concat!("\n`", $wire, "` on the wire.")] pub $field: Option<$ty>,)*
            $($($(#[$list_doc])* #[doc = concat!("\nEach is `", $list_wire, "` on the wire.")] pub $list: Vec<$list_ty>,)*)?
            $($($(#[$group_doc])* #[doc = concat!("\nIn the order of their numbers; `", $group_prefix, "0.` and so on begin the names on the wire. Of more than 1,024, those stay in `rest` whose structs would take more than twice the memory of all values.")] pub $group: Vec<$group_ty>,)*)?
            $($($(#[$part_doc])* #[doc = concat!("\n`", $part_prefix, "` begins the names on the wire.")] pub $part: $part_ty,)*)?
            /// What has no field here, does not have the field's type, or would be one struct too many of a group.
            pub rest: $crate::TypedParams,
        }

        impl From<$crate::TypedParams> for $name {
            fn from(params: $crate::TypedParams) -> Self {
                #[allow(unused_imports, reason = "not all structs have groups")]
                use $crate::objects::params::declare::{As, Numbered, numbered, take_surplus};
                let mut new = Self::default();
                $(
                    let count = params.len();
                    $(let mut $group = Numbered::new();)*
                )?
                $($(let mut $part = $crate::TypedParams::new();)*)?
                for (name, value) in params {
                    let taken = match name.as_str() {
                        $($wire => <As<$ty $(, $form)?>>::take(value, &mut new.$field),)*
                        $($($list_wire => <As<$list_ty>>::take_one_more(value, &mut new.$list),)*)?
                        _ => Err(value),
                    };
                    let Err(value) = taken else { continue };
                    $($(if let Some((number, name)) = numbered(&name, $group_prefix) {
                        $group.entry(number).or_default().push(name, value);
                        continue;
                    })*)?
                    $($(if let Some(name) = name.strip_prefix($part_prefix) {
                        $part.push(name, value);
                        continue;
                    })*)?
                    new.rest.push(name, value);
                }
                $($(take_surplus::<$group_ty>(&mut $group, count, $group_prefix, &mut new.rest);)*)?
                $($(new.$group = $group
                    .into_iter()
                    .map(|(number, params)| {
                        let mut new = <$group_ty>::from(params);
                        new.number = number;
                        new
                    })
                    .collect();)*)?
                $($(new.$part = $part.into();)*)?
                new
            }
        }

        impl From<$name> for $crate::TypedParams {
            fn from(from: $name) -> Self {
                #[allow(unused_imports, reason = "not all structs have groups")]
                use $crate::objects::params::declare::{As, put_back};
                let mut params = Self::new();
                $(if let Some(value) = from.$field {
                    params.push($wire, <As<$ty $(, $form)?>>::give(value));
                })*
                $($(for value in from.$list {
                    params.push($list_wire, <As<$list_ty>>::give(value));
                })*)?
                $($(for one in from.$group {
                    put_back(&mut params, &format!("{}{}.", $group_prefix, one.number), one.into());
                })*)?
                $($(put_back(&mut params, $part_prefix, from.$part.into());)*)?
                params.extend(from.rest);
                params
            }
        }

        /// Shows what is there.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $(shown.field(stringify!($number), &self.$number);)?
                $(if let Some(value) = &self.$field {
                    shown.field(stringify!($field), value);
                })*
                $($(if !self.$list.is_empty() {
                    shown.field(stringify!($list), &self.$list);
                })*)?
                $($(if !self.$group.is_empty() {
                    shown.field(stringify!($group), &self.$group);
                })*)?
                $($(if self.$part != Default::default() {
                    shown.field(stringify!($part), &self.$part);
                })*)?
                if !self.rest.is_empty() {
                    shown.field("rest", &self.rest);
                }
                shown.finish()
            }
        }
    };
}

pub(in crate::objects) use params;

/// What was sorted by the number in its name. A peer chooses numbers, in any order and with gaps.
pub(in crate::objects) type Numbered = BTreeMap<u32, TypedParams>;

/// Takes `vcpu.3.time` apart behind `vcpu.`. A number in another spelling than ours is none: it would come back changed.
pub(in crate::objects) fn numbered<'a>(name: &'a str, prefix: &str) -> Option<(u32, &'a str)> {
    let (number, name) = name.strip_prefix(prefix)?.split_once('.')?;
    let is_ours = number == "0" || !number.starts_with(['0', '+']);
    Some((number.parse().ok().filter(|_| is_ours)?, name))
}

/// So many structs of a group there may be in any case: a domain that is shut off says little about each of many disks.
/// The documentation of groups names it.
const FEWEST: usize = 1024;

/// Leaves as many structs of a group as take no more than twice the memory of all parameters: a peer that sends one value for
/// each number would otherwise have us make half a KiB out of twenty bytes. What is left out stays as it is.
pub(in crate::objects) fn take_surplus<T>(
    groups: &mut Numbered,
    params: usize,
    prefix: &str,
    rest: &mut TypedParams,
) {
    let most = 2 * params * size_of::<(String, TypedValue)>() / size_of::<T>().max(1);
    let Some((&first, _)) = groups.iter().nth(most.max(FEWEST)) else { return };
    for (number, params) in groups.split_off(&first) {
        put_back(rest, &format!("{prefix}{number}."), params);
    }
}

/// Adds parameters under names that begin with a prefix.
pub(in crate::objects) fn put_back(params: &mut TypedParams, prefix: &str, inner: TypedParams) {
    params.extend(inner.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
}

/// How a value is on the wire.
pub(in crate::objects) trait Form<T> {
    /// Takes a value of the wire, or returns it if it is none of these.
    fn read(value: TypedValue) -> Result<T, TypedValue>;

    /// Makes it a value of the wire, in the type that daemons take.
    fn write(value: T) -> TypedValue;
}

/// A field's type and form.
pub(in crate::objects) struct As<T, F = Plain>(PhantomData<(T, F)>);

impl<T, F: Form<T>> As<T, F> {
    /// Puts a value into a field, or returns it: the first of a name is the one that counts.
    pub(in crate::objects) fn take(value: TypedValue, field: &mut Option<T>) -> Result<(), TypedValue> {
        if field.is_some() {
            return Err(value);
        }
        *field = Some(F::read(value)?);
        Ok(())
    }

    pub(in crate::objects) fn take_one_more(value: TypedValue, list: &mut Vec<T>) -> Result<(), TypedValue> {
        list.push(F::read(value)?);
        Ok(())
    }

    pub(in crate::objects) fn give(value: T) -> TypedValue {
        F::write(value)
    }
}

/// As the Rust type is: `u64` as unsigned long long, enums as int.
pub(in crate::objects) struct Plain;

/// A truth value as an unsigned int.
pub(in crate::objects) struct ZeroOrOne;

/// A time in ns, as an integer of this type.
pub(in crate::objects) struct Nanos<N = u64>(PhantomData<N>);

/// A time in µs, as an integer of this type.
pub(in crate::objects) struct Micros<N = u64>(PhantomData<N>);

/// A time in ms, as an integer of this type; a moment since 1970.
pub(in crate::objects) struct Millis<N = u64>(PhantomData<N>);

/// A time in s, as an integer of this type; a moment since 1970.
pub(in crate::objects) struct Secs<N = u64>(PhantomData<N>);

/// An integer that times are counted in.
pub(in crate::objects) trait Count: Into<TypedValue> {
    fn saturated(count: u128) -> Self;
}

macro_rules! integers {
    ($($ty:ident: $as:ident,)*) => {
        $(impl Form<$ty> for Plain {
            fn read(value: TypedValue) -> Result<$ty, TypedValue> {
                value.$as().and_then(|number| number.try_into().ok()).ok_or(value)
            }

            fn write(value: $ty) -> TypedValue {
                value.into()
            }
        }

        impl Count for $ty {
            fn saturated(count: u128) -> Self {
                saturating(count, Self::MAX)
            }
        })*
    };
}

integers! {
    i32: as_i64,
    u32: as_u64,
    i64: as_i64,
    u64: as_u64,
}

macro_rules! others {
    ($($ty:ty: $variant:ident,)*) => {
        $(impl Form<$ty> for Plain {
            fn read(value: TypedValue) -> Result<$ty, TypedValue> {
                match value {
                    TypedValue::$variant(value) => Ok(value),
                    other => Err(other),
                }
            }

            fn write(value: $ty) -> TypedValue {
                TypedValue::$variant(value)
            }
        })*
    };
}

others! {
    f64: F64,
    bool: Bool,
    String: String,
}

macro_rules! open_enums {
    ($($name:ident)*) => {
        $(impl Form<enums::$name> for Plain {
            fn read(value: TypedValue) -> Result<enums::$name, TypedValue> {
                Self::read(value).map(enums::$name)
            }

            fn write(value: enums::$name) -> TypedValue {
                value.0.into()
            }
        })*
    };
}

open_enums! { DomainDirtyRateStatus DomainJobOperation DomainNumatuneMemMode DomainState VcpuState }

impl Form<bool> for ZeroOrOne {
    fn read(value: TypedValue) -> Result<bool, TypedValue> {
        match value.as_u64() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(value),
        }
    }

    fn write(value: bool) -> TypedValue {
        u32::from(value).into()
    }
}

macro_rules! times {
    ($($form:ident: $from:ident $count:ident,)*) => {
        $(impl<N: Count> Form<Duration> for $form<N> {
            fn read(value: TypedValue) -> Result<Duration, TypedValue> {
                value.as_u64().map(Duration::$from).ok_or(value)
            }

            fn write(value: Duration) -> TypedValue {
                N::saturated(value.$count().into()).into()
            }
        }

        impl<N: Count> Form<SystemTime> for $form<N> {
            fn read(value: TypedValue) -> Result<SystemTime, TypedValue> {
                let since = value.as_u64().map(Duration::$from);
                since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)).ok_or(value)
            }

            fn write(value: SystemTime) -> TypedValue {
                <Self as Form<Duration>>::write(value.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
            }
        })*
    };
}

times! {
    Nanos: from_nanos as_nanos,
    Micros: from_micros as_micros,
    Millis: from_millis as_millis,
    Secs: from_secs as_secs,
}
