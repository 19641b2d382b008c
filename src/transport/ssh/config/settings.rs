//! What the lines of the files set, and what it comes to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    AddressFamily, Asked, ConfigError, Environment, HostConfig, HostKeyCheck, Note, Proxy,
    expand::{Known, Tokens},
    keywords::{Value, WORTH_A_NOTE},
    proxy::Hop,
};

/// The keys that are tried where none is named, in the order of OpenSSH.
const USUAL_KEYS: [&str; 6] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_dsa"];
const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// What was set, by keyword.
#[derive(Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, Vec<Setting>>,
    notes: Vec<Note>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

impl Settings {
    pub(super) fn set_first(&mut self, keyword: &'static str, setting: Setting) {
        self.values.entry(keyword).or_insert_with(|| vec![setting]);
    }

    /// Adds a value that is not there yet.
    pub(super) fn add(&mut self, keyword: &'static str, setting: Setting) {
        let values = self.values.entry(keyword).or_default();
        if !values.iter().any(|there| there.value == setting.value) {
            values.push(setting);
        }
    }

    /// Puts another text in the place of one that was set.
    pub(super) fn replace_text(&mut self, keyword: &str, text: String) {
        if let Some(setting) = self.values.get_mut(keyword).and_then(|settings| settings.first_mut()) {
            setting.value = Value::Text(text);
        }
    }

    /// Notes a line that has no effect, once.
    pub(super) fn note(&mut self, keyword: &str, words: &[String], file: &Path, line: usize) {
        let off =
            words.first().is_some_and(|word| ["no", "none", "false"].contains(&word.to_lowercase().as_str()));
        if off || !WORTH_A_NOTE.contains(&keyword) {
            return;
        }
        let text = format!("{keyword} has no effect here; the system's ssh knows it");
        let note = Note { file: file.to_owned(), line, text };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn has(&self, keyword: &str) -> bool {
        self.values.contains_key(keyword)
    }

    /// Tells whether there are hosts to jump over.
    pub(super) fn jumps(&self) -> bool {
        matches!(self.value("proxyjump"), Some(Value::Jump(hops)) if !hops.is_empty())
    }

    fn first(&self, keyword: &str) -> Option<&Setting> {
        self.values.get(keyword)?.first()
    }

    fn value(&self, keyword: &str) -> Option<&Value> {
        Some(&self.first(keyword)?.value)
    }

    pub(super) fn text(&self, keyword: &str) -> Option<String> {
        self.value(keyword)?.as_text().map(str::to_owned)
    }

    fn flag(&self, keyword: &str, default: bool) -> bool {
        match self.value(keyword) {
            Some(Value::Flag(flag)) => *flag,
            _ => default,
        }
    }

    fn number(&self, keyword: &str, default: u32) -> u32 {
        match self.value(keyword) {
            Some(Value::Number(number)) => *number,
            _ => default,
        }
    }

    /// A time, of which zero is none.
    fn time(&self, keyword: &str) -> Option<Duration> {
        match self.value(keyword) {
            Some(Value::Time(time)) => time.filter(|time| !time.is_zero()),
            _ => None,
        }
    }

    /// Adds up what was set, what was asked for, and what is usual.
    pub(super) fn resolve(
        mut self,
        asked: &Asked,
        environment: &Environment<'_>,
    ) -> Result<HostConfig, ConfigError> {
        let user =
            asked.user.clone().or_else(|| self.text("user")).unwrap_or_else(|| environment.user.clone());
        let port = asked.port.or_else(|| u16::try_from(self.number("port", 22)).ok()).unwrap_or(22);
        let key_alias = self.text("hostkeyalias");
        let mut tokens = Tokens {
            environment,
            original_host: &asked.host,
            host: &asked.host,
            port,
            user: &user,
            key_alias: key_alias.as_deref(),
        };
        let named = self.expanded("hostname", &tokens, Known::Host)?;
        let host_name = named.unwrap_or_else(|| asked.host.clone()).to_lowercase();
        tokens.host = &host_name;
        let usual_keys: Vec<String> = USUAL_KEYS.iter().map(|name| format!("~/.ssh/{name}")).collect();
        let usual_keys: Vec<&str> = usual_keys.iter().map(String::as_str).collect();

        Ok(HostConfig {
            address_family: self.address_family()?,
            identity_files: self.files("identityfile", &usual_keys, &tokens)?,
            identities_named: self.has("identityfile"),
            certificate_files: self.files("certificatefile", &[], &tokens)?,
            agent: self.agent(&tokens)?,
            identities_only: self.flag("identitiesonly", false),
            user_known_hosts: self.files("userknownhostsfile", &USER_KNOWN_HOSTS, &tokens)?,
            global_known_hosts: self.files("globalknownhostsfile", &GLOBAL_KNOWN_HOSTS, &tokens)?,
            revoked_host_keys: self.files("revokedhostkeys", &[], &tokens)?,
            host_key_check: match self.value("stricthostkeychecking") {
                Some(Value::Check(check)) => *check,
                _ => HostKeyCheck::Ask,
            },
            hash_known_hosts: self.flag("hashknownhosts", false),
            proxy: self.proxy(&tokens)?,
            connect_timeout: self.time("connecttimeout"),
            alive_interval: self.time("serveraliveinterval"),
            alive_count_max: self.number("serveralivecountmax", 3),
            batch_mode: self.flag("batchmode", false),
            public_key: self.flag("pubkeyauthentication", true),
            password: self.flag("passwordauthentication", true),
            keyboard_interactive: self.flag("kbdinteractiveauthentication", true),
            preferred_authentications: self
                .text("preferredauthentications")
                .map(|names| names.split(',').map(str::to_owned).collect()),
            password_prompts: self.number("numberofpasswordprompts", 3),
            host_key_algorithms: self.text("hostkeyalgorithms"),
            kex_algorithms: self.text("kexalgorithms"),
            ciphers: self.text("ciphers"),
            macs: self.text("macs"),
            public_key_algorithms: self.text("pubkeyacceptedalgorithms"),
            ca_signature_algorithms: self.text("casignaturealgorithms"),
            notes: std::mem::take(&mut self.notes),
            host_key_alias: key_alias.clone(),
            port,
            user: user.clone(),
            host_name: host_name.clone(),
        })
    }

    fn expanded(
        &self,
        keyword: &str,
        tokens: &Tokens<'_>,
        known: Known,
    ) -> Result<Option<String>, ConfigError> {
        let Some(setting) = self.first(keyword) else { return Ok(None) };
        let Some(text) = setting.value.as_text() else { return Ok(None) };
        tokens.expand(text, known).map(Some).map_err(|reason| setting.wrong(keyword, reason))
    }

    /// Files that are named, or the usual ones; `none` is none.
    fn files(&self, keyword: &str, usual: &[&str], tokens: &Tokens<'_>) -> Result<Vec<PathBuf>, ConfigError> {
        let Some(settings) = self.values.get(keyword) else {
            let usual = usual.iter().map(|name| tokens.environment.tilde(name).map(PathBuf::from));
            return Ok(usual.filter_map(Result::ok).collect());
        };
        let mut files = Vec::new();
        for setting in settings {
            let names = match &setting.value {
                Value::Text(name) => std::slice::from_ref(name),
                Value::List(names) => names,
                _ => &[],
            };
            for name in names.iter().filter(|name| !name.eq_ignore_ascii_case("none")) {
                files.push(tokens.file(name).map_err(|reason| setting.wrong(keyword, reason))?);
            }
        }
        Ok(files)
    }

    fn agent(&self, tokens: &Tokens<'_>) -> Result<Option<PathBuf>, ConfigError> {
        let variable = |name: &str| {
            (tokens.environment.variable)(name).filter(|path| !path.is_empty()).map(PathBuf::from)
        };
        let Some(setting) = self.first("identityagent") else { return Ok(variable("SSH_AUTH_SOCK")) };
        match setting.value.as_text().unwrap_or_default() {
            none if none.eq_ignore_ascii_case("none") => Ok(None),
            "SSH_AUTH_SOCK" => Ok(variable("SSH_AUTH_SOCK")),
            text => match text.strip_prefix('$') {
                Some(name) if !name.starts_with('{') => Ok(variable(name)),
                _ => tokens.file(text).map(Some).map_err(|reason| setting.wrong("identityagent", reason)),
            },
        }
    }

    fn proxy(&self, tokens: &Tokens<'_>) -> Result<Option<Proxy>, ConfigError> {
        if let Some(command) = self.text("proxycommand") {
            return match command.eq_ignore_ascii_case("none") {
                true => Ok(None),
                false => Ok(self.expanded("proxycommand", tokens, Known::Way)?.map(Proxy::Command)),
            };
        }
        let Some(setting) = self.first("proxyjump") else { return Ok(None) };
        let Value::Jump(hops) = &setting.value else { return Ok(None) };
        let expand =
            |text: &str| tokens.expand(text, Known::Way).map_err(|reason| setting.wrong("proxyjump", reason));
        let hops = hops.iter().map(|hop| {
            let user = hop.user.as_deref().map(expand).transpose()?;
            Ok(Hop { user, host: expand(&hop.host)?, port: hop.port })
        });
        let hops: Vec<Hop> = hops.collect::<Result<_, ConfigError>>()?;
        Ok(if hops.is_empty() { None } else { Some(Proxy::Jump(hops)) })
    }

    fn address_family(&self) -> Result<AddressFamily, ConfigError> {
        let Some(setting) = self.first("addressfamily") else { return Ok(AddressFamily::Any) };
        match setting.value.as_text().unwrap_or_default().to_ascii_lowercase().as_str() {
            "any" => Ok(AddressFamily::Any),
            "inet" => Ok(AddressFamily::Inet),
            "inet6" => Ok(AddressFamily::Inet6),
            other => {
                Err(setting.wrong("addressfamily", format!("any, inet or inet6 is expected, not {other:?}")))
            }
        }
    }
}

impl Setting {
    fn wrong(&self, keyword: &str, reason: String) -> ConfigError {
        ConfigError { file: self.file.clone(), line: Some(self.line), reason: format!("{keyword}: {reason}") }
    }
}
