//! What names mean: all files share one scope, as C's headers do, in which a name is defined once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ast::{Definition, DefinitionKind, Mention, Name, Value},
    error::{Diagnostic, Error, Source},
    spec::Number,
};

/// A file and what it defines.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) source: Source,
    pub(crate) definitions: Vec<Definition>,
}

/// What a definition may take for granted: it counts only where no file defines the name.
///
/// `TRUE` and `FALSE` are XDR's own (RFC 4506 section 4.4). The others are numbers that libvirt's files take from its
/// C headers; they are part of its stable interface and do not change.
const PREDEFINED: [(&str, Number); 15] = [
    ("FALSE", 0),
    ("TRUE", 1),
    // Bytes of a UUID, and of the strings of a security driver with their end.
    ("VIR_UUID_BUFLEN", 16),
    ("VIR_SECURITY_MODEL_BUFLEN", 257),
    ("VIR_SECURITY_LABEL_BUFLEN", 4097),
    ("VIR_SECURITY_DOI_BUFLEN", 257),
    // Which type a typed parameter has.
    ("VIR_TYPED_PARAM_INT", 1),
    ("VIR_TYPED_PARAM_UINT", 2),
    ("VIR_TYPED_PARAM_LLONG", 3),
    ("VIR_TYPED_PARAM_ULLONG", 4),
    ("VIR_TYPED_PARAM_DOUBLE", 5),
    ("VIR_TYPED_PARAM_BOOLEAN", 6),
    ("VIR_TYPED_PARAM_STRING", 7),
    // The flags that `@sparseflag` names.
    ("VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM", 1),
    ("VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM", 1),
];

/// Returns the number of a constant of libvirt's C headers that protocol files use without defining it.
#[must_use]
pub fn predefined(name: &str) -> Option<Number> {
    PREDEFINED.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// All names of all files.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    names: BTreeMap<&'a str, Meaning<'a>>,
    values: BTreeMap<&'a str, Number>,
}

#[derive(Clone, Copy, Debug)]
struct Meaning<'a> {
    file: usize,
    source: &'a Source,
    name: &'a Name,
    kind: MeaningKind<'a>,
}

#[derive(Clone, Copy, Debug)]
enum MeaningKind<'a> {
    Type(&'a Definition),
    Constant(Origin<'a>),
}

/// Where the number of a constant comes from.
#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    Value(&'a Value),
    /// The first enumerator without a value.
    First,
    /// One more than the enumerator before it.
    After(&'a Name),
}

impl<'a> Scope<'a> {
    pub(crate) fn new(files: &'a [File]) -> Result<Self, Error> {
        let mut scope = Self { names: BTreeMap::new(), values: BTreeMap::new() };
        for (index, file) in files.iter().enumerate() {
            let source = &file.source;
            for definition in &file.definitions {
                let kind = match &definition.kind {
                    DefinitionKind::Const(value) => MeaningKind::Constant(Origin::Value(value)),
                    _ => MeaningKind::Type(definition),
                };
                scope.define(Meaning { file: index, source, name: &definition.name, kind })?;
                for (name, origin) in enumerators(definition) {
                    scope.define(Meaning {
                        file: index,
                        source,
                        name,
                        kind: MeaningKind::Constant(origin),
                    })?;
                }
            }
        }
        let constants: Vec<_> = scope.names.values().copied().collect();
        for meaning in constants {
            scope.evaluate(meaning)?;
        }
        Ok(scope)
    }

    fn define(&mut self, meaning: Meaning<'a>) -> Result<(), Error> {
        let name = meaning.name;
        match self.names.insert(&name.text, meaning) {
            None => Ok(()),
            Some(first) => Err(meaning
                .source
                .error(
                    name.span,
                    format!("expected a new name, found `{}`, which is defined already", name.text),
                )
                .label("defined again")
                .note(format!("note: first defined at {}", first.name.location))
                .into()),
        }
    }

    /// Finds the number of a constant and of those it rests on, without recursion: chains are as long as enums.
    fn evaluate(&mut self, meaning: Meaning<'a>) -> Result<(), Error> {
        let mut waiting = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(meaning);
        while let Some(meaning) = next {
            let MeaningKind::Constant(origin) = meaning.kind else { return Ok(()) };
            let name = meaning.name;
            if self.values.contains_key(name.text.as_str()) {
                break;
            }
            if !seen.insert(name.text.as_str()) {
                let message = format!("the value of `{}` rests on itself", name.text);
                return Err(meaning.source.error(name.span, message).into());
            }
            waiting.push((name, origin));
            next = match origin {
                Origin::Value(Value::Name(other)) => self.constant(meaning.source, other)?,
                Origin::After(other) => self.constant(meaning.source, other)?,
                Origin::Value(Value::Number(..)) | Origin::First => None,
            };
        }
        while let Some((name, origin)) = waiting.pop() {
            let number = match origin {
                Origin::Value(value) => self.number(value),
                Origin::First => 0,
                Origin::After(other) => self.values.get(other.text.as_str()).copied().unwrap_or_default() + 1,
            };
            self.values.insert(&name.text, number);
        }
        Ok(())
    }

    /// Looks up the name of a constant; `None` for a predefined one.
    fn constant(&self, source: &Source, name: &Name) -> Result<Option<Meaning<'a>>, Error> {
        match self.names.get(name.text.as_str()) {
            Some(Meaning { kind: MeaningKind::Type(_), name: other, .. }) => Err(source
                .error(
                    name.span,
                    format!("expected the name of a constant, found `{}`, which is a type", name.text),
                )
                .note(format!("note: defined at {}", other.location))
                .into()),
            Some(meaning) => Ok(Some(*meaning)),
            None if predefined(&name.text).is_some() => Ok(None),
            None => {
                let constants =
                    self.names.values().filter(|meaning| matches!(meaning.kind, MeaningKind::Constant(_)));
                let known = constants
                    .map(|meaning| meaning.name.text.as_str())
                    .chain(PREDEFINED.map(|(name, _)| name));
                let diagnostic = source.error(name.span, format!("unknown constant `{}`", name.text));
                Err(with_help(diagnostic, suggestion(&name.text, known)).into())
            }
        }
    }

    /// Checks the name of a constant.
    pub(crate) fn check_constant(&self, source: &Source, name: &Name) -> Result<(), Error> {
        self.constant(source, name).map(|_| ())
    }

    /// Returns the number of a value whose name has been checked.
    pub(crate) fn number(&self, value: &Value) -> Number {
        match value {
            Value::Number(number, _) => *number,
            Value::Name(name) => self.named_number(&name.text),
        }
    }

    pub(crate) fn named_number(&self, name: &str) -> Number {
        self.values.get(name).copied().or_else(|| predefined(name)).unwrap_or_default()
    }

    /// Looks up the name of a type.
    pub(crate) fn ty(&self, source: &Source, name: &Name) -> Result<&'a Definition, Error> {
        match self.names.get(name.text.as_str()) {
            Some(Meaning { kind: MeaningKind::Type(definition), .. }) => Ok(definition),
            Some(Meaning { name: other, .. }) => Err(source
                .error(
                    name.span,
                    format!("expected the name of a type, found `{}`, which is a constant", name.text),
                )
                .note(format!("note: defined at {}", other.location))
                .into()),
            None => {
                let types =
                    self.names.values().filter(|meaning| matches!(meaning.kind, MeaningKind::Type(_)));
                let help = c_type(&name.text)
                    .map(|ty| format!("write `{ty}`"))
                    .or_else(|| suggestion(&name.text, types.map(|meaning| meaning.name.text.as_str())));
                let diagnostic = source.error(name.span, format!("unknown type `{}`", name.text));
                Err(with_help(diagnostic, help).into())
            }
        }
    }

    /// Returns the file that defines a type or constant.
    pub(crate) fn file_of(&self, name: &str) -> Option<usize> {
        self.names.get(name).map(|meaning| meaning.file)
    }
}

fn enumerators(definition: &Definition) -> Vec<(&Name, Origin<'_>)> {
    let mut found = Vec::new();
    definition.mentions(&mut |mention| {
        if let Mention::Enumerator(enumerator, before) = mention {
            let origin = match (&enumerator.value, before) {
                (Some(value), _) => Origin::Value(value),
                (None, None) => Origin::First,
                (None, Some(before)) => Origin::After(&before.name),
            };
            found.push((&enumerator.name, origin));
        }
    });
    found
}

/// What C calls the types of XDR.
fn c_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "int8_t" => "char",
        "uint8_t" | "u_char" => "unsigned char",
        "int16_t" => "short",
        "uint16_t" | "u_short" => "unsigned short",
        "int32_t" => "int",
        "uint32_t" | "u_int" | "size_t" => "unsigned int",
        "int64_t" | "quad_t" | "longlong_t" => "hyper",
        "uint64_t" | "u_quad_t" | "u_longlong_t" => "unsigned hyper",
        _ => return None,
    })
}

fn with_help(diagnostic: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => diagnostic.note(format!("help: {help}")),
        None => diagnostic,
    }
}

fn suggestion<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

/// Returns the name that differs least, if it differs little.
pub(crate) fn nearest<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Longer ones than any protocol has would only take time.
    if wrong.len() > 128 {
        return None;
    }
    let allowed = if wrong.len() < 4 { 0 } else { (wrong.len() / 5).max(1) };
    let close = known.filter(|name| name.len().abs_diff(wrong.len()) <= allowed);
    close
        .map(|name| (strsim::osa_distance(&name.to_lowercase(), &wrong.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
