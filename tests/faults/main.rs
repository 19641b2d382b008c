//! What a client tells its user when something goes wrong between it and a real daemon: each fault in each phase.
//!
//! A proxy stands between the two. Its faults come at every frame of every phase, one after another in one process, so
//! that after each it shows whether a task or a descriptor was left behind. tests/README.md has the table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

#[allow(dead_code, unused_imports, reason = "the live tests use all of it")]
#[path = "../support/mod.rs"]
mod support;

mod cell;
mod daemons;
mod expected;
mod fault;
mod floods;
mod frames;
mod leaks;
mod outcome;
mod phases;
mod plan;
mod proxy;
mod socket;
mod supervised;
mod table;
mod world;

use std::time::Duration;

use table::Table;
use world::Ground;

/// Set to write the tables into tests/README.md.
const WRITE: &str = "LIBVIRT_TEST_TABLE";
/// How many cells there have to be.
const CELLS: usize = 300;
/// How long all of it may take; two and a half minutes are usual on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

#[test]
fn every_fault_in_every_phase_is_told_as_what_it_is() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let table = runtime.block_on(async {
        tokio::time::timeout(LIMIT, Box::pin(all_rows())).await.expect("the suite takes too long")
    });
    let path = table.write();
    println!("{}{}", table.markdown(), table.summary());
    println!("all cells are in {}", path.display());
    let complaints = table.complaints();
    assert!(complaints.is_empty(), "{} cells are wrong:\n{}", complaints.len(), complaints.join("\n"));
    assert!(table.len() >= CELLS, "there are only {} cells", table.len());
    if std::env::var_os(WRITE).is_some() {
        table.publish();
    }
}

async fn all_rows() -> Table {
    let mut ground = Ground::new().await;
    let mut table = Table::default();
    for phase in phases::Phase::ALL {
        let frames = cell::frames(ground.world(), phase).await;
        for cell in plan::cells(phase, &frames) {
            table.add(ground.run(async |world| cell::run(world, &cell).await).await);
        }
    }
    floods::add_to(&mut table, ground.world()).await;
    supervised::add_to(&mut table, &mut ground).await;
    println!("the daemon crashed {} times by itself", ground.crashes);
    drop(ground);
    daemons::add_to(&mut table).await;
    supervised::add_daemons_to(&mut table).await;
    table
}
