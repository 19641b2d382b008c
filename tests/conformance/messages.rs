//! Every frame as a typed value, and back.

use std::sync::OnceLock;

use bytes::Bytes;
use libvirt_client::{
    protocol::{qemu, remote},
    testing::{Body, Direction, Message, RecordedFrame},
};

use super::recordings::{self, Report};

pub(crate) fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let counted =
            ["frames", "bytes", "calls", "replies", "errors", "events", "stream frames", "with descriptors"];
        let mut report = Report::new("decoded and encoded again", &counted);
        for (name, recording) in recordings::all() {
            for (index, frame) in recording.frames().iter().enumerate() {
                if let Err(problem) = compare(frame, &mut report) {
                    report.difference(name, index, problem);
                }
            }
        }
        report
    })
}

fn compare(frame: &RecordedFrame, report: &mut Report) -> Result<(), String> {
    let message = Message::decode(frame).map_err(|error| error.to_string())?;
    report.count("frames", 1);
    report.count("bytes", frame.bytes().len());
    report.count("with descriptors", usize::from(frame.descriptors() > 0));
    report.count(
        match message.body() {
            Body::Call(_) => "calls",
            Body::Reply(_) => "replies",
            Body::Error(_) => "errors",
            Body::Event(_) => "events",
            _ => "stream frames",
        },
        1,
    );
    if message.encoded() != frame.payload() {
        return Err(format!("{message} is encoded as {:02x?}", message.encoded()));
    }
    let is_event =
        matches!(message.body(), Body::Event(_)) && message.procedure().program.name != "keepalive";
    if is_event && frame.direction() == Direction::FromDaemon {
        compare_event(frame)?;
    }
    Ok(())
}

/// The enum of a program's events knows it too.
fn compare_event(frame: &RecordedFrame) -> Result<(), String> {
    let payload = Bytes::copy_from_slice(frame.payload());
    let number = frame.procedure();
    let (procedure, is_unknown) = if frame.program() == qemu::PROGRAM.number {
        let event = qemu::Event::decode(number, &payload).map_err(|error| error.to_string())?;
        (event.procedure().0, matches!(event, qemu::Event::Unknown { .. }))
    } else {
        let event = remote::Event::decode(number, &payload).map_err(|error| error.to_string())?;
        (event.procedure().0, matches!(event, remote::Event::Unknown { .. }))
    };
    if is_unknown || procedure != number {
        return Err(format!("event {number} is decoded as {procedure}, unknown: {is_unknown}"));
    }
    Ok(())
}
