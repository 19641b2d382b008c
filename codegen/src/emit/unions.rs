//! Discriminated unions.

use std::fmt::Write;

use super::{
    literal,
    model::{Choice, Discriminant, Item, ItemId, ItemKind, Member, Variant},
    types::{Place, Types, default_value, serde_with},
};
use crate::spec::Value;

impl Types<'_> {
    pub(super) fn union(&self, id: ItemId, item: &Item, choice: &Choice) -> String {
        let name = &item.rust;
        let discriminant = self.discriminant_type(choice.discriminant);
        let mut text = self.head(id, item);
        _ = writeln!(text, "pub enum {name} {{");
        for (index, variant) in choice.variants.iter().enumerate() {
            let mark = if index == 0 { "    #[default]\n" } else { "" };
            match &variant.content {
                None => {
                    let Variant { rust, value, .. } = variant;
                    _ = writeln!(text, "    /// `case {value}: void`.\n{mark}    {rust},");
                }
                Some(content) => {
                    let ty = self.rust_type(&content.shape);
                    let Member { wire, said, .. } = content;
                    _ = writeln!(text, "    /// `case {}`: `{wire}`, `{said}`.", variant.value);
                    _ = writeln!(text, "{}    {}({ty}),", serde_with(&content.shape), variant.rust);
                }
            }
        }
        if let Some(default) = &choice.default {
            text.push_str("    /// `default`: the discriminant, which must be none of the above");
            match default {
                None => {
                    _ = writeln!(text, ".\n    Default({discriminant}),");
                }
                Some(content) => {
                    _ = writeln!(text, ", and `{}`, `{}`.", content.wire, content.said);
                    _ = writeln!(text, "    Default({discriminant}, {}),", self.rust_type(&content.shape));
                }
            }
        }
        text.push_str("}\n");
        if !starts_with_void(choice) {
            text.push_str(&union_default(name, choice));
        }

        _ = writeln!(text, "\nimpl {name} {{");
        text.push_str("    /// Returns what the union is switched on.\n    #[must_use]\n");
        _ = writeln!(text, "    pub fn discriminant(&self) -> {discriminant} {{\n        match self {{");
        for variant in &choice.variants {
            let pattern = pattern(variant, "_");
            _ = writeln!(text, "            Self::{pattern} => {},", self.case_value(choice, &variant.value));
        }
        match &choice.default {
            None => {}
            Some(None) => text.push_str("            Self::Default(discriminant) => *discriminant,\n"),
            Some(Some(_)) => text.push_str("            Self::Default(discriminant, _) => *discriminant,\n"),
        }
        text.push_str("        }\n    }\n}\n");
        text.push_str(&self.union_encode(name, choice));
        text.push_str(&self.union_decode(item, choice));
        text
    }

    fn union_encode(&self, name: &str, choice: &Choice) -> String {
        let mut text = format!(
            "\nimpl Encode for {name} {{\n    \
             fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {{\n        \
             self.discriminant().encode(writer)?;\n        match self {{\n"
        );
        let value = Place { reference: "value".to_owned(), bare: "value".to_owned() };
        let arm = |content: &Member| self.encode_content(content, &value, 16);
        for variant in &choice.variants {
            match &variant.content {
                None => {
                    _ = writeln!(text, "            Self::{} => Ok(()),", variant.rust);
                }
                Some(content) => {
                    _ = writeln!(text, "            Self::{}(value) => {},", variant.rust, arm(content));
                }
            }
        }
        match &choice.default {
            None => {}
            Some(None) => text.push_str("            Self::Default(_) => Ok(()),\n"),
            Some(Some(content)) => {
                _ = writeln!(text, "            Self::Default(_, value) => {},", arm(content));
            }
        }
        text.push_str("        }\n    }\n}\n");
        text
    }

    fn union_decode(&self, item: &Item, choice: &Choice) -> String {
        let name = &item.rust;
        let discriminant = self.discriminant_type(choice.discriminant);
        let (matched, as_int) = match choice.discriminant {
            Discriminant::Int => ("discriminant", "discriminant"),
            Discriminant::UnsignedInt => ("discriminant", "discriminant as i32"),
            Discriminant::Bool => ("discriminant", "i32::from(discriminant)"),
            Discriminant::Enum(_) => ("discriminant.0", "discriminant.0"),
        };
        let mut text = format!(
            "\nimpl Decode for {name} {{\n    \
             fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {{\n        \
             let discriminant = {discriminant}::decode(reader)?;\n        match {matched} {{\n"
        );
        let arm = |content: &Member| self.decode_field(content);
        for variant in &choice.variants {
            let case = case_pattern(choice.discriminant, &variant.value);
            let rust = &variant.rust;
            _ = match &variant.content {
                None => writeln!(text, "            {case} => Ok(Self::{rust}),"),
                Some(content) => writeln!(text, "            {case} => {}.map(Self::{rust}),", arm(content)),
            };
        }
        let all_said = choice.discriminant == Discriminant::Bool && choice.variants.len() == 2;
        _ = match &choice.default {
            _ if all_said => Ok(()),
            None => writeln!(
                text,
                "            _ => Err(reader.unknown_discriminant(\"{}\", {as_int})),",
                item.wire
            ),
            Some(None) => writeln!(text, "            _ => Ok(Self::Default(discriminant)),"),
            Some(Some(content)) => {
                writeln!(text, "            _ => Ok(Self::Default(discriminant, {}?)),", arm(content))
            }
        };
        text.push_str("        }\n    }\n}\n");
        text
    }

    fn discriminant_type(&self, discriminant: Discriminant) -> String {
        match discriminant {
            Discriminant::Int => "i32".to_owned(),
            Discriminant::UnsignedInt => "u32".to_owned(),
            Discriminant::Bool => "bool".to_owned(),
            Discriminant::Enum(id) => self.path(id),
        }
    }

    /// The discriminant of a case as a value.
    fn case_value(&self, choice: &Choice, value: &Value) -> String {
        let pattern = case_pattern(choice.discriminant, value);
        match choice.discriminant {
            Discriminant::Enum(id) => {
                let path = self.path(id);
                let constant = match &self.model.item(id).kind {
                    ItemKind::Enum(constants) => {
                        constants.iter().find(|constant| i128::from(constant.value) == value.number())
                    }
                    _ => None,
                };
                constant
                    .map_or_else(|| format!("{path}({pattern})"), |found| format!("{path}::{}", found.rust))
            }
            _ => pattern,
        }
    }
}

fn pattern(variant: &Variant, inside: &str) -> String {
    match variant.content {
        None => variant.rust.clone(),
        Some(_) => format!("{}({inside})", variant.rust),
    }
}

fn case_pattern(discriminant: Discriminant, value: &Value) -> String {
    match (discriminant, value.number()) {
        (Discriminant::Bool, 0) => "false".to_owned(),
        (Discriminant::Bool, _) => "true".to_owned(),
        (_, number) => literal(number),
    }
}

/// Tells whether the default of a union can be derived.
pub(crate) fn starts_with_void(choice: &Choice) -> bool {
    choice.variants.first().is_some_and(|variant| variant.content.is_none())
}

/// By default a union is its first arm.
fn union_default(name: &str, choice: &Choice) -> String {
    let value = match (choice.variants.first(), &choice.default) {
        (Some(Variant { rust, content: Some(content), .. }), _) => {
            format!("Self::{rust}({})", default_value(&content.shape))
        }
        (_, Some(Some(content))) => {
            format!("Self::Default(Default::default(), {})", default_value(&content.shape))
        }
        _ => "Self::Default(Default::default())".to_owned(),
    };
    format!("\nimpl Default for {name} {{\n    fn default() -> Self {{\n        {value}\n    }}\n}}\n")
}
