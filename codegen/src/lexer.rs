//! Text to tokens. Comments, `%` lines and preprocessor lines go; annotations in comments stay with the next token.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, take_until, take_while, take_while1},
    character::complete::{char, multispace1, one_of, satisfy},
    combinator::{opt, recognize, value},
    sequence::pair,
};
use nom_locate::LocatedSpan;

use crate::{
    error::{Diagnostic, Source, Span},
    spec::{Annotation, Location, Number},
};

/// One word, number or sign of a definition.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) span: Span,
    pub(crate) location: Location,
    /// Those of the last comment before it that holds any.
    pub(crate) annotations: Vec<Annotation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    Keyword,
    Number(Number),
    Sign,
}

/// The reserved words of RFC 4506, and `char` and `short`, which `rpcgen` adds and libvirt uses.
///
/// `long` is reserved so that it gets an explanation instead of being taken for a field's name.
const KEYWORDS: [&str; 21] = [
    "bool",
    "case",
    "char",
    "const",
    "default",
    "double",
    "quadruple",
    "enum",
    "float",
    "hyper",
    "int",
    "long",
    "opaque",
    "short",
    "string",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "void",
];

type Text<'a> = LocatedSpan<&'a str>;

/// Reads all tokens of a file.
pub(crate) fn tokens(source: &Source) -> Result<Vec<Token<'_>>, Diagnostic> {
    let mut tokens = Vec::new();
    let mut place = Place::new(source);
    let mut rest = Text::new(&source.text);
    loop {
        let (after, annotations) = gap(source, rest, tokens.is_empty())?;
        rest = after;
        if rest.fragment().is_empty() {
            return Ok(tokens);
        }
        let (after, text) = token(rest).map_err(|_| unexpected(source, rest))?;
        let span = Span { start: text.location_offset(), end: after.location_offset() };
        let kind = kind(source, text.fragment(), span)?;
        let location = place.at(span.start, text.location_line());
        tokens.push(Token { kind, text: text.fragment(), span, location, annotations });
        rest = after;
    }
}

/// Skips all that stands between two tokens and returns the annotations in it.
fn gap<'a>(
    source: &Source,
    mut rest: Text<'a>,
    mut line_start: bool,
) -> Result<(Text<'a>, Vec<Annotation>), Diagnostic> {
    let mut found = Vec::new();
    loop {
        let (after, skipped) = match skipped(rest, line_start) {
            Ok(parts) => parts,
            Err(nom::Err::Failure(_)) => {
                let start = rest.location_offset();
                return Err(source
                    .error(
                        Span { start, end: start + 2 },
                        "expected `*/` to end the comment, found end of file",
                    )
                    .label("the comment starts here"));
            }
            Err(_) => return Ok((rest, found)),
        };
        match skipped {
            Skipped::Blank(text) => line_start |= text.contains('\n'),
            Skipped::Line => line_start = false,
            Skipped::Comment(text) => {
                let annotations = annotations(text);
                if !annotations.is_empty() {
                    found = annotations;
                }
            }
        }
        rest = after;
    }
}

#[derive(Clone)]
enum Skipped<'a> {
    Blank(&'a str),
    /// A `%` or preprocessor line, without its end.
    Line,
    Comment(&'a str),
}

fn skipped(rest: Text<'_>, line_start: bool) -> IResult<Text<'_>, Skipped<'_>> {
    match rest.fragment().as_bytes() {
        [b'%', ..] if line_start => value(Skipped::Line, take_while(|c| c != '\n')).parse(rest),
        [b'#', ..] if line_start => value(Skipped::Line, preprocessor_line).parse(rest),
        [b'/', b'*', ..] => {
            let (after, _) = tag("/*")(rest)?;
            let (after, text) = nom::combinator::cut(take_until("*/")).parse(after)?;
            let (after, _) = tag("*/")(after)?;
            Ok((after, Skipped::Comment(text.fragment())))
        }
        [b'/', b'/', ..] => {
            let (after, text) = take_while(|c| c != '\n').parse(rest)?;
            Ok((after, Skipped::Comment(text.fragment().trim_start_matches('/'))))
        }
        _ => multispace1.map(|text: Text<'_>| Skipped::Blank(text.fragment())).parse(rest),
    }
}

/// `#...` up to the end of the line, or of the last one that `\` continues it with.
fn preprocessor_line(rest: Text<'_>) -> IResult<Text<'_>, ()> {
    let (mut rest, _) = char('#')(rest)?;
    loop {
        let (after, text) = opt(is_not("\n")).parse(rest)?;
        let continued = text.is_some_and(|text| text.fragment().trim_end_matches('\r').ends_with('\\'));
        rest = after;
        if !continued || rest.fragment().is_empty() {
            return Ok((rest, ()));
        }
        rest = char('\n')(rest)?.0;
    }
}

/// Finds `@key: value` in the lines of a comment that start with one; several may share a line.
fn annotations(comment: &str) -> Vec<Annotation> {
    let mut found = Vec::new();
    for line in comment.lines() {
        let line = line.trim_start().trim_start_matches('*').trim();
        let Some(line) = line.strip_prefix('@') else { continue };
        for part in line.split(" @") {
            let Some((key, value)) = part.split_once(':') else { continue };
            let (key, value) = (key.trim(), value.trim());
            // Prose with an address or the like in it is no annotation.
            if key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !value.contains('@') {
                found.push(Annotation { key: key.to_owned(), value: value.to_owned() });
            }
        }
    }
    found
}

fn token(rest: Text<'_>) -> IResult<Text<'_>, Text<'_>> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    alt((
        recognize(pair(satisfy(|c| c.is_ascii_alphabetic() || c == '_'), take_while(word))),
        recognize(pair(opt(char('-')), take_while1(word))),
        recognize(one_of("{}[]()<>,;:=*")),
    ))
    .parse(rest)
}

fn kind(source: &Source, text: &str, span: Span) -> Result<Kind, Diagnostic> {
    match text.bytes().next() {
        Some(b'0'..=b'9' | b'-') => number(text).map(Kind::Number).map_err(|why| source.error(span, why)),
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') if KEYWORDS.contains(&text) => Ok(Kind::Keyword),
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => Ok(Kind::Name),
        _ => Ok(Kind::Sign),
    }
}

/// Decimal, `0x` hexadecimal or `0` octal; what no XDR type can hold is an error.
fn number(text: &str) -> Result<Number, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (radix, name, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, "hexadecimal", digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, "octal", digits.trim_start_matches('0')),
        None => (10, "decimal", digits),
    };
    let digits = if radix == 8 && digits.is_empty() { "0" } else { digits };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("expected a number, found `{text}`, which is not {name}"));
    }
    let bounds = Number::from(i64::MIN)..=Number::from(u64::MAX);
    Number::from_str_radix(digits, radix)
        .ok()
        .map(|number| if negative { -number } else { number })
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| format!("expected a number of at most 64 bits, found `{text}`"))
}

fn unexpected(source: &Source, rest: Text<'_>) -> Diagnostic {
    let start = rest.location_offset();
    let found = rest.fragment().chars().next().unwrap_or_default();
    let shown = if found == '"' { "\"".to_owned() } else { found.escape_debug().to_string() };
    let diagnostic = source.error(
        Span { start, end: start + found.len_utf8() },
        format!("expected a name, a number or a sign of the language, found `{shown}`"),
    );
    match found {
        '#' | '%' => diagnostic.note(format!("help: a line to skip has `{found}` as its first character")),
        _ => diagnostic,
    }
}

/// Counts columns from one token to the next, so that a file is gone through once whatever the length of its lines.
struct Place<'a> {
    source: &'a Source,
    offset: usize,
    line: u32,
    column: u32,
}

impl<'a> Place<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, offset: 0, line: 1, column: 1 }
    }

    fn at(&mut self, offset: usize, line: u32) -> Location {
        let between = self.source.text.get(self.offset..offset).unwrap_or_default();
        let on_line = between.rfind('\n').map_or(between, |end| between.get(end + 1..).unwrap_or_default());
        let columns = u32::try_from(on_line.chars().count()).unwrap_or(u32::MAX);
        self.column =
            if line == self.line { self.column.saturating_add(columns) } else { columns.saturating_add(1) };
        self.line = line;
        self.offset = offset;
        Location { file: std::sync::Arc::clone(&self.source.path), line, column: self.column }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("a.x"), text.to_owned())
    }

    fn texts(text: &str) -> Vec<String> {
        tokens(&source(text)).unwrap().iter().map(|token| token.text.to_owned()).collect()
    }

    #[test]
    fn what_is_not_the_language_is_skipped() {
        for (text, expected) in [
            ("a /* b ; */ c", vec!["a", "c"]),
            ("a /* b\n * c */ d // e\nf", vec!["a", "d", "f"]),
            ("%#include <x.h>\na\n%b\n", vec!["a"]),
            ("#ifdef A\nx\n # else\ny\n#endif", vec!["x", "y"]),
            ("#define A \\\n b \\\r\n c\nd", vec!["d"]),
            ("/**/a/***/b", vec!["a", "b"]),
            ("a<1>b[2]*", vec!["a", "<", "1", ">", "b", "[", "2", "]", "*"]),
            ("", vec![]),
            ("//", vec![]),
            ("#", vec![]),
        ] {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_or_octal() {
        for (text, expected) in [
            ("0", 0),
            ("-1", -1),
            ("010", 8),
            ("000", 0),
            ("-0x10", -16),
            ("0x20008086", 0x2000_8086),
            ("0xEA7BEEF", 0xEA7_BEEF),
            ("18446744073709551615", u64::MAX.into()),
            ("-9223372036854775808", i64::MIN.into()),
        ] {
            let source = source(text);
            assert_eq!(tokens(&source).unwrap()[0].kind, Kind::Number(expected), "{text}");
        }
    }

    #[test]
    fn places_count_lines_and_characters() {
        let source = source("a /* é */ b\n\tc d");
        let places: Vec<_> = tokens(&source)
            .unwrap()
            .iter()
            .map(|token| (token.location.line, token.location.column))
            .collect();
        assert_eq!(places, [(1, 1), (1, 11), (2, 2), (2, 4)]);
        for token in tokens(&source).unwrap() {
            assert_eq!(source.location(token.span.start), token.location);
        }
    }

    #[test]
    fn annotations_stay_with_the_next_token() {
        let found = |text: &str| -> Vec<String> {
            let source = source(text);
            let token = tokens(&source).unwrap().pop().unwrap();
            token.annotations.iter().map(|a| format!("{}={}", a.key, a.value)).collect()
        };
        assert_eq!(
            found("/**\n * @generate: none\n * @acl: domain:read\n */\nX"),
            ["generate=none", "acl=domain:read"]
        );
        assert_eq!(found("/* @generate: both @acl: a:b:C|D */ X"), ["generate=both", "acl=a:b:C|D"]);
        assert_eq!(found("// @generate: both\nX"), ["generate=both"]);
        assert_eq!(found("/* @generate: both */\n/* a title */ X"), ["generate=both"]);
        assert_eq!(found("/* @generate: both */\n/* @generate: none */ X"), ["generate=none"]);
        assert_eq!(found("/* - @generate: both */ X"), Vec::<String>::new(), "a manual's list");
        assert_eq!(found("/* mail a@b: c */ X"), Vec::<String>::new());
        assert_eq!(found("/* @generate: both */ Y X"), Vec::<String>::new());
    }
}
