//! From the definitions to the [`Model`](super::model::Model): names given, typedefs followed, anonymous bodies
//! lifted out.

use std::collections::BTreeMap;

use super::{
    Problem,
    model::{
        Choice, Constant, Discriminant, Item, ItemId, ItemKind, Limit, Member, Model, Module, Role, Shape,
        Variant,
    },
};
use crate::{
    names::{self, Prefix},
    print,
    spec::{
        Definition, DefinitionKind, Enumerator, Field, Location, Number, Primitive, Protocol, Spec, Type,
        Union, Value,
    },
};

impl Model {
    /// Reads a resolved spec, as far as one definition goes.
    pub(super) fn lower(spec: &Spec) -> Result<Self, Problem> {
        let mut builder = Builder {
            spec,
            modules: Vec::new(),
            items: Vec::new(),
            ids: BTreeMap::new(),
            aliases: BTreeMap::new(),
            open: Vec::new(),
        };
        builder.name_items();
        for protocol in 0..spec.protocols.len() {
            builder.lower(protocol)?;
        }
        Ok(Self { modules: builder.modules, items: builder.items })
    }
}

struct Builder<'a> {
    spec: &'a Spec,
    modules: Vec<Module>,
    items: Vec<Item>,
    ids: BTreeMap<&'a str, ItemId>,
    /// The typedefs that have been followed.
    aliases: BTreeMap<&'a str, Shape>,
    /// The typedefs that are being followed, outermost first.
    open: Vec<&'a str>,
}

impl<'a> Builder<'a> {
    /// Gives each named definition its place, so that definitions may refer to later ones.
    fn name_items(&mut self) {
        for (module, protocol) in self.spec.protocols.iter().enumerate() {
            let prefix = Prefix::of_file(&protocol.name);
            let mut items = Vec::with_capacity(protocol.definitions.len());
            for definition in &protocol.definitions {
                let rust = match definition.kind {
                    DefinitionKind::Const(_) => prefix.constant(&definition.name),
                    _ => prefix.type_name(&definition.name),
                };
                self.ids.insert(&definition.name, self.items.len());
                items.push(self.items.len());
                self.items.push(Item {
                    wire: definition.name.clone(),
                    rust,
                    module,
                    anonymous: false,
                    role: Role::Plain,
                    kind: ItemKind::Const(0),
                });
            }
            self.modules.push(Module {
                prefix,
                file: protocol.name.clone(),
                items,
                program: None,
                procedures: Vec::new(),
            });
        }
    }

    fn lower(&mut self, module: usize) -> Result<(), Problem> {
        let Some(protocol) = self.spec.protocols.get(module) else { return Ok(()) };
        for definition in &protocol.definitions {
            let Some(&id) = self.ids.get(definition.name.as_str()) else { continue };
            let owner = self.items.get(id).map(|item| item.rust.clone()).unwrap_or_default();
            let kind = self.kind(definition, protocol, module, &owner)?;
            if let Some(item) = self.items.get_mut(id) {
                item.kind = kind;
            }
        }
        Ok(())
    }

    fn kind(
        &mut self,
        definition: &'a Definition,
        protocol: &Protocol,
        module: usize,
        owner: &str,
    ) -> Result<ItemKind, Problem> {
        let at = Site { module, owner, location: &definition.location };
        Ok(match &definition.kind {
            DefinitionKind::Const(value) => ItemKind::Const(value.number()),
            DefinitionKind::Enum(enumerators) | DefinitionKind::Typedef(Type::Enum(enumerators)) => {
                let prefix = Prefix::of_file(&protocol.name);
                let procedures = (definition.name == prefix.procedure_enum()).then_some(&prefix);
                ItemKind::Enum(constants(&definition.name, enumerators, procedures)?)
            }
            DefinitionKind::Struct(fields) | DefinitionKind::Typedef(Type::Struct(fields)) => {
                ItemKind::Struct(self.members(fields, at)?)
            }
            DefinitionKind::Union(union) => ItemKind::Union(self.choice(union, at)?),
            DefinitionKind::Typedef(Type::Union(union)) => ItemKind::Union(self.choice(union, at)?),
            DefinitionKind::Typedef(ty) => {
                ItemKind::Alias(self.named(&definition.name, at)?, print::short(ty))
            }
        })
    }

    fn members(&mut self, fields: &'a [Field], at: Site<'_>) -> Result<Vec<Member>, Problem> {
        fields.iter().map(|field| self.member(field, at)).collect()
    }

    fn member(&mut self, field: &'a Field, at: Site<'_>) -> Result<Member, Problem> {
        let at = Site { location: &field.location, ..at };
        Ok(Member {
            wire: field.name.clone(),
            rust: names::field(&field.name),
            said: print::short(&field.ty),
            shape: self.shape(&field.ty, &field.name, at)?,
        })
    }

    fn choice(&mut self, union: &'a Union, at: Site<'_>) -> Result<Choice, Problem> {
        let discriminant = self.discriminant(&union.discriminant, at)?;
        let cases = self.case_names(union, discriminant, at.module);
        let mut variants = Vec::new();
        for arm in &union.arms {
            for value in &arm.values {
                let rust = match value {
                    Value::Name(name, _) => names::variant(cases.get(name).unwrap_or(name)),
                    Value::Number(number) => numbered(arm.field.as_ref(), *number, arm.values.len()),
                };
                let content = arm.field.as_ref().map(|field| self.member(field, at)).transpose()?;
                variants.push(Variant { rust, value: value.clone(), content });
            }
        }
        let default = match &union.default {
            None => None,
            Some(None) => Some(None),
            Some(Some(field)) => Some(Some(self.member(field, at)?)),
        };
        Ok(Choice { discriminant, variants, default })
    }

    fn discriminant(&mut self, field: &'a Field, at: Site<'_>) -> Result<Discriminant, Problem> {
        match self.shape(&field.ty, &field.name, at)? {
            Shape::Primitive(Primitive::Int) => Ok(Discriminant::Int),
            Shape::Primitive(Primitive::UnsignedInt) => Ok(Discriminant::UnsignedInt),
            Shape::Primitive(Primitive::Bool) => Ok(Discriminant::Bool),
            Shape::Item(id) if self.is_enum(id) => Ok(Discriminant::Enum(id)),
            _ => Err(Problem::new(
                Some(&field.location),
                format!(
                    "a union is switched on an int, an unsigned int, an enum or a bool, not on {}",
                    print::short(&field.ty)
                ),
            )),
        }
    }

    /// Names the cases of a union: as the constants of its enum, or without what they share.
    fn case_names(
        &self,
        union: &Union,
        discriminant: Discriminant,
        module: usize,
    ) -> BTreeMap<String, String> {
        let values = union.arms.iter().flat_map(|arm| &arm.values);
        let named: Vec<&str> = values
            .filter_map(|value| if let Value::Name(name, _) = value { Some(name.as_str()) } else { None })
            .collect();
        let (enumeration, all) = match discriminant {
            Discriminant::Enum(id) => self.enumerators(id),
            _ => (String::new(), named.iter().map(|&name| name.to_owned()).collect()),
        };
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let rust = match (all.as_slice(), self.modules.get(module)) {
            ([only], Some(module)) if enumeration.is_empty() => vec![module.prefix.constant(only)],
            _ => names::enumerators(&enumeration, &all),
        };
        all.into_iter().map(str::to_owned).zip(rust).collect()
    }

    /// Returns the name of an enum and those of its constants; it may not have been lowered yet.
    fn enumerators(&self, id: ItemId) -> (String, Vec<String>) {
        let Some(item) = self.items.get(id) else { return (String::new(), Vec::new()) };
        let names = match (&item.kind, self.spec.find(&item.wire).map(|definition| &definition.kind)) {
            (ItemKind::Enum(constants), _) => {
                constants.iter().map(|constant| constant.wire.clone()).collect()
            }
            (_, Some(DefinitionKind::Enum(list) | DefinitionKind::Typedef(Type::Enum(list)))) => {
                list.iter().map(|enumerator| enumerator.name.clone()).collect()
            }
            _ => Vec::new(),
        };
        (if item.anonymous { item.rust.clone() } else { item.wire.clone() }, names)
    }

    fn is_enum(&self, id: ItemId) -> bool {
        let Some(item) = self.items.get(id) else { return false };
        matches!(item.kind, ItemKind::Enum(_))
            || self.spec.find(&item.wire).is_some_and(|found| {
                matches!(found.kind, DefinitionKind::Enum(_) | DefinitionKind::Typedef(Type::Enum(_)))
            })
    }

    /// Follows typedefs.
    fn shape(&mut self, ty: &'a Type, name: &str, at: Site<'_>) -> Result<Shape, Problem> {
        Ok(match ty {
            Type::Primitive(primitive) => Shape::Primitive(*primitive),
            Type::Named(wire) => return self.named(wire, at),
            Type::String(bound) => Shape::String(limit(bound.as_ref(), at)?),
            Type::Opaque(bound) => Shape::Opaque(limit(bound.as_ref(), at)?),
            Type::OpaqueFixed(length) => Shape::OpaqueFixed(word(length, name, at.location)?),
            Type::Array(element, bound) if **element == Type::Primitive(Primitive::Char) => {
                Shape::Chars(limit(bound.as_ref(), at)?)
            }
            Type::Array(element, bound) => {
                Shape::Array(Box::new(self.shape(element, name, at)?), limit(bound.as_ref(), at)?)
            }
            Type::ArrayFixed(element, length) if **element == Type::Primitive(Primitive::Char) => {
                Shape::CharsFixed(word(length, name, at.location)?)
            }
            Type::ArrayFixed(element, length) => {
                Shape::ArrayFixed(Box::new(self.shape(element, name, at)?), word(length, name, at.location)?)
            }
            Type::Optional(inner) => Shape::Optional(Box::new(self.shape(inner, name, at)?)),
            Type::Enum(enumerators) => {
                let rust = names::anonymous(at.owner, name);
                let kind = ItemKind::Enum(constants(&rust, enumerators, None)?);
                Shape::Item(self.lift(rust, name, kind, at))
            }
            Type::Struct(fields) => {
                let rust = names::anonymous(at.owner, name);
                let kind = ItemKind::Struct(self.members(fields, Site { owner: &rust, ..at })?);
                Shape::Item(self.lift(rust, name, kind, at))
            }
            Type::Union(union) => {
                let rust = names::anonymous(at.owner, name);
                let kind = ItemKind::Union(self.choice(union, Site { owner: &rust, ..at })?);
                Shape::Item(self.lift(rust, name, kind, at))
            }
        })
    }

    fn named(&mut self, wire: &'a str, at: Site<'_>) -> Result<Shape, Problem> {
        let unknown = || Problem::new(Some(at.location), format!("{wire} is not the name of a type"));
        let &id = self.ids.get(wire).ok_or_else(unknown)?;
        let definition = self.spec.find(wire).ok_or_else(unknown)?;
        let ty = match &definition.kind {
            DefinitionKind::Const(_) => return Err(unknown()),
            DefinitionKind::Typedef(Type::Enum(_) | Type::Struct(_) | Type::Union(_))
            | DefinitionKind::Enum(_)
            | DefinitionKind::Struct(_)
            | DefinitionKind::Union(_) => return Ok(Shape::Item(id)),
            DefinitionKind::Typedef(ty) => ty,
        };
        if let Some(shape) = self.aliases.get(wire) {
            return Ok(shape.clone());
        }
        if self.open.contains(&wire) {
            let chain = self.open.join(" -> ");
            return Err(Problem::new(
                Some(&definition.location),
                format!("{chain} -> {wire} never comes to a type"),
            ));
        }
        let (module, owner) =
            self.items.get(id).map(|item| (item.module, item.rust.clone())).unwrap_or_default();
        self.open.push(wire);
        let shape = self.shape(ty, wire, Site { module, owner: &owner, location: &definition.location })?;
        self.open.pop();
        self.aliases.insert(wire, shape.clone());
        Ok(shape)
    }

    /// Makes an item of an anonymous body.
    fn lift(&mut self, rust: String, field: &str, kind: ItemKind, at: Site<'_>) -> ItemId {
        let id = self.items.len();
        let wire = format!("{field} of {}", at.owner);
        self.items.push(Item { wire, rust, module: at.module, anonymous: true, role: Role::Plain, kind });
        if let Some(module) = self.modules.get_mut(at.module) {
            module.items.push(id);
        }
        id
    }
}

/// Where a declaration stands.
#[derive(Clone, Copy)]
struct Site<'a> {
    module: usize,
    owner: &'a str,
    location: &'a Location,
}

fn constants(
    enum_name: &str,
    enumerators: &[Enumerator],
    procedures: Option<&Prefix>,
) -> Result<Vec<Constant>, Problem> {
    let wire: Vec<&str> = enumerators.iter().map(|enumerator| enumerator.name.as_str()).collect();
    let rust = match procedures {
        Some(prefix) => wire.iter().map(|name| prefix.procedure(name)).collect(),
        None => names::enumerators(enum_name, &wire),
    };
    enumerators
        .iter()
        .zip(rust)
        .map(|(enumerator, rust)| {
            let value = int(&enumerator.value, &enumerator.name, &enumerator.location)?;
            Ok(Constant { wire: enumerator.name.clone(), rust, value })
        })
        .collect()
}

/// Names the variant of a case that is a number: after the arm's field, and after the number where several
/// cases share the arm or the arm has none.
fn numbered(field: Option<&Field>, number: Number, cases: usize) -> String {
    let digits = if number < 0 { format!("Minus{}", number.unsigned_abs()) } else { number.to_string() };
    match field {
        Some(field) if cases == 1 => names::variant(&field.name),
        Some(field) => format!("{}{digits}", names::variant(&field.name)),
        None => format!("Case{digits}"),
    }
}

fn limit(bound: Option<&Value>, at: Site<'_>) -> Result<Limit, Problem> {
    Ok(match bound {
        None => Limit::None,
        Some(value @ Value::Number(_)) => Limit::Number(word(value, "a length", at.location)?),
        Some(value @ Value::Name(name, _)) => Limit::Named(name.clone(), word(value, name, at.location)?),
    })
}

pub(super) fn word(value: &Value, what: &str, location: &Location) -> Result<u32, Problem> {
    u32::try_from(value.number()).map_err(|_| {
        Problem::new(
            Some(location),
            format!("{what} is {}, but must fit into 32 bits without sign", value.number()),
        )
    })
}

pub(super) fn int(value: &Value, what: &str, location: &Location) -> Result<i32, Problem> {
    i32::try_from(value.number()).map_err(|_| {
        Problem::new(
            Some(location),
            format!("{what} is {}, but must fit into 32 bits with sign", value.number()),
        )
    })
}
