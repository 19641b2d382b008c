//! The calls that the phases consist of, in each version of the conversation.

use bytes::Bytes;

use super::{MigrateOptions, check::Version};
use crate::{
    error::{Error, Result},
    objects::{
        Domain, TypedParams,
        connection::Feature,
        enums::{DomainMigrateFlags, DomainState, DomainXmlFlags},
        open,
        params::MigrationParameters,
    },
    protocol::remote,
    rpc::Client,
};

/// What only the source heeds; old destinations refuse it.
const FOR_THE_SOURCE: DomainMigrateFlags =
    DomainMigrateFlags::ABORT_ON_ERROR.union(DomainMigrateFlags::AUTO_CONVERGE);

/// What both sides are told in all phases. What one phase learns, the next ones say.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) version: Version,
    pub(super) source: Client,
    pub(super) destination: Client,
    domain: Domain,
    was_paused: bool,
    flags: DomainMigrateFlags,
    /// Asked for where the source has it: nobody changes the domain between two phases.
    protection: DomainMigrateFlags,
    parameters: MigrationParameters,
}

/// What a phase hands to the next one: sides tell each other things in it, and nobody else reads it.
pub(super) type Cookie = Bytes;

impl Calls {
    pub(super) fn new(
        version: Version,
        domain: Domain,
        source: Client,
        destination: Client,
        options: MigrateOptions,
        protects: bool,
    ) -> Self {
        let MigrateOptions { flags, parameters } = options;
        let protection = match protects {
            true => DomainMigrateFlags::CHANGE_PROTECTION,
            false => DomainMigrateFlags::empty(),
        };
        // For the source alone, which gets it with the protection.
        let flags = flags.difference(DomainMigrateFlags::CHANGE_PROTECTION);
        let was_paused = false;
        Self { version, source, destination, domain, was_paused, flags, protection, parameters }
    }

    /// Tells whether the domain is only defined on the other side, and nothing of it is sent.
    pub(super) fn is_offline(&self) -> bool {
        self.flags.contains(DomainMigrateFlags::OFFLINE)
    }

    /// Tells whether the source has begun something that has to be confirmed or called off, once the first phase is over.
    pub(super) fn is_protected(&self) -> bool {
        !self.protection.is_empty()
    }

    /// Tells whether the domain was paused before, as far as that was looked at.
    pub(super) fn was_paused(&self) -> bool {
        self.was_paused
    }

    /// Source: learns what the destination has to know.
    pub(super) async fn begin(&self) -> Result<(String, Cookie)> {
        match self.version {
            Version::Parameters => {
                let (dom, params) = (self.domain.to_wire(), self.params());
                let arguments =
                    remote::DomainMigrateBegin3ParamsArgs { dom, params, flags: self.source_flags().bits() };
                let reply = self.source.call(arguments).await?;
                Ok((reply.xml, reply.cookie_out))
            }
            Version::Three => {
                let arguments = remote::DomainMigrateBegin3Args {
                    dom: self.domain.to_wire(),
                    xmlin: self.parameters.destination_xml.clone(),
                    flags: self.source_flags().bits().into(),
                    dname: self.parameters.destination_name.clone(),
                    bandwidth: self.bandwidth(),
                };
                let reply = self.source.call(arguments).await?;
                Ok((reply.xml, reply.cookie_out))
            }
            Version::Two => Ok((self.definition().await?, Cookie::new())),
            Version::One => Ok((String::new(), Cookie::new())),
        }
    }

    /// Before there was a phase for it, the definition went as anybody can see it.
    async fn definition(&self) -> Result<String> {
        let mut flags = DomainXmlFlags::SECURE | DomainXmlFlags::UPDATE_CPU;
        if open::supports(&self.source, Feature::XML_MIGRATABLE).await? {
            flags |= DomainXmlFlags::MIGRATABLE;
        }
        let arguments = remote::DomainGetXmlDescArgs { dom: self.domain.to_wire(), flags: flags.bits() };
        Ok(self.source.call(arguments).await?.xml)
    }

    /// A domain that is paused is not to be resumed on the other side.
    pub(super) async fn keep_paused(&mut self) {
        let dom = self.domain.to_wire();
        let state = match self.version {
            Version::Parameters => {
                let arguments = remote::DomainGetStateArgs { dom, flags: 0 };
                self.source.call(arguments).await.map(|reply| reply.state)
            }
            _ => {
                let arguments = remote::DomainGetInfoArgs { dom };
                self.source.call(arguments).await.map(|reply| reply.state.into())
            }
        };
        if state.is_ok_and(|state| DomainState(state) == DomainState::PAUSED) {
            self.flags |= DomainMigrateFlags::PAUSED;
            self.was_paused = true;
        }
    }

    /// Destination: starts what waits for the domain. Takes note of where that waits.
    pub(super) async fn prepare(&mut self, definition: String, cookie: Cookie) -> Result<Cookie> {
        let flags = self.destination_flags().bits();
        let uri_in = self.parameters.migrate_uri.clone();
        let dname = self.parameters.destination_name.clone();
        let bandwidth = self.bandwidth();
        let (cookie, uri) = match self.version {
            Version::Parameters => {
                self.parameters.destination_xml = Some(definition);
                let (params, cookie_in) = (self.params(), cookie);
                let arguments = remote::DomainMigratePrepare3ParamsArgs { params, cookie_in, flags };
                let reply = self.destination.call(arguments).await?;
                (reply.cookie_out, reply.uri_out)
            }
            Version::Three => {
                let arguments = remote::DomainMigratePrepare3Args {
                    cookie_in: cookie,
                    uri_in,
                    flags: flags.into(),
                    dname,
                    bandwidth,
                    dom_xml: definition,
                };
                let reply = self.destination.call(arguments).await?;
                (reply.cookie_out, reply.uri_out)
            }
            Version::Two => {
                let (flags, dom_xml) = (flags.into(), definition);
                let arguments =
                    remote::DomainMigratePrepare2Args { uri_in, flags, dname, bandwidth, dom_xml };
                let reply = self.destination.call(arguments).await?;
                (reply.cookie, reply.uri_out)
            }
            Version::One => {
                let arguments =
                    remote::DomainMigratePrepareArgs { uri_in, flags: flags.into(), dname, bandwidth };
                let reply = self.destination.call(arguments).await?;
                (reply.cookie, reply.uri_out)
            }
        };
        if uri.is_some() {
            self.parameters.migrate_uri = uri;
        }
        Ok(cookie)
    }

    /// Says where the destination waits, if it or the user said so.
    pub(super) fn uri(&self) -> Result<String> {
        self.parameters.migrate_uri.clone().ok_or_else(|| {
            Error::Unsupported(
                "the destination does not say where the domain is to be sent to: name it with migrate_uri"
                    .to_owned(),
            )
        })
    }

    /// Source: sends the domain.
    pub(super) async fn perform(&self, cookie: Cookie) -> Result<Cookie> {
        let uri = self.uri()?;
        let dom = self.domain.to_wire();
        let flags = self.source_flags().bits();
        let dname = self.parameters.destination_name.clone();
        let bandwidth = self.bandwidth();
        match self.version {
            Version::Parameters => {
                let (params, cookie_in, dconnuri) = (self.params(), cookie, None);
                let arguments =
                    remote::DomainMigratePerform3ParamsArgs { dom, dconnuri, params, cookie_in, flags };
                Ok(self.source.call(arguments).await?.cookie_out)
            }
            Version::Three => {
                let arguments = remote::DomainMigratePerform3Args {
                    dom,
                    xmlin: None,
                    cookie_in: cookie,
                    dconnuri: None,
                    uri: Some(uri),
                    flags: flags.into(),
                    dname,
                    bandwidth,
                };
                Ok(self.source.call(arguments).await?.cookie_out)
            }
            Version::Two | Version::One => {
                let flags = flags.into();
                let to_finish = cookie.clone();
                let arguments =
                    remote::DomainMigratePerformArgs { dom, cookie, uri, flags, dname, bandwidth };
                self.source.call(arguments).await?;
                Ok(to_finish)
            }
        }
    }

    /// Destination: lets the domain run, or throws it away if the migration is `cancelled`.
    pub(super) async fn finish(
        &mut self,
        cookie: Cookie,
        cancelled: bool,
    ) -> Result<(remote::NonnullDomain, Cookie)> {
        let flags = self.destination_flags().bits();
        let dname = self.parameters.destination_name.get_or_insert_with(|| self.domain.name().to_owned());
        let dname = dname.clone();
        let uri = self.parameters.migrate_uri.clone();
        let cancelled = i32::from(cancelled);
        match self.version {
            Version::Parameters => {
                let (params, cookie_in) = (self.params(), cookie);
                let arguments =
                    remote::DomainMigrateFinish3ParamsArgs { params, cookie_in, flags, cancelled };
                let reply = self.destination.call(arguments).await?;
                Ok((reply.dom, reply.cookie_out))
            }
            Version::Three => {
                let (cookie_in, dconnuri, flags) = (cookie, None, flags.into());
                let arguments =
                    remote::DomainMigrateFinish3Args { dname, cookie_in, dconnuri, uri, flags, cancelled };
                let reply = self.destination.call(arguments).await?;
                Ok((reply.dom, reply.cookie_out))
            }
            Version::Two => {
                let (uri, flags, retcode) = (uri.unwrap_or_default(), flags.into(), cancelled);
                let arguments = remote::DomainMigrateFinish2Args { dname, cookie, uri, flags, retcode };
                Ok((self.destination.call(arguments).await?.ddom, Cookie::new()))
            }
            Version::One => {
                let (uri, flags) = (uri.unwrap_or_default(), flags.into());
                let arguments = remote::DomainMigrateFinishArgs { dname, cookie, uri, flags };
                Ok((self.destination.call(arguments).await?.ddom, Cookie::new()))
            }
        }
    }

    /// Source: removes the domain, or lets it run on if the migration is `cancelled`.
    pub(super) async fn confirm(&self, cookie: Cookie, cancelled: bool) -> Result<()> {
        let (dom, cookie_in, cancelled) = (self.domain.to_wire(), cookie, i32::from(cancelled));
        let flags = self.source_flags().bits();
        match self.version {
            Version::Parameters => {
                let params = self.params();
                let arguments =
                    remote::DomainMigrateConfirm3ParamsArgs { dom, params, cookie_in, flags, cancelled };
                self.source.call(arguments).await
            }
            Version::Three => {
                let flags = flags.into();
                let arguments = remote::DomainMigrateConfirm3Args { dom, cookie_in, flags, cancelled };
                self.source.call(arguments).await
            }
            Version::Two | Version::One => Ok(()),
        }
    }

    fn source_flags(&self) -> DomainMigrateFlags {
        self.flags | self.protection
    }

    fn destination_flags(&self) -> DomainMigrateFlags {
        self.flags.difference(FOR_THE_SOURCE)
    }

    fn params(&self) -> Vec<remote::TypedParam> {
        TypedParams::from(self.parameters.clone()).into_wire()
    }

    fn bandwidth(&self) -> u64 {
        self.parameters.bandwidth_mib_per_s.unwrap_or(0)
    }
}
