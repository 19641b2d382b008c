//! The names that others are given for what a URI means: the daemon (`CONNECT_OPEN`) and the helper on the far side of
//! SSH. Byte for byte as libvirt's own client writes them.

use super::{Uri, parameters::Parameters};

/// Returns the name that the daemon is asked to open: the URI without transport, user, host and port, and without the
/// parameters that are for the client. `None` lets the daemon choose.
pub(super) fn for_daemon(uri: &Uri) -> Option<String> {
    format(uri, &[])
}

/// Returns the name for libvirt's helper. A newer one also looks for the socket by `mode` and `socket`, if they are stated.
pub(super) fn for_helper(uri: &Uri) -> String {
    format(uri, &["mode", "socket"]).unwrap_or_default()
}

fn format(uri: &Uri, kept: &[&str]) -> Option<String> {
    if let Some(name) = uri.parameter("name") {
        return Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    if uri.lets_daemon_choose() {
        return None;
    }
    let mut name = format!("{}://{}", uri.driver, escape(&uri.path, "!*'()/;@&=+$,"));
    let is_in = |names: &[&str], name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let passed_on =
        uri.parameters.iter().filter(|(name, _)| is_in(kept, name) || !is_in(&Parameters::NAMES, name));
    for (index, (key, value)) in passed_on.enumerate() {
        name.push(if index == 0 { '?' } else { '&' });
        name.push_str(&format!("{key}={}", escape(value, "")));
    }
    if let Some(fragment) = &uri.fragment {
        name.push('#');
        name.push_str(&escape(fragment, "!*'();/?:@&=+$,[]"));
    }
    Some(name)
}

/// Escapes all but letters, digits, `-._~` and what is in `kept`.
fn escape(text: &str, kept: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || (c.is_ascii() && kept.contains(c)) {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
