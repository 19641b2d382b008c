//! What went wrong, and where: shown the way rustc shows it, with the line and a caret under the place.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{emit::Problem, spec::Location};

/// Why definitions could not be read.
///
/// `Display` gives the whole message, of several lines where a place in a file is to blame.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be read.
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to read: no `.x` file in the directory nor below it.
    NoDefinitions {
        /// Where they were looked for.
        directory: PathBuf,
    },
    /// A definition breaks a rule of the language, or cannot become Rust.
    Definition(Box<Diagnostic>),
    /// The definitions as a whole, or the tables beside them, cannot become Rust.
    Emit(Problem),
    /// A file cannot be written.
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A message about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub location: Location,
    /// How many characters are underlined, at least one.
    pub width: usize,
    /// The line of the file.
    pub line: String,
    /// What is said beside the caret; may be empty.
    pub label: String,
    /// Further lines, each as `note: ...` or `help: ...`.
    pub notes: Vec<String>,
}

impl Error {
    /// Returns the place in a file that is to blame, if there is one.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Definition(diagnostic) => Some(&diagnostic.location),
            Self::Read { .. } | Self::NoDefinitions { .. } | Self::Emit(_) | Self::Write { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "error: cannot read {}: {source}", path.display()),
            Self::NoDefinitions { directory } => write!(
                f,
                "error: no .x file in {0} nor in a directory below it\n  \
                 = help: name a directory with protocol definitions, such as the src directory of libvirt's source tree",
                directory.display()
            ),
            Self::Definition(diagnostic) => diagnostic.fmt(f),
            Self::Emit(problem) => write!(f, "error: {problem}"),
            Self::Write { path, source } => write!(f, "error: cannot write {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => Some(source),
            Self::NoDefinitions { .. } | Self::Definition(_) | Self::Emit(_) => None,
        }
    }
}

/// As much of a line as is shown: a generated file may be one line of a megabyte.
const SHOWN: usize = 160;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.location.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{gutter}--> {}", self.location)?;
        writeln!(f, "{gutter} |")?;
        let column = (self.location.column as usize).saturating_sub(1);
        let from = column.saturating_sub(SHOWN / 2);
        let shown: String = self.line.chars().skip(from).take(SHOWN).map(visible).collect();
        let indent: String = shown
            .chars()
            .chain(std::iter::repeat(' '))
            .take(column - from)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        let room = shown.chars().count().saturating_sub(column - from);
        let carets = "^".repeat(self.width.clamp(1, room.max(1)));
        let line = format!("{number} | {shown}");
        writeln!(f, "{}", line.trim_end())?;
        let caret = format!("{gutter} | {indent}{carets} {}", self.label);
        write!(f, "{}", caret.trim_end())?;
        for note in &self.notes {
            write!(f, "\n{gutter} = {note}")?;
        }
        Ok(())
    }
}

/// Keeps what a file contains from steering the terminal.
fn visible(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A range of bytes in a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A file's text, and where its lines begin.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) text: String,
    lines: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: &Path, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: Arc::new(path.to_path_buf()), text, lines }
    }

    /// Reads a file; bytes that are not UTF-8 are an error with their place.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let source = Self::new(path, String::from_utf8_lossy(error.as_bytes()).into_owned());
                let span = Span { start: at, end: at + char::REPLACEMENT_CHARACTER.len_utf8() };
                Err(source.error(span, "the file is not UTF-8 text").into())
            }
        }
    }

    /// Counts lines and columns, the latter in characters. Columns cost the length of the line up to there, so
    /// [`crate::lexer`] counts them itself as it goes.
    pub(crate) fn location(&self, at: usize) -> Location {
        let (line, text) = self.line(at);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let before = text.get(..at.saturating_sub(start)).unwrap_or(text);
        Location {
            file: Arc::clone(&self.path),
            line: number(line + 1),
            column: number(before.chars().count() + 1),
        }
    }

    /// Starts a message about a place; the rest of it is set on the result.
    pub(crate) fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        let width = self
            .text
            .get(span.start..span.end)
            .map_or(1, |text| text.chars().take_while(|c| *c != '\n').count());
        Diagnostic {
            message: message.into(),
            location: self.location(span.start),
            width: width.max(1),
            line: self.line(span.start).1.to_owned(),
            label: String::new(),
            notes: Vec::new(),
        }
    }

    /// The index and text of the line that a byte is in, without the end of line.
    fn line(&self, at: usize) -> (usize, &str) {
        let index = self.lines.partition_point(|start| *start <= at).saturating_sub(1);
        let start = self.lines.get(index).copied().unwrap_or(0);
        let end = self.lines.get(index + 1).map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(start..end).unwrap_or_default();
        (index, text.strip_suffix('\r').unwrap_or(text))
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Diagnostic {
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// A problem with a place is shown there, if the file can still be read.
impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let Some(Ok(source)) = problem.location.as_ref().map(|location| Source::read(&location.file)) else {
            return Self::Emit(problem);
        };
        let Problem { location: Some(location), message } = problem else { return Self::Emit(problem) };
        let line = source
            .text
            .lines()
            .nth((location.line as usize).saturating_sub(1))
            .unwrap_or_default()
            .to_owned();
        let name = line.chars().skip((location.column as usize).saturating_sub(1));
        let width = name.take_while(|c| c.is_alphanumeric() || *c == '_').count().max(1);
        Diagnostic { message, location, width, line, label: String::new(), notes: Vec::new() }.into()
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Definition(Box::new(diagnostic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_laid_out_like_a_compilers() {
        let source = Source::new(Path::new("a.x"), "const A = 1;\n\tconst é = 2;\r\n".to_owned());
        let at = source.text.find('é').unwrap();
        let error = Error::from(
            source
                .error(Span { start: at, end: at + 2 }, "unexpected character `é`")
                .label("here")
                .note("help: none"),
        );
        let expected = "error: unexpected character `é`\n --> a.x:2:8\n  |\n2 | \tconst é = 2;\n  | \t      ^ here\n  = help: none";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.location().map(|at| (at.line, at.column)), Some((2, 8)));
    }

    #[test]
    fn a_long_line_is_cut_and_its_control_characters_are_replaced() {
        let source = Source::new(Path::new("a.x"), format!("{}\x1b[2J$", "x".repeat(5000)));
        let at = source.text.find('$').unwrap();
        let text = Error::from(source.error(Span { start: at, end: at + 1 }, "m")).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= SHOWN + 10), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
        let [line, caret] = text.lines().skip(3).collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(
            line.chars().position(|c| c == '$'),
            caret.chars().position(|c| c == '^'),
            "the caret is under the place:\n{text}"
        );
    }
}
