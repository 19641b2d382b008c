//! What a name stands for, as text.

use std::fmt;

use crate::{
    print,
    scope::nearest,
    spec::{Definition, DefinitionKind, Enumerator, Spec},
};

/// Returns what a name stands for, in the RPC language: a definition, or a procedure with the structs that go with it.
///
/// # Errors
/// There is nothing of that name; the message names what comes near.
pub fn show(spec: &Spec, name: &str) -> Result<String, UnknownName> {
    let mut parts = Vec::new();
    if let Some(definition) = spec.find(name) {
        parts.push(print::definition(definition));
    } else if let Some((definition, enumerator)) = enumerator(spec, name) {
        parts.push(print::definition(&Definition {
            kind: DefinitionKind::Enum(vec![enumerator.clone()]),
            ..definition.clone()
        }));
        parts.extend(structs(spec, name).map(print::definition));
    } else {
        return Err(UnknownName {
            name: name.to_owned(),
            nearest: nearest(name, names(spec)).map(str::to_owned),
            protocols: spec.protocols.iter().map(|protocol| protocol.name.clone()).collect(),
        });
    }
    Ok(parts.iter().map(|part| format!("{part}\n")).collect::<Vec<_>>().join("\n"))
}

/// Returns the enum with an enumerator of that name.
fn enumerator<'a>(spec: &'a Spec, name: &str) -> Option<(&'a Definition, &'a Enumerator)> {
    definitions(spec).find_map(|definition| {
        let found = enumerators(definition).iter().find(|enumerator| enumerator.name == name)?;
        Some((definition, found))
    })
}

/// Finds the structs of a procedure: `REMOTE_PROC_X` takes `remote_x_args`, returns `remote_x_ret`, or is the event
/// `remote_x_msg`.
fn structs<'a>(spec: &'a Spec, procedure: &str) -> impl Iterator<Item = &'a Definition> {
    let stem = procedure.replacen("_PROC_", "_", 1).to_ascii_lowercase();
    ["args", "ret", "msg"].into_iter().filter_map(move |role| spec.find(&format!("{stem}_{role}")))
}

fn names(spec: &Spec) -> impl Iterator<Item = &str> {
    definitions(spec).flat_map(|definition| {
        let enumerators = enumerators(definition).iter().map(|enumerator| enumerator.name.as_str());
        std::iter::once(definition.name.as_str()).chain(enumerators)
    })
}

fn definitions(spec: &Spec) -> impl Iterator<Item = &Definition> {
    spec.protocols.iter().flat_map(|protocol| &protocol.definitions)
}

fn enumerators(definition: &Definition) -> &[Enumerator] {
    match &definition.kind {
        DefinitionKind::Enum(body) => body,
        _ => &[],
    }
}

/// A name that no definition has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownName {
    /// What was asked for.
    pub name: String,
    /// What comes near.
    pub nearest: Option<String>,
    /// Where it was looked for.
    pub protocols: Vec<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error: no definition or procedure is called `{}` in {}",
            self.name,
            self.protocols.join(", ")
        )?;
        match &self.nearest {
            Some(nearest) => write!(f, "\n  = help: did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownName {}
