//! Migrations that the source's daemon, or its hypervisor, does on its own: one call, which takes as long as they take.

use super::{
    MigrateOptions,
    check::{self, Lacking, Version, Way},
    control::Control,
    managed::{Failed, failed, whereabouts},
};
use crate::{
    error::{Error, MigratePhase, MigrateSide, Result},
    objects::{Domain, TypedParams, enums::DomainMigrateFlags},
    protocol::remote,
};

/// Migrates a domain to where `destination` leads: the URI of a daemon or, directly, of a hypervisor.
pub(super) async fn migrate(
    domain: &Domain,
    way: Way,
    destination: String,
    mut options: MigrateOptions,
    control: &Control,
) -> Result<(), Failed> {
    let side = MigrateSide::Source;
    let version = check::version_of_source(domain.connection.client(), &options, way).await;
    let version =
        version.map_err(|(side, error): Lacking| failed(domain, MigratePhase::Check, side, error))?;
    if let Some(why) = control.cancel.reason() {
        return Err(failed(domain, MigratePhase::Check, side, why.error()));
    }
    let daemon = match way {
        Way::PeerToPeer => {
            options.flags |= DomainMigrateFlags::PEER2PEER;
            Some(destination)
        }
        _ => {
            options.parameters.migrate_uri = Some(destination);
            None
        }
    };
    control.enter(MigratePhase::Perform);
    match control.watched(domain, perform(domain, version, daemon, options)).await {
        Ok(()) => {
            domain.set_id(-1);
            Ok(())
        }
        Err(error) => {
            let mut failed = failed(domain, MigratePhase::Perform, side, control.reason_of(error));
            failed.whereabouts = whereabouts(domain).await;
            Err(failed)
        }
    }
}

async fn perform(
    domain: &Domain,
    version: Version,
    dconnuri: Option<String>,
    options: MigrateOptions,
) -> Result<()> {
    let (source, dom) = (domain.connection.client(), domain.to_wire());
    let MigrateOptions { flags, parameters } = options;
    let flags = flags.bits();
    let bandwidth = parameters.bandwidth_mib_per_s.unwrap_or(0);
    match version {
        Version::Parameters => {
            let (params, cookie_in) = (TypedParams::from(parameters).into_wire(), Default::default());
            let arguments =
                remote::DomainMigratePerform3ParamsArgs { dom, dconnuri, params, cookie_in, flags };
            source.call(arguments).await.map(drop)
        }
        Version::Three => {
            let arguments = remote::DomainMigratePerform3Args {
                dom,
                xmlin: parameters.destination_xml,
                cookie_in: Default::default(),
                dconnuri,
                uri: parameters.migrate_uri,
                flags: flags.into(),
                dname: parameters.destination_name,
                bandwidth,
            };
            source.call(arguments).await.map(drop)
        }
        Version::Two | Version::One => {
            let uri = match (dconnuri, parameters.migrate_uri) {
                (Some(_), Some(_)) => {
                    let reason =
                        "the source is too old to be told a migrate_uri in a migration from peer to peer";
                    return Err(Error::Unsupported(reason.to_owned()));
                }
                (Some(uri), None) | (None, Some(uri)) => uri,
                (None, None) => String::new(),
            };
            let (cookie, flags, dname) = (Default::default(), flags.into(), parameters.destination_name);
            source.call(remote::DomainMigratePerformArgs { dom, cookie, uri, flags, dname, bandwidth }).await
        }
    }
}
