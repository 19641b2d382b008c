//! The enum of what a daemon sends by itself.

use std::fmt::Write;

use super::{
    literal,
    model::{Model, Module, Procedure},
    open,
    traits::Traits,
};
use crate::names;

/// Writes the enum of a program's events and its decoder; nothing for a program without any.
pub(crate) fn events(model: &Model, module: &Module, traits: &Traits) -> Option<String> {
    let events: Vec<(&Procedure, String, &str, bool)> = module
        .procedures
        .iter()
        .filter_map(|procedure| {
            let message = procedure.message?;
            let variant = names::variant(&procedure.rust);
            Some((procedure, variant, model.item(message).rust.as_str(), traits.has_float(message)))
        })
        .collect();
    if events.is_empty() {
        return None;
    }
    let equality = if events.iter().any(|&(.., float)| float) { "PartialEq" } else { "PartialEq, Eq" };
    let mut text = format!(
        "/// What the daemon sends by itself.\n\
         #[derive(Clone, Debug, {equality})]\n{}\
         #[non_exhaustive]\n\
         pub enum Event {{\n",
        open::serde_derives(true)
    );
    for (procedure, variant, message, _) in &events {
        _ = writeln!(text, "    /// `{}` ({}).\n    {variant}({message}),", procedure.wire, procedure.number);
    }
    text.push_str(
        "    /// An event that this set of definitions lacks.
    Unknown {
        /// The number of its procedure.
        procedure: i32,
        /// What it carries.
        payload: Bytes,
    },
}

impl Event {
    /// Decodes what an event carries.
    ///
    /// # Errors
    /// Bytes that are not the message of this procedure, and bytes that are left over.
    pub fn decode(procedure: i32, payload: &Bytes) -> Result<Self, DecodeError> {
        Ok(match procedure {
",
    );
    for (procedure, variant, ..) in &events {
        let number = literal(procedure.number.into());
        _ = writeln!(text, "            {number} => Self::{variant}(from_bytes(payload)?),");
    }
    text.push_str(
        "            _ => Self::Unknown { procedure, payload: payload.clone() },
        })
    }

    /// Returns the procedure that carries the event.
    #[must_use]
    pub fn procedure(&self) -> Procedure {
        match self {
",
    );
    for (procedure, variant, ..) in &events {
        _ = writeln!(text, "            Self::{variant}(_) => Procedure::{},", procedure.rust);
    }
    text.push_str(
        "            Self::Unknown { procedure, .. } => Procedure(*procedure),
        }
    }
}
",
    );
    Some(text)
}
