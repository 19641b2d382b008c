//! What is asked before anything begins: whether the options fit together, and what both sides are able to do.

use super::MigrateOptions;
use crate::{
    error::{Error, MigrateSide, Result},
    objects::{connection::Feature, enums::DomainMigrateFlags, open, params::MigrationParameters},
    rpc::Client,
};

/// A version of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Prepare, perform, finish.
    One,
    /// The destination hears whether perform failed.
    Two,
    /// The source hears whether finish failed, and the sides tell each other things in cookies.
    Three,
    /// The same, with typed parameters.
    Parameters,
}

impl Version {
    /// Tells whether the destination hears of it when the source cannot send the domain.
    pub(super) fn hears_of_failures(self) -> bool {
        self != Self::One
    }

    /// Tells whether the source hears of it when the destination cannot let the domain run. If not, it has removed it before.
    pub(super) fn confirms(self) -> bool {
        matches!(self, Self::Three | Self::Parameters)
    }
}

/// Who orchestrates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// This client, which talks to both daemons.
    Managed,
    /// The source's daemon, which talks to the destination's.
    PeerToPeer,
    /// The hypervisors, without any daemon on the destination.
    Direct,
}

/// A side that cannot do it.
pub(super) type Lacking = (MigrateSide, Error);

/// Refuses options that contradict each other, or the way it is to be done.
pub(super) fn fit_together(options: &MigrateOptions, way: Way) -> Result<()> {
    type Flags = DomainMigrateFlags;
    let exclusive = [
        (
            Flags::NON_SHARED_DISK,
            Flags::NON_SHARED_INC,
            "either whole disks are copied or only their top images",
        ),
        (Flags::TUNNELLED, Flags::PARALLEL, "a migration through a tunnel has one connection, not several"),
    ];
    let alone = |flags: Flags, why: &str| match options.flags.contains(flags) {
        true => Err(Error::Unsupported(why.to_owned())),
        false => Ok(()),
    };
    exclusive.into_iter().try_for_each(|(one, other, why)| alone(one | other, why))?;
    match way {
        Way::Managed => {
            alone(
                Flags::PEER2PEER,
                "migrate_to_uri migrates from peer to peer, and needs no connection there",
            )?;
            alone(
                Flags::TUNNELLED,
                "only the source's daemon can tunnel a migration: ask migrate_to_uri for it",
            )
        }
        Way::PeerToPeer => Ok(()),
        Way::Direct => alone(Flags::PEER2PEER, "migrate_to_uri migrates from peer to peer")
            .and_then(|()| alone(Flags::TUNNELLED, "only a migration from peer to peer can be tunnelled")),
    }
}

/// Refuses a URI that leads the source's daemon to itself.
pub(super) fn leads_elsewhere(uri: &str) -> Result<()> {
    let (scheme, rest) = uri.split_once("://").unwrap_or((uri, ""));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // Over a Unix socket it may be another daemon of the same host.
    if host.starts_with("localhost") || (host.is_empty() && !scheme.contains("+unix")) {
        return Err(Error::Unsupported(format!(
            "{uri:?} leads the source's daemon to itself: name the destination's host in the URI"
        )));
    }
    Ok(())
}

/// Chooses the newest version that both sides have and that can say what is asked for.
pub(super) async fn version(
    source: &Client,
    destination: &Client,
    options: &MigrateOptions,
) -> Result<Version, Lacking> {
    if options.flags.contains(DomainMigrateFlags::OFFLINE) {
        require(source, MigrateSide::Source, Feature::MIGRATION_OFFLINE, "migrate domains that do not run")
            .await?;
        let side = MigrateSide::Destination;
        require(destination, side, Feature::MIGRATION_OFFLINE, "migrate domains that do not run").await?;
    }
    let both = [
        (Version::Parameters, Feature::MIGRATION_PARAMS),
        (Version::Three, Feature::MIGRATION_V3),
        (Version::Two, Feature::MIGRATION_V2),
        (Version::One, Feature::MIGRATION_V1),
    ];
    let mut lacking = MigrateSide::Source;
    for (version, feature) in both {
        if !has(source, MigrateSide::Source, feature).await? {
            lacking = MigrateSide::Source;
        } else if !has(destination, MigrateSide::Destination, feature).await? {
            lacking = MigrateSide::Destination;
        } else {
            return sayable(version, options).map(|()| version).map_err(|error| (lacking, error));
        }
    }
    let no_version = "its driver cannot migrate domains, or not in a way that the other side can";
    Err((lacking, Error::Unsupported(no_version.to_owned())))
}

/// Chooses the version for a migration that the source's daemon, or its hypervisor, does on its own.
pub(super) async fn version_of_source(
    source: &Client,
    options: &MigrateOptions,
    way: Way,
) -> Result<Version, Lacking> {
    let side = MigrateSide::Source;
    if options.flags.contains(DomainMigrateFlags::OFFLINE) {
        require(source, side, Feature::MIGRATION_OFFLINE, "migrate domains that do not run").await?;
    }
    let version = match way {
        Way::PeerToPeer => {
            require(source, side, Feature::MIGRATION_P2P, "migrate from peer to peer").await?;
            has(source, side, Feature::MIGRATION_PARAMS).await?.then_some(Version::Parameters)
        }
        _ => {
            require(source, side, Feature::MIGRATION_DIRECT, "migrate directly to another hypervisor")
                .await?;
            None
        }
    };
    let version = match version {
        Some(version) => version,
        None if has(source, side, Feature::MIGRATION_V3).await? => Version::Three,
        None => Version::Two,
    };
    sayable(version, options).map(|()| version).map_err(|error| (side, error))
}

/// Tells whether the source can protect the domain from changes between the phases. Refuses where it must and cannot.
pub(super) async fn protection(source: &Client, options: &MigrateOptions) -> Result<bool, Lacking> {
    let side = MigrateSide::Source;
    let feature = Feature::CHANGE_PROTECTION;
    if options.flags.contains(DomainMigrateFlags::CHANGE_PROTECTION) {
        require(source, side, feature, "protect a domain from changes while it is migrated").await?;
        return Ok(true);
    }
    has(source, side, feature).await
}

async fn has(client: &Client, side: MigrateSide, feature: Feature) -> Result<bool, Lacking> {
    open::supports(client, feature).await.map_err(|error| (side, error))
}

async fn require(client: &Client, side: MigrateSide, feature: Feature, what: &str) -> Result<(), Lacking> {
    match has(client, side, feature).await? {
        true => Ok(()),
        false => Err((side, Error::Unsupported(format!("its driver cannot {what}")))),
    }
}

/// Refuses parameters that a version has no place for.
fn sayable(version: Version, options: &MigrateOptions) -> Result<()> {
    if version == Version::Parameters {
        return Ok(());
    }
    let mut rest = options.parameters.clone();
    rest.migrate_uri = None;
    rest.destination_name = None;
    rest.bandwidth_mib_per_s = None;
    let xml = rest.destination_xml.take();
    if let Some(xml) = &mut rest.persistent_xml {
        // It may hold a display's password.
        "…".clone_into(xml);
    }
    if rest != MigrationParameters::default() {
        let asked = format!("{rest:?}");
        return Err(Error::Unsupported(format!(
            "one of the daemons is older than libvirt 1.1.0, and cannot be asked for this in a migration: {asked}"
        )));
    }
    if xml.is_some() && matches!(version, Version::One | Version::Two) {
        let reason = "one of the drivers is too old to change the definition of a domain that it migrates";
        return Err(Error::Unsupported(reason.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refused = |options: MigrateOptions, way| {
            fit_together(&options, way).is_err_and(|error| error.is_unsupported())
        };
        let none: [&str; 0] = [];
        let live = MigrateOptions::live;
        for (options, ways) in [
            (live(), ""),
            (live().copy_disks(none).copy_top_images(none), "mpd"),
            (live().with_flags(DomainMigrateFlags::PEER2PEER), "md"),
            (live().tunnelled(), "md"),
            (live().tunnelled().parallel(2), "mpd"),
        ] {
            for (way, letter) in [(Way::Managed, 'm'), (Way::PeerToPeer, 'p'), (Way::Direct, 'd')] {
                assert_eq!(refused(options.clone(), way), ways.contains(letter), "{way:?} {options:?}");
            }
        }
    }

    #[test]
    fn a_peer_is_another_host() {
        for uri in [
            "qemu+ssh://root@host/system",
            "qemu+unix:///system?socket=/run/other",
            "qemu+tcp://127.0.0.1:1/system",
        ] {
            leads_elsewhere(uri).unwrap();
        }
        for uri in [
            "qemu:///system",
            "qemu+tls://localhost/system",
            "qemu+ssh://root@localhost.localdomain/",
            "nonsense",
        ] {
            let error = leads_elsewhere(uri).unwrap_err();
            assert!(error.is_unsupported() && error.to_string().contains(uri), "{error}");
        }
    }

    #[test]
    fn old_versions_say_less() {
        let plain =
            MigrateOptions::live().migrate_uri("tcp://h").destination_name("n").bandwidth_mib_per_s(1);
        let xml = plain.clone().destination_xml("<domain/>");
        let listening = plain.clone().listen_address("::");
        for (version, expected) in [
            (Version::Parameters, [true, true, true]),
            (Version::Three, [true, true, false]),
            (Version::Two, [true, false, false]),
            (Version::One, [true, false, false]),
        ] {
            let said = [&plain, &xml, &listening].map(|options| sayable(version, options).is_ok());
            assert_eq!(said, expected, "{version:?}");
        }
        let error = sayable(Version::Three, &listening).unwrap_err();
        assert!(error.to_string().contains("listen_address"), "{error}");
    }
}
