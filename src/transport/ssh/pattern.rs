//! The patterns of OpenSSH's files: `*` for any text, `?` for any character, `!` in front of what does not count.

/// How a list of patterns takes a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// One matches, and none that has a `!`.
    Yes,
    /// None matches.
    No,
    /// One that has a `!` matches, whatever the others do.
    Never,
}

/// Matches a name against patterns. Case counts.
pub(super) fn match_list<'a>(name: &str, patterns: impl IntoIterator<Item = &'a str>) -> Match {
    let mut found = Match::No;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(name, pattern) => return Match::Never,
            None if matches(name, pattern) => found = Match::Yes,
            _ => {}
        }
    }
    found
}

/// Matches a name against one pattern without a `!`. The time is at most the product of both lengths.
pub(super) fn matches(name: &str, pattern: &str) -> bool {
    let (mut name, mut pattern) = (name.chars(), pattern.chars());
    // After the last `*`: what of the pattern is left, and the part of the name that it may take next.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let at = (name.clone(), pattern.clone());
        match (name.next(), pattern.next()) {
            (None, None) => return true,
            (_, Some('*')) => {
                star = Some((pattern.clone(), at.0.clone()));
                name = at.0;
            }
            (Some(c), Some(p)) if p == '?' || p == c => {}
            _ => {
                let Some((rest, taken)) = &mut star else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (name, pattern) = (taken.clone(), rest.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        for (name, pattern, expected) in [
            ("", "", true),
            ("", "*", true),
            ("a", "", false),
            ("abc", "abc", true),
            ("abc", "a?c", true),
            ("abc", "a?", false),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "*b*", true),
            ("abc", "**abc**", true),
            ("abc", "*d*", false),
            ("host.example.com", "*.example.com", true),
            ("example.com", "*.example.com", false),
            ("ababac", "*abac", true),
            ("a", "?*?", false),
            ("ab", "?*?", true),
        ] {
            assert_eq!(matches(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = format!("{}b", "*a".repeat(500));
        assert!(!matches(&"a".repeat(1000), &pattern));
    }

    #[test]
    fn what_is_excluded_stays_so() {
        for (name, list, expected) in [
            ("a", "a", Match::Yes),
            ("a", "b,*", Match::Yes),
            ("a", "!a,*", Match::Never),
            ("a", "*,!a", Match::Never),
            ("a", "!b", Match::No),
            ("a", "", Match::No),
        ] {
            assert_eq!(match_list(name, list.split(',')), expected, "{name} {list}");
        }
    }
}
