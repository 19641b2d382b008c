//! The tables of the public API, which the `.x` files do not hold: enums, flags and names of fields.

use std::path::Path;

use super::Problem;
use crate::overrides::{self, Subject};

/// What `enums.tsv` and `names.tsv` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub(crate) enums: Vec<ApiEnum>,
    pub(crate) fields: Vec<ApiField>,
}

/// An enum of the C API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiEnum {
    pub(crate) name: String,
    pub(crate) values: Vec<ApiValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiValue {
    pub(crate) name: String,
    pub(crate) value: i64,
    /// The libvirt version that first had it.
    pub(crate) since: Option<String>,
}

/// The name of a typed parameter or of a statistics field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiField {
    pub(crate) name: String,
    pub(crate) wire: String,
}

impl Tables {
    /// Adds the lines of `enums.tsv`: API, enum, enumerator, value, since.
    ///
    /// # Errors
    /// A line without these columns.
    pub fn add_enums(&mut self, file: &Path, text: &str) -> Result<(), Problem> {
        for (number, line) in lines(text) {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[_, name, enumerator, value, since] = columns.as_slice() else {
                return Err(bad_line(file, number, "API, enum, enumerator, value, since", line));
            };
            let Ok(value) = value.parse() else {
                return Err(bad_line(file, number, "a number in the fourth column", line));
            };
            let since = Some(since.to_owned()).filter(|since| !since.is_empty());
            let value = ApiValue { name: enumerator.to_owned(), value, since };
            match self.enums.iter_mut().find(|known| known.name == name) {
                Some(known) => known.values.push(value),
                None => self.enums.push(ApiEnum { name: name.to_owned(), values: vec![value] }),
            }
        }
        Ok(())
    }

    /// Adds the lines of `names.tsv`: API, macro, string.
    ///
    /// # Errors
    /// A line without these columns.
    pub fn add_names(&mut self, file: &Path, text: &str) -> Result<(), Problem> {
        for (number, line) in lines(text) {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[_, name, wire] = columns.as_slice() else {
                return Err(bad_line(file, number, "API, macro, string", line));
            };
            self.fields.push(ApiField { name: name.to_owned(), wire: wire.to_owned() });
        }
        Ok(())
    }

    /// Returns the value of an enumerator.
    pub(crate) fn value(&self, enumerator: &str) -> Option<i64> {
        self.enums
            .iter()
            .flat_map(|known| &known.values)
            .find(|value| value.name == enumerator)
            .map(|value| value.value)
    }

    /// Sees that the exceptions made for these tables match something in them.
    ///
    /// # Errors
    /// An exception that matches nothing.
    pub fn check_overrides(&self) -> Result<(), Problem> {
        for (_, name) in overrides::all().into_iter().filter(|(subject, _)| *subject == Subject::Api) {
            if self.value(name).is_none() && !self.enums.iter().any(|known| known.name == name) {
                return Err(Problem::unused_override(name, "enums.tsv"));
            }
        }
        Ok(())
    }
}

/// Numbers the lines, from 1, and leaves out comments.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
}

fn bad_line(file: &Path, number: usize, expected: &str, line: &str) -> Problem {
    Problem::new(
        None,
        format!("{}:{number}: expected {expected}, separated by tabs, and found {line:?}", file.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_its_columns_is_named() {
        let problem =
            Tables::default().add_enums(Path::new("enums.tsv"), "# head\nlibvirt\tvirX\tVIR_X").unwrap_err();
        assert_eq!(
            problem.to_string(),
            "enums.tsv:2: expected API, enum, enumerator, value, since, separated by tabs, \
             and found \"libvirt\\tvirX\\tVIR_X\""
        );
        let problem =
            Tables::default().add_enums(Path::new("enums.tsv"), "libvirt\tvirX\tVIR_X\tone\t").unwrap_err();
        assert!(problem.to_string().starts_with("enums.tsv:1: expected a number in the fourth column"));
        let problem = Tables::default().add_names(Path::new("names.tsv"), "libvirt\tVIR_X").unwrap_err();
        assert!(problem.to_string().starts_with("names.tsv:1: expected API, macro, string"));
    }

    #[test]
    fn an_exception_that_matches_nothing_is_refused() {
        let problem = Tables::default().check_overrides().unwrap_err();
        assert_eq!(
            problem.to_string(),
            "codegen/src/overrides.rs makes an exception for virErrorNumber, which enums.tsv lacks; remove it there"
        );
    }
}
