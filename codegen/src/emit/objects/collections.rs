//! Lists of objects that are narrowed down before they are asked for.

use std::fmt::Write;

use super::{Method, Objects, Status, parameters, results::Results, status};
use crate::{emit::enums, error::Error, names, overrides::objects as overrides};

impl Objects<'_> {
    /// Writes a type for each method that lists objects by flags: calls of the macro that stands beside the place
    /// where this text is included.
    pub(crate) fn collections(&self) -> Result<String, Error> {
        let results = Results::of(self)?;
        let mut text = "// Written from api.toml by libvirt-client-codegen.\n".to_owned();
        for method in self.all().filter(|method| status(method.procedure) == Status::Generated) {
            let outcome = results.outcome(&method)?;
            if let (Some(item), Some(flags)) = (&outcome.listed, &method.entry.flags) {
                text.push_str(&self.collection(&method, item, self.api.find_enum(self.tables, flags)?)?);
            }
        }
        Ok(text)
    }

    fn collection(&self, method: &Method<'_>, item: &str, c_enum: &str) -> Result<String, Error> {
        let Method { procedure, object, name, .. } = method;
        let mut text = format!(
            "\ncollection! {{\n    \
             /// What [`{object}::{name}`](crate::{object}::{name}) lists: narrow it down, and await it.\n    \
             #[doc(alias = \"{c_enum}\")]\n    \
             {ty}({object}.{listing}) -> {item}, {flags} {{\n",
            ty = name_of(method),
            listing = private_name(name),
            flags = names::api_enum(c_enum),
        );
        let Some(definition) = self.tables.enums.iter().find(|known| known.name == c_enum) else {
            return Ok(String::new());
        };
        for constant in enums::constants(definition)? {
            let enums::Constant { rust, value } = &constant;
            if overrides::is_no_filter(&procedure.wire, &value.name) {
                continue;
            }
            let condition = overrides::condition(rust).map_or_else(|| names::field(rust), str::to_owned);
            let said = names::spoken(&condition);
            _ = write!(text, "        /// Adds the condition “{said}”: `{}`", value.name);
            if let Some(since) = &value.since {
                _ = write!(text, ", since libvirt {since}");
            }
            _ = writeln!(text, ".\n        {condition} = {rust},");
        }
        text.push_str("    }\n}\n");
        Ok(text)
    }
}

/// Writes the method that starts such a list, and the one that asks for it.
pub(super) fn methods(documentation: &str, method: &Method<'_>, flags: &str, ty: &str, body: &str) -> String {
    let name = method.name;
    format!(
        "{documentation}    pub fn {name}(&self) -> collections::{} {{\n        \
         collections::{0}::of(self)\n    }}\n\n    \
         pub(super) async fn {}(&self{}) -> Result<{ty}> {{\n{body}    }}\n",
        name_of(method),
        private_name(name),
        parameters(std::iter::empty(), Some(flags)),
    )
}

/// `Connection::domains` returns `Domains`, `DomainSnapshot::children` returns `DomainSnapshotChildren`.
fn name_of(method: &Method<'_>) -> String {
    let object = if method.is_on_connection() { "" } else { method.object };
    format!("{object}{}", names::camel(method.name))
}

fn private_name(name: &str) -> String {
    format!("list_{name}")
}
