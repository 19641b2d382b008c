//! Tokens to definitions, in the grammar of RFC 4506 section 6.3.
//!
//! After the word that decides which production it is, a parser does not go back (`cut`), so that the first error is
//! the one that counts. Where there is a choice, the errors of all branches that came equally far are told together.

use nom::{
    Err, IResult, Parser,
    branch::alt,
    combinator::{cut, opt},
    error::{ErrorKind, ParseError},
    sequence::{delimited, preceded, terminated},
};

use crate::{
    ast::{Arm, Definition, DefinitionKind, Enumerator, Field, Name, Type, Union, Value},
    error::{Diagnostic, Error, Source, Span},
    lexer::{self, Kind, Token},
    spec::Primitive,
};

/// Bodies within bodies; each takes a piece of the stack. libvirt's have none.
const MAX_DEPTH: u32 = 32;

/// Reads the definitions of one file.
pub(crate) fn parse(source: &Source) -> Result<Vec<Definition>, Error> {
    let tokens = lexer::tokens(source)?;
    let mut rest = Tokens { all: &tokens, at: 0, depth: 0 };
    let mut definitions = Vec::new();
    while rest.peek().is_some() {
        match definition(rest) {
            Ok((after, definition)) => {
                definitions.extend(definition);
                rest = after;
            }
            Err(Err::Error(wrong) | Err::Failure(wrong)) => {
                return Err(wrong.diagnostic(source, &tokens).into());
            }
            Err(Err::Incomplete(_)) => {
                return Err(Wrong::at(rest, "a definition").diagnostic(source, &tokens).into());
            }
        }
    }
    Ok(definitions)
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
struct Tokens<'a> {
    all: &'a [Token<'a>],
    at: usize,
    depth: u32,
}

impl<'a> Tokens<'a> {
    fn peek(self) -> Option<&'a Token<'a>> {
        self.all.get(self.at)
    }

    fn is(self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.text == text)
    }

    fn next(self) -> Self {
        Self { at: self.at + 1, ..self }
    }
}

type Parsed<'a, T> = IResult<Tokens<'a>, T, Wrong>;

/// What was expected where. `E` of all parsers.
#[derive(Clone, Debug)]
struct Wrong {
    at: usize,
    expected: Vec<String>,
    help: Option<&'static str>,
    /// Said instead of "expected ..., found ...".
    instead: Option<String>,
}

impl Wrong {
    fn at(place: Tokens<'_>, expected: impl Into<String>) -> Self {
        Self { at: place.at, expected: vec![expected.into()], help: None, instead: None }
    }
}

impl ParseError<Tokens<'_>> for Wrong {
    fn from_error_kind(place: Tokens<'_>, _: ErrorKind) -> Self {
        Self { at: place.at, expected: Vec::new(), help: None, instead: None }
    }

    fn append(_: Tokens<'_>, _: ErrorKind, other: Self) -> Self {
        other
    }

    fn or(mut self, other: Self) -> Self {
        match self.at.cmp(&other.at) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => {
                self.expected.extend(other.expected);
                self.help = self.help.or(other.help);
                self
            }
        }
    }
}

impl Wrong {
    fn diagnostic(self, source: &Source, tokens: &[Token<'_>]) -> Diagnostic {
        let found = tokens.get(self.at);
        let before = self.at.checked_sub(1).and_then(|at| tokens.get(at));
        let end = Span { start: source.text.len(), end: source.text.len() };
        if let Some(instead) = self.instead {
            return source.error(found.map_or(end, |token| token.span), instead);
        }
        let expected = list(&self.expected);
        let mut message = format!("expected {expected}");
        if let Some(before) = before {
            message.push_str(&format!(" after `{}`", before.text));
        }
        message.push_str(&match found {
            None => ", found end of file".to_owned(),
            Some(token) if token.kind == Kind::Keyword => format!(", found keyword `{}`", token.text),
            Some(token) => format!(", found `{}`", token.text),
        });
        // What is missing at the end of a line is missing there, not on the next line with text.
        let missing = expected == "`;`" || found.is_none();
        let span = match (before, found) {
            (Some(before), _) if missing => Span { start: before.span.end, end: before.span.end },
            (_, Some(found)) => found.span,
            (_, None) => end,
        };
        let diagnostic = source.error(span, message).label(format!("expected {expected}"));
        let long = found.is_some_and(|token| token.text == "long");
        match self.help {
            None if long => {
                diagnostic.note("help: XDR has no `long`: use `int` for 32 bits or `hyper` for 64 bits")
            }
            Some(help) => diagnostic.note(format!("help: {help}")),
            None => diagnostic,
        }
    }
}

/// `a`, `a or b`, `a, b or c`
fn list(items: &[String]) -> String {
    match items {
        [] => "something else".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

// Single tokens.

fn sign<'a>(text: &'static str) -> impl Parser<Tokens<'a>, Output = (), Error = Wrong> {
    move |rest: Tokens<'a>| {
        if rest.is(text) {
            Ok((rest.next(), ()))
        } else {
            Err(Err::Error(Wrong::at(rest, format!("`{text}`"))))
        }
    }
}

/// The same for a reserved word: names never equal one.
fn keyword<'a>(text: &'static str) -> impl Parser<Tokens<'a>, Output = (), Error = Wrong> {
    sign(text)
}

fn name<'a>(what: &'static str) -> impl Parser<Tokens<'a>, Output = Name, Error = Wrong> {
    move |rest: Tokens<'a>| match rest.peek() {
        Some(token) if token.kind == Kind::Name => Ok((rest.next(), named(token))),
        Some(token) if token.kind == Kind::Keyword => {
            let wrong = Wrong { help: Some("reserved words cannot be names"), ..Wrong::at(rest, what) };
            Err(Err::Error(if token.text == "long" { Wrong { help: None, ..wrong } } else { wrong }))
        }
        _ => Err(Err::Error(Wrong::at(rest, what))),
    }
}

fn named(token: &Token<'_>) -> Name {
    Name { text: token.text.to_owned(), span: token.span, location: token.location.clone() }
}

/// A number or the name of a constant.
fn value<'a>(what: &'static str) -> impl Parser<Tokens<'a>, Output = Value, Error = Wrong> {
    move |rest: Tokens<'a>| match rest.peek() {
        Some(Token { kind: Kind::Number(number), span, .. }) => {
            Ok((rest.next(), Value::Number(*number, *span)))
        }
        Some(token) if token.kind == Kind::Name => Ok((rest.next(), Value::Name(named(token)))),
        _ => Err(Err::Error(Wrong::at(rest, what))),
    }
}

/// Reads items up to and with the closing sign.
fn until<'a, T>(
    close: &'static str,
    mut item: impl Parser<Tokens<'a>, Output = T, Error = Wrong>,
) -> impl FnMut(Tokens<'a>) -> Parsed<'a, Vec<T>> {
    move |mut rest| {
        let mut items = Vec::new();
        loop {
            let wrong = match sign(close).parse(rest) {
                Ok((after, ())) => return Ok((after, items)),
                Err(Err::Error(wrong)) => wrong,
                Err(other) => return Err(other),
            };
            match item.parse(rest) {
                Ok((after, item)) => {
                    items.push(item);
                    rest = after;
                }
                Err(Err::Error(other)) => return Err(Err::Error(other.or(wrong))),
                Err(other) => return Err(other),
            }
        }
    }
}

/// Counts a body within a body.
fn deeper<'a, T>(
    mut body: impl Parser<Tokens<'a>, Output = T, Error = Wrong>,
) -> impl FnMut(Tokens<'a>) -> Parsed<'a, T> {
    move |rest| {
        if rest.depth == MAX_DEPTH {
            let instead = format!("bodies are nested more than {MAX_DEPTH} deep");
            return Err(Err::Failure(Wrong { instead: Some(instead), ..Wrong::at(rest, "") }));
        }
        let (after, parsed) = body.parse(Tokens { depth: rest.depth + 1, ..rest })?;
        Ok((Tokens { depth: rest.depth, ..after }, parsed))
    }
}

// Definitions.

/// `None` for C's `typedef struct x x;`, which says nothing in XDR, where a struct's name is a type.
fn definition(rest: Tokens<'_>) -> Parsed<'_, Option<Definition>> {
    if rest.is("program") {
        let instead = "`program` blocks are not read: libvirt's protocols number their procedures in an enum";
        return Err(Err::Failure(Wrong { instead: Some(instead.to_owned()), ..Wrong::at(rest, "") }));
    }
    alt((
        preceded(keyword("const"), cut(constant)).map(Some),
        preceded(keyword("typedef"), cut(terminated(typedef, sign(";")))),
        preceded(keyword("enum"), cut(terminated((name("a name for the enum"), enum_body), sign(";"))))
            .map(|(name, body)| Some(Definition { name, kind: DefinitionKind::Enum(body) })),
        preceded(keyword("struct"), cut(terminated((name("a name for the struct"), struct_body), sign(";"))))
            .map(|(name, body)| Some(Definition { name, kind: DefinitionKind::Struct(body) })),
        preceded(keyword("union"), cut(terminated((name("a name for the union"), union_body), sign(";"))))
            .map(|(name, body)| Some(Definition { name, kind: DefinitionKind::Union(body) })),
    ))
    .parse(rest)
}

fn constant(rest: Tokens<'_>) -> Parsed<'_, Definition> {
    let (rest, name) = name("a name for the constant").parse(rest)?;
    let (rest, value) =
        delimited(sign("="), value("a number or the name of a constant"), sign(";")).parse(rest)?;
    Ok((rest, Definition { name, kind: DefinitionKind::Const(value) }))
}

/// A body that is given a name is the definition of that name; all else is a typedef.
fn typedef(rest: Tokens<'_>) -> Parsed<'_, Option<Definition>> {
    let tagged = ["enum", "struct", "union"].iter().any(|word| rest.is(word));
    let (rest, Field { name, ty }) = declaration(rest)?;
    let kind = match ty {
        Type::Named(other) if tagged && other.text == name.text => return Ok((rest, None)),
        Type::Enum(body) => DefinitionKind::Enum(body),
        Type::Struct(body) => DefinitionKind::Struct(body),
        Type::Union(body) => DefinitionKind::Union(*body),
        other => DefinitionKind::Typedef(other),
    };
    Ok((rest, Some(Definition { name, kind })))
}

// Bodies.

/// `{ NAME = VALUE, ... }`, where the value and the last comma may be left out.
fn enum_body(rest: Tokens<'_>) -> Parsed<'_, Vec<Enumerator>> {
    let (mut rest, ()) = sign("{").parse(rest)?;
    let mut enumerators = Vec::new();
    loop {
        if !enumerators.is_empty() && rest.is("}") {
            return Ok((rest.next(), enumerators));
        }
        let (after, enumerator) = enumerator(rest)?;
        enumerators.push(enumerator);
        let (after, ended) = alt((sign(",").map(|()| false), sign("}").map(|()| true))).parse(after)?;
        if ended {
            return Ok((after, enumerators));
        }
        rest = after;
    }
}

fn enumerator(rest: Tokens<'_>) -> Parsed<'_, Enumerator> {
    let annotations = rest.peek().map(|token| token.annotations.clone()).unwrap_or_default();
    let (rest, name) = name("the name of an enumerator").parse(rest)?;
    let (rest, value) =
        opt(preceded(sign("="), cut(value("a number or the name of a constant")))).parse(rest)?;
    Ok((rest, Enumerator { name, value, annotations }))
}

/// `{ DECLARATION; ... }`
fn struct_body(rest: Tokens<'_>) -> Parsed<'_, Vec<Field>> {
    let member = alt((void.map(|()| None), declaration.map(Some)));
    let (rest, members) =
        preceded(sign("{"), cut(until("}", terminated(member, cut(sign(";")))))).parse(rest)?;
    Ok((rest, members.into_iter().flatten().collect()))
}

/// `switch (DECLARATION) { case VALUE: DECLARATION; ... default: DECLARATION; }`
fn union_body(rest: Tokens<'_>) -> Parsed<'_, Union> {
    let switched = delimited(sign("("), cut(switched), sign(")"));
    let (rest, discriminant) = preceded(keyword("switch"), cut(switched)).parse(rest)?;
    let (mut rest, ()) = sign("{").parse(rest)?;
    let mut union = Union { discriminant: Box::new(discriminant), arms: Vec::new(), default: None };
    loop {
        let mut close = sign("}").map(|()| Part::End);
        let default = preceded(keyword("default"), cut(preceded(sign(":"), arm_body))).map(Part::Default);
        let (after, part) = match (&union.default, union.arms.is_empty()) {
            (Some(_), _) => close.parse(rest).map_err(|e| e.map(default_is_last))?,
            (None, true) => arm.parse(rest)?,
            (None, false) => alt((arm, default, close)).parse(rest)?,
        };
        match part {
            Part::Arm(arm) => union.arms.push(arm),
            Part::Default(field) => union.default = Some(field),
            Part::End => return Ok((after, union)),
        }
        rest = after;
    }
}

/// What stands in a union's body.
enum Part {
    Arm(Arm),
    Default(Option<Field>),
    End,
}

fn default_is_last(wrong: Wrong) -> Wrong {
    Wrong { help: Some("`default` is the last arm of a union"), ..wrong }
}

/// `TYPE NAME`
fn switched(rest: Tokens<'_>) -> Parsed<'_, Field> {
    let (rest, (ty, name)) = (specifier, name("a name for what is switched on")).parse(rest)?;
    Ok((rest, Field { name, ty }))
}

/// `case VALUE: case VALUE: DECLARATION;`
fn arm(rest: Tokens<'_>) -> Parsed<'_, Part> {
    let label =
        || delimited(keyword("case"), cut(value("a number or the name of a constant")), cut(sign(":")));
    let (mut rest, first) = label().parse(rest)?;
    let mut values = vec![first];
    while rest.is("case") {
        let (after, value) = label().parse(rest)?;
        values.push(value);
        rest = after;
    }
    let (rest, field) = cut(arm_body).parse(rest)?;
    Ok((rest, Part::Arm(Arm { values, field })))
}

fn arm_body(rest: Tokens<'_>) -> Parsed<'_, Option<Field>> {
    terminated(alt((void.map(|()| None), declaration.map(Some))), cut(sign(";"))).parse(rest)
}

// Declarations.

fn void(rest: Tokens<'_>) -> Parsed<'_, ()> {
    keyword("void").parse(rest)
}

/// `TYPE NAME`, `TYPE NAME[VALUE]`, `TYPE NAME<VALUE>`, `TYPE *NAME`, and what `string` and `opaque` allow of it.
fn declaration(rest: Tokens<'_>) -> Parsed<'_, Field> {
    let what = "a name";
    if rest.is("string") {
        let (rest, (name, max)) = cut((name(what), variable)).parse(rest.next())?;
        return Ok((rest, Field { name, ty: Type::String(max) }));
    }
    if rest.is("opaque") {
        let length = alt((fixed.map(Type::OpaqueFixed), variable.map(Type::Opaque)));
        let (rest, (name, ty)) = cut((name(what), length)).parse(rest.next())?;
        return Ok((rest, Field { name, ty }));
    }
    let (rest, ty) = specifier(rest)?;
    if rest.is("*") {
        let (rest, name) = cut(name(what)).parse(rest.next())?;
        return Ok((rest, Field { name, ty: Type::Optional(Box::new(ty)) }));
    }
    let (rest, name) = cut(name(what)).parse(rest)?;
    if rest.is("[") {
        let (rest, length) = fixed(rest)?;
        return Ok((rest, Field { name, ty: Type::ArrayFixed(Box::new(ty), length) }));
    }
    if rest.is("<") {
        let (rest, max) = variable(rest)?;
        return Ok((rest, Field { name, ty: Type::Array(Box::new(ty), max) }));
    }
    Ok((rest, Field { name, ty }))
}

/// `[VALUE]`
fn fixed(rest: Tokens<'_>) -> Parsed<'_, Value> {
    delimited(sign("["), cut(value("a length")), cut(sign("]"))).parse(rest)
}

/// `<VALUE>` or `<>`
fn variable(rest: Tokens<'_>) -> Parsed<'_, Option<Value>> {
    let (rest, ()) = sign("<").parse(rest)?;
    let none = sign(">").map(|()| None);
    let some = terminated(value("a maximum length"), cut(sign(">"))).map(Some);
    cut(alt((some, none))).parse(rest)
}

/// What stands before the name.
fn specifier(rest: Tokens<'_>) -> Parsed<'_, Type> {
    let Some(token) = rest.peek() else { return Err(Err::Error(Wrong::at(rest, "a type"))) };
    let primitive = |primitive| Ok((rest.next(), Type::Primitive(primitive)));
    match (token.kind, token.text) {
        (Kind::Name, _) => Ok((rest.next(), Type::Named(named(token)))),
        (_, "char") => primitive(Primitive::Char),
        (_, "short") => primitive(Primitive::Short),
        (_, "int") => primitive(Primitive::Int),
        (_, "hyper") => primitive(Primitive::Hyper),
        (_, "float") => primitive(Primitive::Float),
        (_, "double") => primitive(Primitive::Double),
        (_, "quadruple") => primitive(Primitive::Quadruple),
        (_, "bool") => primitive(Primitive::Bool),
        (_, "unsigned") => unsigned(rest.next()),
        (_, "enum") => tagged(rest.next(), enum_body, Type::Enum),
        (_, "struct") => tagged(rest.next(), struct_body, Type::Struct),
        (_, "union") => tagged(rest.next(), union_body, |union| Type::Union(Box::new(union))),
        (_, "void") => {
            let help = Some("`void` has no name, and stands alone in an arm of a union");
            Err(Err::Error(Wrong { help, ..Wrong::at(rest, "a type") }))
        }
        _ => Err(Err::Error(Wrong::at(rest, "a type"))),
    }
}

/// `unsigned` alone is an `unsigned int`.
fn unsigned(rest: Tokens<'_>) -> Parsed<'_, Type> {
    let primitive = match rest.peek().map(|token| token.text) {
        Some("char") => Primitive::UnsignedChar,
        Some("short") => Primitive::UnsignedShort,
        Some("int") => Primitive::UnsignedInt,
        Some("hyper") => Primitive::UnsignedHyper,
        _ => return Ok((rest, Type::Primitive(Primitive::UnsignedInt))),
    };
    Ok((rest.next(), Type::Primitive(primitive)))
}

/// After `enum`, `struct` or `union`: the name of one, as in C, or a body of its own.
fn tagged<'a, T>(
    rest: Tokens<'a>,
    body: impl FnMut(Tokens<'a>) -> Parsed<'a, T>,
    kind: fn(T) -> Type,
) -> Parsed<'a, Type> {
    cut(alt((name("a name").map(Type::Named), deeper(body).map(kind)))).parse(rest)
}
