//! Definitions as one file has them: like [`crate::spec`], with the places of all names and without their meaning.

use crate::{
    error::Span,
    spec::{Annotation, Location, Number, Primitive},
};

#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
    pub(crate) location: Location,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(Number, Span),
    Name(Name),
}

#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: Name,
    pub(crate) kind: DefinitionKind,
}

#[derive(Clone, Debug)]
pub(crate) enum DefinitionKind {
    Const(Value),
    Typedef(Type),
    Enum(Vec<Enumerator>),
    Struct(Vec<Field>),
    Union(Union),
}

#[derive(Clone, Debug)]
pub(crate) struct Enumerator {
    pub(crate) name: Name,
    pub(crate) value: Option<Value>,
    pub(crate) annotations: Vec<Annotation>,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) ty: Type,
}

#[derive(Clone, Debug)]
pub(crate) struct Union {
    pub(crate) discriminant: Box<Field>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) default: Option<Option<Field>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Arm {
    pub(crate) values: Vec<Value>,
    pub(crate) field: Option<Field>,
}

#[derive(Clone, Debug)]
pub(crate) enum Type {
    Primitive(Primitive),
    Named(Name),
    String(Option<Value>),
    Opaque(Option<Value>),
    OpaqueFixed(Value),
    Array(Box<Type>, Option<Value>),
    ArrayFixed(Box<Type>, Value),
    Optional(Box<Type>),
    Enum(Vec<Enumerator>),
    Struct(Vec<Field>),
    Union(Box<Union>),
}

impl Value {
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Number(_, span) => *span,
            Self::Name(name) => name.span,
        }
    }
}

/// A name that a definition uses, or a constant that it brings along.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mention<'a> {
    Type(&'a Name),
    Value(&'a Name),
    /// An enumerator, and the one before it.
    Enumerator(&'a Enumerator, Option<&'a Enumerator>),
}

impl Definition {
    /// Calls `visit` with all names in the definition, its own excepted, in the order of the text.
    pub(crate) fn mentions<'a>(&'a self, visit: &mut dyn FnMut(Mention<'a>)) {
        match &self.kind {
            DefinitionKind::Const(value) => value.mentions(visit),
            DefinitionKind::Typedef(ty) => ty.mentions(visit),
            DefinitionKind::Enum(body) => enumerators(body, visit),
            DefinitionKind::Struct(body) => body.iter().for_each(|field| field.ty.mentions(visit)),
            DefinitionKind::Union(body) => body.mentions(visit),
        }
    }
}

impl Type {
    fn mentions<'a>(&'a self, visit: &mut dyn FnMut(Mention<'a>)) {
        match self {
            Self::Primitive(_) | Self::String(None) | Self::Opaque(None) => {}
            Self::Named(name) => visit(Mention::Type(name)),
            Self::String(Some(value)) | Self::Opaque(Some(value)) | Self::OpaqueFixed(value) => {
                value.mentions(visit)
            }
            Self::Array(item, None) | Self::Optional(item) => item.mentions(visit),
            Self::Array(item, Some(value)) | Self::ArrayFixed(item, value) => {
                item.mentions(visit);
                value.mentions(visit);
            }
            Self::Enum(body) => enumerators(body, visit),
            Self::Struct(body) => body.iter().for_each(|field| field.ty.mentions(visit)),
            Self::Union(body) => body.mentions(visit),
        }
    }
}

impl Union {
    fn mentions<'a>(&'a self, visit: &mut dyn FnMut(Mention<'a>)) {
        self.discriminant.ty.mentions(visit);
        for arm in &self.arms {
            arm.values.iter().for_each(|value| value.mentions(visit));
            arm.field.iter().for_each(|field| field.ty.mentions(visit));
        }
        self.default.iter().flatten().for_each(|field| field.ty.mentions(visit));
    }

    /// What the arms hold, `void` excepted.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.arms.iter().filter_map(|arm| arm.field.as_ref()).chain(self.default.iter().flatten())
    }
}

impl Value {
    fn mentions<'a>(&'a self, visit: &mut dyn FnMut(Mention<'a>)) {
        if let Self::Name(name) = self {
            visit(Mention::Value(name));
        }
    }
}

fn enumerators<'a>(body: &'a [Enumerator], visit: &mut dyn FnMut(Mention<'a>)) {
    let mut before = None;
    for enumerator in body {
        visit(Mention::Enumerator(enumerator, before));
        enumerator.value.iter().for_each(|value| value.mentions(visit));
        before = Some(enumerator);
    }
}
