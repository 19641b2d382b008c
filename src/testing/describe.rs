//! The comments in the text form of a recording.

use super::{
    message::{Message, procedure, program},
    recording::RecordedFrame,
};

/// How many characters of a decoded value a comment shows.
const EXCERPT: usize = 200;

/// Says what a frame is in one line, and what it carries in a second one.
pub(super) fn describe(frame: &RecordedFrame) -> String {
    let headline = headline(frame);
    match Message::decode(frame) {
        // A value without fields.
        Ok(message) if message.to_string() == "()" || frame.payload().is_empty() => headline,
        Ok(message) => format!("{headline}\n{}", excerpt(&message.to_string())),
        Err(error) => format!("{headline}\n{}", excerpt(&error.to_string())),
    }
}

/// Says what a frame is: program, procedure, type, serial, status and length.
pub(super) fn headline(frame: &RecordedFrame) -> String {
    let program = program(frame.program())
        .map_or_else(|| format!("program {:#010x}", frame.program()), |program| program.name.to_owned());
    let procedure = procedure(frame.program(), frame.procedure())
        .map_or_else(|| format!("procedure {}", frame.procedure()), |info| info.short_name().to_owned());
    let kind = match frame.kind() {
        0 => "call",
        1 => "reply",
        2 => "event",
        3 => "stream",
        4 => "call with descriptors",
        5 => "reply with descriptors",
        6 => "hole",
        _ => "unknown type",
    };
    let status = match frame.status() {
        0 => "ok",
        1 => "error",
        2 => "continue",
        _ => "unknown status",
    };
    format!(
        "{program} {procedure} {kind}, serial {}, {status}, {} bytes",
        frame.serial(),
        frame.bytes().len()
    )
}

/// Cuts a text, and keeps it on one line.
fn excerpt(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(EXCERPT) {
        Some((place, _)) => format!("{}…", text.get(..place).unwrap_or_default()),
        None => text,
    }
}
