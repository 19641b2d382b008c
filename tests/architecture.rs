//! The arrows between the rooms of `src` (top of `src/lib.rs`), and what no room may do. Sources are read as
//! tokens, so comments and strings do not count.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Which rooms each room uses: `objects → rpc → protocol → xdr`, and so on along the arrows. `error` is used by
/// all but `xdr`, which has errors of its own and knows nothing of libvirt.
const ARROWS: &[(&str, &[&str])] = &[
    ("objects", &["rpc", "protocol", "xdr", "uri", "auth", "transport", "error", "serde_impl"]),
    ("testing", &["rpc", "protocol", "xdr", "transport", "error"]),
    ("rpc", &["protocol", "xdr", "error"]),
    ("protocol", &["xdr", "error"]),
    ("transport", &["auth", "error"]),
    ("uri", &["error"]),
    ("auth", &["error"]),
    ("xdr", &[]),
    ("error", &[]),
    ("serde_impl", &[]),
];

/// Of `objects`, only the module that opens connections uses these rooms.
const OPENING: (&str, &[&str]) = ("open", &["uri", "auth", "transport"]);

#[test]
fn rooms_use_each_other_only_along_the_arrows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports = exports(&parse(&root.join("lib.rs")));
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources(&root) {
        let modules = module_path(file.strip_prefix(&root).unwrap());
        let Some(room) = modules.first() else { continue };
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("{}: {room} is a room without arrows: add it to {}", file.display(), file!()));
            continue;
        };
        let mut uses = Vec::new();
        find_uses(parse(&file), &modules, &mut uses);
        for Use { name, line } in uses {
            let target = exports.iter().find(|(export, _)| *export == name).map_or(&name, |(_, room)| room);
            seen += 1;
            let (opening, for_opening) = OPENING;
            if room == "objects"
                && for_opening.contains(&target.as_str())
                && modules.get(1).is_none_or(|module| module != opening)
            {
                let rule = "only what is in objects/open does";
                wrong.push(format!("{}:{line}: {room} uses crate::{name}, but {rule}", file.display()));
            }
            if target != room && !allowed.contains(&target.as_str()) {
                let rule = Rule { room, allowed };
                wrong.push(format!("{}:{line}: {room} uses crate::{name}, but {rule}", file.display()));
            }
        }
    }
    assert!(seen > 10, "only {seen} uses found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_panics_on_what_it_was_given() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for file in sources(&root.join("src")).into_iter().chain(sources(&root.join("codegen/src"))) {
        for (call, line) in panicking_calls(parse(&file)) {
            wrong.push(format!("{}:{line}: .{call}: return an error that names the place", file.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Rooms without data: the codec, sockets, and recordings, which have a text form of their own.
const ROOMS_WITHOUT_DATA: [&str; 3] = ["xdr", "transport", "testing"];

/// Public types that are no data, and why.
const NO_DATA: &[(&str, &[&str])] = &[
    (
        "hold a connection",
        &[
            "AdminBuilder",
            "AdminConnection",
            "Answers",
            "Builder",
            "Client",
            "Connection",
            "Download",
            "DownloadTo",
            "Events",
            "EventsBuilder",
            "Exec",
            "Fleet",
            "FleetBuilder",
            "Frozen",
            "Guest",
            "GuestFile",
            "GuestProcess",
            "GuestReader",
            "GuestStream",
            "GuestWriter",
            "Host",
            "MigrateUpdates",
            "Migration",
            "RunningMigration",
            "Screenshot",
            "SparseDownload",
            "Stream",
            "Subscription",
            "Supervision",
            "Upload",
            "UploadFrom",
            "WaitForAddress",
        ],
    ),
    ("hold a reply's descriptors", &["Answer", "Descriptor", "Frame", "Reply"]),
    (
        "hold other errors",
        &[
            "CloseReason",
            "Error",
            "FrameError",
            "LinkState",
            "MigrateError",
            "MigrateFault",
            "Refusal",
            "Violation",
        ],
    ),
    ("hold what must not be shown", &["Credentials", "Exchange", "Identity", "Next", "Secret"]),
    ("are said in words", &["CpuMapError", "UuidError", "VersionError"]),
    (
        "do the work",
        &[
            "ByteStream",
            "Delivery",
            "AuthConfig",
            "Environment",
            "NoFiles",
            "ErrorHook",
            "EventSource",
            "FrameDecoder",
            "Ignored",
            "OpeningLimit",
            "Session",
            "StreamNews",
            "Tick",
        ],
    ),
];

#[test]
fn public_data_has_the_traits_of_serde() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let generated = Path::new(env!("OUT_DIR"));
    let written = sources(&root).into_iter().filter(|file| {
        let modules = module_path(file.strip_prefix(&root).unwrap());
        !modules.first().is_some_and(|room| ROOMS_WITHOUT_DATA.contains(&room.as_str()))
    });
    let files: Vec<PathBuf> = written.chain(sources(generated)).collect();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let by_hand = |name: &str| {
        text.contains(&format!("Serialize for {name} {{"))
            || text.contains(&format!("open_enum! {{\n    {name}:"))
    };
    let exceptions: Vec<&str> = NO_DATA.iter().flat_map(|(_, names)| *names).copied().collect();

    let (mut seen, mut used, mut wrong) = (0, Vec::new(), Vec::new());
    for file in &files {
        for Type { name, line, derives_serde } in public_types(parse(file)) {
            seen += 1;
            let has_traits = derives_serde || by_hand(&name);
            match exceptions.iter().find(|exception| **exception == name) {
                Some(exception) if !has_traits => used.push(*exception),
                _ if has_traits => {}
                _ => wrong.push(format!(
                    "{}:{line}: {name} has no Serialize: see \"Features\" in CONTRIBUTING.md, or add it to NO_DATA",
                    file.display()
                )),
            }
        }
    }
    assert!(seen > 800, "only {seen} types found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let unused: Vec<&&str> = exceptions.iter().filter(|exception| !used.contains(*exception)).collect();
    assert!(unused.is_empty(), "NO_DATA has exceptions that are none: {unused:?}");
}

#[test]
fn each_directory_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for directory in directories(&root.join("src")) {
        let own = [directory.join("mod.rs"), directory.with_extension("rs")];
        match own.iter().find(|file| file.exists()) {
            Some(file) if !fs::read_to_string(file).unwrap().starts_with("//! ") => {
                wrong.push(format!("{}: no module documentation (//!) on its first line", file.display()));
            }
            Some(_) => {}
            None if fs::read_dir(&directory).unwrap().next().is_none() => {}
            None => wrong.push(format!("{}: a directory without a mod.rs", directory.display())),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A public struct or enum.
struct Type {
    name: String,
    line: usize,
    derives_serde: bool,
}

/// Finds the public types of a file, but for those that macros make.
fn public_types(tokens: TokenStream) -> Vec<Type> {
    let tokens = without_tests(tokens);
    let (mut types, mut attributes) = (Vec::new(), String::new());
    for index in 0..tokens.len() {
        let ahead = |by: usize| tokens.get(index + by);
        match (&tokens[index], ahead(1), ahead(2)) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(attribute)), _) if hash.as_char() == '#' => {
                attributes.push_str(&attribute.stream().to_string().replace(char::is_whitespace, ""));
            }
            (TokenTree::Ident(public), Some(TokenTree::Ident(kind)), Some(TokenTree::Ident(name)))
                if public == "pub" && (kind == "struct" || kind == "enum") =>
            {
                let derives_serde = attributes.contains("feature=\"serde\",derive(serde::Serialize");
                let line = name.span().start().line;
                types.push(Type { name: name.to_string(), line, derives_serde });
            }
            (TokenTree::Ident(module), Some(TokenTree::Ident(_)), Some(TokenTree::Group(body)))
                if module == "mod" =>
            {
                types.extend(public_types(body.stream()));
            }
            (TokenTree::Punct(end), ..) if end.as_char() == ';' => attributes.clear(),
            (TokenTree::Group(body), ..) if body.delimiter() == Delimiter::Brace => attributes.clear(),
            _ => {}
        }
    }
    types
}

/// A name taken from the crate's root.
#[derive(Debug, PartialEq)]
struct Use {
    name: String,
    line: usize,
}

struct Rule<'a> {
    room: &'a str,
    allowed: &'a [&'a str],
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.allowed {
            [] => write!(f, "{} uses no other room (ARROWS in {})", self.room, file!()),
            allowed => write!(f, "{} uses only {} (ARROWS in {})", self.room, allowed.join(", "), file!()),
        }
    }
}

/// Finds all paths that start at the crate's root, by `crate::` or by as many `super::` as it takes.
fn find_uses(tokens: TokenStream, modules: &[String], uses: &mut Vec<Use>) {
    let tokens: Vec<TokenTree> = without_tests(tokens);
    let mut index = 0;
    while index < tokens.len() {
        if let (true, Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
            (is_ident(&tokens[index], "mod"), tokens.get(index + 1), tokens.get(index + 2))
        {
            let inner: Vec<String> = modules.iter().cloned().chain([name.to_string()]).collect();
            find_uses(body.stream(), &inner, uses);
            index += 3;
            continue;
        }
        let mut at = index;
        let mut depth = modules.len();
        while at < tokens.len() && depth > 0 && is_ident(&tokens[at], "super") && is_colons(&tokens, at + 1) {
            depth -= 1;
            at += 3;
        }
        if at < tokens.len() && is_ident(&tokens[at], "crate") && is_colons(&tokens, at + 1) {
            depth = 0;
            at += 3;
        }
        if at > index && depth == 0 {
            match tokens.get(at) {
                Some(TokenTree::Group(group)) => first_names(group.stream(), uses),
                Some(TokenTree::Ident(name)) => uses.push(used(name)),
                _ => {}
            }
        }
        if let Some(TokenTree::Group(group)) = tokens.get(at) {
            find_uses(group.stream(), modules, uses);
        }
        index = at + 1;
    }
}

/// Returns the first name of each path in the braces of a `use`.
fn first_names(tokens: TokenStream, uses: &mut Vec<Use>) {
    let mut at_start = true;
    for token in tokens {
        match &token {
            TokenTree::Ident(name) if at_start => uses.push(used(name)),
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                at_start = true;
                continue;
            }
            _ => {}
        }
        at_start = false;
    }
}

fn used(name: &proc_macro2::Ident) -> Use {
    Use { name: name.to_string(), line: name.span().start().line }
}

/// Returns what `lib.rs` exports from its rooms: the name and the room.
fn exports(tokens: &TokenStream) -> Vec<(String, String)> {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut exports = Vec::new();
    for index in 0..tokens.len() {
        if !is_ident(&tokens[index], "use") {
            continue;
        }
        let Some(TokenTree::Ident(room)) = tokens.get(index + 1) else { continue };
        let statement = tokens[index + 2..]
            .iter()
            .take_while(|token| !matches!(token, TokenTree::Punct(p) if p.as_char() == ';'));
        let names: TokenStream = statement.cloned().collect();
        all_names(names, &mut |name| exports.push((name, room.to_string())));
    }
    exports
}

fn all_names(tokens: TokenStream, take: &mut impl FnMut(String)) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => take(name.to_string()),
            TokenTree::Group(group) => all_names(group.stream(), take),
            _ => {}
        }
    }
}

/// Finds `.unwrap()` and `.expect(..)`, with their lines.
fn panicking_calls(tokens: TokenStream) -> Vec<(String, usize)> {
    let tokens = without_tests(tokens);
    let mut calls = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            calls.extend(panicking_calls(group.stream()));
        }
        let (TokenTree::Punct(dot), Some(TokenTree::Ident(name)), Some(TokenTree::Group(arguments))) =
            (token, tokens.get(index + 1), tokens.get(index + 2))
        else {
            continue;
        };
        let is_call = dot.as_char() == '.' && arguments.delimiter() == Delimiter::Parenthesis;
        let empty = arguments.stream().is_empty();
        if is_call && ((name == "unwrap" && empty) || (name == "expect" && !empty)) {
            calls.push((format!("{name}({})", if empty { "" } else { ".." }), name.span().start().line));
        }
    }
    calls
}

/// Drops the items under `#[cfg(test)]`.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let starts_attribute = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
        let is_test = match tokens.peek() {
            Some(TokenTree::Group(group)) if starts_attribute => {
                let attribute = group.stream().to_string().replace(' ', "");
                attribute == "cfg(test)" || attribute.starts_with("cfg(all(test,")
            }
            _ => false,
        };
        if !is_test {
            kept.push(token);
            continue;
        }
        for token in tokens.by_ref() {
            let ends = match &token {
                TokenTree::Punct(punct) => punct.as_char() == ';',
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                _ => false,
            };
            if ends {
                break;
            }
        }
    }
    kept
}

fn is_ident(token: &TokenTree, expected: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == expected)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))
}

fn parse(file: &Path) -> TokenStream {
    let text = fs::read_to_string(file).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Returns the module that a file under `src` is: `rpc/session/calls.rs` is rpc, session, calls.
fn module_path(file: &Path) -> Vec<String> {
    let mut modules: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if modules.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        modules.pop();
    }
    modules
}

/// Returns the Rust files below a directory, except those of tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in entries(directory) {
        if entry.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if entry.is_dir() {
            files.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let inner = entries(directory).into_iter().filter(|entry| entry.is_dir());
    inner.flat_map(|entry| [vec![entry.clone()], directories(&entry)].concat()).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
}

mod the_reader_of_sources {
    use super::*;

    fn uses(text: &str, modules: &[&str]) -> Vec<String> {
        let modules: Vec<String> = modules.iter().map(|&module| module.to_owned()).collect();
        let mut uses = Vec::new();
        find_uses(text.parse().unwrap(), &modules, &mut uses);
        uses.into_iter().map(|Use { name, line }| format!("{name}:{line}")).collect()
    }

    #[test]
    fn finds_every_way_to_name_a_room() {
        let text = "use crate::rpc::Client;\n\
                    use crate::{Error, protocol::{remote, self}, xdr};\n\
                    fn f() { let x: crate::uri::Uri = super::super::auth::g(super::own::h()); }\n\
                    /// Like [`crate::objects`].\n\
                    mod inner { use super::super::super::testing::Recorder; }\n";
        assert_eq!(
            uses(text, &["transport", "unix"]),
            ["rpc:1", "Error:2", "protocol:2", "xdr:2", "uri:3", "auth:3", "testing:5"]
        );
        assert_eq!(uses("use super::{rpc, uri::Uri};", &["transport"]), ["rpc:1", "uri:1"]);
        assert_eq!(uses("use super::{rpc, uri::Uri};", &["transport", "unix"]), [""; 0]);
    }

    #[test]
    fn does_not_look_at_tests() {
        let text = "#[cfg(test)]\nmod tests { use crate::rpc; fn f() { x.unwrap() } }\n\
                    #[cfg(test)]\nuse crate::rpc::Client;\n\
                    #[cfg(feature = \"testing\")]\nuse crate::testing;\n";
        assert_eq!(uses(text, &["transport"]), ["testing:6"]);
        assert_eq!(panicking_calls(text.parse().unwrap()), []);
    }

    #[test]
    fn finds_public_types_and_their_derives() {
        let text = "#[derive(Clone)] #[cfg_attr(feature = \"serde\", derive(serde::Serialize))] pub struct A { x: u8 }\n\
                    pub(crate) struct Own;\npub enum B { C }\nmod inner { pub struct D; }";
        let types = public_types(text.parse().unwrap());
        let found: Vec<_> = types.iter().map(|found| (found.name.as_str(), found.derives_serde)).collect();
        assert_eq!(found, [("A", true), ("B", false), ("D", false)]);
    }

    #[test]
    fn finds_calls_that_panic() {
        let text = "// .unwrap()\nfn f() {\n g(a.unwrap());\n b.expect(\"c\");\n d.unwrap_or_default(); }";
        assert_eq!(
            panicking_calls(text.parse().unwrap()),
            [("unwrap()".to_owned(), 3), ("expect(..)".to_owned(), 4)]
        );
    }

    #[test]
    fn follows_what_the_crate_exports() {
        let text = "pub mod error; pub use error::{Error, Result}; pub use protocol::remote::Procedure as P;";
        let exports = exports(&text.parse().unwrap());
        for (name, room) in
            [("Error", "error"), ("Result", "error"), ("Procedure", "protocol"), ("P", "protocol")]
        {
            assert!(exports.contains(&(name.to_owned(), room.to_owned())), "{name}: {exports:?}");
        }
    }
}
