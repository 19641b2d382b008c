//! Definitions back to text: in the RPC language, and as facts.

use std::fmt::Write as _;

use crate::spec::{
    Annotation, Definition, DefinitionKind, Enumerator, Field, Primitive, Protocol, Spec, Type, Union, Value,
};

/// Returns a definition in the RPC language, laid out one way, whichever way it was read.
#[must_use]
pub fn definition(definition: &Definition) -> String {
    let name = &definition.name;
    match &definition.kind {
        DefinitionKind::Const(value) => format!("const {name} = {};", constant(name, value)),
        DefinitionKind::Typedef(ty) => format!("typedef {};", declaration(ty, name, "")),
        DefinitionKind::Enum(enumerators) => format!("enum {name} {};", enum_body(enumerators, "")),
        DefinitionKind::Struct(fields) => format!("struct {name} {};", struct_body(fields, "")),
        DefinitionKind::Union(union) => format!("union {name} {};", union_body(union, "")),
    }
}

/// Returns an enumerator as it stands in a definition, with its annotations in a comment before it.
#[must_use]
pub fn enumerator(enumerator: &Enumerator) -> String {
    let mut text = String::new();
    if !enumerator.annotations.is_empty() {
        text.push_str("/*");
        for Annotation { key, value } in &enumerator.annotations {
            _ = write!(text, " @{key}: {value}");
        }
        text.push_str(" */\n");
    }
    _ = write!(text, "{} = {}", enumerator.name, enumerator.value);
    text
}

/// Returns what a protocol says as lines without comments or layout: two files state the same protocol exactly if
/// these are equal.
///
/// ```text
/// const NAME = VALUE
/// typedef NAME = TYPE
/// struct NAME                                 then  struct NAME .INDEX FIELD: TYPE
/// union NAME switch FIELD: TYPE               then  union NAME case VALUE FIELD: TYPE
/// enum NAME ENUMERATOR = VALUE @annotation:value ...
/// ```
///
/// A type is written as in the RPC language, without the name: `string<MAX>`, `opaque[N]`, `X*` for an optional X.
/// Program numbers are hexadecimal, other numbers decimal.
#[must_use]
pub fn facts(protocol: &Protocol) -> Vec<String> {
    let mut lines = Vec::new();
    for Definition { name, kind, .. } in &protocol.definitions {
        match kind {
            DefinitionKind::Const(value) => lines.push(format!("const {name} = {}", constant(name, value))),
            DefinitionKind::Typedef(ty) => lines.push(format!("typedef {name} = {}", short(ty))),
            DefinitionKind::Enum(body) => lines.extend(body.iter().map(|enumerator| {
                let mut line = format!("enum {name} {} = {}", enumerator.name, enumerator.value);
                for Annotation { key, value } in &enumerator.annotations {
                    _ = write!(line, " @{key}:{value}");
                }
                line
            })),
            DefinitionKind::Struct(fields) => {
                lines.push(format!("struct {name}"));
                let fields = fields.iter().enumerate();
                lines
                    .extend(fields.map(|(index, field)| format!("struct {name} .{index} {}", member(field))));
            }
            DefinitionKind::Union(union) => {
                lines.push(format!("union {name} switch {}", member(&union.discriminant)));
                for arm in &union.arms {
                    lines.push(format!(
                        "union {name} case {} {}",
                        values(&arm.values),
                        content(arm.field.as_ref())
                    ));
                }
                lines.extend(
                    union.default.iter().map(|f| format!("union {name} default {}", content(f.as_ref()))),
                );
            }
        }
    }
    lines
}

/// Returns a table of how many definitions of each kind each protocol has.
#[must_use]
pub fn summary(spec: &Spec) -> String {
    let head = ["protocol", "structs", "enums", "unions", "typedefs", "consts", "procedures", "events"];
    let mut rows = vec![head.map(str::to_owned)];
    for protocol in &spec.protocols {
        let count = Counts::of(protocol);
        let numbers = [
            count.structs,
            count.enums,
            count.unions,
            count.typedefs,
            count.consts,
            count.procedures,
            count.events,
        ];
        let mut row = vec![protocol.name.clone()];
        row.extend(numbers.map(|number| number.to_string()));
        rows.extend(<[String; 8]>::try_from(row));
    }
    let width = rows.iter().map(|[name, ..]| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for [name, counts @ ..] in &rows {
        _ = write!(text, "{name:<width$}");
        for (count, title) in counts.iter().zip(head.iter().skip(1)) {
            _ = write!(text, "  {count:>width$}", width = title.len());
        }
        text.push('\n');
    }
    text
}

/// How many definitions of each kind a protocol has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// `struct`
    pub structs: usize,
    /// `enum`
    pub enums: usize,
    /// `union`
    pub unions: usize,
    /// `typedef`
    pub typedefs: usize,
    /// `const`
    pub consts: usize,
    /// Enumerators of the enum whose name ends in `procedure`, events among them.
    pub procedures: usize,
    /// Procedures that only have a struct for a message, which the daemon sends without being asked.
    pub events: usize,
}

impl Counts {
    /// Counts the definitions of a protocol.
    #[must_use]
    pub fn of(protocol: &Protocol) -> Self {
        let mut counts = Self::default();
        for definition in &protocol.definitions {
            match &definition.kind {
                DefinitionKind::Const(_) => counts.consts += 1,
                DefinitionKind::Typedef(_) => counts.typedefs += 1,
                DefinitionKind::Enum(enumerators) => {
                    counts.enums += 1;
                    if definition.name.to_ascii_lowercase().ends_with("procedure") {
                        counts.procedures += enumerators.len();
                    }
                }
                DefinitionKind::Struct(_) => {
                    counts.structs += 1;
                    counts.events += usize::from(definition.name.ends_with("_msg"));
                }
                DefinitionKind::Union(_) => counts.unions += 1,
            }
        }
        counts
    }
}

/// The number of a program is hexadecimal wherever it is written down, in dumps and in documentation.
fn constant(name: &str, value: &Value) -> String {
    match value {
        Value::Number(number) if name.ends_with("_PROGRAM") && *number >= 0 => format!("{number:#010x}"),
        value => value.to_string(),
    }
}

// The RPC language.

const INDENT: &str = "    ";

fn declaration(ty: &Type, name: &str, indent: &str) -> String {
    match ty {
        Type::String(max) => format!("string {name}<{}>", bound(max.as_ref())),
        Type::Opaque(max) => format!("opaque {name}<{}>", bound(max.as_ref())),
        Type::OpaqueFixed(length) => format!("opaque {name}[{length}]"),
        Type::Array(item, max) => format!("{} {name}<{}>", specifier(item, indent), bound(max.as_ref())),
        Type::ArrayFixed(item, length) => format!("{} {name}[{length}]", specifier(item, indent)),
        Type::Optional(item) => format!("{} *{name}", specifier(item, indent)),
        ty => format!("{} {name}", specifier(ty, indent)),
    }
}

/// What stands before the name. Of the types that a parser returns, those whose signs stand behind it are no part of
/// others.
fn specifier(ty: &Type, indent: &str) -> String {
    match ty {
        Type::Primitive(primitive) => primitive.name().to_owned(),
        Type::Named(name) => name.clone(),
        Type::Enum(enumerators) => format!("enum {}", enum_body(enumerators, indent)),
        Type::Struct(fields) => format!("struct {}", struct_body(fields, indent)),
        Type::Union(union) => format!("union {}", union_body(union, indent)),
        ty => short(ty),
    }
}

fn enum_body(enumerators: &[Enumerator], indent: &str) -> String {
    let inner = format!("{indent}{INDENT}");
    let body: Vec<_> = enumerators
        .iter()
        .map(|e| format!("{inner}{}", enumerator(e).replace('\n', &format!("\n{inner}"))))
        .collect();
    format!("{{\n{}\n{indent}}}", body.join(",\n"))
}

fn struct_body(fields: &[Field], indent: &str) -> String {
    let inner = format!("{indent}{INDENT}");
    let body: String = fields
        .iter()
        .map(|field| format!("{inner}{};\n", declaration(&field.ty, &field.name, &inner)))
        .collect();
    format!("{{\n{body}{indent}}}")
}

fn union_body(union: &Union, indent: &str) -> String {
    let inner = format!("{indent}{INDENT}");
    let deeper = format!("{inner}{INDENT}");
    let content = |field: &Option<Field>| {
        let field =
            field.as_ref().map_or("void".to_owned(), |field| declaration(&field.ty, &field.name, &deeper));
        format!("{deeper}{field};\n")
    };
    let mut text =
        format!("switch ({}) {{\n", declaration(&union.discriminant.ty, &union.discriminant.name, indent));
    for arm in &union.arms {
        for value in &arm.values {
            _ = writeln!(text, "{inner}case {value}:");
        }
        text.push_str(&content(&arm.field));
    }
    if let Some(field) = &union.default {
        _ = write!(text, "{inner}default:\n{}", content(field));
    }
    format!("{text}{indent}}}")
}

fn bound(max: Option<&Value>) -> String {
    max.map(ToString::to_string).unwrap_or_default()
}

// Facts.

fn member(field: &Field) -> String {
    format!("{}: {}", field.name, short(&field.ty))
}

fn content(field: Option<&Field>) -> String {
    field.map_or("void".to_owned(), member)
}

fn values(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A type on one line.
pub(crate) fn short(ty: &Type) -> String {
    match ty {
        Type::Primitive(primitive) => primitive.name().to_owned(),
        Type::Named(name) => name.clone(),
        Type::String(max) => format!("string<{}>", bound(max.as_ref())),
        Type::Opaque(max) => format!("opaque<{}>", bound(max.as_ref())),
        Type::OpaqueFixed(length) => format!("opaque[{length}]"),
        Type::Array(item, max) => format!("{}<{}>", short(item), bound(max.as_ref())),
        Type::ArrayFixed(item, length) => format!("{}[{length}]", short(item)),
        Type::Optional(item) => format!("{}*", short(item)),
        Type::Enum(enumerators) => {
            let body: Vec<_> = enumerators.iter().map(|e| format!("{} = {}", e.name, e.value)).collect();
            format!("enum {{ {} }}", body.join(", "))
        }
        Type::Struct(fields) => {
            let body: String = fields.iter().map(|field| format!("{}; ", member(field))).collect();
            format!("struct {{ {body}}}")
        }
        Type::Union(union) => {
            let mut text = format!("union switch ({}) {{ ", member(&union.discriminant));
            for arm in &union.arms {
                _ = write!(text, "case {}: {}; ", values(&arm.values), content(arm.field.as_ref()));
            }
            if let Some(field) = &union.default {
                _ = write!(text, "default: {}; ", content(field.as_ref()));
            }
            format!("{text}}}")
        }
    }
}

impl Primitive {
    /// Returns the type's name in the RPC language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Char => "char",
            Self::UnsignedChar => "unsigned char",
            Self::Short => "short",
            Self::UnsignedShort => "unsigned short",
            Self::Int => "int",
            Self::UnsignedInt => "unsigned int",
            Self::Hyper => "hyper",
            Self::UnsignedHyper => "unsigned hyper",
            Self::Float => "float",
            Self::Double => "double",
            Self::Quadruple => "quadruple",
            Self::Bool => "bool",
        }
    }
}
