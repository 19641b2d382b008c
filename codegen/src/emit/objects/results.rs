//! What methods return: a value, an object, a list, or a struct.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Method, Objects, Status,
    events::Event,
    status,
    values::{Meaning, Place, Words, number},
};
use crate::{
    api::Entry,
    emit::{
        Problem,
        model::{ItemId, Member, Module, Procedure, Role, Shape},
        open,
    },
    error::Error,
    names::{self, Scope},
    overrides::objects as overrides,
    spec::Primitive,
};

/// What a method returns.
pub(super) struct Outcome {
    /// The type in `Result`.
    pub(super) ty: String,
    /// The expression that makes it of `reply`; none for nothing.
    pub(super) expression: Option<String>,
    /// Whether it is an object.
    pub(super) is_object: bool,
    /// What it is a list of, if that is objects.
    pub(super) listed: Option<&'static str>,
}

impl Outcome {
    fn new(ty: impl Into<String>, expression: Option<String>) -> Self {
        Self { ty: ty.into(), expression, is_object: false, listed: None }
    }
}

/// The structs that methods return.
pub(super) struct Results<'a> {
    objects: &'a Objects<'a>,
    structs: BTreeMap<ItemId, Struct<'a>>,
}

/// A struct of results.
struct Struct<'a> {
    name: String,
    /// What it documents itself with.
    said: String,
    /// The entries of the procedures that return it, which say what its fields are.
    entries: Vec<&'a Entry>,
    /// The fields that say nothing.
    idle: BTreeSet<String>,
}

/// The fields of a struct that users get.
pub(super) struct Fields {
    fields: Vec<Field>,
    /// Whether the types of all are `Copy`, and whether they are `Eq`.
    copy: bool,
    eq: bool,
}

struct Field {
    name: String,
    documentation: String,
    declaration: String,
    expression: String,
}

impl Fields {
    pub(super) fn declarations(&self, indent: &str) -> String {
        let line =
            |field: &Field| format!("{indent}/// {}\n{indent}{},\n", field.documentation, field.declaration);
        self.fields.iter().map(line).collect()
    }

    /// Makes each of them out of `wire` and `connection`.
    pub(super) fn values(&self) -> String {
        let line = |field: &Field| format!("            {}: {},\n", field.name, field.expression);
        self.fields.iter().map(line).collect()
    }

    /// Names the connection, if it is used.
    pub(super) fn connection(&self) -> &'static str {
        let used = self.fields.iter().any(|field| field.expression.contains("connection"));
        if used { "connection" } else { "_" }
    }
}

/// A value that users get.
struct Value {
    ty: String,
    expression: String,
    /// Whether the type is `Copy`, and whether it is `Eq`.
    copy: bool,
    eq: bool,
}

impl<'a> Results<'a> {
    /// Finds and names the structs.
    pub(super) fn of(objects: &'a Objects<'a>) -> Result<Self, Error> {
        let mut results = Self { objects, structs: BTreeMap::new() };
        for method in objects.all() {
            let Some(reply) = method.procedure.reply else { continue };
            if status(method.procedure) != Status::Generated {
                continue;
            }
            if results.fields(method.procedure).len() > 1 {
                results.add(reply, &method);
            }
            for member in objects.members(Some(reply)) {
                results.add_parts(&member.shape, &method);
            }
        }
        for event in objects.events() {
            for member in event.members(objects) {
                results.add_event_parts(&member.shape, &event);
            }
        }
        results.check_names()?;
        Ok(results)
    }

    /// Returns the results of a procedure that say something.
    fn fields(&self, procedure: &Procedure) -> Vec<&'a Member> {
        let members = self.objects.members(procedure.reply);
        let has_list = members.iter().any(|member| matches!(member.shape, Shape::Array(..)));
        let counts =
            |member: &Member| has_list && matches!(member.wire.as_str(), "ret" | "nparams" | "nerrors");
        members
            .iter()
            .filter(|member| !counts(member) && !overrides::is_idle_result(&procedure.wire, &member.wire))
            .collect()
    }

    fn add(&mut self, id: ItemId, method: &Method<'a>) {
        let fields: BTreeSet<&str> =
            self.fields(method.procedure).iter().map(|member| member.wire.as_str()).collect();
        let is_reply = method.procedure.reply == Some(id);
        let idle = self.objects.members(Some(id)).iter().map(|member| member.wire.clone());
        let idle = idle.filter(|wire| is_reply && !fields.contains(wire.as_str())).collect();
        let (name, said) = self.called(id, method);
        let found =
            self.structs.entry(id).or_insert_with(|| Struct { name, said, entries: Vec::new(), idle });
        found.entries.push(method.entry);
    }

    /// Adds the structs that are in a result.
    fn add_parts(&mut self, shape: &Shape, method: &Method<'a>) {
        match shape {
            Shape::Array(inner, _) | Shape::Optional(inner) if !self.objects.is_typed_params(shape) => {
                self.add_parts(inner, method);
            }
            Shape::Item(id) if self.objects.is_plain_struct(*id) => {
                self.add(*id, method);
                for member in self.objects.members(Some(*id)) {
                    self.add_parts(&member.shape, method);
                }
            }
            _ => {}
        }
    }

    /// Adds the structs that are in an event.
    fn add_event_parts(&mut self, shape: &Shape, event: &Event<'a>) {
        match shape {
            Shape::Array(inner, _) | Shape::Optional(inner) if !self.objects.is_typed_params(shape) => {
                self.add_event_parts(inner, event);
            }
            Shape::Item(id) if self.objects.is_plain_struct(*id) => {
                let (name, event_name) = (self.part_name(*id), event.name);
                let said = format!("A part of [`{event_name}`](crate::events::{event_name}).");
                let entries = event.entries.clone();
                self.structs.entry(*id).or_insert(Struct { name, said, entries, idle: BTreeSet::new() });
            }
            _ => {}
        }
    }

    /// Names a struct after itself.
    fn part_name(&self, id: ItemId) -> String {
        let item = self.objects.model.item(id);
        overrides::result_name(&item.wire).map_or_else(|| item.rust.clone(), str::to_owned)
    }

    /// Names a struct: after its method if it is a reply, else after itself.
    fn called(&self, id: ItemId, method: &Method<'a>) -> (String, String) {
        let item = self.objects.model.item(id);
        let owner = match item.role {
            Role::Reply(position) => method.module.procedures.get(position),
            _ => None,
        };
        let owner =
            owner.and_then(|owner| self.objects.all().find(|other| other.procedure.wire == owner.wire));
        match owner {
            Some(owner) => {
                let object = if owner.is_on_connection() { "" } else { owner.object };
                let mut name = format!("{object}{}", names::camel(owner.name));
                if self.objects.tables.enums.iter().any(|known| names::api_enum(&known.name) == name) {
                    name.push_str("Info");
                }
                if let Some(other) = overrides::result_name(&item.wire) {
                    other.clone_into(&mut name);
                }
                let method = format!("{}::{}", owner.object, owner.name);
                (name, format!("What [`{method}`](crate::{method}) returns."))
            }
            None => {
                let name = self.part_name(id);
                let objects = format!("{}::{}", method.object, method.name);
                (name, format!("A part of what [`{objects}`](crate::{objects}) returns."))
            }
        }
    }

    fn check_names(&self) -> Result<(), Problem> {
        let mut scope = Scope::new("the results of methods");
        for (id, found) in &self.structs {
            scope.take(&found.name, &self.objects.model.item(*id).wire, None)?;
        }
        Ok(())
    }

    /// Says what a method returns.
    pub(super) fn outcome(&self, method: &Method<'a>) -> Result<Outcome, Error> {
        let outcome = self.outcome_if_any(method)?;
        Ok(match &method.entry.none {
            None => outcome,
            Some(_) => Outcome::new(
                format!("Option<{}>", outcome.ty),
                outcome.expression.map(|expression| format!("Some({expression})")),
            ),
        })
    }

    /// Says what a method returns if there is something to return.
    fn outcome_if_any(&self, method: &Method<'a>) -> Result<Outcome, Error> {
        let Some(reply) = method.procedure.reply else {
            return Ok(Outcome::new("()", None));
        };
        let connection = method.connection();
        match self.fields(method.procedure).as_slice() {
            [] => Ok(Outcome::new("()", None)),
            [only] => {
                let asks = ["is_", "has_"].iter().any(|question| method.name.starts_with(question));
                if asks && only.shape == Shape::Primitive(Primitive::Int) {
                    let expression = Some(format!("reply.{} != 0", only.rust));
                    return Ok(Outcome::new("bool", expression));
                }
                let place = format!("reply.{}", only.rust);
                let words = Words { entries: &[method.entry], place: Place::Top };
                let value = self.value(method.module, only, words, &place, connection)?;
                let is_object =
                    matches!(only.shape, Shape::Item(_)) && self.objects.handle(&only.shape).is_some();
                let listed = match &only.shape {
                    Shape::Array(inner, _) => self.objects.handle(inner),
                    _ => None,
                };
                Ok(Outcome { ty: value.ty, expression: Some(value.expression), is_object, listed })
            }
            _ => {
                let name = self.structs.get(&reply).map(|found| found.name.as_str()).unwrap_or_default();
                let expression = Some(format!("results::{name}::of(reply, {connection})"));
                Ok(Outcome::new(format!("results::{name}"), expression))
            }
        }
    }

    /// Writes all structs.
    pub(super) fn structs(&self) -> Result<String, Error> {
        let mut text = String::new();
        for (&id, found) in &self.structs {
            text.push_str(&self.structure(id, found)?);
        }
        Ok(text)
    }

    fn structure(&self, id: ItemId, found: &Struct<'_>) -> Result<String, Error> {
        let item = self.objects.model.item(id);
        let Some(module) = self.objects.model.modules.get(item.module) else { return Ok(String::new()) };
        let Struct { name, said, entries, idle } = found;
        let place = if matches!(item.role, Role::Reply(_)) { Place::Top } else { Place::Inside };
        let words = Words { entries, place };
        let members = self.objects.members(Some(id)).iter().filter(|member| !idle.contains(&member.wire));
        let fields = self.converted(module, &item.wire, members, words, "pub ")?;
        let derives =
            [("Clone", true), ("Copy", fields.copy), ("Debug", true), ("PartialEq", true), ("Eq", fields.eq)];
        let derives: Vec<&str> = derives.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        let wire = format!("{}::{}", module.prefix.module(), item.rust);
        let connection = fields.connection();
        Ok(format!(
            "\n/// {said}\n\
             #[doc(alias = \"{}\")]\n\
             #[derive({})]\n{}\
             #[non_exhaustive]\n\
             pub struct {name} {{\n{}}}\n\n\
             impl {name} {{\n    \
             pub(super) fn of(wire: {wire}, {connection}: &Connection) -> Self {{\n        \
             Self {{\n{}        }}\n    }}\n}}\n",
            item.wire,
            derives.join(", "),
            // What holds a handle cannot be read back: handles need a connection.
            open::serde_derives(!self.holds_handle(id)),
            fields.declarations("    "),
            fields.values(),
        ))
    }

    /// Says what users get of the fields of a struct, each with `visibility` before its name.
    pub(super) fn converted<'m>(
        &self,
        module: &Module,
        owner: &str,
        members: impl Iterator<Item = &'m Member>,
        words: Words<'_, '_>,
        visibility: &str,
    ) -> Result<Fields, Error> {
        let mut scope = Scope::new(format!("the fields of {owner}"));
        let mut fields = Fields { fields: Vec::new(), copy: true, eq: true };
        for member in members {
            let name = self.objects.name(member, words)?;
            scope.take(&name, &member.wire, None)?;
            let place = format!("wire.{}", member.rust);
            let value = match overrides::told_by(owner, &member.wire) {
                Some((ty, other)) => Value {
                    ty: ty.to_owned(),
                    expression: format!("{ty}::new(wire.{other}, {place})"),
                    copy: true,
                    eq: true,
                },
                None => self.value(module, member, words, &place, "connection")?,
            };
            fields.copy &= value.copy;
            fields.eq &= value.eq;
            let unit = match self.objects.unit(member, words) {
                Some(unit) if !matches!(value.ty.as_str(), "Duration" | "Version") => format!(", in {unit}"),
                _ => String::new(),
            };
            let plain = spoken(&self.objects.plain_name(member, words));
            fields.fields.push(Field {
                documentation: format!("{plain}{unit} (`{}`).", member.wire),
                declaration: format!("{visibility}{name}: {}", value.ty),
                name,
                expression: value.expression,
            });
        }
        Ok(fields)
    }

    /// Tells whether a handle is in a struct, or in a struct that is in it.
    pub(super) fn holds_handle(&self, id: ItemId) -> bool {
        self.objects.members(Some(id)).iter().any(|member| self.is_or_holds_handle(&member.shape))
    }

    fn is_or_holds_handle(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Item(id) => self.objects.handle(shape).is_some() || self.holds_handle(*id),
            Shape::Array(inner, _) | Shape::Optional(inner) => self.is_or_holds_handle(inner),
            _ => false,
        }
    }

    /// Says what users get of a field.
    fn value(
        &self,
        module: &Module,
        member: &Member,
        words: Words<'_, '_>,
        place: &str,
        connection: &str,
    ) -> Result<Value, Error> {
        if let Shape::Primitive(primitive) = member.shape {
            return self.number(member, primitive, words, place);
        }
        if Objects::is_cpu_map(member) {
            let expression = format!("CpuMap::from(&*{place})");
            return Ok(Value { ty: "CpuMap".to_owned(), expression, copy: false, eq: true });
        }
        if let (true, Some(ty)) = (self.objects.is_typed_params(&member.shape), words.params()) {
            let expression = format!("TypedParams::from_wire({place}).into()");
            let (ty, expression) = match words.place {
                // These structs are large, and all events would be as large as the largest.
                Place::Event => (format!("Box<{ty}>"), format!("Box::new({expression})")),
                Place::Top | Place::Inside => (ty.to_owned(), expression),
            };
            return Ok(Value { ty, expression, copy: false, eq: false });
        }
        self.shaped(&member.shape, place, connection).ok_or_else(|| {
            let message = format!(
                "result {} in {}.x is {}, which no method returns: write it by hand, and say so in \
                 codegen/src/overrides/objects.rs",
                member.wire, module.file, member.said
            );
            Problem::new(None, message).into()
        })
    }

    fn shaped(&self, shape: &Shape, place: &str, connection: &str) -> Option<Value> {
        let value =
            |ty: &str, expression: String, copy, eq| Some(Value { ty: ty.to_owned(), expression, copy, eq });
        if self.objects.is_typed_params(shape) {
            return value("TypedParams", format!("TypedParams::from_wire({place})"), false, false);
        }
        match shape {
            Shape::String(_) => value("String", place.to_owned(), false, true),
            Shape::Opaque(_) => value("Bytes", place.to_owned(), false, true),
            Shape::OpaqueFixed(16) => value("Uuid", format!("{place}.into()"), true, true),
            Shape::Chars(_) | Shape::CharsFixed(_) => value("String", format!("text(&{place})"), false, true),
            Shape::Item(id) => {
                let (ty, function, eq) = match overrides::handle(&self.objects.model.item(*id).wire) {
                    Some(object) => (object.to_owned(), format!("{object}::new"), true),
                    None => {
                        let name = &self.structs.get(id)?.name;
                        (format!("results::{name}"), format!("results::{name}::of"), false)
                    }
                };
                value(&ty, format!("{function}({place}, {connection})"), false, eq)
            }
            Shape::Array(inner, _) | Shape::Optional(inner) => {
                let (outer, into, collect) = match shape {
                    Shape::Array(..) => ("Vec", ".into_iter()", ".collect()"),
                    _ => ("Option", "", ""),
                };
                if let Shape::Primitive(primitive) = **inner {
                    return value(&format!("{outer}<{}>", number(primitive)?), place.to_owned(), false, true);
                }
                let part = self.shaped(inner, "wire", connection)?;
                let ty = format!("{outer}<{}>", part.ty);
                let expression = if part.expression == "wire" {
                    place.to_owned()
                } else {
                    format!("{place}{into}.map(|wire| {}){collect}", part.expression)
                };
                value(&ty, expression, false, part.eq)
            }
            _ => None,
        }
    }

    fn number(
        &self,
        member: &Member,
        primitive: Primitive,
        words: Words<'_, '_>,
        place: &str,
    ) -> Result<Value, Error> {
        let ty = number(primitive).unwrap_or("[u8; 16]");
        let eq = !matches!(primitive, Primitive::Float | Primitive::Double);
        let (ty, expression) = match self.objects.meaning(member, words)? {
            Meaning::Plain => (ty.to_owned(), place.to_owned()),
            Meaning::Bool => ("bool".to_owned(), format!("{place} != 0")),
            Meaning::Counter => ("Option<u64>".to_owned(), format!("u64::try_from({place}).ok()")),
            Meaning::Enum { rust, flags: true } => {
                let cast = if ty == "u32" { "" } else { " as u32" };
                (format!("enums::{rust}"), format!("enums::{rust}::from_bits_retain({place}{cast})"))
            }
            Meaning::Enum { rust, flags: false } => {
                let cast = match ty {
                    "i32" => "",
                    "u8" | "i8" | "u16" | "i16" => ".into()",
                    _ => " as i32",
                };
                (format!("enums::{rust}"), format!("enums::{rust}({place}{cast})"))
            }
            Meaning::Version => ("Version".to_owned(), format!("Version::from({place})")),
            Meaning::Time(unit) => {
                let into = if ty == "u64" { "" } else { ".into()" };
                ("Duration".to_owned(), format!("Duration::from_{unit}({place}{into})"))
            }
        };
        Ok(Value { ty, expression, copy: true, eq })
    }
}

/// Says a field's name in words: `max_memory` is `Max memory`.
fn spoken(field: &str) -> String {
    let words = field.trim_end_matches('_').replace('_', " ");
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
