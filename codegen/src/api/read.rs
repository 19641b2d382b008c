//! From the text of the file to its entries.

use std::{collections::BTreeMap, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Api, Becomes, Entry, Place, Text, error};
use crate::{
    error::{Diagnostic, Error, Source, Span},
    names,
    scope::nearest,
};

/// What a table may say.
const KEYS: [&str; 14] = [
    "method",
    "event",
    "internal",
    "superseded",
    "summary",
    "c",
    "since",
    "flags",
    "enums",
    "units",
    "names",
    "none",
    "params",
    "repeat",
];

/// Of these, a table has exactly one.
const KINDS: [&str; 4] = ["method", "event", "internal", "superseded"];

impl Api {
    /// Reads `api.toml`. `path` is what messages call it.
    ///
    /// # Errors
    /// The text is not TOML, or a table does not say what it must: the message shows the place.
    pub fn read(path: &Path, text: &str) -> Result<Self, Error> {
        let source = Source::new(path, text.to_owned());
        let entries = entries(&source)?;
        Ok(Self { source, entries })
    }
}

fn entries(source: &Source) -> Result<Vec<Entry>, Error> {
    let root = DeTable::parse(&source.text).map_err(|error| {
        let at = error.span().unwrap_or_default();
        source.error(Span { start: at.start, end: at.end }, error.message())
    })?;
    let mut entries = Vec::new();
    for (program, procedures) in root.get_ref() {
        let said = format!("[{}.DOMAIN_GET_INFO], a table for each procedure", program.get_ref());
        for (procedure, body) in table(source, procedures, &said)? {
            let body = table(source, body, "a table")?;
            let table = Table { source, procedure: procedure.get_ref(), at: procedure.span(), body };
            entries.push(table.entry(program.get_ref())?);
        }
    }
    // In the order of the file, which is the one of messages too.
    entries.sort_by_key(|entry| entry.at.start);
    Ok(entries)
}

/// The table of one procedure.
struct Table<'a> {
    source: &'a Source,
    procedure: &'a str,
    at: Place,
    body: &'a DeTable<'a>,
}

impl Table<'_> {
    fn entry(&self, program: &str) -> Result<Entry, Diagnostic> {
        self.check_keys()?;
        let becomes = self.becomes()?;
        let summary = self.summary(&becomes)?;
        let repeat_is_safe = match self.text("repeat")? {
            None => false,
            Some(Text { text, .. }) if text == "safe" => true,
            Some(Text { text, .. }) if text == "unsafe" => false,
            Some(Text { at, .. }) => return Err(self.error(&at, "repeat is \"safe\" or \"unsafe\"")),
        };
        Ok(Entry {
            program: program.to_owned(),
            procedure: self.procedure.to_owned(),
            becomes,
            summary,
            c: self.text("c")?.map(|c| c.text),
            since: self.text("since")?.map(|since| since.text),
            flags: self.text("flags")?,
            enums: self.texts("enums")?,
            units: self.texts("units")?,
            names: self.texts("names")?,
            none: self.text("none")?,
            params: self.params()?,
            repeat_is_safe,
            at: self.at.clone(),
        })
    }

    fn check_keys(&self) -> Result<(), Diagnostic> {
        let Some((unknown, _)) = self.body.iter().find(|(key, _)| !KEYS.contains(&key.get_ref().as_ref()))
        else {
            return Ok(());
        };
        let error = self.error(&unknown.span(), format!("unknown key `{}`", unknown.get_ref()));
        Err(match nearest(unknown.get_ref(), KEYS.into_iter()) {
            Some(near) => error.note(format!("help: did you mean `{near}`?")),
            None => error.note(format!("help: a table may say {}", KEYS.join(", "))),
        })
    }

    fn becomes(&self) -> Result<Becomes, Diagnostic> {
        let mut said = Vec::new();
        for kind in KINDS {
            said.extend(self.text(kind)?.map(|text| (kind, text)));
        }
        let expected = format!("`{}` says exactly one of {}", self.procedure, KINDS.join(", "));
        match said.as_slice() {
            [] => Err(self.error(&self.at, expected).label("says none")),
            [("method", text)] => self.method(text),
            [("event", text)] => Ok(Becomes::Event(text.text.clone())),
            [("internal", text)] => Ok(Becomes::Internal(text.text.clone())),
            [(_, text)] => Ok(Becomes::Superseded(text.clone())),
            [.., (kind, text)] => Err(self.error(&text.at, expected).label(format!("says {kind} as well"))),
        }
    }

    fn method(&self, text: &Text) -> Result<Becomes, Diagnostic> {
        let expected = "a method is an object and a name, as in \"Domain::info\"";
        let (object, name) = text.text.split_once("::").ok_or_else(|| self.error(&text.at, expected))?;
        if object.is_empty() || names::camel(object) != object {
            return Err(self.error(&text.at, expected).label("the object is no type's name"));
        }
        if name.is_empty() || names::snake(name) != name || names::field(name) != name {
            return Err(self.error(&text.at, expected).label("the name is not in snake_case"));
        }
        if name.starts_with("get_") {
            return Err(self.error(&text.at, "names of methods have no `get_`"));
        }
        Ok(Becomes::Method { object: object.to_owned(), name: name.to_owned() })
    }

    fn summary(&self, becomes: &Becomes) -> Result<String, Diagnostic> {
        let needed = matches!(becomes, Becomes::Method { .. } | Becomes::Event(_));
        let Some(Text { text, at }) = self.text("summary")? else {
            let missing = format!("`{}` has no summary, which its documentation begins with", self.procedure);
            return if needed { Err(self.error(&self.at, missing)) } else { Ok(String::new()) };
        };
        if text.ends_with(['.', ' ', '\n']) || text.is_empty() || text.contains('\n') {
            return Err(self.error(&at, "a summary is one line without a full stop at its end"));
        }
        if !text.starts_with(char::is_uppercase) {
            return Err(self.error(&at, "a summary begins with a verb in upper case, as in \"Returns\""));
        }
        Ok(text)
    }

    fn params(&self) -> Result<Option<Text>, Diagnostic> {
        let Some(params) = self.text("params")? else { return Ok(None) };
        let is_path = |(module, name): (&str, &str)| {
            names::snake(module) == module
                && names::camel(name) == name
                && !module.is_empty()
                && !name.is_empty()
        };
        if params.text.split_once("::").is_some_and(is_path) {
            return Ok(Some(params));
        }
        let expected = "params is the path of a struct in the crate, as in \"params::MemoryParameters\"";
        Err(self.error(&params.at, expected))
    }

    fn text(&self, key: &str) -> Result<Option<Text>, Diagnostic> {
        let Some((_, value)) = self.body.iter().find(|(name, _)| name.get_ref() == key) else {
            return Ok(None);
        };
        self.string(key, value).map(Some)
    }

    fn texts(&self, key: &str) -> Result<BTreeMap<String, Text>, Diagnostic> {
        let Some((_, value)) = self.body.iter().find(|(name, _)| name.get_ref() == key) else {
            return Ok(BTreeMap::new());
        };
        let fields = table(self.source, value, "{ field = \"...\" }")?;
        fields
            .iter()
            .map(|(name, value)| Ok((name.get_ref().clone().into_owned(), self.string(key, value)?)))
            .collect()
    }

    fn string(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Text, Diagnostic> {
        match value.get_ref() {
            DeValue::String(text) => Ok(Text { text: text.clone().into_owned(), at: value.span() }),
            other => {
                let found = format!("`{key}` is a text in quotes, not {}", kind(other));
                Err(self.error(&value.span(), found))
            }
        }
    }

    fn error(&self, at: &Place, message: impl Into<String>) -> Diagnostic {
        error(self.source, at, message)
    }
}

fn table<'a>(
    source: &Source,
    value: &'a Spanned<DeValue<'a>>,
    expected: &str,
) -> Result<&'a DeTable<'a>, Diagnostic> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => Err(error(source, &value.span(), format!("expected {expected}, and found {}", kind(other)))),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
