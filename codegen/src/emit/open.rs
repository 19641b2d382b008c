//! Open enums: numbers with names, of which there may be more than are known here.

use std::fmt::Write;

use super::literal;
use crate::names;

/// Writes the method that names a number. Where several names share a number, the first is taken.
pub(crate) fn names<'a>(constants: impl Iterator<Item = (&'a str, i32)>) -> String {
    let mut text = "\n    /// Returns the name of the constant with this number.\n    #[must_use]\n    \
                    pub const fn name(self) -> Option<&'static str> {\n        match self.0 {\n"
        .to_owned();
    for (name, value) in first_of_each(constants) {
        _ = writeln!(text, "            {} => Some(\"{name}\"),", literal(value.into()));
    }
    text.push_str("            _ => None,\n        }\n    }\n");
    text
}

/// Writes `Debug`: `DomainState::RUNNING`, or `DomainState(17)`.
pub(crate) fn debug(rust: &str) -> String {
    format!(
        "impl std::fmt::Debug for {rust} {{\n    \
         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
         match self.name() {{\n            \
         Some(name) => write!(f, \"{rust}::{{name}}\"),\n            \
         None => write!(f, \"{rust}({{}})\", self.0),\n        }}\n    }}\n}}\n"
    )
}

/// Writes `Display`: `no autostart`, or the number.
pub(crate) fn display_in_words<'a>(rust: &str, constants: impl Iterator<Item = (&'a str, i32)>) -> String {
    let mut text = format!(
        "impl std::fmt::Display for {rust} {{\n    \
         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
         f.pad(match self.0 {{\n"
    );
    for (name, value) in first_of_each(constants) {
        _ = writeln!(text, "            {} => \"{}\",", literal(value.into()), names::spoken(name));
    }
    text.push_str("            other => return std::fmt::Display::fmt(&other, f),\n        })\n    }\n}\n");
    text
}

/// Writes the call of the macro, in `src/serde_impl.rs`, that implements serde's traits.
pub(crate) fn serde<'a>(rust: &str, constants: impl Iterator<Item = &'a str>) -> String {
    let mut text = format!("\n#[cfg(feature = \"serde\")]\nopen_enum! {{\n    {rust}:");
    let mut length = rust.len();
    for name in constants {
        length += name.len() + 1;
        let space = if length > 90 { "\n        " } else { " " };
        length = if length > 90 { name.len() } else { length };
        _ = write!(text, "{space}{name}");
    }
    text.push_str("\n}\n");
    text
}

/// The derives of serde, for data that can be read back and for data that cannot.
pub(crate) fn serde_derives(both: bool) -> &'static str {
    if both {
        "#[cfg_attr(feature = \"serde\", derive(serde::Serialize, serde::Deserialize))]\n"
    } else {
        "#[cfg_attr(feature = \"serde\", derive(serde::Serialize))]\n"
    }
}

fn first_of_each<'a>(constants: impl Iterator<Item = (&'a str, i32)>) -> Vec<(&'a str, i32)> {
    let mut seen = std::collections::BTreeSet::new();
    constants.filter(|&(_, value)| seen.insert(value)).collect()
}
