//! The definitions in Rust's terms: names given, typedefs followed, anonymous bodies lifted out, recursion found,
//! structs matched with their procedures. What emits text reads this and nothing else.

use super::Problem;
use crate::{
    names::{self, Prefix},
    overrides,
    spec::{Annotation, Location, Number, Primitive, Spec, Value},
};

/// All modules that are written.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) modules: Vec<Module>,
    pub(crate) items: Vec<Item>,
}

/// What one `.x` file becomes.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) prefix: Prefix,
    /// The stem of its file.
    pub(crate) file: String,
    /// Its items, in their order.
    pub(crate) items: Vec<ItemId>,
    pub(crate) program: Option<Program>,
    pub(crate) procedures: Vec<Procedure>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) number: u32,
    pub(crate) version: u32,
}

pub(crate) type ItemId = usize;

/// One definition.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) wire: String,
    pub(crate) rust: String,
    pub(crate) module: usize,
    /// The body of a field, which has no name of its own in the definition.
    pub(crate) anonymous: bool,
    /// Where it stands among the arguments and results.
    pub(crate) role: Role,
    pub(crate) kind: ItemKind,
}

/// What an item is to a procedure, by its place in [`Module::procedures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Plain,
    Arguments(usize),
    Reply(usize),
    Message(usize),
}

#[derive(Debug)]
pub(crate) enum ItemKind {
    Const(Number),
    /// The shape, and how the definition says it.
    Alias(Shape, String),
    Enum(Vec<Constant>),
    Struct(Vec<Member>),
    Union(Choice),
}

/// A constant of an enum.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) wire: String,
    pub(crate) rust: String,
    pub(crate) value: i32,
}

/// A field of a struct, or what an arm of a union holds.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) wire: String,
    pub(crate) rust: String,
    /// The type as the definition says it.
    pub(crate) said: String,
    pub(crate) shape: Shape,
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) discriminant: Discriminant,
    pub(crate) variants: Vec<Variant>,
    /// What all other discriminants hold: `None` inside for nothing.
    pub(crate) default: Option<Option<Member>>,
}

/// What a union is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discriminant {
    Int,
    UnsignedInt,
    Bool,
    Enum(ItemId),
}

#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) rust: String,
    pub(crate) value: Value,
    pub(crate) content: Option<Member>,
}

/// A type without names in it, except those of items.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Primitive(Primitive),
    String(Limit),
    Opaque(Limit),
    OpaqueFixed(u32),
    /// `char name<bound>`: text or bytes, a word for each.
    Chars(Limit),
    CharsFixed(u32),
    Array(Box<Shape>, Limit),
    ArrayFixed(Box<Shape>, u32),
    Optional(Box<Shape>),
    Item(ItemId),
    /// A part of a recursive type behind a pointer, so that its size is finite.
    Boxed(Box<Shape>),
    /// A part of a recursive type in a list: the pointer is there, the limit on nesting is not.
    Nested(Box<Shape>),
}

/// The limit on a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    Number(u32),
    /// A constant, by its name in the definition.
    Named(String, u32),
}

/// A procedure with its structs.
#[derive(Debug)]
pub(crate) struct Procedure {
    pub(crate) wire: String,
    /// The constant: `DOMAIN_GET_INFO`.
    pub(crate) rust: String,
    pub(crate) number: i32,
    pub(crate) arguments: Option<ItemId>,
    pub(crate) reply: Option<ItemId>,
    pub(crate) message: Option<ItemId>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) location: Location,
}

impl Procedure {
    /// Tells whether one side sends it and the other does not answer.
    pub(crate) fn is_event(&self) -> bool {
        self.message.is_some() || overrides::is_message_without_body(&self.wire)
    }

    /// Returns the values of an annotation, in their order.
    pub(crate) fn annotated<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.annotations.iter().filter(move |entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}

impl Model {
    /// Reads a resolved spec.
    pub(crate) fn of(spec: &Spec) -> Result<Self, Problem> {
        let mut model = Self::lower(spec)?;
        model.break_cycles();
        model.match_procedures(spec)?;
        model.check_names(spec)?;
        model.check_overrides()?;
        Ok(model)
    }

    pub(crate) fn item(&self, id: ItemId) -> &Item {
        #[allow(clippy::indexing_slicing, reason = "ids are made by pushing and never removed")]
        &self.items[id]
    }

    /// Returns the item with this name in the definitions.
    pub(crate) fn find(&self, wire: &str) -> Option<ItemId> {
        self.items.iter().position(|item| !item.anonymous && item.wire == wire)
    }

    /// Returns the type of the arguments of a procedure: that of the definition, or the one that is made up.
    pub(crate) fn arguments_name(&self, procedure: &Procedure) -> String {
        match procedure.arguments {
            Some(id) => self.item(id).rust.clone(),
            None => format!("{}Args", names::camel(&procedure.rust)),
        }
    }
}
