//! Wire types: what each definition becomes, with its encoding and decoding.

use std::fmt::Write;

use super::{
    literal,
    model::{Constant, Item, ItemId, ItemKind, Limit, Member, Model, Role, Shape},
    open,
    traits::{Traits, is_long_array},
};
use crate::spec::{Number, Primitive};

/// Writes the text of items of one module.
pub(crate) struct Types<'a> {
    pub(crate) model: &'a Model,
    pub(crate) module: usize,
    pub(crate) traits: &'a Traits,
}

impl Types<'_> {
    /// Writes a definition, with what its role among the procedures adds to its documentation.
    pub(crate) fn item(&self, id: ItemId) -> String {
        let item = self.model.item(id);
        match &item.kind {
            ItemKind::Const(value) => constant(item, *value),
            ItemKind::Alias(shape, said) => {
                format!(
                    "/// `{}`: `{said}`.\n#[doc(alias = \"{}\")]\npub type {} = {};\n",
                    item.wire,
                    item.wire,
                    item.rust,
                    self.rust_type(shape)
                )
            }
            ItemKind::Enum(constants) => open_enum(item, constants),
            ItemKind::Struct(members) => self.structure(id, item, members),
            ItemKind::Union(choice) => self.union(id, item, choice),
        }
    }

    /// Writes the arguments of a procedure that has none.
    pub(crate) fn empty_arguments(name: &str, doc: &str) -> String {
        format!(
            "/// {doc}\n\
             #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]\n{}\
             pub struct {name};\n{}",
            open::serde_derives(true),
            empty_coding(name)
        )
    }

    fn structure(&self, id: ItemId, item: &Item, members: &[Member]) -> String {
        let name = &item.rust;
        let mut text = self.head(id, item);
        if members.is_empty() {
            _ = write!(text, "pub struct {name};\n{}", empty_coding(name));
            return text;
        }
        _ = writeln!(text, "pub struct {name} {{");
        for member in members {
            _ = writeln!(text, "    /// `{}`: `{}`.", member.wire, member.said);
            text.push_str(serde_with(&member.shape));
            _ = writeln!(text, "    pub {}: {},", member.rust, self.rust_type(&member.shape));
        }
        text.push_str("}\n");
        if self.traits.needs_own_default(id) {
            text.push_str(&own_default(name, members));
        }

        let inline = if self.is_small_element(id, members) { "    #[inline]\n" } else { "" };
        _ = writeln!(text, "\nimpl Encode for {name} {{");
        _ = writeln!(text, "{inline}    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {{");
        for member in members {
            _ = writeln!(text, "        {}", self.encode_field(member));
        }
        text.push_str("        Ok(())\n    }\n}\n");

        _ = writeln!(text, "\nimpl Decode for {name} {{");
        _ = writeln!(text, "{inline}    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {{");
        text.push_str("        Ok(Self {\n");
        for member in members {
            _ = writeln!(text, "            {}: {}?,", member.rust, self.decode_field(member));
        }
        text.push_str("        })\n    }\n}\n");
        text
    }

    /// Documentation, alias and derives.
    pub(super) fn head(&self, id: ItemId, item: &Item) -> String {
        let procedures = self.model.modules.get(self.module).map(|module| module.procedures.as_slice());
        let procedure = |index: usize| {
            procedures
                .and_then(|procedures| procedures.get(index))
                .map(|procedure| format!("`{}` ({})", procedure.wire, procedure.number))
                .unwrap_or_default()
        };
        let doc = match item.role {
            Role::Plain => format!("`{}`.", item.wire),
            Role::Arguments(index) => format!("Arguments of {}.", procedure(index)),
            Role::Reply(index) => format!("Reply to {}.", procedure(index)),
            Role::Message(index) => format!("Message of {}.", procedure(index)),
        };
        let mut text = format!("/// {doc}\n");
        if !item.anonymous {
            _ = writeln!(text, "#[doc(alias = \"{}\")]", item.wire);
        }
        _ = writeln!(text, "#[derive({})]", self.traits.derives(id, &item.kind));
        text.push_str(open::serde_derives(true));
        text
    }

    /// Lists are where the calls between types are many.
    fn is_small_element(&self, id: ItemId, members: &[Member]) -> bool {
        members.len() <= 8 && self.traits.is_element(id)
    }

    pub(crate) fn rust_type(&self, shape: &Shape) -> String {
        match shape {
            Shape::Primitive(primitive) => rust_primitive(*primitive).to_owned(),
            Shape::String(_) => "String".to_owned(),
            Shape::Opaque(_) => "Bytes".to_owned(),
            Shape::OpaqueFixed(length) | Shape::CharsFixed(length) => format!("[u8; {length}]"),
            Shape::Chars(_) => "Vec<u8>".to_owned(),
            Shape::Array(element, _) => format!("Vec<{}>", self.rust_type(element)),
            Shape::ArrayFixed(element, length) => format!("[{}; {length}]", self.rust_type(element)),
            Shape::Optional(inner) => format!("Option<{}>", self.rust_type(inner)),
            Shape::Item(id) => self.path(*id),
            Shape::Boxed(inner) => format!("Box<{}>", self.rust_type(inner)),
            Shape::Nested(inner) => self.rust_type(inner),
        }
    }

    /// Names an item from inside this module.
    pub(super) fn path(&self, id: ItemId) -> String {
        let item = self.model.item(id);
        if item.module == self.module {
            return item.rust.clone();
        }
        let module = self.model.modules.get(item.module).map_or("", |module| module.prefix.module());
        format!("super::{module}::{}", item.rust)
    }

    fn encode_field(&self, member: &Member) -> String {
        let place =
            Place { reference: format!("&self.{}", member.rust), bare: format!("self.{}", member.rust) };
        match &member.shape {
            Shape::OpaqueFixed(_) => format!("writer.opaque_fixed({});", place.reference),
            Shape::CharsFixed(_) => format!("writer.chars_fixed({});", place.reference),
            _ => format!("{}?;", self.encode_content(member, &place, 12)),
        }
    }

    /// The expression that writes a field, with its name in errors if there can be any.
    pub(super) fn encode_content(&self, member: &Member, place: &Place, indent: usize) -> String {
        let shape = &member.shape;
        if !self.may_be_too_long(shape) {
            self.encode(shape, place)
        } else if self.is_plain(shape) {
            format!("writer.field(\"{}\", {})", member.wire, place.reference)
        } else {
            named_error(&self.encode(shape, place), &member.wire, indent)
        }
    }

    pub(super) fn decode_field(&self, member: &Member) -> String {
        if self.is_plain(&member.shape) {
            format!("reader.field(\"{}\")", member.wire)
        } else {
            named_error(&self.decode(&member.shape), &member.wire, 16)
        }
    }

    /// The expression that writes a value.
    fn encode(&self, shape: &Shape, place: &Place) -> String {
        let Place { reference, bare } = place;
        let value = Place { reference: "value".to_owned(), bare: "value".to_owned() };
        match shape {
            shape if self.is_plain(shape) => format!("{bare}.encode(writer)"),
            Shape::String(limit) => format!("writer.string({reference}, {})", bound(limit)),
            Shape::Opaque(limit) => format!("writer.opaque({reference}, {})", bound(limit)),
            Shape::Chars(limit) => format!("writer.chars({reference}, {})", bound(limit)),
            Shape::CharsFixed(_) => format!("{{\n    writer.chars_fixed({reference});\n    Ok(())\n}}"),
            Shape::Array(element, limit) if self.is_plain(element) => {
                format!("writer.array({reference}, {})", bound(limit))
            }
            Shape::Array(element, limit) => format!(
                "writer.array_with({reference}, {}, |writer, value| {})",
                bound(limit),
                self.encode(element, &value)
            ),
            Shape::ArrayFixed(element, _) => {
                format!("writer.elements({reference}, |writer, value| {})", self.encode(element, &value))
            }
            Shape::Optional(inner) => {
                format!("writer.optional({bare}.as_ref(), |writer, value| {})", self.encode(inner, &value))
            }
            Shape::Boxed(inner) => {
                let pointee = format!("&**{}", reference.strip_prefix('&').unwrap_or(reference));
                let place = Place { bare: format!("({pointee})"), reference: pointee };
                self.encode(inner, &place)
            }
            Shape::Nested(inner) => self.encode(inner, place),
            Shape::Primitive(_) | Shape::OpaqueFixed(_) | Shape::Item(_) => format!("{bare}.encode(writer)"),
        }
    }

    /// The expression that reads a value.
    fn decode(&self, shape: &Shape) -> String {
        match shape {
            shape if self.is_plain(shape) => "Decode::decode(reader)".to_owned(),
            Shape::String(limit) => format!("reader.string({})", bound(limit)),
            Shape::Opaque(limit) => format!("reader.opaque({})", bound(limit)),
            Shape::Chars(limit) => format!("reader.chars({})", bound(limit)),
            Shape::CharsFixed(_) => "reader.chars_fixed()".to_owned(),
            Shape::Array(element, limit) if self.is_plain(element) => {
                format!("reader.array({})", bound(limit))
            }
            Shape::Array(element, limit) => {
                format!("reader.array_with({}, {})", bound(limit), self.decoder(element))
            }
            Shape::ArrayFixed(element, _) => format!("reader.elements({})", self.decoder(element)),
            Shape::Optional(inner) => format!("reader.optional({})", self.decoder(inner)),
            Shape::Boxed(inner) => format!("reader.nested({}).map(Box::new)", self.decoder(inner)),
            Shape::Nested(inner) => format!("reader.nested({})", self.decoder(inner)),
            Shape::Primitive(_) | Shape::OpaqueFixed(_) | Shape::Item(_) => {
                "Decode::decode(reader)".to_owned()
            }
        }
    }

    /// The function or closure that reads a value.
    fn decoder(&self, shape: &Shape) -> String {
        if self.is_plain(shape) {
            "Decode::decode".to_owned()
        } else {
            format!("|reader| {}", self.decode(shape))
        }
    }

    /// Tells whether a value needs nothing but its own `Encode` and `Decode`.
    fn is_plain(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Primitive(_) | Shape::OpaqueFixed(_) | Shape::Item(_) => true,
            Shape::Optional(inner) | Shape::Boxed(inner) => self.is_plain(inner),
            _ => false,
        }
    }

    /// Tells whether writing a value can fail.
    fn may_be_too_long(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Primitive(_) | Shape::OpaqueFixed(_) | Shape::CharsFixed(_) => false,
            Shape::String(_) | Shape::Opaque(_) | Shape::Chars(_) | Shape::Array(..) => true,
            Shape::ArrayFixed(inner, _)
            | Shape::Optional(inner)
            | Shape::Boxed(inner)
            | Shape::Nested(inner) => self.may_be_too_long(inner),
            Shape::Item(id) => self.traits.may_be_too_long(*id),
        }
    }
}

/// The line that tells serde how to write a field or variant, where it does not know by itself.
pub(super) fn serde_with(shape: &Shape) -> &'static str {
    if is_long_array(shape) {
        "    #[cfg_attr(feature = \"serde\", serde(with = \"crate::serde_impl::long_array\"))]\n"
    } else {
        ""
    }
}

/// A value by the two ways of naming it: as a reference, and before a method's dot.
pub(super) struct Place {
    pub(super) reference: String,
    pub(super) bare: String,
}

fn bound(limit: &Limit) -> String {
    match limit {
        Limit::None => "Bound::NONE".to_owned(),
        Limit::Number(max) => format!("Bound::new({}, \"{max}\")", literal(i128::from(*max))),
        Limit::Named(name, _) => format!("bound::{}", name.to_uppercase()),
    }
}

fn constant(item: &Item, value: Number) -> String {
    let ty = if u32::try_from(value).is_ok() {
        "u32"
    } else if i32::try_from(value).is_ok() {
        "i32"
    } else if i64::try_from(value).is_ok() {
        "i64"
    } else {
        "u64"
    };
    let Item { wire, rust, .. } = item;
    format!("/// `{wire}`.\n#[doc(alias = \"{wire}\")]\npub const {rust}: {ty} = {};\n", literal(value))
}

/// An enum whose unknown numbers survive.
fn open_enum(item: &Item, constants: &[Constant]) -> String {
    let Item { wire, rust, .. } = item;
    let alias = if item.anonymous { String::new() } else { format!("#[doc(alias = \"{wire}\")]\n") };
    let mut text = format!(
        "/// `{wire}`. Numbers without a name are kept.\n{alias}\
         #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         pub struct {rust}(pub i32);\n\n\
         impl {rust} {{\n"
    );
    for constant in constants {
        _ = writeln!(text, "    /// `{}`.\n    #[doc(alias = \"{}\")]", constant.wire, constant.wire);
        _ = writeln!(
            text,
            "    pub const {}: Self = Self({});",
            constant.rust,
            literal(constant.value.into())
        );
    }
    text.push_str(&open::names(constants.iter().map(|constant| (constant.rust.as_str(), constant.value))));
    text.push_str("}\n\n");
    text.push_str(&open::debug(rust));
    text.push('\n');
    text.push_str(&open::display_in_words(
        rust,
        constants.iter().map(|constant| (constant.rust.as_str(), constant.value)),
    ));
    text.push('\n');
    text.push_str(&coding_as_int(rust));
    text.push_str(&open::serde(rust, constants.iter().map(|constant| constant.rust.as_str())));
    text
}

/// An enum is encoded as its number.
pub(crate) fn coding_as_int(rust: &str) -> String {
    format!(
        "impl Encode for {rust} {{\n    #[inline]\n    \
         fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {{\n        \
         self.0.encode(writer)\n    }}\n}}\n\n\
         impl Decode for {rust} {{\n    #[inline]\n    \
         fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {{\n        \
         i32::decode(reader).map(Self)\n    }}\n}}\n"
    )
}

fn empty_coding(name: &str) -> String {
    format!(
        "\nimpl Encode for {name} {{\n    \
         fn encode(&self, _: &mut Writer) -> Result<(), EncodeError> {{\n        Ok(())\n    }}\n}}\n\n\
         impl Decode for {name} {{\n    \
         fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {{\n        Ok(Self)\n    }}\n}}\n"
    )
}

/// Adds the name of a field to errors; the line goes on below where it would become too long.
fn named_error(expression: &str, field: &str, indent: usize) -> String {
    let line_break =
        if indent + expression.len() > 70 { format!("\n{}", " ".repeat(indent)) } else { String::new() };
    format!("{expression}{line_break}.map_err(|e| e.in_field(\"{field}\"))")
}

fn own_default(name: &str, members: &[Member]) -> String {
    let mut text = format!("\nimpl Default for {name} {{\n    fn default() -> Self {{\n        Self {{\n");
    for member in members {
        _ = writeln!(text, "            {}: {},", member.rust, default_value(&member.shape));
    }
    text.push_str("        }\n    }\n}\n");
    text
}

pub(super) fn default_value(shape: &Shape) -> String {
    match shape {
        Shape::OpaqueFixed(length) | Shape::CharsFixed(length) => format!("[0; {length}]"),
        Shape::ArrayFixed(element, _) => format!("std::array::from_fn(|_| {})", default_value(element)),
        _ => "Default::default()".to_owned(),
    }
}

fn rust_primitive(primitive: Primitive) -> &'static str {
    match primitive {
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
        Primitive::Quadruple => "[u8; 16]",
        Primitive::Bool => "bool",
    }
}
