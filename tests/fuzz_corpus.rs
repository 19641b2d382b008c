//! The fuzz targets on their corpus, without a fuzzer: each input as it is, cut short, and with single bytes
//! changed. `fuzz/README.md` says how to look for more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzz crate exports them")]
mod targets;

use std::{
    fs,
    panic::{catch_unwind, resume_unwind},
    path::Path,
};

/// The most variants of one input that are tried.
const VARIANTS: usize = 200;

#[test]
fn frame() {
    replay("frame", targets::frame::run);
}

#[test]
fn types() {
    replay("types", targets::types::run);
}

#[test]
fn session() {
    replay("session", targets::session::run);
}

#[test]
fn uri() {
    replay("uri", targets::uri::run);
}

#[test]
fn conf() {
    replay("conf", targets::conf::run);
}

#[test]
fn definitions() {
    replay("definitions", targets::definitions::run);
}

#[cfg(feature = "ssh")]
#[test]
fn known_hosts() {
    replay("known_hosts", targets::known_hosts::run);
}

#[cfg(feature = "ssh")]
#[test]
fn ssh_config() {
    replay("ssh_config", targets::ssh_config::run);
}

#[cfg(feature = "sasl")]
#[test]
fn sasl() {
    replay("sasl", targets::sasl::run);
}

fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut inputs, mut good) = (0, 0);
    for file in &files {
        let data = fs::read(file).unwrap();
        for (turn, variant) in variants(&data).enumerate() {
            inputs += 1;
            match catch_unwind(|| run(&variant)) {
                Ok(reached) => good += usize::from(turn == 0 && reached),
                Err(panic) => {
                    eprintln!("a variant of {}: {variant:02x?}", file.display());
                    resume_unwind(panic);
                }
            }
        }
    }
    assert!(files.len() >= 5, "{} has only {} inputs", corpus.display(), files.len());
    println!("{target}: {} files, {good} of them good, {inputs} inputs", files.len());
    assert!(good * 3 >= files.len(), "only {good} of {} files get past the first checks", files.len());
}

/// Returns an input, its starts, and itself with one byte inverted or one bit of it; where there are too many
/// of them, at places evenly spread.
fn variants(data: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let step = (data.len() * 3).div_ceil(VARIANTS).max(1);
    let places = || (0..data.len()).step_by(step);
    let changed = |place: usize, bits: u8| {
        let mut data = data.to_vec();
        data[place] ^= bits;
        data
    };
    std::iter::once(data.to_vec())
        .chain(places().map(|end| data[..end].to_vec()))
        .chain(places().map(move |place| changed(place, 0xff)))
        .chain(places().map(move |place| changed(place, 1 << (place % 8))))
}
