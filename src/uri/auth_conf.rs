//! `auth.conf`: user names and passwords for daemons and for the ways to them.
//!
//! The file is a GLib key file. A group `[auth-SERVICE-HOST]`, or `[auth-SERVICE-default]`, names in `credentials`
//! another group, `[credentials-NAME]`, that has what is asked for:
//!
//! ```text
//! [credentials-lab]
//! authname=alice
//! password=secret
//!
//! [auth-libvirt-host.example]
//! credentials=lab
//! ```

use std::{fmt, path::PathBuf};

use zeroize::Zeroizing;

use super::{
    Environment,
    conf::{Mistake, utf8},
    environment::Steps,
};

/// The contents of an `auth.conf`. `Debug` shows no values, and memory is overwritten when it is dropped.
pub struct AuthConfig {
    groups: Vec<Group>,
}

struct Group {
    name: String,
    line: usize,
    entries: Vec<(String, Zeroizing<String>)>,
}

impl AuthConfig {
    /// Reads the contents of a file.
    ///
    /// # Errors
    /// What is wrong with it, and in which line. No value is in the text.
    pub fn parse(contents: &[u8]) -> Result<Self, String> {
        read(contents).map_err(|mistake| mistake.to_string())
    }

    /// Returns what `service` (`libvirt`, `ssh`) on `host` is to be told for `key` (`username`, `authname`, `password`,
    /// `realm`). What a group for the host lacks is not taken from the one for all hosts.
    #[must_use]
    pub fn value(&self, service: &str, host: &str, key: &str) -> Option<&str> {
        let of = |host: &str| self.group(&format!("auth-{service}-{host}"));
        let name = of(host).or_else(|| of("default"))?.value("credentials")?;
        self.group(&format!("credentials-{name}"))?.value(key)
    }

    fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Every group for a host needs one with credentials.
    fn check(&self) -> Result<(), Mistake> {
        for group in self.groups.iter().filter(|group| group.name.starts_with("auth-")) {
            let mistake = |reason| Err(Mistake::at(group.line, reason));
            match group.value("credentials") {
                None => return mistake(format!("[{}] has no \"credentials\"", group.name)),
                Some(name) if self.group(&format!("credentials-{name}")).is_none() => {
                    return mistake(format!(
                        "[{}] refers to [credentials-{name}], which is not there",
                        group.name
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}

impl Group {
    /// The last of a key counts.
    fn value(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().rfind(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

fn read(contents: &[u8]) -> Result<AuthConfig, Mistake> {
    let mut groups: Vec<Group> = Vec::new();
    let mut current = None;
    for (index, line) in utf8(contents)?.split('\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_ascii_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = group_name(rest).ok_or_else(|| Mistake::at(number, "a group is \"[name]\""))?;
            // The same group again goes on where it ended.
            let known = groups.iter().position(|group| group.name == name);
            current = Some(known.unwrap_or(groups.len()));
            if known.is_none() {
                groups.push(Group { name: name.to_owned(), line: number, entries: Vec::new() });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(Mistake::at(number, "neither \"[group]\" nor \"key=value\" nor a comment (#)"));
        };
        let Some(group) = current.and_then(|current: usize| groups.get_mut(current)) else {
            return Err(Mistake::at(number, "a key before the first \"[group]\""));
        };
        let value = unescape(value.trim_ascii_start())
            .ok_or_else(|| Mistake::at(number, "\"\\\" is to be followed by s, n, t, r or another \"\\\""))?;
        group.entries.push((key.trim_ascii_end().to_owned(), value));
    }
    let config = AuthConfig { groups };
    config.check()?;
    Ok(config)
}

fn group_name(rest: &str) -> Option<&str> {
    let (name, after) = rest.split_once(']')?;
    (!name.is_empty() && !name.contains('[') && after.trim_ascii().is_empty()).then_some(name)
}

/// Resolves a key file's escapes. Nothing is left behind in memory: it never grows beyond what it was given.
fn unescape(value: &str) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(value.len()));
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '\\' => match rest.next()? {
                's' => ' ',
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(text)
}

/// Returns the file that counts: the one that the environment or the URI names, which then has to be there, else the user's,
/// else the system's.
pub(super) fn find(
    of_uri: Option<PathBuf>,
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Option<AuthFile> {
    if let Some(path) = environment.variable("LIBVIRT_AUTH_FILE") {
        let path = PathBuf::from(path);
        steps.push(format!("credentials are in {}: LIBVIRT_AUTH_FILE", path.display()));
        return Some(AuthFile { path, named: true });
    }
    if let Some(path) = of_uri {
        steps.push(format!("credentials are in {}: the URI names it", path.display()));
        return Some(AuthFile { path, named: true });
    }
    let system = environment.config_dirs().into_iter().map(|directory| directory.join("libvirt"));
    let mut files =
        environment.user_config_dir().into_iter().chain(system).map(|directory| directory.join("auth.conf"));
    let found = files.find(|path| environment.files.is_readable(path));
    steps.push(match &found {
        Some(path) => format!("credentials are in {}", path.display()),
        None => "there is no auth.conf with credentials".to_owned(),
    });
    found.map(|path| AuthFile { path, named: false })
}

/// A file with user names and passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AuthFile {
    /// The file.
    pub path: PathBuf,
    /// Whether the URI or the environment names it, so that it has to be there.
    pub named: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"# a comment\n\n[credentials-lab]\nauthname = alice\npassword=a=b\\\\c\\s\nusername=first\r\nusername=second\n\
        [credentials-other]\n password =\tsecret \nrealm=r\n\
        [auth-libvirt-host.example]\ncredentials=lab\n[auth-libvirt-default]  \ncredentials=other\n\
        [auth-ssh-host.example]\ncredentials=other\n[credentials-lab]\nadded=\xc3\xa9\n";

    #[test]
    fn values_are_looked_up_by_service_and_host() {
        let config = AuthConfig::parse(FILE).unwrap();
        for (service, host, key, expected) in [
            ("libvirt", "host.example", "authname", Some("alice")),
            ("libvirt", "host.example", "password", Some("a=b\\c ")),
            ("libvirt", "host.example", "username", Some("second")),
            ("libvirt", "host.example", "added", Some("\u{e9}")),
            ("libvirt", "host.example", "realm", None),
            ("libvirt", "localhost", "password", Some("secret ")),
            ("libvirt", "localhost", "realm", Some("r")),
            ("libvirt", "localhost", "authname", None),
            ("ssh", "host.example", "password", Some("secret ")),
            ("ssh", "localhost", "password", None),
        ] {
            assert_eq!(config.value(service, host, key), expected, "{service} {host} {key}");
        }
        assert!(AuthConfig::parse(b"").unwrap().value("libvirt", "localhost", "password").is_none());
    }

    #[test]
    fn mistakes_have_a_place_and_show_no_secret() {
        for (file, essential) in [
            (&b"password=hunter2"[..], "line 1: a key before the first"),
            (b"[credentials-a]\nhunter2\n", "line 2: neither"),
            (b"[credentials-a\n", "line 1: a group is"),
            (b"[credentials-a] hunter2\n", "line 1: a group is"),
            (b"[]\n", "line 1: a group is"),
            (b"\n[credentials-a]\npassword=hunter2\\x\n", "line 3: \"\\\" is to be followed"),
            (b"[a]\npassword=hunter2\\", "line 2: \"\\\" is to be followed"),
            (b"[auth-libvirt-x]\npassword=hunter2\n", "line 1: [auth-libvirt-x] has no \"credentials\""),
            (b"\n[auth-libvirt-x]\ncredentials=y\n", "line 2: [auth-libvirt-x] refers to [credentials-y]"),
            (b"[a]\nb=\xff\n", "line 2: this is not UTF-8"),
        ] {
            let reason = AuthConfig::parse(file).unwrap_err();
            assert!(reason.contains(essential) && !reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?}", AuthConfig::parse(FILE).unwrap());
        assert!(!shown.contains("alice") && !shown.contains("secret"), "{shown}");
    }
}
