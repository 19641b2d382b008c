//! The syntax of libvirt's configuration files: lines of `name = value`, where a value is a number, a string or a list, and
//! comments.
//!
//! Strings stand in `"…"` or `'…'` without any escapes, over several lines in `"""…"""`. Lists may go over lines.

use std::fmt;

/// A line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl Mistake {
    pub(super) fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Lists in lists are allowed, and none is known that needs them.
const DEPTH_MAX: usize = 8;

/// Reads a file. Where a name comes twice, both are returned.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Setting>, Mistake> {
    let text = utf8(bytes)?;
    let mut scanner = Scanner { rest: text, line: 1 };
    let mut settings = Vec::new();
    loop {
        scanner.skip_lines();
        if scanner.rest.is_empty() {
            return Ok(settings);
        }
        settings.push(scanner.setting()?);
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Mistake> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to());
        Mistake::at(1 + before.filter(|&&byte| byte == b'\n').count(), "this is not UTF-8")
    })
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn setting(&mut self) -> Result<Setting, Mistake> {
        let line = self.line;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(self.mistake("a setting's name is expected here, as in \"name = value\""));
        }
        self.skip_blanks();
        if !self.take('=') {
            return Err(self.mistake(format!("\"=\" is expected after \"{name}\"")));
        }
        self.skip_blanks();
        let value = self.value(0)?;
        self.skip_blanks();
        if !self.rest.is_empty() && !self.rest.starts_with(['\n', '\r', '#']) {
            return Err(self.mistake(format!("the value of \"{name}\" ends before the line does")));
        }
        Ok(Setting { name: name.to_owned(), value, line })
    }

    fn value(&mut self, depth: usize) -> Result<Value, Mistake> {
        if let Some(text) = self.quoted("\"\"\"", true)? {
            return Ok(Value::Text(text));
        }
        for quote in ["\"", "'"] {
            if let Some(text) = self.quoted(quote, false)? {
                return Ok(Value::Text(text));
            }
        }
        if self.take('[') {
            return self.list(depth);
        }
        let number = self.take_while(|c| c.is_ascii_digit() || c == '-');
        match number.parse() {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) if number.is_empty() => {
                Err(self.mistake("a value is expected here: \"text\" in quotes, a number, or a [list]"))
            }
            Err(_) => Err(self.mistake(format!("\"{number}\" is no number that fits 64 bits"))),
        }
    }

    fn quoted(&mut self, quote: &str, over_lines: bool) -> Result<Option<String>, Mistake> {
        let Some(rest) = self.rest.strip_prefix(quote) else { return Ok(None) };
        let ended = rest.split_once(quote).filter(|(text, _)| over_lines || !text.contains(['\n', '\r']));
        let Some((text, rest)) = ended else {
            return Err(self.mistake(format!("the text that begins with {quote} does not end with it")));
        };
        self.line += text.matches('\n').count();
        self.rest = rest;
        Ok(Some(text.to_owned()))
    }

    /// Reads on after `[`. A comma may stand after the last value.
    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        if depth == DEPTH_MAX {
            return Err(self.mistake("lists are nested too deep"));
        }
        let mut values = Vec::new();
        loop {
            self.skip_lines();
            if self.take(']') {
                return Ok(Value::List(values));
            }
            if self.rest.is_empty() {
                return Err(self.mistake("the list does not end with \"]\""));
            }
            values.push(self.value(depth + 1)?);
            self.skip_lines();
            if !self.take(',') && !self.rest.starts_with(']') {
                return Err(self.mistake("\",\" or \"]\" is expected after a value of the list"));
            }
        }
    }

    /// Skips blanks, ends of lines and comments.
    fn skip_lines(&mut self) {
        loop {
            let skipped = self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            self.line += skipped.matches('\n').count();
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t'));
    }

    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn mistake(&self, reason: impl Into<String>) -> Mistake {
        Mistake::at(self.line, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let file = b"# a comment\r\n\n  text = \"a#b\"  # another\nother='c\"d'\nnumber = -3\nlist = [\n  \"e\", # of it\n  7,\n]\n\
                     lines = \"\"\"f\ng\"\"\"\nempty = []\nlast = 1";
        let text = |text: &str| Value::Text(text.to_owned());
        let expected = [
            ("text", text("a#b"), 3),
            ("other", text("c\"d"), 4),
            ("number", Value::Number(-3), 5),
            ("list", Value::List(vec![text("e"), Value::Number(7)]), 6),
            ("lines", text("f\ng"), 10),
            ("empty", Value::List(Vec::new()), 12),
            ("last", Value::Number(1), 13),
        ];
        let expected = expected.map(|(name, value, line)| Setting { name: name.to_owned(), value, line });
        assert_eq!(parse(file).unwrap(), expected);
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn mistakes_have_a_place() {
        for (file, line, essential) in [
            (&b"_x = 3"[..], 1, "name is expected"),
            (b"\n\nx.y = 3", 3, "\"=\" is expected after \"x\""),
            (b"x\n", 1, "\"=\" is expected"),
            (b"x =\n", 1, "a value is expected"),
            (b"x = yes\n", 1, "a value is expected"),
            (b"x = 3k\n", 1, "ends before the line"),
            (b"x = \"a\" y = 3\n", 1, "ends before the line"),
            (b"x = \"a\n\"\n", 1, "does not end"),
            (b"x = \"\"\"a\n\"\n", 1, "does not end"),
            (b"# y\nx = [1 2]", 2, "\",\" or \"]\""),
            (b"x = [1,,2]", 1, "a value is expected"),
            (b"x = [\n1,\n", 3, "does not end with \"]\""),
            (b"x = [[[[[[[[[1]]]]]]]]]", 1, "too deep"),
            (b"x = 99999999999999999999", 1, "64 bits"),
            (b"x = --", 1, "no number"),
            (b"x = 1\ny = \"\xff\"", 2, "UTF-8"),
            (b"\xef\xbb\xbfx = 1", 1, "name is expected"),
        ] {
            let mistake = parse(file).unwrap_err();
            assert_eq!(mistake.line, line, "{mistake}");
            assert!(mistake.reason.contains(essential), "{mistake}");
        }
    }
}
