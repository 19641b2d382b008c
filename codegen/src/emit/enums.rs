//! The enums and flags of the public API.

use std::fmt::Write;

use super::{
    Problem, Tables, literal, open,
    tables::{ApiEnum, ApiValue},
};
use crate::{
    names::{self, Scope},
    overrides,
};

/// The enums that errors are made of, with their Rust names.
const ERROR_ENUMS: [(&str, &str); 4] = [
    ("virErrorNumber", "ErrorCode"),
    ("virErrorDomain", "ErrorDomain"),
    ("virErrorLevel", "ErrorLevel"),
    ("virConnectCloseReason", "ConnectCloseReason"),
];

/// Writes all but those that errors are made of.
pub(crate) fn public(tables: &Tables) -> Result<String, Problem> {
    let mut scope = Scope::new("the public enums");
    let mut parts = vec!["// Written from enums.tsv by libvirt-client-codegen.\n".to_owned()];
    for definition in &tables.enums {
        if ERROR_ENUMS.iter().any(|&(c_name, _)| c_name == definition.name) {
            continue;
        }
        let rust = names::api_enum(&definition.name);
        scope.take(&rust, &definition.name, None)?;
        let constants = constants(definition)?;
        parts.push(if rust.ends_with("Flags") || overrides::is_flags(&definition.name) {
            flags(definition, &rust, &constants)?
        } else {
            let mut text = values(definition, &rust, &constants)?;
            text.push('\n');
            text.push_str(&open::display_in_words(&rust, numbers(&constants)));
            text
        });
    }
    Ok(parts.join("\n"))
}

/// Writes those that errors are made of. A code is shown as in `42 NO_DOMAIN`, so that it can be looked up by
/// either.
pub(crate) fn errors(tables: &Tables) -> Result<String, Problem> {
    let mut parts = vec!["// Written from enums.tsv by libvirt-client-codegen.\n".to_owned()];
    for (c_name, rust) in ERROR_ENUMS {
        let Some(definition) = tables.enums.iter().find(|definition| definition.name == c_name) else {
            return Err(Problem::new(None, format!("enums.tsv lacks {c_name}, which errors are made of")));
        };
        let constants = constants(definition)?;
        let mut text = values(definition, rust, &constants)?;
        text.push('\n');
        if rust == "ErrorCode" {
            text.push_str(
                "impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, \"{} {name}\", self.0),
            None => write!(f, \"{}\", self.0),
        }
    }
}
",
            );
        } else {
            text.push_str(&open::display_in_words(rust, numbers(&constants)));
        }
        parts.push(text);
    }
    Ok(parts.join("\n"))
}

/// A constant with its Rust name.
pub(super) struct Constant<'a> {
    pub(super) rust: String,
    pub(super) value: &'a ApiValue,
}

/// Names the values and puts them in the order of their numbers.
pub(super) fn constants(definition: &ApiEnum) -> Result<Vec<Constant<'_>>, Problem> {
    let values: Vec<&ApiValue> =
        definition.values.iter().filter(|value| !overrides::is_sentinel(&value.name)).collect();
    let c_names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    let mut scope = Scope::new(&definition.name);
    let mut constants = Vec::with_capacity(values.len());
    for (rust, value) in names::enumerators(&definition.name, &c_names).into_iter().zip(values) {
        scope.take(&rust, &value.name, None)?;
        constants.push(Constant { rust, value });
    }
    constants.sort_by_key(|constant| constant.value.value);
    Ok(constants)
}

fn values(definition: &ApiEnum, rust: &str, constants: &[Constant<'_>]) -> Result<String, Problem> {
    let c_name = &definition.name;
    let mut text = format!(
        "/// `{c_name}`. Numbers without a name are kept.\n\
         #[doc(alias = \"{c_name}\")]\n\
         #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         pub struct {rust}(pub i32);\n\n\
         impl {rust} {{\n"
    );
    for Constant { rust, value } in constants {
        let Ok(number) = i32::try_from(value.value) else { return Err(out_of_range(value, "with")) };
        _ = writeln!(text, "{}    pub const {rust}: Self = Self({});", head(value), literal(number.into()));
    }
    text.push_str(&open::names(numbers(constants)));
    text.push_str("}\n\n");
    text.push_str(&open::debug(rust));
    text.push_str(&open::serde(rust, constants.iter().map(|constant| constant.rust.as_str())));
    Ok(text)
}

/// Writes a call of the macro that stands beside the place where this text is included.
fn flags(definition: &ApiEnum, rust: &str, constants: &[Constant<'_>]) -> Result<String, Problem> {
    let c_name = &definition.name;
    let mut text = format!(
        "flags! {{\n    \
         /// `{c_name}`. Bits without a name are kept.\n    \
         #[doc(alias = \"{c_name}\")]\n    \
         {rust} {{\n"
    );
    for Constant { rust, value } in constants {
        let Ok(bits) = u32::try_from(value.value) else { return Err(out_of_range(value, "without")) };
        let bits = if bits.is_power_of_two() {
            format!("1 << {}", bits.trailing_zeros())
        } else {
            format!("{bits:#x}")
        };
        _ = write!(text, "{}", head(value).replace("    ", "        "));
        _ = writeln!(text, "        {rust} = {bits},");
    }
    text.push_str("    }\n}\n");
    Ok(text)
}

fn head(value: &ApiValue) -> String {
    let name = &value.name;
    let since = value.since.as_ref().map_or_else(String::new, |since| format!(", since libvirt {since}"));
    format!("    /// `{name}`{since}.\n    #[doc(alias = \"{name}\")]\n")
}

fn numbers<'a>(constants: &'a [Constant<'_>]) -> impl Iterator<Item = (&'a str, i32)> {
    constants
        .iter()
        .filter_map(|constant| Some((constant.rust.as_str(), i32::try_from(constant.value.value).ok()?)))
}

fn out_of_range(value: &ApiValue, sign: &str) -> Problem {
    Problem::new(
        None,
        format!("{} is {} in enums.tsv, but must fit into 32 bits {sign} sign", value.name, value.value),
    )
}
