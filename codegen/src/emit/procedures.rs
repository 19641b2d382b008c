//! Procedures: their table, the type of their numbers, and which arguments call them.

use std::fmt::Write;

use super::{
    Problem, Tables, hexadecimal, literal,
    model::{ItemKind, Module, Procedure, Program},
    types::{Types, coding_as_int},
};
use crate::{api::Api, predefined};

pub(crate) struct Procedures<'a> {
    pub(crate) types: &'a Types<'a>,
    pub(crate) module: &'a Module,
    pub(crate) tables: &'a Tables,
    pub(crate) api: Option<&'a Api>,
}

impl Procedures<'_> {
    pub(crate) fn program(&self, program: &Program) -> String {
        let (constant, _) = self.module.prefix.program_constants();
        format!(
            "/// `{constant}`.\n\
             #[doc(alias = \"{constant}\")]\n\
             pub const PROGRAM: Program = Program {{ number: {}, version: {}, name: \"{}\" }};\n",
            hexadecimal(program.number),
            program.version,
            self.module.prefix.module()
        )
    }

    /// The type of procedure numbers.
    pub(crate) fn constants(&self) -> String {
        let wire = self.module.prefix.procedure_enum();
        let mut text = format!(
            "/// `{wire}`. Numbers without a name are kept.\n\
             #[doc(alias = \"{wire}\")]\n\
             #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
             pub struct Procedure(pub i32);\n\n\
             impl Procedure {{\n"
        );
        for Procedure { wire, rust, number, .. } in &self.module.procedures {
            _ = writeln!(
                text,
                "    /// `{wire}`.\n    #[doc(alias = \"{wire}\")]\n    pub const {rust}: Self = Self({});",
                literal((*number).into())
            );
        }
        text.push_str(
            "
    /// Returns what is known about the procedure.
    #[must_use]
    pub fn info(self) -> Option<&'static ProcedureInfo> {
        let index = TABLE.binary_search_by_key(&self.0, |info| info.number).ok()?;
        TABLE.get(index)
    }

    /// Returns the name of the constant with this number.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(ProcedureInfo::short_name)
    }
}

",
        );
        text.push_str(&super::open::debug("Procedure"));
        text.push_str(
            "
impl std::fmt::Display for Procedure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.info() {
            Some(info) => f.pad(info.name),
            None => std::fmt::Display::fmt(&self.0, f),
        }
    }
}

",
        );
        text.push_str(&coding_as_int("Procedure"));
        let names = self.module.procedures.iter().map(|procedure| procedure.rust.as_str());
        text.push_str(&super::open::serde("Procedure", names));
        text
    }

    /// All procedures, by number.
    pub(crate) fn table(&self) -> Result<String, Problem> {
        let mut text = format!(
            "/// All procedures of the program, in the order of their numbers.\n\
             pub static PROCEDURES: &[ProcedureInfo] = &TABLE;\n\n\
             static TABLE: [ProcedureInfo; {}] = [\n",
            self.module.procedures.len()
        );
        for procedure in &self.module.procedures {
            for line in self.info(procedure)?.lines() {
                _ = writeln!(text, "    {line}");
            }
            text.truncate(text.trim_end().len());
            text.push_str(",\n");
        }
        text.push_str("];\n");
        Ok(text)
    }

    /// The entry of one procedure in the table.
    pub(crate) fn info(&self, procedure: &Procedure) -> Result<String, Problem> {
        let kind = if procedure.is_event() { "Event" } else { "Call" };
        let mut priorities = procedure.annotated("priority");
        let priority = match (priorities.next(), priorities.next()) {
            (None | Some("low"), None) => "Low",
            (Some("high"), None) => "High",
            (value, _) => {
                let found = value.unwrap_or_default();
                let message =
                    format!("@priority of {} must be high or low, once, not {found}", procedure.wire);
                return Err(Problem::new(Some(&procedure.location), message));
            }
        };
        let has = |key| procedure.annotated(key).next().is_some();
        let stream = match (has("readstream"), has("writestream")) {
            (false, false) => "None",
            (true, false) => "Some(StreamDirection::Read)",
            (false, true) => "Some(StreamDirection::Write)",
            (true, true) => {
                let message =
                    format!("{} has both @readstream and @writestream, but only one stream", procedure.wire);
                return Err(Problem::new(Some(&procedure.location), message));
            }
        };
        Ok(format!(
            "ProcedureInfo {{\n    \
             name: \"{}\",\n    \
             number: {},\n    \
             program: PROGRAM,\n    \
             kind: ProcedureKind::{kind},\n    \
             has_callback_id: {},\n    \
             priority: Priority::{priority},\n    \
             stream: {stream},\n    \
             sparse_flag: {},\n    \
             acl: &[{}],\n    \
             acl_filter: &[{}],\n    \
             since: {:?},\n}}\n",
            procedure.wire,
            literal(procedure.number.into()),
            self.has_callback_id(procedure),
            self.sparse_flag(procedure)?,
            quoted(procedure.annotated("acl")),
            quoted(procedure.annotated("aclfilter")),
            self.since(procedure),
        ))
    }

    /// Returns the libvirt version that first had the procedure, if `api.toml` says it.
    fn since(&self, procedure: &Procedure) -> Option<&str> {
        self.api?.entry(self.module, procedure)?.since.as_deref()
    }

    /// Tells whether the message of an event starts with the id of the registration that it belongs to.
    fn has_callback_id(&self, procedure: &Procedure) -> bool {
        let message = procedure.message.map(|id| &self.types.model.item(id).kind);
        let Some(ItemKind::Struct(members)) = message else { return false };
        members.first().is_some_and(|first| first.wire == "callbackID")
    }

    fn sparse_flag(&self, procedure: &Procedure) -> Result<String, Problem> {
        let Some(name) = procedure.annotated("sparseflag").next() else { return Ok("None".to_owned()) };
        let value = self.tables.value(name).map(i128::from).or_else(|| predefined(name));
        match value.and_then(|value| u32::try_from(value).ok()) {
            Some(value) => Ok(format!("Some(SparseFlag {{ name: \"{name}\", value: {value} }})")),
            None => Err(Problem::new(
                Some(&procedure.location),
                format!("@sparseflag of {} is {name}, which enums.tsv lacks; add it there", procedure.wire),
            )),
        }
    }

    /// What ties arguments to their procedure, or a message to its event.
    pub(crate) fn implementation(&self, procedure: &Procedure) -> String {
        let position =
            self.module.procedures.iter().position(|other| other.wire == procedure.wire).unwrap_or(0);
        let item = |id| &self.types.model.item(id).rust;
        if let Some(message) = procedure.message {
            return format!(
                "impl EventMessage for {} {{\n    \
                 const PROCEDURE: &'static ProcedureInfo = &TABLE[{position}];\n}}\n",
                item(message)
            );
        }
        if procedure.is_event() {
            return String::new();
        }
        let arguments = self.types.model.arguments_name(procedure);
        let mut text = String::new();
        if procedure.arguments.is_none() {
            let doc = format!("Arguments of `{}` ({}): none.", procedure.wire, procedure.number);
            text.push_str(&Types::empty_arguments(&arguments, &doc));
            text.push('\n');
        }
        let reply = procedure.reply.map_or("()", |reply| item(reply));
        _ = write!(
            text,
            "impl Call for {arguments} {{\n    \
             type Reply = {reply};\n    \
             const PROCEDURE: &'static ProcedureInfo = &TABLE[{position}];\n}}\n"
        );
        text
    }
}

fn quoted<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values.map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
}
