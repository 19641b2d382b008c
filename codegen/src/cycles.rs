//! Types that would have no end, and the order of the files.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ast::{DefinitionKind, Field, Mention, Name, Type},
    error::Error,
    scope::{File, Scope},
};

/// Rejects types that contain themselves with no pointer or variable array between, and typedefs that never name a
/// type of their own.
pub(crate) fn check(files: &[File]) -> Result<(), Error> {
    let renames = |kind: &DefinitionKind, found: &mut Vec<Name>| {
        if let DefinitionKind::Typedef(ty) = kind {
            renamed(ty, found);
        }
    };
    if let Some(cycle) = cycle(files, &renames) {
        return Err(cycle.error(
            "is defined by itself",
            "is",
            "a struct or union among them would end the recursion",
        ));
    }
    let contains = |kind: &DefinitionKind, found: &mut Vec<Name>| match kind {
        DefinitionKind::Const(_) | DefinitionKind::Enum(_) => {}
        DefinitionKind::Typedef(ty) => contained(ty, found),
        DefinitionKind::Struct(body) => body.iter().for_each(|field| contained(&field.ty, found)),
        DefinitionKind::Union(body) => body.fields().for_each(|field| contained(&field.ty, found)),
    };
    if let Some(cycle) = cycle(files, &contains) {
        return Err(cycle.error(
            "contains itself",
            "contains",
            "a pointer (`type *name`) or an array of variable length (`type name<>`) ends the recursion",
        ));
    }
    Ok(())
}

/// Collects the types whose values are part of a value.
fn contained(ty: &Type, found: &mut Vec<Name>) {
    let fields = |fields: &mut dyn Iterator<Item = &Field>, found: &mut Vec<Name>| {
        fields.for_each(|field| contained(&field.ty, found));
    };
    match ty {
        Type::Named(name) => found.push(name.clone()),
        Type::ArrayFixed(item, _) => contained(item, found),
        Type::Struct(body) => fields(&mut body.iter(), found),
        Type::Union(body) => fields(&mut body.fields(), found),
        Type::Optional(_) | Type::Array(..) | Type::String(_) | Type::Opaque(_) | Type::OpaqueFixed(_) => {}
        Type::Primitive(_) | Type::Enum(_) => {}
    }
}

/// Collects the type that a typedef makes another of.
fn renamed(ty: &Type, found: &mut Vec<Name>) {
    match ty {
        Type::Named(name) => found.push(name.clone()),
        Type::Optional(item) | Type::Array(item, _) | Type::ArrayFixed(item, _) => renamed(item, found),
        _ => {}
    }
}

/// A way from a definition back to itself.
struct Cycle<'a> {
    file: &'a File,
    name: &'a Name,
    /// Where each names the next; the last names the first.
    way: Vec<Name>,
}

impl Cycle<'_> {
    fn error(&self, what: &str, verb: &str, help: &str) -> Error {
        let place = self.way.first().map_or(self.name.span, |next| next.span);
        let mut diagnostic = self.file.source.error(place, format!("`{}` {what}", self.name.text));
        if self.way.len() > 1 {
            // A cycle through a whole file is not worth reading.
            let way: Vec<_> = self.way.iter().take(8).map(|next| format!("{verb} `{}`", next.text)).collect();
            let more = if self.way.len() > 8 { ", and so on" } else { "" };
            diagnostic =
                diagnostic.note(format!("note: `{}` {}{more}", self.name.text, way.join(", which ")));
        }
        diagnostic.note(format!("help: {help}")).into()
    }
}

/// Finds a way from a definition back to itself along `edges`.
///
/// What leads nowhere is taken out again and again; what then is left is on a cycle or leads to one.
fn cycle<'a>(files: &'a [File], edges: &dyn Fn(&DefinitionKind, &mut Vec<Name>)) -> Option<Cycle<'a>> {
    let definitions: Vec<_> = files
        .iter()
        .flat_map(|file| file.definitions.iter().map(move |definition| (file, definition)))
        .collect();
    let index: BTreeMap<&str, usize> = definitions
        .iter()
        .enumerate()
        .map(|(at, (_, definition))| (definition.name.text.as_str(), at))
        .collect();
    let forward: Vec<Vec<(usize, Name)>> = definitions
        .iter()
        .map(|(_, definition)| {
            let mut names = Vec::new();
            edges(&definition.kind, &mut names);
            names.into_iter().filter_map(|name| Some((*index.get(name.text.as_str())?, name))).collect()
        })
        .collect();

    let mut backward = vec![Vec::new(); forward.len()];
    let mut left: Vec<usize> = forward.iter().map(Vec::len).collect();
    for (from, targets) in forward.iter().enumerate() {
        for (to, _) in targets {
            backward.get_mut(*to)?.push(from);
        }
    }
    let mut ended: Vec<usize> = (0..left.len()).filter(|at| left.get(*at) == Some(&0)).collect();
    while let Some(at) = ended.pop() {
        for from in backward.get(at)? {
            let count = left.get_mut(*from)?;
            *count -= 1;
            if *count == 0 {
                ended.push(*from);
            }
        }
    }

    let remains = |at: usize| left.get(at).is_some_and(|count| *count > 0);
    let mut at = (0..left.len()).find(|at| remains(*at))?;
    let mut steps = Vec::new();
    let mut passed = BTreeSet::new();
    while passed.insert(at) {
        let (next, name) = forward.get(at)?.iter().find(|(next, _)| remains(*next))?;
        steps.push((at, name.clone()));
        at = *next;
    }
    steps.drain(..steps.iter().position(|(from, _)| *from == at)?);
    let (file, definition) = definitions.get(at)?;
    Some(Cycle { file, name: &definition.name, way: steps.into_iter().map(|(_, name)| name).collect() })
}

/// Returns the files' indices such that each comes after those it takes names from, else in the order given.
pub(crate) fn order(files: &[File], scope: &Scope<'_>) -> Vec<usize> {
    let needs: Vec<Vec<usize>> = files
        .iter()
        .map(|file| {
            let mut needs = Vec::new();
            for definition in &file.definitions {
                definition.mentions(&mut |mention| {
                    if let Mention::Type(name) | Mention::Value(name) = mention {
                        needs.extend(scope.file_of(&name.text));
                    }
                });
            }
            needs.sort_unstable();
            needs.dedup();
            needs
        })
        .collect();
    let mut order = Vec::new();
    let mut begun = vec![false; files.len()];
    for start in 0..files.len() {
        // Depth first, on a stack of our own: (file, how many of its needs are done).
        let mut stack = vec![(start, 0)];
        while let Some((at, done)) = stack.pop() {
            if done == 0 && std::mem::replace(begun.get_mut(at).unwrap_or(&mut true), true) {
                continue;
            }
            match needs.get(at).and_then(|needs| needs.get(done)) {
                Some(need) => stack.extend([(at, done + 1), (*need, 0)]),
                None => order.push(at),
            }
        }
    }
    order
}
