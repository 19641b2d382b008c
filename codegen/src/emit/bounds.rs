//! The limits of a protocol under their names, which errors repeat.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    literal,
    model::{ItemKind, Limit, Model, Shape},
};

/// The constants that lengths are compared with, which carry their names in the definition.
pub(crate) fn bounds(model: &Model, module: usize) -> String {
    let mut named = BTreeMap::new();
    for &id in model.modules.get(module).map(|module| module.items.as_slice()).unwrap_or_default() {
        match &model.item(id).kind {
            ItemKind::Struct(members) => {
                members.iter().for_each(|member| collect_bounds(&member.shape, &mut named))
            }
            ItemKind::Union(choice) => {
                let contents =
                    choice.variants.iter().map(|variant| &variant.content).chain(choice.default.as_ref());
                contents.flatten().for_each(|member| collect_bounds(&member.shape, &mut named));
            }
            ItemKind::Const(_) | ItemKind::Alias(..) | ItemKind::Enum(_) => {}
        }
    }
    if named.is_empty() {
        return String::new();
    }
    let mut text = "/// The limits of this protocol, under their names in the definition.\nmod bound {\n    \
                    use super::Bound;\n\n"
        .to_owned();
    for (name, max) in named {
        let max = literal(i128::from(max));
        _ = writeln!(
            text,
            "    pub(super) const {}: Bound = Bound::new({max}, \"{name}\");",
            name.to_uppercase()
        );
    }
    text.push_str("}\n");
    text
}

fn collect_bounds<'a>(shape: &'a Shape, into: &mut BTreeMap<&'a str, u32>) {
    match shape {
        Shape::String(limit) | Shape::Opaque(limit) | Shape::Chars(limit) | Shape::Array(_, limit) => {
            if let Limit::Named(name, max) = limit {
                into.insert(name, *max);
            }
            if let Shape::Array(element, _) = shape {
                collect_bounds(element, into);
            }
        }
        Shape::ArrayFixed(inner, _) | Shape::Optional(inner) | Shape::Boxed(inner) | Shape::Nested(inner) => {
            collect_bounds(inner, into);
        }
        Shape::Primitive(_) | Shape::OpaqueFixed(_) | Shape::CharsFixed(_) | Shape::Item(_) => {}
    }
}
