//! Recorded conversations of libvirt's C clients with libvirtd, against our decoder, types and client.
//!
//! The recordings are in `fixtures/recordings`; `fixtures/README.md` says how they are made. To compare with others,
//! name their directory in `RECORDINGS`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test ends it"
)]

mod client;
mod cuts;
mod messages;
mod recordings;

use std::io::Write;

use recordings::Report;

#[test]
fn there_are_recordings_of_two_clients() {
    let all = recordings::read(&recordings::repository());
    assert!(all.len() >= 30, "only {} recordings", all.len());
    let frames: usize = all.iter().map(|(_, recording)| recording.frames().len()).sum();
    assert!(frames >= 1000, "only {frames} frames");
    for client in ["virsh", "libvirt-python", "virt-admin"] {
        let is_it = |recording: &libvirt_client::testing::Recording| {
            recording.get("client").is_some_and(|said| said.starts_with(client))
        };
        assert!(all.iter().any(|(_, recording)| is_it(recording)), "no recording of {client}");
    }
}

#[test]
fn the_text_of_a_recording_is_what_it_was_read_from() {
    for (name, recording) in recordings::all() {
        let text = std::fs::read_to_string(recordings::directory().join(name)).unwrap();
        let written = recording.to_string();
        let place = written.lines().zip(text.lines()).position(|(written, read)| written != read);
        assert!(
            written == text,
            "{name}, line {}: its comments are out of date; cargo run --example frames -- --rewrite FILE",
            place.unwrap_or(0) + 1
        );
    }
}

#[test]
fn frames_decode_and_encode_to_the_same_bytes() {
    messages::report().assert_no_differences();
}

#[test]
fn frames_come_out_the_same_however_the_stream_is_cut() {
    cuts::report().assert_no_differences();
}

#[test]
fn our_client_sends_the_same_calls_and_understands_the_answers() {
    client::report().assert_no_differences();
}

/// Says what was compared, past the capture of the test runner.
#[test]
fn summary() {
    let reports: [&Report; 3] = [messages::report(), cuts::report(), client::report()];
    let mut lines = format!("\nconformance: {} recordings\n", recordings::all().len());
    for report in reports {
        lines += &format!("  {report}\n");
    }
    std::io::stderr().write_all(lines.as_bytes()).unwrap();
    for report in reports {
        report.assert_no_differences();
    }
}
