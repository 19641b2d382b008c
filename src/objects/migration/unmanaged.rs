//! Migrations that the source's daemon, or its hypervisor, does on its own: one call, which takes as long as they take.

use super::{
    MigrateOptions,
    check::{self, Lacking, Version, Way},
    control::Control,
    managed::{Failed, failed, whereabouts},
};
use crate::{
    error::{Error, MigratePhase, MigrateSide, MigrateWhereabouts, Result},
    objects::{
        Domain, TypedParams,
        enums::{DomainJobType, DomainMigrateFlags},
    },
    protocol::{Call, remote},
    rpc::Client,
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
    let lacks = |(side, error): Lacking| failed(domain, MigratePhase::Check, side, error);
    // It is not begun again over another connection, and the source may go on with it when this one is lost.
    let procedure = remote::DomainMigratePerform3ParamsArgs::PROCEDURE;
    let source = domain.connection.client().pinned(procedure).await;
    let source = &source.map_err(|error| lacks((side, error)))?;
    let version = check::version_of_source(source, &options, way).await.map_err(lacks)?;
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
    match control.watched(domain, perform(domain, source, version, daemon, options)).await {
        Ok(()) => {
            domain.set_id(-1);
            Ok(())
        }
        Err(error) => {
            let may_go_on = error.may_have_run();
            let mut failed = failed(domain, MigratePhase::Perform, side, control.reason_of(error));
            failed.whereabouts = match may_go_on {
                true => whereabouts_meanwhile(domain).await,
                false => whereabouts(domain).await,
            };
            Err(failed)
        }
    }
}

/// Asks the source where the domain is that it may be sending still: it does not need this client for that.
async fn whereabouts_meanwhile(domain: &Domain) -> MigrateWhereabouts {
    // In this order, so that the state is not from before the end of a job.
    let job = domain.job_stats().await;
    match whereabouts(domain).await {
        MigrateWhereabouts::Source if !job.is_ok_and(|job| job.kind == DomainJobType::NONE) => {
            MigrateWhereabouts::Unknown
        }
        known => known,
    }
}

async fn perform(
    domain: &Domain,
    source: &Client,
    version: Version,
    dconnuri: Option<String>,
    options: MigrateOptions,
) -> Result<()> {
    let dom = domain.to_wire();
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
