//! Procedures and the structs that are named after them.

use super::{
    Problem,
    lower::{int, word},
    model::{ItemId, ItemKind, Model, Procedure, Program, Role},
    recursion::part_of,
};
use crate::{
    names::Prefix,
    spec::{DefinitionKind, Enumerator, Protocol, Spec},
};

impl Model {
    /// Fills in the programs and procedures of all modules.
    pub(super) fn match_procedures(&mut self, spec: &Spec) -> Result<(), Problem> {
        for (index, protocol) in spec.protocols.iter().enumerate() {
            let Some(module) = self.modules.get(index) else { continue };
            let prefix = module.prefix.clone();
            let program = program(protocol, &prefix)?;
            let procedures = self.procedures(protocol, &prefix)?;
            if let (None, Some(first)) = (&program, procedures.first()) {
                let (number, version) = prefix.program_constants();
                let message =
                    format!("{} needs the constants {number} and {version} in the same file", first.wire);
                return Err(Problem::new(Some(&first.location), message));
            }
            for (position, procedure) in procedures.iter().enumerate() {
                self.set_role(procedure.arguments, Role::Arguments(position));
                self.set_role(procedure.reply, Role::Reply(position));
                self.set_role(procedure.message, Role::Message(position));
            }
            if let Some(module) = self.modules.get_mut(index) {
                module.program = program;
                module.procedures = procedures;
            }
        }
        self.check_orphans(spec)
    }

    fn set_role(&mut self, id: Option<ItemId>, role: Role) {
        if let Some(item) = id.and_then(|id| self.items.get_mut(id)) {
            item.role = role;
        }
    }

    /// Reads the enum of procedures, if the file has one.
    fn procedures(&self, protocol: &Protocol, prefix: &Prefix) -> Result<Vec<Procedure>, Problem> {
        let kind = protocol.find(&prefix.procedure_enum()).map(|definition| &definition.kind);
        let Some(DefinitionKind::Enum(enumerators)) = kind else { return Ok(Vec::new()) };
        let procedures = enumerators.iter().map(|enumerator| self.procedure(enumerator, prefix));
        let mut procedures = procedures.collect::<Result<Vec<_>, _>>()?;
        procedures.sort_by_key(|procedure| procedure.number);
        Ok(procedures)
    }

    fn procedure(&self, enumerator: &Enumerator, prefix: &Prefix) -> Result<Procedure, Problem> {
        let stem = prefix.structs_of(&enumerator.name);
        let structure = |end: &str| {
            let id = self.find(&format!("{stem}_{end}"))?;
            matches!(self.item(id).kind, ItemKind::Struct(_)).then_some(id)
        };
        let procedure = Procedure {
            wire: enumerator.name.clone(),
            rust: prefix.procedure(&enumerator.name),
            number: int(&enumerator.value, &enumerator.name, &enumerator.location)?,
            arguments: structure("args"),
            reply: structure("ret"),
            message: structure("msg"),
            annotations: enumerator.annotations.clone(),
            location: enumerator.location.clone(),
        };
        if procedure.message.is_some() && (procedure.arguments.is_some() || procedure.reply.is_some()) {
            return Err(Problem::new(
                Some(&enumerator.location),
                format!(
                    "{} has {stem}_msg, which makes it an event, and {stem}_args or {stem}_ret, which make it a call",
                    enumerator.name
                ),
            ));
        }
        Ok(procedure)
    }

    /// A struct that ends like those of procedures and belongs to none is a name mistyped on one of both sides.
    fn check_orphans(&self, spec: &Spec) -> Result<(), Problem> {
        for module in self.modules.iter().filter(|module| !module.procedures.is_empty()) {
            for item in module.items.iter().map(|&id| self.item(id)) {
                let ends = ["_args", "_ret", "_msg"].iter().any(|end| item.wire.ends_with(end));
                let used_elsewhere = || {
                    self.items.iter().any(|other| {
                        part_of(&other.kind).iter().any(|&part| self.item(part).wire == item.wire)
                    })
                };
                if ends
                    && matches!(item.kind, ItemKind::Struct(_))
                    && item.role == Role::Plain
                    && !used_elsewhere()
                {
                    let upper = format!("{}_PROC_", module.prefix.module().to_uppercase());
                    return Err(Problem::new(
                        spec.find(&item.wire).map(|definition| &definition.location),
                        format!("{} belongs to no procedure: none of {upper}* has its name", item.wire),
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Reads the number and version of a program, if the file defines one.
fn program(protocol: &Protocol, prefix: &Prefix) -> Result<Option<Program>, Problem> {
    let (number, version) = prefix.program_constants();
    let constant = |name: &str| match protocol.find(name).map(|found| (&found.kind, &found.location)) {
        Some((DefinitionKind::Const(value), location)) => word(value, name, location).map(Some),
        _ => Ok(None),
    };
    Ok(constant(&number)?.zip(constant(&version)?).map(|(number, version)| Program { number, version }))
}
