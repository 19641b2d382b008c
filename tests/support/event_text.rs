//! Events on a line each, as the [`Listener`](super::listener::Listener) prints those that Python hears.

use std::fmt::Display;

use libvirt_client::{
    Event,
    events::{DomainEvent, NetworkEvent, NodeDeviceEvent, QemuEvent, SecretEvent, StoragePoolEvent},
    results::DomainEventGraphicsAddress,
};

use super::python::dictionary;

/// Writes family, name of the object, kind, and what else the event says.
pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::Domain(event) => format!("domain {} {}", event.domain().name(), of_domain(event)),
        Event::Network(NetworkEvent::Lifecycle { network, event, detail }) => {
            format!("network {} lifecycle {} {detail}", network.name(), event.0)
        }
        Event::StoragePool(StoragePoolEvent::Lifecycle { storage_pool, event, detail }) => {
            format!("pool {} lifecycle {} {detail}", storage_pool.name(), event.0)
        }
        Event::StoragePool(StoragePoolEvent::Refresh { storage_pool }) => {
            format!("pool {} refresh", storage_pool.name())
        }
        Event::NodeDevice(NodeDeviceEvent::Lifecycle { node_device, event, detail }) => {
            format!("device {} lifecycle {} {detail}", node_device.name(), event.0)
        }
        Event::NodeDevice(NodeDeviceEvent::Update { node_device }) => {
            format!("device {} update", node_device.name())
        }
        Event::Secret(SecretEvent::Lifecycle { secret, event, detail }) => {
            format!("secret {} lifecycle {} {detail}", secret.uuid(), event.0)
        }
        Event::Secret(SecretEvent::ValueChanged { secret }) => {
            format!("secret {} value-changed", secret.uuid())
        }
        Event::Qemu(QemuEvent::Monitor { domain, event, details, .. }) => {
            format!("monitor {} {event} {}", domain.name(), or_none(details.as_ref()))
        }
        other => format!("{other:?}"),
    }
}

fn of_domain(event: &DomainEvent) -> String {
    match event {
        DomainEvent::Lifecycle { event, detail, .. } => format!("lifecycle {} {}", event.0, detail.number()),
        DomainEvent::Reboot { .. } => "reboot".to_owned(),
        DomainEvent::ControlError { .. } => "control-error".to_owned(),
        DomainEvent::RtcChange { offset_s, .. } => format!("rtc-change {offset_s}"),
        DomainEvent::Watchdog { action, .. } => format!("watchdog {}", action.0),
        DomainEvent::IoError { source_path, device_alias, action, .. } => {
            format!("io-error {source_path} {device_alias} {}", action.0)
        }
        DomainEvent::IoErrorReason { source_path, device_alias, action, reason, .. } => {
            format!("io-error-reason {source_path} {device_alias} {} {reason}", action.0)
        }
        DomainEvent::Graphics { phase, local, remote, auth_scheme, subject, .. } => {
            let who: Vec<String> = subject.iter().map(|one| format!("[{},{}]", one.kind, one.name)).collect();
            let (local, remote) = (address(local), address(remote));
            format!("graphics {} {local} {remote} {auth_scheme} [{}]", phase.0, who.join(","))
        }
        DomainEvent::BlockJob { path, kind, status, .. } => {
            format!("block-job {path} {} {}", kind.0, status.0)
        }
        DomainEvent::BlockJob2 { disk, kind, status, .. } => {
            format!("block-job-2 {disk} {} {}", kind.0, status.0)
        }
        DomainEvent::DiskChange { old_source_path, new_source_path, device_alias, reason, .. } => {
            let (old, new) = (or_none(old_source_path.as_ref()), or_none(new_source_path.as_ref()));
            format!("disk-change {old} {new} {device_alias} {}", reason.0)
        }
        DomainEvent::TrayChange { device_alias, reason, .. } => {
            format!("tray-change {device_alias} {}", reason.0)
        }
        // Python has a reason in these, which is always 0.
        DomainEvent::PmWakeup { .. } => "pm-wakeup 0".to_owned(),
        DomainEvent::PmSuspend { .. } => "pm-suspend 0".to_owned(),
        DomainEvent::PmSuspendDisk { .. } => "pm-suspend-disk 0".to_owned(),
        DomainEvent::BalloonChange { actual_kib, .. } => format!("balloon-change {actual_kib}"),
        DomainEvent::DeviceAdded { device_alias, .. } => format!("device-added {device_alias}"),
        DomainEvent::DeviceRemoved { device_alias, .. } => format!("device-removed {device_alias}"),
        DomainEvent::Tunable { params, .. } => format!("tunable {}", in_braces(params)),
        DomainEvent::JobCompleted { stats, .. } => format!("job-completed {}", in_braces(&**stats)),
        DomainEvent::AgentLifecycle { state, reason, .. } => {
            format!("agent-lifecycle {} {}", state.0, reason.0)
        }
        DomainEvent::MigrationIteration { iteration, .. } => format!("migration-iteration {iteration}"),
        DomainEvent::MetadataChange { kind, namespace, .. } => {
            format!("metadata-change {} {}", kind.0, or_none(namespace.as_ref()))
        }
        DomainEvent::BlockThreshold { dev, path, threshold, excess, .. } => {
            format!("block-threshold {dev} {} {threshold} {excess}", or_none(path.as_ref()))
        }
        DomainEvent::MemoryDeviceSizeChange { alias, size_kib, .. } => {
            format!("memory-device-size-change {alias} {size_kib}")
        }
        other => format!("{other:?}"),
    }
}

fn or_none(text: Option<impl Display>) -> String {
    text.map_or_else(|| "None".to_owned(), |text| text.to_string())
}

fn address(address: &DomainEventGraphicsAddress) -> String {
    format!("{{family={},node={},service={}}}", address.family.0, address.node, address.service)
}

fn in_braces(params: &(impl Clone + Into<libvirt_client::TypedParams>)) -> String {
    format!("{{{}}}", dictionary(params.clone()).replace('\n', ","))
}
