//! What a destination comes to with ssh's configuration.

use std::time::Duration;

use super::{
    config::{Asked, ConfigFile, Hop, HostConfig, HostKeyCheck, Owner, Proxy},
    destination::{ConfigFiles, Destination, HostKeyPolicy, HostKeys, Identities, Method, Settings, Way},
};
use crate::error::{Error, Result, phase};

/// When a silent server is asked for a sign of life where the configuration says nothing: tunnels have nothing of their own
/// to notice it by.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Finds out all about a destination.
pub(super) async fn resolve(destination: &Destination) -> Result<Settings> {
    let destination = destination.clone();
    phase::aside("reading ssh's configuration", move || read_settings(&destination)).await?
}

fn read_settings(destination: &Destination) -> Result<Settings> {
    let asked =
        Asked { host: destination.host.clone(), user: destination.user.clone(), port: destination.port };
    let config = read(&asked, &destination.config).map_err(|error| Error::Config {
        reason: match error.line {
            Some(line) => format!("line {line}: {}", error.reason),
            None => error.reason,
        },
        file: error.file,
    })?;
    for note in &config.notes {
        tracing::warn!(%note, "ssh's configuration");
    }
    Ok(settings(destination, config))
}

/// The same for a host on the way to a destination: nothing that is stated about the destination is about it.
pub(super) async fn resolve_hop(hop: &Hop, destination: &Destination) -> Result<Settings> {
    let mut on_the_way = Destination::new(&hop.host);
    on_the_way.port = hop.port;
    on_the_way.user.clone_from(&hop.user);
    on_the_way.batch = destination.batch;
    on_the_way.config = destination.config.clone();
    on_the_way.credentials = destination.credentials.clone();
    resolve(&on_the_way).await
}

fn read(asked: &Asked, files: &ConfigFiles) -> Result<HostConfig, super::config::ConfigError> {
    match files {
        ConfigFiles::Default => HostConfig::for_host(asked),
        ConfigFiles::None => HostConfig::from_files(asked, &[]),
        ConfigFiles::File(path) => {
            HostConfig::from_files(asked, &[ConfigFile { path: path.clone(), owner: Owner::User }])
        }
    }
}

/// Adds up what is stated and what the configuration says; the former counts.
fn settings(destination: &Destination, config: HostConfig) -> Settings {
    let batch = destination.batch || config.batch_mode;
    let methods = match destination.methods.as_slice() {
        [] => methods(&config),
        stated => stated.to_vec(),
    };
    let (files, default_files) = match config.identities_named {
        true => (config.identity_files, Vec::new()),
        false => (Vec::new(), config.identity_files),
    };
    Settings {
        host: destination.host.clone(),
        address: config.host_name,
        port: config.port,
        user: config.user,
        way: match config.proxy {
            Some(Proxy::Jump(hops)) => Way::Jump(hops),
            Some(Proxy::Command(command)) => Way::Command(command),
            None => Way::Tcp,
        },
        connect_timeout: config.connect_timeout,
        alive: (
            config.alive_interval.unwrap_or(ALIVE_INTERVAL),
            usize::try_from(config.alive_count_max).unwrap_or(usize::MAX),
        ),
        host_keys: HostKeys {
            policy: destination.host_keys.unwrap_or(match config.host_key_check {
                HostKeyCheck::Strict => HostKeyPolicy::Strict,
                HostKeyCheck::Ask => HostKeyPolicy::Ask,
                // One that has changed is still refused.
                HostKeyCheck::AcceptNew | HostKeyCheck::Off => HostKeyPolicy::AcceptNew,
            }),
            alias: config.host_key_alias,
            files: match &destination.known_hosts {
                Some(file) => vec![file.clone()],
                None => config.user_known_hosts,
            },
            global_files: match &destination.known_hosts {
                Some(_) => Vec::new(),
                None => config.global_known_hosts,
            },
            revoked_files: config.revoked_host_keys,
            hash: config.hash_known_hosts,
        },
        identities: Identities {
            stated: destination.key_file.clone(),
            files,
            default_files,
            certificates: config.certificate_files,
            agent: config.agent,
            only: config.identities_only,
        },
        methods,
        prompts: config.password_prompts,
        credentials: match batch {
            true => destination.credentials.clone().without_asking(),
            false => destination.credentials.clone(),
        },
    }
}

/// Returns the ways to log in that the configuration allows, in its order.
fn methods(config: &HostConfig) -> Vec<Method> {
    let keys: &[Method] = if config.public_key { &[Method::Agent, Method::PrivateKey] } else { &[] };
    let password: &[Method] = if config.password { &[Method::Password] } else { &[] };
    let questions: &[Method] = if config.keyboard_interactive { &[Method::KeyboardInteractive] } else { &[] };
    let Some(preferred) = &config.preferred_authentications else {
        return [keys, password, questions].concat();
    };
    let methods = preferred.iter().map(|name| match name.as_str() {
        "publickey" => keys,
        "password" => password,
        "keyboard-interactive" => questions,
        _ => &[],
    });
    methods.flatten().copied().collect()
}
