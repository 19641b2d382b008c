//! Definitions of all files, resolved against each other: names get their meaning, values their numbers.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ast, cycles,
    error::{Error, Source, Span},
    scope::{File, Scope},
    spec::{
        Arm, Definition, DefinitionKind, Enumerator, Field, Location, Number, Primitive, Protocol, Spec,
        Type, Union, Value,
    },
};

/// Resolves files; they come out after those they build on, else in the order given.
pub(crate) fn resolve(files: &[File]) -> Result<Spec, Error> {
    let scope = Scope::new(files)?;
    cycles::check(files)?;
    let mut protocols = Vec::new();
    for index in cycles::order(files, &scope) {
        let Some(file) = files.get(index) else { continue };
        let resolver = Resolver { scope: &scope, source: &file.source };
        let name =
            file.source.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let definitions = file
            .definitions
            .iter()
            .map(|definition| resolver.definition(definition))
            .collect::<Result<_, _>>()?;
        protocols.push(Protocol { name, definitions });
    }
    Ok(Spec { protocols })
}

/// Resolves the definitions of one file.
struct Resolver<'a> {
    scope: &'a Scope<'a>,
    source: &'a Source,
}

impl Resolver<'_> {
    fn definition(&self, definition: &ast::Definition) -> Result<Definition, Error> {
        let name = &definition.name;
        let kind = match &definition.kind {
            ast::DefinitionKind::Const(value) => DefinitionKind::Const(self.value(value)?),
            ast::DefinitionKind::Typedef(ty) => DefinitionKind::Typedef(self.ty(ty)?),
            ast::DefinitionKind::Enum(body) => {
                // The numbers are what goes over the wire, so that two names for one cannot be told apart.
                let unique = name.text.to_ascii_lowercase().ends_with("procedure");
                DefinitionKind::Enum(self.enumerators(body, unique)?)
            }
            ast::DefinitionKind::Struct(body) => DefinitionKind::Struct(self.fields(body)?),
            ast::DefinitionKind::Union(body) => DefinitionKind::Union(self.union(body)?),
        };
        Ok(Definition { name: name.text.clone(), location: name.location.clone(), kind })
    }

    fn enumerators(&self, body: &[ast::Enumerator], unique: bool) -> Result<Vec<Enumerator>, Error> {
        let mut numbers: BTreeMap<Number, &ast::Name> = BTreeMap::new();
        let mut enumerators = Vec::new();
        for enumerator in body {
            let name = &enumerator.name;
            let number = self.scope.named_number(&name.text);
            let value = match &enumerator.value {
                Some(value) => self.value(value)?,
                None => Value::Number(number),
            };
            let place = enumerator.value.as_ref().map_or(name.span, ast::Value::span);
            let range =
                Range { min: i32::MIN.into(), max: i32::MAX.into(), what: "the value of an enumerator" };
            self.within(number, range, place)?;
            if let (true, Some(first)) = (unique, numbers.insert(number, name)) {
                return Err(self
                    .source
                    .error(place, format!("expected a new number for `{}`, found {number} again", name.text))
                    .note(format!("note: {number} is `{}`, at {}", first.text, first.location))
                    .into());
            }
            enumerators.push(Enumerator {
                name: name.text.clone(),
                value,
                annotations: enumerator.annotations.clone(),
                location: name.location.clone(),
            });
        }
        Ok(enumerators)
    }

    fn fields(&self, body: &[ast::Field]) -> Result<Vec<Field>, Error> {
        let mut names = Names::default();
        body.iter()
            .map(|field| {
                names.add(self.source, &field.name)?;
                self.field(field)
            })
            .collect()
    }

    fn field(&self, field: &ast::Field) -> Result<Field, Error> {
        let ty = self.ty(&field.ty)?;
        Ok(Field { name: field.name.text.clone(), ty, location: field.name.location.clone() })
    }

    fn union(&self, body: &ast::Union) -> Result<Union, Error> {
        let discriminant = Box::new(self.field(&body.discriminant)?);
        let allowed = self.discriminant(&body.discriminant)?;
        let mut names = Names::default();
        names.add(self.source, &body.discriminant.name)?;
        for field in body.fields() {
            names.add(self.source, &field.name)?;
        }
        let mut cases = BTreeMap::new();
        let mut arms = Vec::new();
        for arm in &body.arms {
            let mut values = Vec::new();
            for value in &arm.values {
                values.push(self.value(value)?);
                let number = self.scope.number(value);
                self.case(number, value.span(), &allowed)?;
                if let Some(first) = cases.insert(number, value.span()) {
                    let first = self.source.location(first.start);
                    return Err(self
                        .source
                        .error(value.span(), format!("expected a new case, found {number} again"))
                        .note(format!("note: the first one is at {first}"))
                        .into());
                }
            }
            let field = arm.field.as_ref().map(|field| self.field(field)).transpose()?;
            arms.push(Arm { values, field });
        }
        let default = match &body.default {
            None => None,
            Some(field) => Some(field.as_ref().map(|field| self.field(field)).transpose()?),
        };
        Ok(Union { discriminant, arms, default })
    }

    /// Follows typedefs to what is switched on.
    fn discriminant(&self, field: &ast::Field) -> Result<Cases, Error> {
        let mut ty = &field.ty;
        loop {
            let body = match ty {
                ast::Type::Primitive(Primitive::Int) => {
                    return Ok(Cases::Range(Range {
                        min: i32::MIN.into(),
                        max: i32::MAX.into(),
                        what: CASE,
                    }));
                }
                ast::Type::Primitive(Primitive::UnsignedInt) => {
                    return Ok(Cases::Range(Range { min: 0, max: u32::MAX.into(), what: CASE }));
                }
                ast::Type::Primitive(Primitive::Bool) => {
                    return Ok(Cases::Range(Range { min: 0, max: 1, what: CASE }));
                }
                ast::Type::Enum(body) => body,
                ast::Type::Named(name) => match &self.scope.ty(self.source, name)?.kind {
                    ast::DefinitionKind::Typedef(next) => {
                        ty = next;
                        continue;
                    }
                    ast::DefinitionKind::Enum(body) => body,
                    _ => return Err(self.not_switched(field)),
                },
                _ => return Err(self.not_switched(field)),
            };
            let numbers =
                body.iter().map(|enumerator| self.scope.named_number(&enumerator.name.text)).collect();
            return Ok(Cases::Enum(numbers));
        }
    }

    fn not_switched(&self, field: &ast::Field) -> Error {
        let message = format!(
            "expected `{}` to be an int, an unsigned int, a bool or an enum: a union cannot switch on anything else",
            field.name.text
        );
        self.source.error(field.name.span, message).into()
    }

    fn case(&self, number: Number, place: Span, allowed: &Cases) -> Result<(), Error> {
        match allowed {
            Cases::Range(range) => self.within(number, *range, place),
            Cases::Enum(numbers) if numbers.contains(&number) => Ok(()),
            Cases::Enum(_) => {
                let message = format!("expected a value of the enum that is switched on, found {number}");
                Err(self.source.error(place, message).into())
            }
        }
    }

    fn ty(&self, ty: &ast::Type) -> Result<Type, Error> {
        Ok(match ty {
            ast::Type::Primitive(primitive) => Type::Primitive(*primitive),
            ast::Type::Named(name) => {
                self.scope.ty(self.source, name)?;
                Type::Named(name.text.clone())
            }
            ast::Type::String(max) => Type::String(self.bound(max.as_ref())?),
            ast::Type::Opaque(max) => Type::Opaque(self.bound(max.as_ref())?),
            ast::Type::OpaqueFixed(length) => Type::OpaqueFixed(self.length(length)?),
            ast::Type::Array(item, max) => Type::Array(Box::new(self.ty(item)?), self.bound(max.as_ref())?),
            ast::Type::ArrayFixed(item, length) => {
                Type::ArrayFixed(Box::new(self.ty(item)?), self.length(length)?)
            }
            ast::Type::Optional(item) => Type::Optional(Box::new(self.ty(item)?)),
            ast::Type::Enum(body) => Type::Enum(self.enumerators(body, false)?),
            ast::Type::Struct(body) => Type::Struct(self.fields(body)?),
            ast::Type::Union(body) => Type::Union(Box::new(self.union(body)?)),
        })
    }

    fn bound(&self, max: Option<&ast::Value>) -> Result<Option<Value>, Error> {
        max.map(|max| self.length(max)).transpose()
    }

    fn length(&self, value: &ast::Value) -> Result<Value, Error> {
        let resolved = self.value(value)?;
        self.within(
            resolved.number(),
            Range { min: 0, max: u32::MAX.into(), what: "a length" },
            value.span(),
        )?;
        Ok(resolved)
    }

    fn value(&self, value: &ast::Value) -> Result<Value, Error> {
        match value {
            ast::Value::Number(number, _) => Ok(Value::Number(*number)),
            ast::Value::Name(name) => {
                self.scope.check_constant(self.source, name)?;
                Ok(Value::Name(name.text.clone(), self.scope.named_number(&name.text)))
            }
        }
    }

    fn within(&self, number: Number, range: Range, place: Span) -> Result<(), Error> {
        let Range { min, max, what } = range;
        if (min..=max).contains(&number) {
            return Ok(());
        }
        let message = format!("expected {what} between {min} and {max}, found {number}");
        Err(self.source.error(place, message).into())
    }
}

const CASE: &str = "a case";

/// Which case labels a discriminant can have.
enum Cases {
    Range(Range),
    Enum(BTreeSet<Number>),
}

#[derive(Clone, Copy)]
struct Range {
    min: Number,
    max: Number,
    what: &'static str,
}

/// The names of the fields of one body, each of which may stand there once.
#[derive(Default)]
struct Names<'a>(BTreeMap<&'a str, &'a Location>);

impl<'a> Names<'a> {
    fn add(&mut self, source: &Source, name: &'a ast::Name) -> Result<(), Error> {
        match self.0.insert(&name.text, &name.location) {
            None => Ok(()),
            Some(first) => Err(source
                .error(name.span, format!("expected a new name for the field, found `{}` again", name.text))
                .note(format!("note: the first one is at {first}"))
                .into()),
        }
    }
}
