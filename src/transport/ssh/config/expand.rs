//! What stands for something else in values: `~`, `%h`, `${NAME}`.

use std::path::PathBuf;

use ring::digest;

use super::Environment;

/// What the tokens stand for.
pub(super) struct Tokens<'a> {
    pub(super) environment: &'a Environment<'a>,
    /// As the user gave it.
    pub(super) original_host: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) key_alias: Option<&'a str>,
}

/// Which tokens a keyword knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// `%h`.
    Host,
    /// Those of `ProxyCommand`.
    Way,
    /// Those of files.
    All,
}

impl Tokens<'_> {
    /// Puts what they stand for into a text.
    pub(super) fn expand(&self, text: &str, known: Known) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let Some(token) = characters.next() else {
                return Err("a percent sign stands at the end".to_owned());
            };
            match self.value(token, known) {
                Some(value) => expanded.push_str(&value),
                None => return Err(format!("%{token} means nothing here; a percent sign is %%")),
            }
        }
        Ok(expanded)
    }

    /// Returns what a file's name in a configuration means.
    pub(super) fn file(&self, text: &str) -> Result<PathBuf, String> {
        let text = self.environment.variables(&self.environment.tilde(text)?)?;
        Ok(self.expand(&text, Known::All)?.into())
    }

    fn value(&self, token: char, known: Known) -> Option<String> {
        let Self { environment, original_host, host, port, user, key_alias } = self;
        let local = &environment.host;
        match token {
            '%' => Some("%".to_owned()),
            'h' => Some((*host).to_owned()),
            _ if known == Known::Host => None,
            'n' => Some((*original_host).to_owned()),
            'p' => Some(port.to_string()),
            'r' => Some((*user).to_owned()),
            _ if known == Known::Way => None,
            'd' => Some(environment.home.display().to_string()),
            'i' => Some(environment.uid.to_string()),
            'k' => Some(key_alias.unwrap_or(original_host).to_owned()),
            'L' => Some(local.split('.').next().unwrap_or_default().to_owned()),
            'l' => Some(local.clone()),
            'u' => Some(environment.user.clone()),
            'C' => {
                let text = format!("{local}{host}{port}{user}");
                let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
                Some(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
            }
            _ => None,
        }
    }
}

impl Environment<'_> {
    /// Puts the home directory in the place of `~`.
    pub(super) fn tilde(&self, text: &str) -> Result<String, String> {
        let Some(rest) = text.strip_prefix('~') else { return Ok(text.to_owned()) };
        match rest.split_once('/') {
            None if rest.is_empty() => Ok(self.home.display().to_string()),
            Some(("", path)) => Ok(self.home.join(path.trim_start_matches('/')).display().to_string()),
            _ => Err(format!("{text:?} is in the home of another user: write the whole path")),
        }
    }

    /// Puts the values of variables in the place of `${NAME}`.
    pub(super) fn variables(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("\"${{\" in {text:?} is never closed"))?;
            let value = (self.variable)(name).ok_or_else(|| format!("the variable {name:?} is not set"))?;
            expanded.push_str(before);
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}
