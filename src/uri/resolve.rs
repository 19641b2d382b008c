//! Which URI is meant: the one that was given, the one that an alias stands for, or the default.

use super::{
    Environment,
    client_config::{ClientConfig, is_alias_like},
    environment::Steps,
};

/// Returns the URI that `given` means; `None` if none was given and none is configured.
pub(super) fn resolve(
    given: &str,
    variable: &str,
    config: &ClientConfig,
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Option<String> {
    let text =
        if given.is_empty() { default(variable, config, environment, steps)? } else { given.to_owned() };
    match text.as_str() {
        // Both spellings are older than URIs in libvirt.
        "xen" | "xen://" => {
            steps.push(format!("{text:?} is an old name for \"xen:///system\""));
            return Some("xen:///system".to_owned());
        }
        name if is_alias_like(name) => {}
        _ => return Some(text),
    }
    match config.alias(&text) {
        Some(uri) => {
            steps.push(format!("{text:?} is an alias for {uri:?} (uri_aliases)"));
            Some(uri.to_owned())
        }
        None => {
            steps.push(format!("{text:?} is no alias (uri_aliases)"));
            Some(text)
        }
    }
}

fn default(
    variable: &str,
    config: &ClientConfig,
    environment: &Environment<'_>,
    steps: &mut Steps,
) -> Option<String> {
    steps.push("no URI was given".to_owned());
    match environment.variable(variable) {
        Some(uri) => {
            let uri = uri.to_string_lossy().into_owned();
            steps.push(format!("{variable} is {uri:?}"));
            return Some(uri);
        }
        None => steps.push(format!("{variable} is not set")),
    }
    match &config.uri_default {
        Some(uri) => steps.push(format!("uri_default is {uri:?}")),
        None => steps.push("uri_default is not set".to_owned()),
    }
    config.uri_default.clone()
}
