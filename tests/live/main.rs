//! Tests against a real libvirtd, started privately by each test; tests/README.md says what they need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod auth;
mod blocked;
mod calls;
mod client_side;
mod domain_lifecycle;
mod domain_settings;
mod domains;
mod ending;
mod errors;
mod event_families;
mod events;
mod examples;
mod files;
mod fleet;
mod guest_access;
mod guests;
mod harness;
mod host;
mod idle;
mod known_hosts;
mod logged;
mod lxc;
mod migration;
mod networks;
mod node_devices;
mod nwfilters;
mod params;
mod programs;
mod qemu;
mod qemu_blocks;
mod qemu_devices;
mod qemu_guest;
mod qemu_host;
mod qemu_saving;
mod qemu_snapshots;
mod qemu_tuning;
mod qmp;
mod real_devices;
mod real_networks;
mod real_storage;
mod refusals;
mod refused;
mod request_limit;
mod sasl;
mod secrets;
mod snapshots;
mod ssh;
mod ssh_config;
mod ssh_hosts;
mod ssh_refusals;
mod ssh_tunnels;
mod ssh_ways;
mod storage;
mod streams;
mod streams_faults;
mod streams_guests;
mod superseded;
mod supervision;
mod tcp;
mod tls;
mod uri;

use libvirt_client::Connection;

use support::{Daemon, Python};

/// The simulated hypervisor: one domain, called test, that is running.
const TEST: &str = "test:///default";
/// The real thing; networks, storage, secrets and the host's devices come with it.
const QEMU: &str = "qemu:///system";

/// A domain for the simulated hypervisor.
fn test_domain(name: &str) -> String {
    format!(
        "<domain type='test'><name>{name}</name><memory unit='KiB'>4096</memory><vcpu>1</vcpu>\
         <os><type>hvm</type></os></domain>"
    )
}

/// The same with a disk, `vda`, and an interface, `testnet0`.
fn test_machine(name: &str) -> String {
    let devices = "<devices>\
        <disk type='file' device='disk'><source file='/disk.img'/><target dev='vda' bus='virtio'/></disk>\
        <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/>\
        <target dev='testnet0'/></interface></devices></domain>";
    test_domain(name).replace("</domain>", devices)
}

/// A daemon, our connection to its simulated hypervisor, and Python's.
async fn simulated() -> (Daemon, Connection, Python) {
    let daemon = Daemon::start();
    let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
    let python = daemon.ask_python(TEST);
    (daemon, connection, python)
}

/// A simulated host with so many running domains, for `test:///FILE`; every connection has its own copy.
fn test_host(domains: usize) -> String {
    let domains: String = (0..domains).map(|number| test_domain(&format!("vm{number:05}"))).collect();
    format!("<node>{domains}</node>")
}
