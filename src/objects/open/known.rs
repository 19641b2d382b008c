//! What is known of the user's names and passwords before anybody is asked: what `auth.conf` has.

use std::{fs, path::PathBuf};

use zeroize::Zeroizing;

use crate::{
    auth::{CredentialKind, CredentialRequest, Credentials, Secret},
    error::{Error, Result, phase},
    uri::{AuthConfig, Plan, Route},
};

/// Lets what the plan's file has answer before others are asked.
pub(super) async fn credentials(asked: Credentials, plan: &Plan) -> Result<Credentials> {
    let Some(file) = &plan.auth_file else { return Ok(asked) };
    let path = file.path.clone();
    match phase::aside("reading the file with credentials", move || read(path)).await? {
        Ok(config) => Ok(asked.with_known(move |request| look_up(&config, request))),
        // Most daemons of this machine ask for nothing that is in it.
        Err(error) if !file.named && matches!(plan.route, Route::Unix(_)) => {
            tracing::warn!(%error, "nothing is known of credentials");
            Ok(asked)
        }
        Err(error) => Err(error),
    }
}

fn read(file: PathBuf) -> Result<AuthConfig> {
    let wrong = |reason| Error::Config { file: file.clone(), reason };
    let contents = Zeroizing::new(fs::read(&file).map_err(|error| wrong(error.to_string()))?);
    AuthConfig::parse(&contents).map_err(wrong)
}

fn look_up(config: &AuthConfig, request: &CredentialRequest) -> Option<Secret> {
    let key = match request.kind {
        CredentialKind::Username => "username",
        CredentialKind::AuthorizationName => "authname",
        CredentialKind::Password => "password",
        CredentialKind::Realm => "realm",
        CredentialKind::Passphrase | CredentialKind::Challenge | CredentialKind::HostKey => return None,
    };
    config.value(request.service, &request.host, key).map(Secret::from)
}
