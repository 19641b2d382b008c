//! The names of typed parameters and statistics fields.

use std::fmt::Write;

use super::{Problem, Tables};
use crate::names::{self, Scope};

/// Writes a constant for each name.
pub(crate) fn fields(tables: &Tables) -> Result<String, Problem> {
    let mut text = "// Written from names.tsv by libvirt-client-codegen.\n\n".to_owned();
    let mut scope = Scope::new("the names of fields");
    for field in &tables.fields {
        let rust = names::api_field(&field.name);
        scope.take(&rust, &field.name, None)?;
        _ = writeln!(
            text,
            "/// `{0}`.\n#[doc(alias = \"{0}\")]\npub const {rust}: &str = {1:?};",
            field.name, field.wire
        );
    }
    Ok(text)
}
