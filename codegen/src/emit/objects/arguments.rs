//! What a method takes, and what it calls with.

use super::{
    Method, Objects,
    values::{Meaning, Place, Words, number},
};
use crate::{
    api::Entry,
    emit::{
        Problem,
        model::{Limit, Member, Shape},
    },
    error::Error,
    names,
    overrides::objects as overrides,
    spec::Primitive,
};

/// The arguments of a call.
pub(super) struct Arguments {
    /// The struct, with its path.
    ty: String,
    arguments: Vec<Argument>,
    /// The Rust name of the type of the flags, if there are any.
    pub(super) flags: Option<String>,
    /// Whether the call has to be made twice, first to learn how many results there are.
    pub(super) counted: bool,
}

/// One argument.
struct Argument {
    field: String,
    value: String,
    /// The parameter that it comes from, and its type.
    parameter: Option<(String, String)>,
}

impl Arguments {
    pub(super) fn of(objects: &Objects<'_>, method: &Method<'_>) -> Result<Self, Error> {
        let Method { module, procedure, entry, .. } = method;
        let ty = format!("{}::{}", module.prefix.module(), objects.model.arguments_name(procedure));
        let members = objects.members(procedure.arguments);
        let flags = match (&entry.flags, members.iter().any(|member| member.wire == "flags")) {
            (Some(flags), true) => Some(names::api_enum(objects.api.find_enum(objects.tables, flags)?)),
            _ => None,
        };
        let mut builder = Builder { objects, method, has_receiver: false, counted: false, flags: &flags };
        let arguments = members.iter().map(|member| builder.argument(member)).collect::<Result<_, _>>()?;
        let counted = builder.counted;
        if !builder.has_receiver && !method.is_on_connection() {
            let message = format!("{} has no argument that is a {}", procedure.wire, method.object);
            return Err(objects.api.entry_problem(entry, message).into());
        }
        Ok(Self { ty, arguments, flags, counted })
    }

    /// Returns the parameters of the method, but for its flags.
    pub(super) fn parameters(&self) -> impl Iterator<Item = String> {
        let parameters = self.arguments.iter().filter_map(|argument| argument.parameter.as_ref());
        parameters.map(|(name, ty)| format!("{name}: {ty}"))
    }

    /// Returns the names of the parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.arguments
            .iter()
            .filter_map(|argument| argument.parameter.as_ref())
            .map(|(name, _)| name.as_str())
    }

    /// The expression that makes the struct.
    pub(super) fn literal(&self) -> String {
        if self.arguments.is_empty() {
            return self.ty.clone();
        }
        let fields: Vec<String> = self
            .arguments
            .iter()
            .map(
                |Argument { field, value, .. }| {
                    if field == value { field.clone() } else { format!("{field}: {value}") }
                },
            )
            .collect();
        format!("{} {{ {} }}", self.ty, fields.join(", "))
    }
}

struct Builder<'a, 'b> {
    objects: &'a Objects<'a>,
    method: &'a Method<'b>,
    has_receiver: bool,
    counted: bool,
    flags: &'a Option<String>,
}

impl Builder<'_, '_> {
    fn words<'w, 'e>(&self, entries: &'w [&'e Entry]) -> Words<'w, 'e> {
        Words { entries, place: Place::Top }
    }

    fn argument(&mut self, member: &Member) -> Result<Argument, Error> {
        let field = member.rust.clone();
        if let Some(value) = self.receiver(member) {
            return Ok(Argument { field, value, parameter: None });
        }
        if let Some(value) = self.filled(member) {
            return Ok(Argument { field, value, parameter: None });
        }
        let name = self.objects.name(member, self.words(&[self.method.entry]))?;
        let (ty, value) = self.converted(member, &name)?;
        Ok(Argument { field, value, parameter: Some((name, ty)) })
    }

    /// The first argument of the object's own type is the object.
    fn receiver(&mut self, member: &Member) -> Option<String> {
        if self.has_receiver {
            return None;
        }
        let is_handle = matches!(member.shape, Shape::Item(_))
            && self.objects.handle(&member.shape) == Some(self.method.object);
        if is_handle {
            self.has_receiver = true;
            return Some("self.to_wire()".to_owned());
        }
        if (self.method.object, member.wire.as_str()) == overrides::NAMED {
            self.has_receiver = true;
            return Some("self.wire.name.clone()".to_owned());
        }
        None
    }

    /// What the protocol asks for and users do not know.
    fn filled(&mut self, member: &Member) -> Option<String> {
        let Method { procedure, .. } = self.method;
        let reply = self.objects.members(procedure.reply);
        match member.wire.as_str() {
            "need_results" => Some("1".to_owned()),
            "flags" if matches!(member.shape, Shape::Primitive(Primitive::UnsignedInt)) => {
                let strings = overrides::asks_for_strings(&procedure.wire).then(|| {
                    let connection = if self.method.is_on_connection() { "self" } else { "self.connection" };
                    format!("{connection}.flag_for_strings()")
                });
                Some(match (self.flags, strings) {
                    (Some(_), Some(strings)) => format!("flags.bits() | {strings}"),
                    (Some(_), None) => "flags.bits()".to_owned(),
                    (None, Some(strings)) => strings,
                    (None, None) => "0".to_owned(),
                })
            }
            "nparams" if reply.iter().any(|result| result.wire == "nparams") => {
                self.counted = true;
                Some("0".to_owned())
            }
            // As many as the protocol allows: the daemon does not say how many there are.
            "nparams" | "maxStats" | "maxerrors" | "maxnames" => {
                let list = reply.iter().find_map(|result| match &result.shape {
                    Shape::Array(_, Limit::Named(_, max)) => Some(*max),
                    _ => None,
                })?;
                Some(super::super::literal(list.into()))
            }
            _ => None,
        }
    }

    /// The type of the parameter, and the expression that makes the argument of it.
    fn converted(&self, member: &Member, name: &str) -> Result<(String, String), Error> {
        let own = |ty: &str, value: String| Ok((ty.to_owned(), value));
        let shape = &member.shape;
        if let Shape::Primitive(primitive) = shape {
            return self.number(member, *primitive, name);
        }
        let is_path = overrides::path(&self.method.procedure.wire) == Some(member.wire.as_str());
        let client = self.method.client();
        if self.objects.is_typed_params(shape) {
            let value = match is_path {
                true => format!("{client}.observed(absolute_file({name}.into()))?"),
                false => format!("{name}.into()"),
            };
            return own("impl Into<TypedParams>", format!("{value}.into_wire()"));
        }
        if Objects::is_cpu_map(member) {
            return own("impl Into<CpuMap>", format!("{name}.into().into()"));
        }
        match (shape, self.objects.handle(shape)) {
            (Shape::Item(_), Some(object)) => {
                return own(&format!("&{object}"), format!("{name}.to_wire()"));
            }
            (Shape::Optional(_), Some(object)) => {
                let value = format!("{name}.map({object}::to_wire)");
                return own(&format!("Option<&{object}>"), value);
            }
            _ => {}
        }
        match shape {
            Shape::String(_) if is_path => {
                own("impl AsRef<Path>", format!("{client}.observed(absolute({name}))?"))
            }
            Shape::String(_) => own("impl Into<String>", format!("{name}.into()")),
            Shape::Optional(inner)
                if matches!(**inner, Shape::String(_))
                    && overrides::is_required(&self.method.procedure.wire, &member.wire) =>
            {
                own("impl Into<String>", format!("Some({name}.into())"))
            }
            Shape::Optional(inner) if matches!(**inner, Shape::String(_)) => {
                own("Option<&str>", format!("{name}.map(str::to_owned)"))
            }
            Shape::OpaqueFixed(16) => own("impl Into<Uuid>", format!("{name}.into().into()")),
            Shape::Opaque(_) => own("impl Into<Bytes>", format!("{name}.into()")),
            Shape::Array(element, _) => match (&**element, self.objects.handle(element)) {
                (_, Some(object)) => {
                    own(&format!("&[{object}]"), format!("{name}.iter().map({object}::to_wire).collect()"))
                }
                (Shape::String(_), _) => own(
                    "impl IntoIterator<Item = impl Into<String>>",
                    format!("{name}.into_iter().map(Into::into).collect()"),
                ),
                (Shape::Primitive(primitive), _) => match number(*primitive) {
                    Some(ty) => own(&format!("impl Into<Vec<{ty}>>"), format!("{name}.into()")),
                    None => Err(self.unknown(member)),
                },
                _ => Err(self.unknown(member)),
            },
            _ => Err(self.unknown(member)),
        }
    }

    fn number(&self, member: &Member, primitive: Primitive, name: &str) -> Result<(String, String), Error> {
        let ty = number(primitive).ok_or_else(|| self.unknown(member))?;
        Ok(match self.objects.meaning(member, self.words(&[self.method.entry]))? {
            Meaning::Plain => (ty.to_owned(), name.to_owned()),
            Meaning::Bool => ("bool".to_owned(), format!("{name}.into()")),
            Meaning::Counter => return Err(self.unknown(member)),
            Meaning::Enum { rust, flags: true } => {
                let cast = if ty == "u32" { String::new() } else { format!(" as {ty}") };
                (format!("enums::{rust}"), format!("{name}.bits(){cast}"))
            }
            Meaning::Enum { rust, flags: false } => {
                let cast = if ty == "i32" { String::new() } else { format!(" as {ty}") };
                (format!("enums::{rust}"), format!("{name}.0{cast}"))
            }
            Meaning::Version => ("Version".to_owned(), format!("{name}.into()")),
            Meaning::Time(unit) => {
                // Whole seconds are counted in 64 bits, the others in 128.
                let count = format!("{name}.as_{unit}()");
                let count = if unit == "secs" { format!("{count}.into()") } else { count };
                let value = format!("saturating({count}, {ty}::MAX)");
                ("Duration".to_owned(), value)
            }
        })
    }

    fn unknown(&self, member: &Member) -> Error {
        let message = format!(
            "argument {} of {} is {}, which no method takes: write it by hand, and say so in \
             codegen/src/overrides/objects.rs",
            member.wire, self.method.procedure.wire, member.said
        );
        Problem::new(Some(&self.method.procedure.location), message).into()
    }
}
