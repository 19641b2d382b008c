//! Comparing answers with those that Python gets from the same daemon, many at once.

use std::fmt::Display;

use libvirt_client::{Error, TypedParams};

use super::{Daemon, python::dictionary};

/// Collects answers of ours, each with the Python expression whose value or error it should be.
///
/// Python evaluates them all when [`check`](Self::check) is called, so nothing may change in between.
#[must_use = "nothing is compared until `check` is called"]
pub(crate) struct Comparison<'a> {
    daemon: &'a Daemon,
    uri: &'a str,
    setup: String,
    rows: Vec<(String, Result<String, Error>)>,
}

/// What the expressions can use: `names` and `params` write as [`sorted`](super::python::sorted) and [`dictionary`] do.
const PRELUDE: &str = "params = show\ndef names(values): return show(sorted(values))\n";

impl<'a> Comparison<'a> {
    /// Begins one; `setup` is Python that runs before all expressions.
    pub(crate) fn new(daemon: &'a Daemon, uri: &'a str, setup: impl Into<String>) -> Self {
        Self { daemon, uri, setup: setup.into(), rows: Vec::new() }
    }

    /// The same, with `domain` in Python the domain of this name.
    pub(crate) fn of_domain(daemon: &'a Daemon, uri: &'a str, name: &str) -> Self {
        Self::new(daemon, uri, format!("domain = connection.lookupByName('{name}')"))
    }

    /// Adds an answer, as Python's `str` writes it.
    pub(crate) fn same(&mut self, expression: impl Display, ours: impl Display) {
        self.rows.push((format!("str({expression})"), Ok(ours.to_string())));
    }

    /// Adds what Python has as a number, 0 or 1.
    pub(crate) fn same_bool(&mut self, expression: impl Display, ours: bool) {
        self.same(expression, u8::from(ours));
    }

    /// Adds parameters, which Python has as a dictionary.
    pub(crate) fn same_params(&mut self, expression: &str, ours: impl Into<TypedParams>) {
        self.rows.push((expression.to_owned(), Ok(dictionary(ours))));
    }

    /// Adds something that the daemon refuses: code, domain and message should be the same.
    #[track_caller]
    pub(crate) fn refused<T>(&mut self, expression: impl Display, ours: Result<T, Error>) {
        match ours {
            Err(error) => self.rows.push((expression.to_string(), Err(error))),
            Ok(_) => panic!("{expression}: the daemon refuses this to others, but not to us"),
        }
    }

    /// Adds what works on some hosts only: the answer or the error should be the same.
    pub(crate) fn either<T>(
        &mut self,
        expression: &str,
        ours: Result<T, Error>,
        write: impl FnOnce(T) -> String,
    ) {
        self.rows.push((format!("str({expression})"), ours.map(write)));
    }

    /// Evaluates all and compares.
    #[track_caller]
    pub(crate) fn check(self) {
        let mut python = self.daemon.ask_python(self.uri);
        python.run(&format!("{PRELUDE}{}", self.setup));
        for (expression, ours) in self.rows {
            match ours {
                Ok(ours) => python.agrees(&expression, ours),
                Err(error) => python.is_refused(&expression, &error),
            }
        }
    }
}

/// Takes the parameters out of what has them as fields.
pub(crate) fn typed(params: impl Into<TypedParams>) -> TypedParams {
    params.into()
}
