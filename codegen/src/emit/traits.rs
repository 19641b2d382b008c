//! Which traits a type can have, and other facts that depend on all that is in it.

use std::collections::BTreeSet;

use super::{
    model::{ItemId, ItemKind, Model, Shape},
    recursion::{for_each_shape, part_of, reach},
    unions::starts_with_void,
};
use crate::spec::Primitive;

/// Arrays up to this length have a `Default` of their own, and are known to serde.
const ARRAY_MAX: u32 = 32;

/// Facts about items, by id.
#[derive(Debug, Default)]
pub(crate) struct Traits {
    float: BTreeSet<ItemId>,
    not_copy: BTreeSet<ItemId>,
    own_default: BTreeSet<ItemId>,
    element: BTreeSet<ItemId>,
    too_long: BTreeSet<ItemId>,
}

impl Traits {
    pub(crate) fn of(model: &Model) -> Self {
        let mut traits = Self::default();
        let uses: Vec<BTreeSet<ItemId>> = model.items.iter().map(|item| part_of(&item.kind)).collect();
        for (id, item) in model.items.iter().enumerate() {
            for_each_shape(&item.kind, &mut |shape| traits.note(id, shape));
        }
        let inherit = |facts: &mut BTreeSet<ItemId>| {
            let holders: Vec<ItemId> = (0..uses.len())
                .filter(|&id| reach(&uses, id).iter().any(|part| facts.contains(part)))
                .collect();
            facts.extend(holders);
        };
        inherit(&mut traits.float);
        inherit(&mut traits.not_copy);
        inherit(&mut traits.too_long);
        traits
    }

    /// Returns the derives of a struct or union. `Default` can be derived for a union whose first arm is void.
    pub(crate) fn derives(&self, id: ItemId, kind: &ItemKind) -> String {
        let mut derives = vec!["Clone"];
        if !self.not_copy.contains(&id) {
            derives.push("Copy");
        }
        derives.push("Debug");
        let default = match kind {
            ItemKind::Union(choice) => starts_with_void(choice),
            _ => !self.needs_own_default(id),
        };
        if default {
            derives.push("Default");
        }
        derives.push("PartialEq");
        if !self.float.contains(&id) {
            derives.extend(["Eq", "Hash"]);
        }
        derives.join(", ")
    }

    /// Tells whether anything in a type is a floating-point number.
    pub(crate) fn has_float(&self, id: ItemId) -> bool {
        self.float.contains(&id)
    }

    /// Tells whether an array in a struct is too long for a derived `Default`.
    pub(crate) fn needs_own_default(&self, id: ItemId) -> bool {
        self.own_default.contains(&id)
    }

    /// Tells whether there are lists of a type.
    pub(crate) fn is_element(&self, id: ItemId) -> bool {
        self.element.contains(&id)
    }

    /// Tells whether a value of a type can hold more than its bounds allow.
    pub(crate) fn may_be_too_long(&self, id: ItemId) -> bool {
        self.too_long.contains(&id)
    }

    fn note(&mut self, id: ItemId, shape: &Shape) {
        match shape {
            Shape::Primitive(Primitive::Float | Primitive::Double) => {
                self.float.insert(id);
            }
            Shape::String(_) | Shape::Opaque(_) | Shape::Chars(_) | Shape::Array(..) => {
                self.not_copy.insert(id);
                self.too_long.insert(id);
            }
            Shape::Boxed(_) => {
                self.not_copy.insert(id);
            }
            shape if is_long_array(shape) => {
                self.own_default.insert(id);
            }
            _ => {}
        }
        match shape {
            Shape::Array(inner, _) | Shape::ArrayFixed(inner, _) => {
                if let Shape::Item(element) = **inner {
                    self.element.insert(element);
                }
                self.note(id, inner);
            }
            Shape::Optional(inner) | Shape::Boxed(inner) | Shape::Nested(inner) => self.note(id, inner),
            _ => {}
        }
    }
}

/// Tells whether a shape is an array that has no traits by itself.
pub(crate) fn is_long_array(shape: &Shape) -> bool {
    match shape {
        Shape::OpaqueFixed(length) | Shape::CharsFixed(length) | Shape::ArrayFixed(_, length) => {
            *length > ARRAY_MAX
        }
        _ => false,
    }
}
