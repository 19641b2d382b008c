//! Lines of a configuration file, and the words in them.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    /// In lower case.
    pub(super) keyword: String,
    /// All that stands behind the keyword.
    pub(super) rest: &'a str,
}

/// Splits a file into the lines that say something.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.split('\n').zip(1..).filter_map(|(line, number)| {
        let line = line.trim_matches(is_blank);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (keyword, rest) = keyword(line);
        Some(Line { number, keyword: keyword.to_ascii_lowercase(), rest })
    })
}

/// Splits a keyword off, which may be in quotes, and one equals sign that may stand behind it.
pub(super) fn keyword(text: &str) -> (&str, &str) {
    let quoted = text.strip_prefix('"').and_then(|text| text.split_once('"'));
    let (keyword, rest) = quoted.unwrap_or_else(|| {
        let end = text.find(|c| is_blank(c) || c == '=').unwrap_or(text.len());
        text.split_at_checked(end).unwrap_or((text, ""))
    });
    let rest = rest.trim_start_matches(is_blank);
    (keyword, rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(is_blank))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{c}')
}

/// Splits what stands behind a keyword into words. A word may be in quotes of either kind, wholly or in part; a backslash
/// takes the meaning of a quote, a backslash or, outside of quotes, a blank; `#` at the start of a word begins a comment.
pub(super) fn words(rest: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut characters = rest.chars().peekable();
    loop {
        while characters.next_if(|c| is_blank(*c)).is_some() {}
        if matches!(characters.peek(), None | Some('#')) {
            return Ok(words);
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(c) = characters.next_if(|c| quote.is_some() || !is_blank(*c)) {
            match (c, quote) {
                ('\\', _) => {
                    let escaped = characters.next_if(|next| {
                        matches!(next, '"' | '\'' | '\\') || (quote.is_none() && *next == ' ')
                    });
                    word.push(escaped.unwrap_or('\\'));
                }
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if let Some(quote) = quote {
            return Err(format!("a quote is opened by {quote} and never closed"));
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_keyword_and_the_rest() {
        let text = "# comment\n\n  Host  a b \r\nPort=9\nUser = x\nHostName\t=\"h\"\nAlone\n=x";
        let lines: Vec<_> = lines(text).map(|line| (line.number, line.keyword, line.rest)).collect();
        let expected = [
            (3, "host", "a b"),
            (4, "port", "9"),
            (5, "user", "x"),
            (6, "hostname", "\"h\""),
            (7, "alone", ""),
            (8, "", "x"),
        ];
        assert_eq!(lines, expected.map(|(number, keyword, rest)| (number, keyword.to_owned(), rest)));
    }

    #[test]
    fn words_may_be_quoted() {
        for (rest, expected) in [
            ("", Ok(&[][..])),
            ("a  b\tc", Ok(&["a", "b", "c"])),
            ("\"a b\" c", Ok(&["a b", "c"])),
            ("'a\"b'", Ok(&["a\"b"])),
            ("a\"b c\"d", Ok(&["ab cd"])),
            ("a\\ b", Ok(&["a b"])),
            ("\"a\\\"b\"", Ok(&["a\"b"])),
            ("\"a\\ b\"", Ok(&["a\\ b"])),
            ("C:\\x", Ok(&["C:\\x"])),
            ("a # b", Ok(&["a"])),
            ("a#b", Ok(&["a#b"])),
            ("\"\"", Ok(&[""])),
            ("\"a b", Err("never closed")),
        ] {
            match (words(rest), expected) {
                (Ok(words), Ok(expected)) => assert_eq!(words, expected, "{rest}"),
                (Err(error), Err(reason)) => assert!(error.contains(reason), "{rest}: {error}"),
                (words, _) => panic!("{rest}: {words:?}"),
            }
        }
    }
}
