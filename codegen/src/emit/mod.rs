//! The definitions and tables as Rust text.
//!
//! Every item says in its documentation what it is in the definition, and is found by that name in a search.
//! The text is laid out as it is to be read; nothing formats it afterwards.

mod bounds;
mod check;
mod enums;
mod events;
mod fields;
mod ledger;
mod lower;
mod matching;
pub(crate) mod model;
mod objects;
mod open;
mod procedures;
mod recursion;
mod tables;
mod traits;
mod types;
mod unions;
mod visit;

use std::fmt;

use self::{
    model::{ItemId, ItemKind, Model, Role},
    procedures::Procedures,
    traits::Traits,
    types::Types,
};
use crate::{
    api::Api,
    error::Error,
    spec::{Location, Number, Spec},
};

pub use tables::Tables;

/// A file that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a directory.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// Something in the definitions that cannot become Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, if it stands somewhere.
    pub location: Option<Location>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(location: Option<&Location>, message: String) -> Self {
        Self { location: location.cloned(), message }
    }

    pub(crate) fn unused_override(name: &str, place: &str) -> Self {
        Self::new(
            None,
            format!(
                "codegen/src/overrides.rs makes an exception for {name}, which {place} lacks; remove it there"
            ),
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Writes one file for each protocol, and one that visits the types of all. `api` says since when there are which
/// procedures.
///
/// # Errors
/// A definition that has no counterpart in Rust, or a name that would stand for two things.
pub fn protocols(spec: &Spec, tables: &Tables, api: Option<&Api>) -> Result<Vec<File>, Problem> {
    let model = Model::of(spec)?;
    let traits = Traits::of(&model);
    let mut files = Vec::with_capacity(model.modules.len() + 1);
    for index in 0..model.modules.len() {
        files.push(module(&model, &traits, tables, api, index)?);
    }
    files.push(File { name: "visit.rs".to_owned(), text: visit::visit(&model) });
    Ok(files)
}

/// Writes the enums, flags and field names of the public API.
///
/// # Errors
/// A name that would stand for two things.
pub fn api(tables: &Tables) -> Result<Vec<File>, Problem> {
    Ok(vec![
        File { name: "enums.rs".to_owned(), text: enums::public(tables)? },
        File { name: "error_codes.rs".to_owned(), text: enums::errors(tables)? },
        File { name: "fields.rs".to_owned(), text: fields::fields(tables)? },
    ])
}

/// Writes the objects that users hold, as `api.toml` says, and the ledger of all procedures. Definitions of another
/// libvirt than the one that `api.toml` was written for (`complete` is false) may lack procedures and have others.
///
/// # Errors
/// An entry that does not fit its procedure, or is missing.
pub fn objects(spec: &Spec, tables: &Tables, api: &Api, complete: bool) -> Result<Vec<File>, Error> {
    let model = Model::of(spec)?;
    api.check(&model, tables, complete)?;
    let objects = objects::Objects { model: &model, tables, api };
    Ok(vec![
        File { name: "objects.rs".to_owned(), text: objects.methods(false)? },
        File { name: "admin_objects.rs".to_owned(), text: objects.methods(true)? },
        File { name: "collections.rs".to_owned(), text: objects.collections()? },
        File { name: "event_enums.rs".to_owned(), text: objects.event_enums()? },
        File { name: "results.rs".to_owned(), text: objects.results()? },
        File { name: "ledger.rs".to_owned(), text: ledger::table(&model, api) },
        File { name: "ledger.md".to_owned(), text: ledger::page(&model, api) },
    ])
}

/// Writes what one definition becomes: a type, a constant, or a procedure with its structs. `api` says since when
/// there is which procedure.
///
/// # Errors
/// The definitions as a whole cannot become Rust.
pub fn show(spec: &Spec, tables: &Tables, api: Option<&Api>, name: &str) -> Result<Option<String>, Problem> {
    let model = Model::of(spec)?;
    let traits = Traits::of(&model);
    for (index, module) in model.modules.iter().enumerate() {
        let types = Types { model: &model, module: index, traits: &traits };
        let procedures = Procedures { types: &types, module, tables, api };
        if let Some(procedure) = module.procedures.iter().find(|procedure| procedure.wire == name) {
            let structs = [procedure.arguments, procedure.reply, procedure.message];
            let mut parts = vec![procedures.info(procedure)?];
            parts.extend(structs.into_iter().flatten().map(|id| types.item(id)));
            parts.push(procedures.implementation(procedure));
            return Ok(Some(parts.join("\n")));
        }
        let mut items = module.items.iter().copied();
        if let Some(id) = items.find(|&id| model.item(id).wire == name && !model.item(id).anonymous) {
            return Ok(Some(item(&procedures, id)));
        }
    }
    Ok(None)
}

fn module(
    model: &Model,
    traits: &Traits,
    tables: &Tables,
    api: Option<&Api>,
    index: usize,
) -> Result<File, Problem> {
    let Some(module) = model.modules.get(index) else {
        return Err(Problem::new(None, format!("there is no protocol number {index}")));
    };
    let types = Types { model, module: index, traits };
    let procedures = Procedures { types: &types, module, tables, api };
    let mut parts = Vec::new();
    for &id in &module.items {
        parts.push(item(&procedures, id));
        // The procedure stands beside its arguments.
        if let Role::Arguments(position) | Role::Message(position) = model.item(id).role {
            parts.extend(
                module.procedures.get(position).map(|procedure| procedures.implementation(procedure)),
            );
        }
    }
    if !module.procedures.is_empty() {
        let without_struct = module
            .procedures
            .iter()
            .filter(|procedure| procedure.arguments.is_none() && procedure.message.is_none());
        parts.extend(without_struct.map(|procedure| procedures.implementation(procedure)));
        parts.push(procedures.table()?);
    }
    parts.extend(events::events(model, module, traits));
    parts.push(bounds::bounds(model, index));
    parts.retain(|part| !part.is_empty());
    let body = parts.join("\n");
    let text =
        format!("// Written from {}.x by libvirt-client-codegen.\n\n{}{body}", module.file, imports(&body));
    Ok(File { name: format!("{}.rs", module.prefix.module()), text })
}

/// Writes a definition. The enum of procedures and the number of the program have forms of their own.
fn item(procedures: &Procedures<'_>, id: ItemId) -> String {
    let prefix = &procedures.module.prefix;
    let wire = &procedures.types.model.item(id).wire;
    match &procedures.module.program {
        Some(program) if *wire == prefix.program_constants().0 => procedures.program(program),
        Some(_) if *wire == prefix.procedure_enum() => procedures.constants(),
        _ => procedures.types.item(id),
    }
}

/// Imports what the text uses.
fn imports(text: &str) -> String {
    const XDR: [&str; 8] =
        ["Bound", "Decode", "DecodeError", "Encode", "EncodeError", "Reader", "Writer", "from_bytes"];
    const PROTOCOL: [&str; 8] = [
        "Call",
        "EventMessage",
        "Priority",
        "ProcedureInfo",
        "ProcedureKind",
        "Program",
        "SparseFlag",
        "StreamDirection",
    ];
    let used: std::collections::BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(|character: char| !character.is_alphanumeric() && character != '_'))
        .collect();
    let list = |from: &[&str]| {
        from.iter().copied().filter(|name| used.contains(name)).collect::<Vec<_>>().join(", ")
    };
    let mut imports = String::new();
    if used.contains("Bytes") {
        imports.push_str("use bytes::Bytes;\n\n");
    }
    for (path, names) in [("super", list(&PROTOCOL)), ("crate::xdr", list(&XDR))] {
        if !names.is_empty() {
            imports.push_str(&format!("use {path}::{{{names}}};\n"));
        }
    }
    if !imports.is_empty() {
        imports.push('\n');
    }
    imports
}

/// Writes a number with its digits in groups of three.
pub(crate) fn literal(number: Number) -> String {
    let digits = number.unsigned_abs().to_string();
    let sign = if number < 0 { "-" } else { "" };
    if digits.len() <= 4 {
        return format!("{sign}{digits}");
    }
    format!("{sign}{}", grouped(&digits, 3))
}

/// Writes a number as hexadecimal, with its digits in groups of four.
pub(crate) fn hexadecimal(number: u32) -> String {
    format!("0x{}", grouped(&format!("{number:08x}"), 4))
}

fn grouped(digits: &str, size: usize) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(size) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// Tells whether a kind is emitted as a type of its own, rather than as an alias or a constant.
fn is_type(kind: &ItemKind) -> bool {
    matches!(kind, ItemKind::Struct(_) | ItemKind::Union(_) | ItemKind::Enum(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(literal(0), "0");
        assert_eq!(literal(1024), "1024");
        assert_eq!(literal(65536), "65_536");
        assert_eq!(literal(4_194_304), "4_194_304");
        assert_eq!(literal(-123_456), "-123_456");
        assert_eq!(hexadecimal(0x2000_8086), "0x2000_8086");
        assert_eq!(hexadecimal(0x68000), "0x0006_8000");
    }

    #[test]
    fn only_what_is_used_is_imported() {
        let text = "/// `Reader` of a Program.\nimpl Decode for X { fn f(bytes: Bytes) }\n";
        assert_eq!(imports(text), "use bytes::Bytes;\n\nuse crate::xdr::{Decode};\n\n");
        assert_eq!(imports("const X: u32 = 1;"), "");
    }
}
