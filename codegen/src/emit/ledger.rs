//! The ledger: what each procedure is in the typed API, as a table for programs and as text for readers.

use std::fmt::Write;

use super::{
    model::{Model, Module, Procedure},
    objects::{Status, module_of, status},
};
use crate::api::{Api, Becomes, described};

/// Writes the table.
pub(crate) fn table(model: &Model, api: &Api) -> String {
    let entries: Vec<String> = described(model)
        .map(|(module, procedure)| {
            format!(
                "    Entry {{ program: {}::PROGRAM, number: {}, name: \"{}\", becomes: {}, repeat_is_safe: {} }},\n",
                module.prefix.module(),
                super::literal(procedure.number.into()),
                procedure.wire,
                becomes(api, module, procedure),
                api.entry(module, procedure).is_some_and(|entry| entry.repeat_is_safe)
            )
        })
        .collect();
    format!(
        "// Written from api.toml by libvirt-client-codegen.\n\n\
         static ENTRIES: [Entry; {}] = [\n{}];\n",
        entries.len(),
        entries.concat()
    )
}

fn becomes(api: &Api, module: &Module, procedure: &Procedure) -> String {
    let Some(entry) = api.entry(module, procedure) else { return "Becomes::RawCall".to_owned() };
    match (&entry.becomes, status(procedure)) {
        (Becomes::Method { object, name }, Status::Later(issue)) => {
            format!("Becomes::Later {{ method: \"{object}::{name}\", with: {issue:?} }}")
        }
        (Becomes::Method { object, name }, _) => format!("Becomes::Method(\"{object}::{name}\")"),
        (Becomes::Event(event), _) => format!("Becomes::Event({event:?})"),
        (Becomes::Internal(reason), _) => format!("Becomes::Internal({reason:?})"),
        (Becomes::Superseded(by), _) => format!("Becomes::Superseded({:?})", by.text),
    }
}

/// Writes the text, a table for each program, with links to what has documentation.
pub(crate) fn page(model: &Model, api: &Api) -> String {
    let mut text = String::new();
    let mut last = "";
    for (module, procedure) in described(model) {
        if module.prefix.module() != last {
            last = module.prefix.module();
            let count = module.procedures.len();
            _ = write!(
                text,
                "\n# `{last}`: {count} procedures\n\n| number | procedure | in Rust |\n|---|---|---|\n"
            );
        }
        let said = said(api, module, procedure);
        _ = writeln!(text, "| {} | `{}` | {said} |", procedure.number, procedure.rust);
    }
    text
}

fn said(api: &Api, module: &Module, procedure: &Procedure) -> String {
    let Some(entry) = api.entry(module, procedure) else { return "raw calls".to_owned() };
    match (&entry.becomes, status(procedure)) {
        (Becomes::Method { object, name }, Status::Later(issue)) => {
            format!("later: {issue} (`{object}::{name}`)")
        }
        (Becomes::Method { object, name }, _) => {
            format!("[`{object}::{name}`]({}::{object}::{name})", module_of(&entry.program))
        }
        (Becomes::Event(event), _) => format!("event [`{event}`](crate::events::{event})"),
        (Becomes::Internal(reason), _) => format!("internal: {}", with_links(reason)),
        (Becomes::Superseded(by), _) => format!("superseded by `{}`", by.text),
    }
}

/// Makes links of the methods that a reason names: `` `Domain::migrate_to` ``.
fn with_links(reason: &str) -> String {
    let parts = reason.split('`').enumerate().map(|(number, part)| match number % 2 {
        1 if part.contains("::") => format!("[`{part}`](crate::{part})"),
        1 => format!("`{part}`"),
        _ => part.to_owned(),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::with_links;

    #[test]
    fn methods_that_a_reason_names_become_links() {
        assert_eq!(
            with_links("a phase of `Domain::migrate_to`, with `x`"),
            "a phase of [`Domain::migrate_to`](crate::Domain::migrate_to), with `x`"
        );
        assert_eq!(with_links("the opening"), "the opening");
    }
}
