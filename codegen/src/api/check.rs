//! Whether the entries fit the procedures and the public enums.

use std::collections::{BTreeMap, BTreeSet};

use super::{Api, Becomes, Entry, Text};
use crate::{
    PROTOCOLS,
    emit::{
        Problem, Tables,
        model::{ItemId, ItemKind, Model, Module, Procedure, Shape},
    },
    error::Error,
    names::{self, Prefix},
    overrides,
    scope::nearest,
};

/// What a field of integers can be instead of an enum.
pub(crate) const BOOL: &str = "bool";

/// What a result can be instead of an enum: a count that is -1 where nothing counts.
pub(crate) const COUNTER: &str = "counter";

impl Api {
    /// Sees that each procedure has an entry that fits it. Definitions of another libvirt than the one that the file
    /// was written for (`complete` is false) may lack procedures and have others, which then have no method.
    pub(crate) fn check(&self, model: &Model, tables: &Tables, complete: bool) -> Result<(), Error> {
        if complete {
            self.check_complete(model)?;
        }
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for (module, procedure, entry) in self.matching(model) {
            self.check_kind(procedure, entry)?;
            self.check_successor(entry)?;
            for method in entry.methods() {
                if let Some(other) = taken.insert(method.clone(), &entry.procedure) {
                    let message = format!("{other} is `{method}` already");
                    return Err(self.error(&entry.at, message).into());
                }
            }
            self.check_flags(tables, entry)?;
            self.check_none(tables, entry)?;
            for text in entry.enums.values().filter(|text| ![BOOL, COUNTER].contains(&text.text.as_str())) {
                self.find_enum(tables, text)?;
            }
            if complete && matches!(entry.becomes, Becomes::Method { .. } | Becomes::Event(_)) {
                self.check_fields(model, module, procedure, entry)?;
            }
            if complete {
                self.check_params(model, procedure, entry)?;
            }
        }
        Ok(())
    }

    /// Returns the entry of a procedure.
    pub(crate) fn entry(&self, module: &Module, procedure: &Procedure) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.program == module.prefix.module() && entry.procedure == procedure.rust)
    }

    /// Returns the procedures that have an entry, with it, in their order.
    pub(crate) fn matching<'a>(
        &'a self,
        model: &'a Model,
    ) -> impl Iterator<Item = (&'a Module, &'a Procedure, &'a Entry)> {
        described(model)
            .filter_map(|(module, procedure)| Some((module, procedure, self.entry(module, procedure)?)))
    }

    fn check_complete(&self, model: &Model) -> Result<(), Error> {
        for (module, procedure) in described(model) {
            if self.entry(module, procedure).is_none() {
                let message = format!(
                    "{} has no entry in {}: add [{}.{}] there, which says what it becomes",
                    procedure.wire,
                    self.source.path.display(),
                    module.prefix.module(),
                    procedure.rust
                );
                return Err(Problem::new(Some(&procedure.location), message).into());
            }
        }
        for entry in &self.entries {
            let program = |module: &Module| module.prefix.module() == entry.program;
            let mut there = described(model).filter(|(module, _)| program(module));
            if there.any(|(_, procedure)| procedure.rust == entry.procedure) {
                continue;
            }
            let message = format!("no procedure is called {} in program {}", entry.procedure, entry.program);
            let error = self.error(&entry.at, message);
            let known = described(model).map(|(_, procedure)| procedure.rust.as_str());
            return Err(match nearest(&entry.procedure, known) {
                Some(near) => error.note(format!("help: did you mean `{near}`?")),
                None => error,
            }
            .into());
        }
        for name in overrides::objects::renamed_fields() {
            if !model.items.iter().any(|item| has_member(&item.kind, name)) {
                return Err(Problem::unused_override(name, "protocol/").into());
            }
        }
        for name in overrides::objects::all() {
            if model.find(name).is_none() && !described(model).any(|(_, procedure)| procedure.wire == name) {
                return Err(Problem::unused_override(name, "protocol/").into());
            }
        }
        Ok(())
    }

    fn check_kind(&self, procedure: &Procedure, entry: &Entry) -> Result<(), Error> {
        let (fits, found) = match entry.becomes {
            Becomes::Internal(_) => return Ok(()),
            Becomes::Event(_) => (procedure.is_event(), "is called by clients and cannot be an event"),
            _ => (!procedure.is_event(), "is sent by the daemon: it can only be an event or internal"),
        };
        if fits {
            return Ok(());
        }
        Err(self.error(&entry.at, format!("{} {found}", procedure.wire)).into())
    }

    fn check_successor(&self, entry: &Entry) -> Result<(), Error> {
        let Becomes::Superseded(by) = &entry.becomes else { return Ok(()) };
        let same_program = |other: &&Entry| other.program == entry.program;
        let successor = self.entries.iter().filter(same_program).find(|other| other.procedure == by.text);
        match successor.map(|successor| &successor.becomes) {
            Some(Becomes::Method { .. }) => Ok(()),
            Some(_) => {
                Err(self.error(&by.at, "what supersedes a procedure has to be a method itself").into())
            }
            None => {
                let error = self.error(&by.at, format!("{} has no procedure {}", entry.program, by.text));
                let known = self.entries.iter().filter(same_program).map(|other| other.procedure.as_str());
                Err(match nearest(&by.text, known) {
                    Some(near) => error.note(format!("help: did you mean `{near}`?")),
                    None => error,
                }
                .into())
            }
        }
    }

    fn check_flags(&self, tables: &Tables, entry: &Entry) -> Result<(), Error> {
        let Some(flags) = &entry.flags else { return Ok(()) };
        let c_enum = self.find_enum(tables, flags)?;
        if is_flags(c_enum) {
            return Ok(());
        }
        let message = format!("the values of {c_enum} are not bits to combine");
        let help = "help: if they are, name it in FLAGS of codegen/src/overrides.rs";
        Err(self.error(&flags.at, message).note(help).into())
    }

    fn check_none(&self, tables: &Tables, entry: &Entry) -> Result<(), Error> {
        let Some(none) = &entry.none else { return Ok(()) };
        if tables.value(&format!("VIR_ERR_{}", none.text)).is_some() {
            return Ok(());
        }
        Err(self.error(&none.at, format!("enums.tsv has no error VIR_ERR_{}", none.text)).into())
    }

    /// Returns the C name of an enum that is named without its `vir`.
    pub(crate) fn find_enum<'a>(&self, tables: &'a Tables, text: &Text) -> Result<&'a str, Error> {
        let names = || tables.enums.iter().map(|known| known.name.as_str());
        let found = names().find(|c_name| {
            c_name.strip_prefix("vir") == Some(&text.text) || names::api_enum(c_name) == text.text
        });
        found.ok_or_else(|| {
            let error = self.error(&text.at, format!("enums.tsv has no enum vir{}", text.text));
            match nearest(&text.text, names().filter_map(|c_name| c_name.strip_prefix("vir"))) {
                Some(near) => error.note(format!("help: did you mean `{near}`?")),
                None => error,
            }
            .into()
        })
    }

    /// Each field that is named is there.
    fn check_fields(
        &self,
        model: &Model,
        module: &Module,
        procedure: &Procedure,
        entry: &Entry,
    ) -> Result<(), Error> {
        let mut fields = BTreeSet::new();
        for id in [procedure.arguments, procedure.reply, procedure.message].into_iter().flatten() {
            collect_fields(model, id, &[String::new()], &mut fields);
        }
        let said = [&entry.enums, &entry.units, &entry.names];
        for (field, text) in said.into_iter().flatten() {
            if !fields.contains(field) {
                let message = format!("{} has no argument or result called {field}", procedure.wire);
                let help = format!("help: there are {}", listed(&fields));
                return Err(self.error(&text.at, message).note(help).into());
            }
        }
        if entry.flags.is_some() && !fields.contains("flags") {
            let message = format!("{} of {} has no flags", procedure.wire, module.file);
            return Err(self.error(&entry.at, message).into());
        }
        Ok(())
    }

    /// Where a struct is named for typed parameters, there are some, in an event or in a method that is generated.
    fn check_params(&self, model: &Model, procedure: &Procedure, entry: &Entry) -> Result<(), Error> {
        let Some(params) = &entry.params else { return Ok(()) };
        let mut sides = [procedure.arguments, procedure.reply, procedure.message].into_iter().flatten();
        let found = if !matches!(entry.becomes, Becomes::Method { .. } | Becomes::Event(_)) {
            "is neither a method nor an event"
        } else if overrides::objects::is_by_hand(&procedure.wire) {
            "has a method that is written by hand, where the struct is to be named"
        } else if sides.any(|id| has_typed_params(model, id)) {
            return Ok(());
        } else {
            "has no typed parameters in it"
        };
        Err(self.error(&params.at, format!("{} {found}", procedure.wire)).into())
    }
}

impl Entry {
    /// Returns the names of all methods that it becomes, with their object.
    pub(crate) fn methods(&self) -> Vec<String> {
        let Becomes::Method { object, name } = &self.becomes else { return Vec::new() };
        let mut methods = vec![format!("{object}::{name}")];
        if self.flags.is_some() && !name.ends_with("_with") {
            methods.push(format!("{object}::{name}_with"));
        }
        methods
    }
}

/// Tells whether the values of an enum of the C API are combined.
pub(crate) fn is_flags(c_enum: &str) -> bool {
    names::api_enum(c_enum).ends_with("Flags") || overrides::is_flags(c_enum)
}

/// Returns all procedures but pings and their answers, which no user sends: those of `remote` first.
pub(crate) fn described(model: &Model) -> impl Iterator<Item = (&Module, &Procedure)> {
    let keepalive = Prefix::of_file("virkeepaliveprotocol");
    let modules =
        PROTOCOLS.iter().flat_map(|stem| model.modules.iter().filter(move |module| module.file == *stem));
    modules
        .filter(move |module| module.prefix != keepalive)
        .flat_map(|module| module.procedures.iter().map(move |procedure| (module, procedure)))
}

/// Collects the names of fields, as the definition has them and in Rust, and the paths to those of structs inside.
fn collect_fields(model: &Model, id: ItemId, before: &[String], into: &mut BTreeSet<String>) {
    let ItemKind::Struct(members) = &model.item(id).kind else { return };
    for member in members {
        let names = BTreeSet::from([&member.wire, &member.rust]);
        let paths: Vec<String> =
            before.iter().flat_map(|path| names.iter().map(move |name| format!("{path}{name}"))).collect();
        let mut shape = &member.shape;
        while let Shape::Array(inner, _) | Shape::Optional(inner) = shape {
            shape = inner;
        }
        if let Shape::Item(inner) = shape {
            let inside: Vec<String> = paths.iter().map(|path| format!("{path}.")).collect();
            collect_fields(model, *inner, &inside, into);
        }
        into.extend(paths);
    }
}

/// Tells whether there are typed parameters in a struct.
fn has_typed_params(model: &Model, id: ItemId) -> bool {
    let item = model.item(id);
    let ItemKind::Struct(members) = &item.kind else { return false };
    overrides::objects::is_typed_param(&item.wire)
        || members.iter().any(|member| {
            let mut shape = &member.shape;
            while let Shape::Array(inner, _) | Shape::Optional(inner) = shape {
                shape = inner;
            }
            matches!(shape, Shape::Item(inner) if has_typed_params(model, *inner))
        })
}

fn has_member(kind: &ItemKind, name: &str) -> bool {
    matches!(kind, ItemKind::Struct(members) if members.iter().any(|member| member.wire == name))
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
