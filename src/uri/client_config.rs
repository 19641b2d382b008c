//! What `libvirt.conf` says to clients, and `libvirt-admin.conf` to those of a daemon's administration.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    Environment,
    conf::{self, Mistake, Setting, Value},
    environment::Steps,
    parameters::{Mode, Proxy},
};
use crate::error::{Error, Result};

/// The settings for clients that `libvirt.conf` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClientConfig {
    /// The URI for who names none (`uri_default`).
    pub uri_default: Option<String>,
    /// Short names and the URIs that they stand for (`uri_aliases`).
    pub uri_aliases: Vec<(String, String)>,
    /// Which daemon's socket is meant where a URI has no `mode` (`remote_mode`): `auto`, `legacy` or `direct`.
    pub remote_mode: Option<String>,
    /// What is run on the far side of SSH where a URI has no `proxy` (`remote_proxy`): `auto`, `netcat` or `native`.
    pub remote_proxy: Option<String>,
    /// The algorithms and versions of TLS, in the language of GnuTLS, where a URI has no `tls_priority`.
    pub tls_priority: Option<String>,
}

impl ClientConfig {
    /// Reads the contents of a file.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn parse(contents: &[u8]) -> Result<Self, String> {
        read(contents).map_err(|mistake| mistake.to_string())
    }

    /// Finds and reads the file that is called `name`: root's is the system's, everybody else has their own. There need
    /// not be one.
    pub(super) fn load(name: &str, environment: &Environment<'_>, steps: &mut Steps) -> Result<Self> {
        for file in candidates(name, environment) {
            match environment.files.read(&file) {
                Ok(contents) => {
                    steps.push(format!("{} is read", file.display()));
                    return read(&contents).map_err(|mistake| wrong_file(&file, mistake));
                }
                // A home directory may be a file, as /dev/null is for some users.
                Err(error) if is_absence(&error) => steps.push(format!("{} does not exist", file.display())),
                // Below a home that this user may not enter, as after su, there is nothing for them: libvirt's own client
                // looks for the file in the same way.
                Err(error)
                    if error.kind() == ErrorKind::PermissionDenied && !environment.files.exists(&file) =>
                {
                    steps.push(format!("{} cannot be looked at", file.display()));
                }
                Err(error) => return Err(wrong_file(&file, error)),
            }
        }
        Ok(Self::default())
    }

    /// Returns what an alias stands for.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        let found = self.uri_aliases.iter().find(|(alias, _)| alias == name);
        found.map(|(_, uri)| uri.as_str())
    }

    pub(super) fn mode(&self) -> Option<Mode> {
        self.remote_mode.as_deref().and_then(Mode::from_name)
    }

    pub(super) fn proxy(&self) -> Option<Proxy> {
        self.remote_proxy.as_deref().and_then(Proxy::from_name)
    }
}

pub(super) fn is_alias_like(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn candidates(name: &str, environment: &Environment<'_>) -> Vec<PathBuf> {
    if environment.is_root() {
        environment.config_dirs().iter().map(|directory| directory.join("libvirt").join(name)).collect()
    } else {
        environment.user_config_dir().iter().map(|directory: &PathBuf| directory.join(name)).collect()
    }
}

fn read(contents: &[u8]) -> Result<ClientConfig, Mistake> {
    let settings = Settings(conf::parse(contents)?);
    Ok(ClientConfig {
        uri_default: settings.text("uri_default")?.filter(|uri| !uri.is_empty()),
        uri_aliases: settings.aliases()?,
        remote_mode: settings.one_of("remote_mode", Mode::NAMES, |name| Mode::from_name(name).is_some())?,
        remote_proxy: settings
            .one_of("remote_proxy", Proxy::NAMES, |name| Proxy::from_name(name).is_some())?,
        tls_priority: settings.text("tls_priority")?,
    })
}

struct Settings(Vec<Setting>);

impl Settings {
    /// The first of a name counts.
    fn get(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.name == name)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Mistake> {
        match self.get(name) {
            None => Ok(None),
            Some(Setting { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(setting) => Err(Mistake::at(setting.line, format!("\"{name}\" is to be a text in quotes"))),
        }
    }

    fn one_of(
        &self,
        name: &str,
        allowed: &str,
        is_allowed: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, Mistake> {
        match self.text(name)? {
            Some(value) if !is_allowed(&value) => {
                let line = self.get(name).map_or(0, |setting| setting.line);
                Err(Mistake::at(line, format!("\"{name}\" is \"{value}\", which is none of {allowed}")))
            }
            value => Ok(value),
        }
    }

    fn aliases(&self) -> Result<Vec<(String, String)>, Mistake> {
        let name = "uri_aliases";
        let Some(setting) = self.get(name) else { return Ok(Vec::new()) };
        let mistake = |reason: String| Mistake::at(setting.line, reason);
        let Value::List(values) = &setting.value else {
            return Err(mistake(format!("\"{name}\" is to be a list of texts, [\"alias=uri\"]")));
        };
        let alias = |value: &Value| match value {
            Value::Text(text) => match text.split_once('=') {
                Some((alias, uri)) if is_alias_like(alias) => Ok((alias.to_owned(), uri.to_owned())),
                Some((alias, _)) => Err(mistake(format!(
                    "the alias \"{alias}\" in \"{name}\" may have letters, digits, \"_\" and \"-\" only"
                ))),
                None => Err(mistake(format!("\"{text}\" in \"{name}\" is to be \"alias=uri\""))),
            },
            _ => Err(mistake(format!("\"{name}\" is to be a list of texts, [\"alias=uri\"]"))),
        };
        values.iter().map(alias).collect()
    }
}

pub(super) fn wrong_file(file: &Path, reason: impl ToString) -> Error {
    Error::Config { file: file.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_understood() {
        let config = ClientConfig::parse(
            b"uri_aliases = [\"a=qemu:///system\", 'b-1=xen+ssh://h/?x=y']\nuri_default = \"a\"\nuri_default = 'second'\n\
              remote_mode = \"legacy\"\nremote_proxy = 'native'\ntls_priority=\"NORMAL\"\nunknown = 3\n",
        )
        .unwrap();
        assert_eq!(config.uri_default.as_deref(), Some("a"));
        assert_eq!(config.alias("b-1"), Some("xen+ssh://h/?x=y"));
        assert_eq!((config.alias("A"), config.alias("b")), (None, None));
        assert_eq!((config.mode(), config.proxy()), (Some(Mode::Legacy), Some(Proxy::Native)));
        assert_eq!(config.tls_priority.as_deref(), Some("NORMAL"));
        assert_eq!(ClientConfig::parse(b"uri_default = \"\"").unwrap(), ClientConfig::default());
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (file, essential) in [
            ("uri_default = 3", "line 1: \"uri_default\" is to be a text"),
            ("\nuri_aliases = \"a=b\"", "line 2: \"uri_aliases\" is to be a list"),
            ("uri_aliases = [3]", "list of texts"),
            ("uri_aliases = ['a']", "\"a\" in \"uri_aliases\" is to be \"alias=uri\""),
            ("uri_aliases = ['a b=c']", "the alias \"a b\""),
            ("uri_aliases = ['=c']", "the alias \"\""),
            ("remote_mode = 'sideways'", "none of auto, legacy and direct"),
            ("remote_proxy = 'x'", "none of auto, netcat and native"),
        ] {
            let reason = ClientConfig::parse(file.as_bytes()).unwrap_err();
            assert!(reason.contains(essential), "{reason}");
        }
    }
}
