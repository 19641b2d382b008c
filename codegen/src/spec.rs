//! A protocol definition as it was read: XDR language (RFC 4506), with libvirt's annotations, and no Rust in it.

use std::{fmt, path::PathBuf, sync::Arc};

/// All definitions of one directory, resolved against each other: every name that is used is defined once.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// One for each `.x` file, in an order in which a file comes after those it builds on.
    pub protocols: Vec<Protocol>,
}

/// The definitions of one `.x` file, in their order.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The file's stem: `remote_protocol`, `virnetprotocol`.
    pub name: String,
    /// What the file defines.
    pub definitions: Vec<Definition>,
}

/// A place in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file that was read.
    pub file: Arc<PathBuf>,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
}

/// A top-level definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The name that it defines.
    pub name: String,
    /// Where the name stands.
    pub location: Location,
    /// What the name means.
    pub kind: DefinitionKind,
}

/// What a name can mean.
#[derive(Clone, Debug, PartialEq)]
pub enum DefinitionKind {
    /// `const NAME = VALUE;`
    Const(Value),
    /// `typedef DECLARATION;`
    Typedef(Type),
    /// `enum NAME { ... };`
    Enum(Vec<Enumerator>),
    /// `struct NAME { ... };` An empty one has no fields.
    Struct(Vec<Field>),
    /// `union NAME switch (...) { ... };`
    Union(Union),
}

/// A number or the name of a constant or enumerator. The name is kept, since error messages quote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A literal: decimal, hexadecimal or octal.
    Number(Number),
    /// The name of a constant, with its number once the spec is resolved.
    Name(String, Number),
}

/// What a literal denotes. 128 bits hold every value of a 64-bit type, signed or not.
pub type Number = i128;

/// `NAME = VALUE` in an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct Enumerator {
    /// The name.
    pub name: String,
    /// The number: written out, or one more than the one before.
    pub value: Value,
    /// The annotations of the comment before it.
    pub annotations: Vec<Annotation>,
    /// Where the name stands.
    pub location: Location,
}

/// `@key: value` in the comment before an enumerator, white space trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// `generate`, `priority`, `readstream`, `writestream`, `sparseflag`, `acl`, `aclfilter`.
    pub key: String,
    /// The rest of the line.
    pub value: String,
}

/// `TYPE NAME;` in a struct or union arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Where the name stands.
    pub location: Location,
}

/// A discriminated union.
#[derive(Clone, Debug, PartialEq)]
pub struct Union {
    /// What is switched on: an `int`, an `unsigned int`, an enum or a `bool`.
    pub discriminant: Box<Field>,
    /// The arms in their order; several `case` labels before one arm are several values.
    pub arms: Vec<Arm>,
    /// `default: ...`, if there is one: `None` inside for `void`.
    pub default: Option<Option<Field>>,
}

/// `case VALUE: ...`
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The values of the discriminant that select it.
    pub values: Vec<Value>,
    /// What it holds; `None` for `void`.
    pub field: Option<Field>,
}

/// The type of a declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// A type that holds no other.
    Primitive(Primitive),
    /// A type by its name.
    Named(String),
    /// `string NAME<MAX>`; without a maximum, any length.
    String(Option<Value>),
    /// `opaque NAME<MAX>`.
    Opaque(Option<Value>),
    /// `opaque NAME[LENGTH]`.
    OpaqueFixed(Value),
    /// `TYPE NAME<MAX>`.
    Array(Box<Type>, Option<Value>),
    /// `TYPE NAME[LENGTH]`.
    ArrayFixed(Box<Type>, Value),
    /// `TYPE *NAME`.
    Optional(Box<Type>),
    /// `enum { ... } NAME`.
    Enum(Vec<Enumerator>),
    /// `struct { ... } NAME`.
    Struct(Vec<Field>),
    /// `union switch (...) { ... } NAME`.
    Union(Box<Union>),
}

/// The types that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// `char`: one word.
    Char,
    /// `unsigned char`: one word.
    UnsignedChar,
    /// `short`: one word.
    Short,
    /// `unsigned short`: one word.
    UnsignedShort,
    /// `int`, `long` excluded: 32 bits.
    Int,
    /// `unsigned int`, or `unsigned` alone.
    UnsignedInt,
    /// `hyper`: 64 bits.
    Hyper,
    /// `unsigned hyper`.
    UnsignedHyper,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `quadruple`: 128 bits.
    Quadruple,
    /// `bool`.
    Bool,
}

impl Value {
    /// Returns the number.
    #[must_use]
    pub fn number(&self) -> Number {
        match self {
            Self::Number(number) | Self::Name(_, number) => *number,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name, _) => f.write_str(name),
        }
    }
}

impl Spec {
    /// Returns the definition of `name`, whichever file it stands in.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Definition> {
        self.protocols.iter().find_map(|protocol| protocol.find(name))
    }
}

impl Protocol {
    /// Returns the definition of `name` in this file.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.name == name)
    }
}
