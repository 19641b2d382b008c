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
mod domains;
mod ending;
mod errors;
mod event_families;
mod events;
mod files;
mod harness;
mod host;
mod objects;
mod params;
mod qemu;
mod qmp;
mod refusals;

/// The simulated hypervisor: one domain, called test, that is running.
const TEST: &str = "test:///default";

/// A domain for the simulated hypervisor.
fn test_domain(name: &str) -> String {
    format!(
        "<domain type='test'><name>{name}</name><memory unit='KiB'>4096</memory><vcpu>1</vcpu>\
         <os><type>hvm</type></os></domain>"
    )
}

/// A simulated host with so many running domains, for `test:///FILE`; every connection has its own copy.
fn test_host(domains: usize) -> String {
    let domains: String = (0..domains).map(|number| test_domain(&format!("vm{number:05}"))).collect();
    format!("<node>{domains}</node>")
}
