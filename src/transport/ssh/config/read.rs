//! Reading the files: which lines are for the host, and what they set.

use std::{io, path::Path};

use super::{
    Asked, ConfigError, ConfigFile, Environment, Owner,
    expand::{Known, Tokens},
    glob,
    keywords::{self, Kind, Value},
    proxy,
    settings::{Setting, Settings},
    words::{self, Line},
};
use crate::transport::ssh::pattern::{Match, match_list};

/// How deep files may include others, as OpenSSH.
const DEEPEST: usize = 16;

/// Collects what the files set for a host.
pub(super) fn settings(
    asked: &Asked,
    files: &[ConfigFile],
    environment: &Environment<'_>,
) -> Result<Settings, ConfigError> {
    let host = Some(&asked.host).filter(|host| host.is_empty() || !proxy::is_plain(host));
    let user = asked.user.as_ref().filter(|user| user.is_empty() || !proxy::is_plain_user(user));
    if let Some(name) = host.or(user) {
        let reason = format!("{name:?} is the name of no host and no user");
        return Err(ConfigError { file: "ssh".into(), line: None, reason });
    }
    let mut reader = Reader {
        asked,
        environment,
        host: asked.host.clone(),
        final_pass: false,
        wants_final: false,
        settings: Settings::default(),
    };
    reader.read_all(files)?;
    if reader.wants_final {
        // All is read again, for the name that was found; what was set stays.
        let target =
            reader.target().map_err(|reason| ConfigError { file: "ssh".into(), line: None, reason })?;
        reader.settings.replace_text("hostname", target.replace('%', "%%"));
        reader.host = target;
        reader.final_pass = true;
        reader.read_all(files)?;
    }
    Ok(reader.settings)
}

struct Reader<'a> {
    asked: &'a Asked,
    environment: &'a Environment<'a>,
    /// What `Host` is compared with.
    host: String,
    final_pass: bool,
    wants_final: bool,
    settings: Settings,
}

/// Where in the files one is.
#[derive(Clone, Copy)]
struct Level<'a> {
    file: &'a ConfigFile,
    depth: usize,
    /// The lines apply to the host, as far as what includes this file says.
    applies: bool,
}

impl Reader<'_> {
    fn read_all(&mut self, files: &[ConfigFile]) -> Result<(), ConfigError> {
        files.iter().try_for_each(|file| self.read_file(Level { file, depth: 0, applies: true }))
    }

    fn read_file(&mut self, level: Level<'_>) -> Result<(), ConfigError> {
        let text = match (self.environment.read)(level.file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(wrong(level.file, None, format!("cannot be read: {error}"))),
        };
        let mut active = level.applies;
        for line in words::lines(&text) {
            let number = Some(line.number);
            match line.keyword.as_str() {
                "host" => {
                    active = level.applies
                        & self.host_matches(&line).map_err(|reason| wrong(level.file, number, reason))?
                }
                "match" => {
                    active = self
                        .all_match(&line, level.applies)
                        .map_err(|reason| wrong(level.file, number, reason))?
                }
                "include" => self.include(&line, level, active)?,
                _ => {
                    self.set(&line, level.file, active).map_err(|reason| wrong(level.file, number, reason))?
                }
            }
        }
        Ok(())
    }

    fn host_matches(&self, line: &Line<'_>) -> Result<bool, String> {
        let patterns = words::words(line.rest)?;
        if patterns.is_empty() {
            return Err("the name of a host, or a pattern for some, is expected after Host".to_owned());
        }
        Ok(match_list(&self.host, patterns.iter().map(String::as_str)) == Match::Yes)
    }

    /// Tells whether all that a line of `Match` names is so.
    fn all_match(&mut self, line: &Line<'_>, applies: bool) -> Result<bool, String> {
        let mut rest = line.rest;
        let mut so = applies;
        if is_end(rest) {
            return Err("what is to be matched is expected after Match".to_owned());
        }
        while !is_end(rest) {
            let (name, after) = words::keyword(rest);
            let (negated, criterion) = match name.strip_prefix('!') {
                Some(criterion) => (true, criterion.to_ascii_lowercase()),
                None => (false, name.to_ascii_lowercase()),
            };
            rest = after;
            let matches = match criterion.as_str() {
                "all" if is_end(rest) => true,
                "all" => return Err("nothing more is expected after \"all\"".to_owned()),
                "final" => {
                    self.wants_final = true;
                    self.final_pass
                }
                "canonical" => false,
                _ => {
                    let (value, after) = argument(rest, &criterion)?;
                    rest = after;
                    self.matches(&criterion, &value, so)?
                }
            };
            so &= matches != negated;
        }
        Ok(so)
    }

    /// Tells whether one thing is so that takes an argument.
    fn matches(&self, criterion: &str, value: &str, matters: bool) -> Result<bool, String> {
        let local = || self.environment.user.clone();
        let (actual, exactly) = match criterion {
            "host" => (self.target()?, false),
            "originalhost" => (self.asked.host.clone(), false),
            "user" => {
                let user = self.asked.user.clone().or_else(|| self.settings.text("user"));
                (user.unwrap_or_else(local), true)
            }
            "localuser" => (local(), true),
            "tagged" => (self.settings.text("tag").unwrap_or_default(), true),
            "exec" if matters => {
                return Err(format!(
                    "it depends on the program {value:?} whether what follows applies to {}, and no programs are run to read \
                     a configuration; use the system's ssh for this host",
                    self.asked.host
                ));
            }
            "exec" => return Ok(false),
            other => {
                let known = "all, host, originalhost, user, localuser, tagged, final, canonical and exec";
                return Err(format!("{other:?} is none of {known}"));
            }
        };
        let matched = if exactly {
            match_list(&actual, value.split(','))
        } else {
            match_list(&actual.to_lowercase(), value.to_lowercase().split(','))
        };
        Ok(matched == Match::Yes)
    }

    /// The host's name as far as it is known by now.
    fn target(&self) -> Result<String, String> {
        let Some(name) = self.settings.text("hostname") else { return Ok(self.host.clone()) };
        let tokens = Tokens {
            environment: self.environment,
            original_host: &self.asked.host,
            host: &self.host,
            port: 0,
            user: "",
            key_alias: None,
        };
        tokens.expand(&name, Known::Host)
    }

    fn include(&mut self, line: &Line<'_>, level: Level<'_>, active: bool) -> Result<(), ConfigError> {
        let wrong = |reason| wrong(level.file, Some(line.number), reason);
        let names = words::words(line.rest).map_err(wrong)?;
        if names.is_empty() {
            return Err(wrong("the name of a file is expected after Include".to_owned()));
        }
        if level.depth >= DEEPEST {
            return Err(wrong(format!("files include each other more than {DEEPEST} deep")));
        }
        for name in names {
            let path = self.included(&name, level.file.owner).map_err(wrong)?;
            for path in glob::find(&path, self.environment) {
                let file = ConfigFile { path, owner: level.file.owner };
                self.read_file(Level { file: &file, depth: level.depth + 1, applies: active })?;
            }
        }
        Ok(())
    }

    fn included(&self, name: &str, owner: Owner) -> Result<std::path::PathBuf, String> {
        match owner {
            Owner::User => Ok(self.environment.home.join(".ssh").join(self.environment.tilde(name)?)),
            Owner::System if name.starts_with('~') => {
                Err("the system's configuration has no home directory".to_owned())
            }
            Owner::System => Ok(Path::new("/etc/ssh").join(name)),
        }
    }

    /// Reads a line that sets something. What is wrong is so for every host.
    fn set(&mut self, line: &Line<'_>, file: &ConfigFile, active: bool) -> Result<(), String> {
        if is_end(line.rest) {
            return Err(format!("a value is expected after {:?}", line.keyword));
        }
        let Some((keyword, kind)) = keywords::find(&line.keyword) else {
            let ignored = self.settings.text("ignoreunknown").unwrap_or_default();
            if match_list(&line.keyword, ignored.to_lowercase().split(',')) == Match::Yes {
                return Ok(());
            }
            return Err(format!(
                "the keyword {:?} is unknown; \"IgnoreUnknown\" before it lets it pass",
                line.keyword
            ));
        };
        let words = match kind {
            Kind::Command | Kind::Jump | Kind::Retired => Vec::new(),
            // What is not used need not be understood.
            Kind::Unused => words::words(line.rest).unwrap_or_else(|_| vec![line.rest.to_owned()]),
            _ => words::words(line.rest)?,
        };
        let value =
            keywords::read(kind, &words, line.rest).map_err(|reason| format!("{keyword}: {reason}"))?;
        if !active {
            return Ok(());
        }
        match value {
            Some(value) => {
                self.keep(keyword, kind, Setting { value, file: file.path.clone(), line: line.number })
            }
            None => self.settings.note(keyword, &words, &file.path, line.number),
        }
        Ok(())
    }

    /// Of most keywords the first value counts.
    fn keep(&mut self, keyword: &'static str, kind: Kind, setting: Setting) {
        let settings = &mut self.settings;
        match keyword {
            // Which of the two comes first counts. A jump to nowhere is none.
            "proxycommand" if settings.jumps() => {}
            "proxyjump" if settings.has("proxycommand") => {}
            _ if kind == Kind::Texts => settings.add(keyword, setting),
            _ => settings.set_first(keyword, setting),
        }
    }
}

/// Takes the word that a criterion of `Match` is followed by.
fn argument<'a>(rest: &'a str, criterion: &str) -> Result<(String, &'a str), String> {
    let missing = || format!("a pattern is expected after {criterion:?}");
    if is_end(rest) {
        return Err(missing());
    }
    let (value, after) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (value, after) = quoted.split_once('"').ok_or("a quote is opened and never closed")?;
            (value, after)
        }
        None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
    };
    if value.is_empty() {
        return Err(missing());
    }
    Ok((value.to_owned(), after.trim_start_matches([' ', '\t'])))
}

fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('#')
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn wrong(file: &ConfigFile, line: Option<usize>, reason: String) -> ConfigError {
    ConfigError { file: file.path.clone(), line, reason }
}

impl Value {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
