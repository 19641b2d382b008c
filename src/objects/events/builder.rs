//! What events to ask for, and how the daemon is asked.

use super::Events;
use crate::{
    error::{Error, ErrorCode, Result},
    objects::{
        Connection, Domain, Network, NodeDevice, Secret, StoragePool,
        enums::{
            ConnectDomainQemuMonitorEventRegisterFlags, DomainEventId, NetworkEventId, NodeDeviceEventId,
            SecretEventId, StoragePoolEventId,
        },
    },
    protocol::{Call, ProcedureInfo, qemu, remote},
    rpc::{EventSource, Family, expecting},
};

/// Which events to subscribe to: see [`Connection::events`].
#[derive(Clone, Debug)]
#[must_use = "nothing is subscribed to until `subscribe` is called and awaited"]
pub struct EventsBuilder {
    connection: Connection,
    wanted: Vec<Wanted>,
    domains: Vec<Domain>,
    networks: Vec<Network>,
    storage_pools: Vec<StoragePool>,
    node_devices: Vec<NodeDevice>,
    secrets: Vec<Secret>,
}

#[derive(Clone, Debug)]
struct Wanted {
    kind: Kind,
    /// Whether it is an error if the daemon does not have it.
    required: bool,
}

/// A kind of event, by the number that it is registered by; for domains also the procedure that reports it without a
/// callback id.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Domain(DomainEventId, Option<i32>),
    Network(NetworkEventId, Option<i32>),
    StoragePool(StoragePoolEventId, Option<i32>),
    NodeDevice(NodeDeviceEventId, Option<i32>),
    Secret(SecretEventId, Option<i32>),
    Monitor(Option<String>, ConnectDomainQemuMonitorEventRegisterFlags),
    Closed,
}

impl Connection {
    /// Starts to describe a subscription: say which events, then [`subscribe`](EventsBuilder::subscribe).
    ///
    /// ```no_run
    /// # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
    /// let mut events = connection.events().all_domain_events().network_lifecycle().subscribe().await?;
    /// while let Some(event) = events.next().await {
    ///     println!("{:?}", event?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> EventsBuilder {
        EventsBuilder {
            connection: self.clone(),
            wanted: Vec::new(),
            domains: Vec::new(),
            networks: Vec::new(),
            storage_pools: Vec::new(),
            node_devices: Vec::new(),
            secrets: Vec::new(),
        }
    }
}

/// Defines, for an object, the subscription to its own events, and the condition in a subscription.
macro_rules! of {
    ($($object:ident: $condition:ident, $field:ident;)*) => {$(
        impl $object {
            /// Starts to describe a subscription to what happens to this object only: see [`Connection::events`].
            pub fn events(&self) -> EventsBuilder {
                self.connection.events().$condition(self)
            }
        }

        impl EventsBuilder {
            /// Leaves out the events of its kind that are about others than this object; given several times, others
            /// than these. The daemon sends only what is asked for; each object is registered for on its own, for each kind.
            pub fn $condition(mut self, object: &$object) -> Self {
                if !self.$field.contains(object) {
                    self.$field.push(object.clone());
                }
                self
            }
        }
    )*};
}

of! {
    Domain: of_domain, domains;
    Network: of_network, networks;
    StoragePool: of_storage_pool, storage_pools;
    NodeDevice: of_node_device, node_devices;
    Secret: of_secret, secrets;
}

impl EventsBuilder {
    /// Asks for a kind of event of domains by its number, such as one that a newer libvirt has: it comes as
    /// [`Event::Unknown`](super::Event::Unknown).
    pub fn domain_event(self, id: DomainEventId) -> Self {
        self.wanting(Kind::Domain(id, None))
    }

    /// Asks for events of QEMU's monitor, those of one name (`STOP`) or, without one, all
    /// (`QEMU_PROC_CONNECT_DOMAIN_MONITOR_EVENT_REGISTER`; C: `virConnectDomainQemuMonitorEventRegister`, since libvirt
    /// 1.2.3). With flags, the name is a regular expression, or upper and lower case are the same.
    #[doc(alias = "virConnectDomainQemuMonitorEventRegister")]
    pub fn qemu_monitor(self, name: Option<&str>, flags: ConnectDomainQemuMonitorEventRegisterFlags) -> Self {
        self.wanting(Kind::Monitor(name.map(str::to_owned), flags))
    }

    /// Asks for the end of the daemon's own connection to the hypervisor (`CONNECT_REGISTER_CLOSE_CALLBACK`; C:
    /// `virConnectRegisterCloseCallback`). It is the last event: our connection ends with it, since nothing that needs the
    /// hypervisor works over it any more, with [`CloseReason::Announced`](crate::CloseReason::Announced). The end of our
    /// connection ends the stream in any case, but for a [supervised](crate::supervision) one, where a gap follows.
    #[doc(alias = "virConnectRegisterCloseCallback")]
    pub fn connection_closed(self) -> Self {
        self.wanting(Kind::Closed)
    }

    /// Asks for all events of all families that the daemon has, but for those of QEMU's monitor.
    pub fn all(self) -> Self {
        self.all_domain_events()
            .all_network_events()
            .all_storage_pool_events()
            .all_node_device_events()
            .all_secret_events()
            .wanting_any([Kind::Closed])
    }

    pub(super) fn wanting(mut self, kind: Kind) -> Self {
        match self.wanted.iter_mut().find(|wanted| wanted.kind == kind) {
            Some(wanted) => wanted.required = true,
            None => self.wanted.push(Wanted { kind, required: true }),
        }
        self
    }

    pub(super) fn wanting_any(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        for kind in kinds {
            if !self.wanted.iter().any(|wanted| wanted.kind == kind) {
                self.wanted.push(Wanted { kind, required: false });
            }
        }
        self
    }

    /// Subscribes, and returns the events as they come from now on. Subscriptions that ask for the same share one
    /// registration at the daemon.
    ///
    /// Calls `REMOTE_PROC_CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY` (316) and its kin; on daemons older than libvirt
    /// 1.2.2, `REMOTE_PROC_CONNECT_DOMAIN_EVENT_REGISTER_ANY` (167). C: `virConnectDomainEventRegisterAny`,
    /// `virConnectNetworkEventRegisterAny` and others. Needs `connect:search_domains` and the like, and `domain:getattr`
    /// and the like for each object that there are events about.
    ///
    /// # Errors
    /// The daemon or its driver does not have one of the kinds, or refuses it. Of those that were asked for as “all”, what
    /// it does not have is left out, unless that is everything. [`Error::Unsupported`] if no kind was asked for.
    ///
    /// # Cancel safety
    /// A subscription whose future is dropped is cancelled.
    #[doc(alias = "virConnectDomainEventRegisterAny")]
    #[doc(alias = "virConnectNetworkEventRegisterAny")]
    #[doc(alias = "virConnectStoragePoolEventRegisterAny")]
    #[doc(alias = "virConnectNodeDeviceEventRegisterAny")]
    #[doc(alias = "virConnectSecretEventRegisterAny")]
    pub async fn subscribe(self) -> Result<Events> {
        let client = self.connection.client().clone();
        // Which of the daemon's refusals are errors is decided there.
        let subscribed = expecting(|_| true, self.register()).await;
        client.observed(subscribed)
    }

    async fn register(self) -> Result<Events> {
        // How events are registered for depends on the daemon: what it has is known once there is a connection.
        let procedure = remote::ConnectDomainEventCallbackRegisterAnyArgs::PROCEDURE;
        self.connection.client().pinned(procedure).await?;
        let (mut sources, mut unsupported) = (Vec::new(), None);
        for wanted in &self.wanted {
            match self.sources(&wanted.kind) {
                Ok(more) => more.into_iter().for_each(|source| add(&mut sources, source, wanted.required)),
                Err(error) if wanted.required || !error.is_unsupported() => return Err(error),
                Err(error) => unsupported = Some(error),
            }
        }
        let required: Vec<bool> = sources.iter().map(|(_, required)| *required).collect();
        let sources = sources.into_iter().map(|(source, _)| source);
        let (subscription, refused) = self.connection.client().subscribe_to_all(sources).await?;
        let none_is_left = refused.len() == required.len();
        for (place, error) in refused {
            if none_is_left || required.get(place) == Some(&true) || !is_lacking(&error) {
                return Err(error);
            }
            tracing::debug!(%error, "a kind of event is not to be had");
        }
        if none_is_left {
            let nothing =
                || Error::Unsupported("a subscription has to say which events it is for".to_owned());
            return Err(unsupported.unwrap_or_else(nothing));
        }
        let only = (!self.connection.features().event_callback && !self.domains.is_empty())
            .then(|| self.domains.iter().map(Domain::uuid).collect());
        Ok(Events { connection: self.connection, subscription, only })
    }

    /// Says what to register for, to get a kind of event: once for each object that it is to be about.
    fn sources(&self, kind: &Kind) -> Result<Vec<EventSource>> {
        match kind {
            Kind::Domain(id, legacy) if !self.connection.features().event_callback => {
                Ok(vec![legacy_source(*id, *legacy)?])
            }
            Kind::Domain(id, _) => for_each(&self.domains, |domain| {
                let dom = domain.map(domain_wire);
                let call = remote::ConnectDomainEventCallbackRegisterAnyArgs { event_id: id.0, dom };
                let family = if is_known(*id) { Family::Domain } else { Family::Unknown };
                EventSource::new(&call, family, CANCEL_DOMAIN)
            }),
            Kind::Network(id, _) => for_each(&self.networks, |network| {
                let net = network.map(|network| network.wire.clone());
                let call = remote::ConnectNetworkEventRegisterAnyArgs { event_id: id.0, net };
                EventSource::new(&call, Family::Network, CANCEL_NETWORK)
            }),
            Kind::StoragePool(id, _) => for_each(&self.storage_pools, |pool| {
                let pool = pool.map(|pool| pool.wire.clone());
                let call = remote::ConnectStoragePoolEventRegisterAnyArgs { event_id: id.0, pool };
                EventSource::new(&call, Family::StoragePool, CANCEL_STORAGE_POOL)
            }),
            Kind::NodeDevice(id, _) => for_each(&self.node_devices, |device| {
                let dev = device.map(|device| device.wire.clone());
                let call = remote::ConnectNodeDeviceEventRegisterAnyArgs { event_id: id.0, dev };
                EventSource::new(&call, Family::NodeDevice, CANCEL_NODE_DEVICE)
            }),
            Kind::Secret(id, _) => for_each(&self.secrets, |secret| {
                let secret = secret.map(|secret| secret.wire.clone());
                let call = remote::ConnectSecretEventRegisterAnyArgs { event_id: id.0, secret };
                EventSource::new(&call, Family::Secret, CANCEL_SECRET)
            }),
            Kind::Monitor(event, flags) => for_each(&self.domains, |domain| {
                let (dom, event) = (domain.map(domain_wire), event.clone());
                let call = qemu::ConnectDomainMonitorEventRegisterArgs { dom, event, flags: flags.bits() };
                EventSource::new(&call, Family::QemuMonitor, CANCEL_MONITOR)
            }),
            Kind::Closed if !self.connection.features().close_callback => {
                let reason = "the daemon is too old to tell of the end of its connection to the hypervisor";
                Err(Error::Unsupported(reason.to_owned()))
            }
            Kind::Closed => Ok(vec![connection_closed()?]),
        }
    }
}

/// Says how to register for the end of the daemon's own connection to the hypervisor.
pub(in crate::objects) fn connection_closed() -> Result<EventSource> {
    EventSource::without_callback_id(
        &remote::ConnectRegisterCloseCallbackArgs,
        Family::Connection,
        remote::Procedure::CONNECT_EVENT_CONNECTION_CLOSED.0,
        &remote::ConnectUnregisterCloseCallbackArgs,
    )
}

const CANCEL_DOMAIN: &ProcedureInfo = remote::ConnectDomainEventCallbackDeregisterAnyArgs::PROCEDURE;
const CANCEL_NETWORK: &ProcedureInfo = remote::ConnectNetworkEventDeregisterAnyArgs::PROCEDURE;
const CANCEL_STORAGE_POOL: &ProcedureInfo = remote::ConnectStoragePoolEventDeregisterAnyArgs::PROCEDURE;
const CANCEL_NODE_DEVICE: &ProcedureInfo = remote::ConnectNodeDeviceEventDeregisterAnyArgs::PROCEDURE;
const CANCEL_SECRET: &ProcedureInfo = remote::ConnectSecretEventDeregisterAnyArgs::PROCEDURE;
const CANCEL_MONITOR: &ProcedureInfo = qemu::ConnectDomainMonitorEventDeregisterArgs::PROCEDURE;

/// Adds a source once: what is registered twice would be told twice.
fn add(sources: &mut Vec<(EventSource, bool)>, source: EventSource, required: bool) {
    match sources.iter_mut().find(|(known, _)| *known == source) {
        Some((_, known)) => *known |= required,
        None => sources.push((source, required)),
    }
}

/// Registers for each of some objects or, where there are none, for all.
fn for_each<T>(
    objects: &[T],
    source: impl Fn(Option<&T>) -> Result<EventSource>,
) -> Result<Vec<EventSource>> {
    match objects {
        [] => Ok(vec![source(None)?]),
        objects => objects.iter().map(|object| source(Some(object))).collect(),
    }
}

/// Registers as daemons without feature 14 have it: for all domains, and without a callback id.
fn legacy_source(id: DomainEventId, message: Option<i32>) -> Result<EventSource> {
    let Some(message) = message else {
        return Err(Error::Unsupported(format!(
            "the daemon is too old for {id} events of domains: libvirt has them since it has event callbacks (1.2.2)"
        )));
    };
    EventSource::without_callback_id(
        &remote::ConnectDomainEventRegisterAnyArgs { event_id: id.0 },
        Family::LegacyDomain,
        message,
        &remote::ConnectDomainEventDeregisterAnyArgs { event_id: id.0 },
    )
}

/// The daemon looks at the UUID. The number changes when the domain starts, and would make another registration of the
/// same one.
fn domain_wire(domain: &Domain) -> remote::NonnullDomain {
    remote::NonnullDomain { id: -1, ..domain.wire.clone() }
}

/// Tells whether a refusal says that the daemon or its driver does not have a kind of event: of a number that it does not
/// know, a daemon says that it is an internal error.
fn is_lacking(error: &Error) -> bool {
    error.is_unsupported() || error.code() == Some(ErrorCode::INTERNAL_ERROR)
}

fn is_known(id: DomainEventId) -> bool {
    id.name().is_some()
}
