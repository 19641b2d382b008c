//! The keywords, and what may stand behind each.

use std::time::Duration;

use super::{Hop, HostKeyCheck, proxy};

/// What stands behind a keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    Number(u32),
    /// `None` is `none`.
    Time(Option<Duration>),
    Text(String),
    List(Vec<String>),
    Check(HostKeyCheck),
    Jump(Vec<Hop>),
}

/// How it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    /// `yes`, `no`, and two kinds of yes.
    PublicKey,
    Number,
    Port,
    Time,
    Text,
    /// Texts that add up, from all lines.
    Texts,
    List,
    Check,
    /// All of the line is one text, with its quotes.
    Command,
    Jump,
    /// What has no effect here. Something must stand behind it.
    Unused,
    /// What OpenSSH itself ignores.
    Retired,
}

/// Returns a keyword by its present name, and how its value is read.
pub(super) fn find(keyword: &str) -> Option<(&'static str, Kind)> {
    let keyword = ALIASES.iter().find(|(alias, _)| *alias == keyword).map_or(keyword, |(_, name)| name);
    let used = USED.iter().find(|(name, _)| *name == keyword).copied();
    let among =
        |names: &[&'static str], kind| names.iter().find(|name| **name == keyword).map(|name| (*name, kind));
    used.or_else(|| among(&UNUSED, Kind::Unused)).or_else(|| among(&RETIRED, Kind::Retired))
}

const ALIASES: [(&str, &str); 12] = [
    ("challengeresponseauthentication", "kbdinteractiveauthentication"),
    ("skeyauthentication", "kbdinteractiveauthentication"),
    ("tisauthentication", "kbdinteractiveauthentication"),
    ("dsaauthentication", "pubkeyauthentication"),
    ("identityfile2", "identityfile"),
    ("globalknownhostsfile2", "globalknownhostsfile"),
    ("userknownhostsfile2", "userknownhostsfile"),
    ("pubkeyacceptedkeytypes", "pubkeyacceptedalgorithms"),
    ("hostbasedkeytypes", "hostbasedacceptedalgorithms"),
    ("hostbasedacceptedkeytypes", "hostbasedacceptedalgorithms"),
    ("keepalive", "tcpkeepalive"),
    ("smartcarddevice", "pkcs11provider"),
];

const USED: [(&str, Kind); 33] = [
    ("addressfamily", Kind::Text),
    ("batchmode", Kind::Flag),
    ("casignaturealgorithms", Kind::Text),
    ("certificatefile", Kind::Texts),
    ("ciphers", Kind::Text),
    ("connecttimeout", Kind::Time),
    ("globalknownhostsfile", Kind::List),
    ("hashknownhosts", Kind::Flag),
    ("hostkeyalgorithms", Kind::Text),
    ("hostkeyalias", Kind::Text),
    ("hostname", Kind::Text),
    ("identitiesonly", Kind::Flag),
    ("identityagent", Kind::Text),
    ("identityfile", Kind::Texts),
    ("ignoreunknown", Kind::Text),
    ("kbdinteractiveauthentication", Kind::Flag),
    ("kexalgorithms", Kind::Text),
    ("macs", Kind::Text),
    ("numberofpasswordprompts", Kind::Number),
    ("passwordauthentication", Kind::Flag),
    ("port", Kind::Port),
    ("preferredauthentications", Kind::Text),
    ("proxycommand", Kind::Command),
    ("proxyjump", Kind::Jump),
    ("pubkeyacceptedalgorithms", Kind::Text),
    ("pubkeyauthentication", Kind::PublicKey),
    ("revokedhostkeys", Kind::List),
    ("serveralivecountmax", Kind::Number),
    ("serveraliveinterval", Kind::Time),
    ("stricthostkeychecking", Kind::Check),
    ("tag", Kind::Text),
    ("user", Kind::Text),
    ("userknownhostsfile", Kind::List),
];

const UNUSED: [&str; 72] = [
    "addkeystoagent",
    "bindaddress",
    "bindinterface",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizehostname",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "channeltimeout",
    "checkhostip",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "gssapiauthentication",
    "gssapiclientidentity",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "hostbasedacceptedalgorithms",
    "hostbasedauthentication",
    "ipqos",
    "kbdinteractivedevices",
    "knownhostscommand",
    "localcommand",
    "localforward",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "obscurekeystroketiming",
    "permitlocalcommand",
    "permitremoteopen",
    "pkcs11provider",
    "proxyusefdpass",
    "rekeylimit",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "requiredrsasize",
    "securitykeyprovider",
    "sendenv",
    "sessiontype",
    "setenv",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tcpkeepalive",
    "tunnel",
    "tunneldevice",
    "updatehostkeys",
    "verifyhostkeydns",
    "versionaddendum",
    "visualhostkey",
    "xauthlocation",
];

const RETIRED: [&str; 15] = [
    "afstokenpassing",
    "cipher",
    "compressionlevel",
    "fallbacktorsh",
    "kerberosauthentication",
    "kerberostgtpassing",
    "protocol",
    "rhostsauthentication",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "smartcard",
    "useblacklistedkeys",
    "useprivilegedport",
    "useroaming",
    "usersh",
];

/// What a user may be told has no effect: it changes whom one talks to, or who is let in. The rest has no meaning for a
/// connection that carries a daemon's messages.
pub(super) const WORTH_A_NOTE: [&str; 9] = [
    "bindaddress",
    "bindinterface",
    "canonicalizehostname",
    "gssapiauthentication",
    "hostbasedauthentication",
    "knownhostscommand",
    "pkcs11provider",
    "securitykeyprovider",
    "verifyhostkeydns",
];

/// Reads the words behind a keyword; `None` if they set nothing.
pub(super) fn read(kind: Kind, words: &[String], rest: &str) -> Result<Option<Value>, String> {
    match kind {
        Kind::Command => return Ok(Some(Value::Text(nonempty(rest)?.to_owned()))),
        Kind::Jump => return Ok(Some(Value::Jump(proxy::read_hops(nonempty(rest)?)?))),
        Kind::Retired => return Ok(None),
        _ => {}
    }
    let first = words.first().map(String::as_str).unwrap_or_default();
    if kind == Kind::Unused {
        nonempty(first)?;
        return Ok(None);
    }
    if kind == Kind::List {
        return list(words).map(|words| Some(Value::List(words)));
    }
    let word = nonempty(first)?;
    if let Some(more) = words.get(1) {
        return Err(format!("nothing more is expected before {more:?}"));
    }
    Ok(Some(match kind {
        Kind::Flag => Value::Flag(flag(word)?),
        Kind::PublicKey => match word.to_ascii_lowercase().as_str() {
            "unbound" | "host-bound" => Value::Flag(true),
            word => Value::Flag(flag(word)?),
        },
        Kind::Number => Value::Number(number(word)?),
        Kind::Port => Value::Number(proxy::port(word)?.into()),
        Kind::Time => match time(word)? {
            // As OpenSSH, which lets a later line set a time after this one.
            None => return Ok(None),
            time => Value::Time(time),
        },
        Kind::Check => Value::Check(check(word)?),
        _ => Value::Text(word.to_owned()),
    }))
}

fn nonempty(word: &str) -> Result<&str, String> {
    if word.is_empty() { Err("a value is expected".to_owned()) } else { Ok(word) }
}

fn list(words: &[String]) -> Result<Vec<String>, String> {
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err("a value is expected".to_owned());
    }
    if words.len() > 1 && words.iter().any(|word| word.eq_ignore_ascii_case("none")) {
        return Err("\"none\" must stand alone".to_owned());
    }
    Ok(words.to_vec())
}

fn flag(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("yes or no is expected, not {word:?}")),
    }
}

fn number(word: &str) -> Result<u32, String> {
    let number = word.parse::<u32>().ok().filter(|number| i32::try_from(*number).is_ok());
    number.ok_or_else(|| format!("a number of 0 to {} is expected, not {word:?}", i32::MAX))
}

fn check(word: &str) -> Result<HostKeyCheck, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(HostKeyCheck::Strict),
        "ask" => Ok(HostKeyCheck::Ask),
        "accept-new" => Ok(HostKeyCheck::AcceptNew),
        "no" | "false" | "off" => Ok(HostKeyCheck::Off),
        _ => Err(format!("yes, no, ask, accept-new or off is expected, not {word:?}")),
    }
}

/// A time as in `90`, `1m30s` or `none`.
fn time(word: &str) -> Result<Option<Duration>, String> {
    if word == "none" {
        return Ok(None);
    }
    let wrong = || format!("a time is expected, as in 90 or 1m30s, not {word:?}");
    let (mut total, mut rest) = (0u64, word);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end).ok_or_else(wrong)?;
        let mut units = after.chars();
        let factor = match units.next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some('w') => 7 * 24 * 60 * 60,
            Some(_) => return Err(wrong()),
        };
        let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
        total = seconds.and_then(|seconds| total.checked_add(seconds)).ok_or_else(wrong)?;
        rest = units.as_str();
    }
    match u32::try_from(total) {
        Ok(seconds) if i32::try_from(seconds).is_ok() => Ok(Some(Duration::from_secs(seconds.into()))),
        _ => Err(wrong()),
    }
}
