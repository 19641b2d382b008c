//! Prints all that a daemon knows about a domain, as JSON. What cannot be told is listed as unavailable, with the reason.
//!
//! ```text
//! cargo run --features serde --example inspect -- web                       of qemu:///system
//! cargo run --features serde --example inspect -- test:///default test      by name
//! cargo run --features serde --example inspect -- qemu:///system UUID       or by UUID
//! ```

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, Error, Result, Uuid,
    enums::{
        DomainGuestInfoTypes, DomainInterfaceAddressesSource, DomainMetadataType, DomainStatsTypes,
        DomainXmlFlags,
    },
};
use serde::Serialize;
use serde_json::{Map, Value, json};

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: inspect [URI] DOMAIN      (a name or a UUID; without a URI: qemu:///system)";
/// A guest whose agent does not answer should not hold us up.
const GUEST: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (uri, wanted) = match arguments.as_slice() {
        [wanted] if !wanted.starts_with('-') => ("qemu:///system", wanted),
        [uri, wanted] => (uri.as_str(), wanted),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match inspect(uri, wanted).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inspect: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn inspect(uri: &str, wanted: &str) -> AnyResult<()> {
    let connection = Connection::open(uri).await?;
    let Some(domain) = find(&connection, wanted).await? else {
        let names: Vec<String> =
            connection.domains().await?.iter().map(|domain| domain.name().to_owned()).collect();
        return Err(format!("there is no domain {wanted:?}; there are: {}", names.join(", ")).into());
    };
    let mut report = Report::default();
    report.add("domain", "handle", Ok(&domain))?;
    life(&mut report, &domain).await?;
    definition(&mut report, &domain).await?;
    settings(&mut report, &domain).await?;
    statistics(&mut report, &domain).await?;
    devices(&mut report, &domain).await?;
    jobs(&mut report, &domain).await?;
    history(&mut report, &domain).await?;
    guest(&mut report, &domain.with_timeout(GUEST)).await?;
    // Not `println!`, which panics when nobody reads on, as in `inspect | head`.
    writeln!(io::stdout(), "{:#}", report.into_json())?;
    Ok(connection.close().await?)
}

async fn find(connection: &Connection, wanted: &str) -> Result<Option<Domain>> {
    match connection.find_domain_by_name(wanted).await? {
        Some(domain) => Ok(Some(domain)),
        None => match wanted.parse::<Uuid>() {
            Ok(uuid) => connection.find_domain_by_uuid(uuid).await,
            Err(_) => Ok(None),
        },
    }
}

/// What was told, by section and name, and what was not.
#[derive(Default)]
struct Report {
    sections: Map<String, Value>,
    unavailable: Vec<Value>,
}

impl Report {
    /// Adds an answer, or why there is none. Only the end of the connection ends the report.
    fn add(&mut self, section: &str, name: &str, answer: Result<impl Serialize>) -> AnyResult<()> {
        match answer {
            Ok(answer) => {
                let section = self.sections.entry(section).or_insert_with(|| json!({}));
                if let Some(section) = section.as_object_mut() {
                    section.insert(name.to_owned(), serde_json::to_value(answer)?);
                }
            }
            Err(error) if error.close_reason().is_some() => return Err(error.into()),
            Err(error) => self.unavailable.push(json!({
                "what": format!("{section}: {name}"),
                "reason": reason(&error),
                "error": error.to_string(),
            })),
        }
        Ok(())
    }

    fn into_json(mut self) -> Value {
        self.sections.insert("unavailable".to_owned(), self.unavailable.into());
        self.sections.into()
    }
}

/// Says in a word why there is no answer; the error says the rest.
fn reason(error: &Error) -> &'static str {
    match error {
        _ if error.is_unsupported() => "unsupported",
        _ if error.is_invalid_state() => "wrong state",
        _ if error.is_not_found() => "not found",
        _ if error.is_auth() => "not allowed",
        _ if error.is_read_only() => "read-only connection",
        _ if error.is_transient() => "not now",
        _ => "refused",
    }
}

async fn life(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    report.add("domain", "info", domain.info().await)?;
    report.add("domain", "state", domain.state().await)?;
    report.add("domain", "control", domain.control_info().await)?;
    report.add("domain", "active", domain.is_active().await)?;
    report.add("domain", "persistent", domain.is_persistent().await)?;
    report.add("domain", "updated", domain.is_updated().await)?;
    report.add("domain", "autostart", domain.autostart().await)?;
    report.add("domain", "autostart_once", domain.autostart_once().await)?;
    report.add("domain", "messages", domain.messages().await)
}

async fn definition(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    report.add("definition", "xml", domain.xml().await)?;
    report.add("definition", "inactive_xml", domain.xml_with(DomainXmlFlags::INACTIVE).await)?;
    report.add("definition", "os_type", domain.os_type().await)?;
    report.add("definition", "title", domain.metadata(DomainMetadataType::TITLE, None).await)?;
    report.add("definition", "description", domain.metadata(DomainMetadataType::DESCRIPTION, None).await)
}

async fn settings(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    report.add("settings", "max_memory_kib", domain.max_memory().await)?;
    report.add("settings", "memory", domain.memory_parameters().await)?;
    report.add("settings", "numa", domain.numa_parameters().await)?;
    report.add("settings", "blkio", domain.blkio_parameters().await)?;
    report.add("settings", "scheduler_type", domain.scheduler_type().await)?;
    report.add("settings", "scheduler", domain.scheduler_parameters().await)?;
    report.add("settings", "vcpu_pins", domain.vcpu_pin_info().await)?;
    report.add("settings", "emulator_pin", domain.emulator_pin_info().await)?;
    report.add("settings", "iothreads", domain.iothread_info().await)?;
    report.add("settings", "perf_events", domain.perf_events().await)?;
    report.add("settings", "launch_security", domain.launch_security_info().await)?;
    report.add("settings", "security_labels", domain.security_labels().await)
}

async fn statistics(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    // No types at all means all that the driver has.
    let records =
        domain.connection().domain_stats(std::slice::from_ref(domain), DomainStatsTypes::empty()).await;
    let stats = records.map(|records| records.into_iter().next().map(|record| record.stats));
    report.add("statistics", "all", stats)?;
    report.add("statistics", "cpu_total", domain.cpu_stats_total().await)?;
    report.add("statistics", "cpus", domain.cpu_stats().await)?;
    report.add("statistics", "vcpus", domain.vcpus().await)?;
    report.add("statistics", "memory", domain.memory_stats().await)
}

async fn devices(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    let xml = domain.xml().await?;
    for disk in targets(&xml, "disk") {
        let section = format!("disk {disk}");
        report.add(&section, "sizes", domain.block_info(disk).await)?;
        report.add(&section, "statistics", domain.detailed_block_stats(disk).await)?;
        report.add(&section, "limits", domain.block_io_tune(Some(disk)).await)?;
        report.add(&section, "job", domain.block_job_info(disk).await)?;
    }
    for interface in targets(&xml, "interface") {
        let section = format!("interface {interface}");
        report.add(&section, "statistics", domain.interface_stats(interface).await)?;
        report.add(&section, "limits", domain.interface_parameters(interface).await)?;
    }
    let (lease, arp) = (DomainInterfaceAddressesSource::LEASE, DomainInterfaceAddressesSource::ARP);
    report.add("devices", "addresses_by_lease", domain.interface_addresses(lease).await)?;
    report.add("devices", "addresses_by_arp", domain.interface_addresses(arp).await)?;
    report.add("devices", "disk_errors", domain.disk_errors().await)
}

/// Returns the names that devices have on the host or in the guest, as libvirt writes them. A program that reads more
/// than this should use an XML parser.
fn targets<'a>(xml: &'a str, device: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("<{device} "), format!("</{device}>"));
    let devices = xml.split(begin.as_str()).skip(1).filter_map(|rest| rest.split_once(end.as_str()));
    let target = |(device, _): (&'a str, &'a str)| device.split_once("<target dev='")?.1.split_once('\'');
    devices.filter_map(target).map(|(name, _)| name).collect()
}

async fn jobs(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    report.add("jobs", "current", domain.job_stats().await)?;
    report.add("jobs", "backup_xml", domain.backup_xml().await)?;
    report.add("jobs", "migrate_max_speed_mib_per_s", domain.migrate_max_speed().await)?;
    report.add("jobs", "migrate_max_downtime", domain.migrate_max_downtime().await)?;
    report.add("jobs", "migrate_compression_cache_bytes", domain.migrate_compression_cache().await)
}

async fn history(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    report.add("history", "snapshots", domain.snapshots().await)?;
    report.add("history", "current_snapshot", domain.current_snapshot().await)?;
    report.add("history", "checkpoints", domain.checkpoints().await)?;
    report.add("history", "managed_save", domain.has_managed_save_image().await)
}

/// Asks the guest, by its agent.
async fn guest(report: &mut Report, domain: &Domain) -> AnyResult<()> {
    let agent = DomainInterfaceAddressesSource::AGENT;
    report.add("guest", "info", domain.guest_info(DomainGuestInfoTypes::empty()).await)?;
    report.add("guest", "hostname", domain.hostname().await)?;
    report.add("guest", "time", domain.time().await)?;
    report.add("guest", "filesystems", domain.fs_info().await)?;
    report.add("guest", "vcpus", domain.guest_vcpus().await)?;
    report.add("guest", "addresses", domain.interface_addresses(agent).await)
}
