//! Types that contain themselves: where a pointer must stand, and where nesting must be limited.

use std::collections::BTreeSet;

use super::model::{ItemId, ItemKind, Model, Shape};

impl Model {
    /// Puts boxes where a type would contain itself, and limits the nesting where it contains itself in a list.
    pub(super) fn break_cycles(&mut self) {
        let uses: Vec<BTreeSet<ItemId>> = self.items.iter().map(|item| part_of(&item.kind)).collect();
        let in_cycle: BTreeSet<ItemId> =
            (0..uses.len()).filter(|&id| reach(&uses, id).contains(&id)).collect();
        let recursive = |part: &ItemId| in_cycle.contains(part);
        for item in &mut self.items {
            match &mut item.kind {
                ItemKind::Alias(shape, _) => break_shape(shape, &recursive),
                ItemKind::Struct(members) => {
                    for member in members {
                        break_shape(&mut member.shape, &recursive);
                    }
                }
                ItemKind::Union(choice) => {
                    let contents = choice.variants.iter_mut().map(|variant| &mut variant.content);
                    for content in contents.chain(choice.default.as_mut()).flatten() {
                        break_shape(&mut content.shape, &recursive);
                    }
                }
                ItemKind::Const(_) | ItemKind::Enum(_) => {}
            }
        }
    }
}

/// The items that values of this one hold, however far behind a pointer.
pub(crate) fn part_of(kind: &ItemKind) -> BTreeSet<ItemId> {
    let mut uses = BTreeSet::new();
    for_each_shape(kind, &mut |shape| collect(shape, true, &mut uses));
    uses
}

pub(crate) fn for_each_shape(kind: &ItemKind, visit: &mut dyn FnMut(&Shape)) {
    match kind {
        ItemKind::Struct(members) => members.iter().for_each(|member| visit(&member.shape)),
        ItemKind::Union(choice) => {
            let contents =
                choice.variants.iter().map(|variant| &variant.content).chain(choice.default.as_ref());
            contents.flatten().for_each(|member| visit(&member.shape));
        }
        ItemKind::Const(_) | ItemKind::Alias(..) | ItemKind::Enum(_) => {}
    }
}

fn collect(shape: &Shape, behind_pointers: bool, into: &mut BTreeSet<ItemId>) {
    match shape {
        Shape::Item(id) => {
            into.insert(*id);
        }
        Shape::Array(inner, _) | Shape::Boxed(inner) => {
            if behind_pointers {
                collect(inner, behind_pointers, into);
            }
        }
        Shape::ArrayFixed(inner, _) | Shape::Optional(inner) | Shape::Nested(inner) => {
            collect(inner, behind_pointers, into);
        }
        Shape::Primitive(_)
        | Shape::String(_)
        | Shape::Opaque(_)
        | Shape::OpaqueFixed(_)
        | Shape::Chars(_)
        | Shape::CharsFixed(_) => {}
    }
}

pub(crate) fn reach(uses: &[BTreeSet<ItemId>], start: ItemId) -> BTreeSet<ItemId> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for &part in uses.get(id).into_iter().flatten() {
            if reached.insert(part) {
                open.push(part);
            }
        }
    }
    reached
}

/// Boxes what is optional and limits what is listed, where it leads back to the type that holds it.
fn break_shape(shape: &mut Shape, recursive: &dyn Fn(&ItemId) -> bool) {
    match shape {
        Shape::Optional(inner) => {
            break_shape(inner, recursive);
            box_if(inner, recursive);
        }
        Shape::Array(inner, _) => {
            break_shape(inner, recursive);
            let mut parts = BTreeSet::new();
            collect(inner, false, &mut parts);
            if parts.iter().any(recursive) {
                **inner = Shape::Nested(Box::new(inner.as_ref().clone()));
            }
        }
        Shape::ArrayFixed(inner, _) => break_shape(inner, recursive),
        _ => {}
    }
}

fn box_if(shape: &mut Shape, recursive: &dyn Fn(&ItemId) -> bool) {
    let mut parts = BTreeSet::new();
    collect(shape, false, &mut parts);
    if parts.iter().any(recursive) {
        *shape = Shape::Boxed(Box::new(shape.clone()));
    }
}
