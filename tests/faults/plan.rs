//! Which cells there are.

use std::time::Duration;

use libvirt_client::protocol::net::{MessageStatus, MessageType};

use crate::{
    cell::{Cell, Known},
    fault::{At, Fault, Place, Side, Stray, Then},
    frames::Word,
    phases::Phase,
};

/// Lengths that no frame has.
const LYING: [u32; 5] = [0, 3, 27, 33_554_437, u32::MAX];

/// Returns all cells of a phase whose frames are these where nothing goes wrong.
pub(crate) fn cells(phase: Phase, frames: &[Vec<Known>; 2]) -> Vec<Cell> {
    if phase == Phase::Idle {
        return idle();
    }
    let mut cells = Vec::new();
    for fault in [
        Fault::Dribble(if phase == Phase::Opening { 1 } else { 977 }),
        Fault::Late(Duration::from_millis(15)),
    ] {
        cells.push(Cell { phase, side: Side::Daemon, number: 0, fault, frame: frames[1].first().copied() });
    }
    // The proxy cannot leave a byte unread and take the descriptor on it.
    let resets = frames[0].iter().all(|frame| frame.descriptors == 0);
    for (side, frames) in [(Side::Client, &frames[0]), (Side::Daemon, &frames[1])] {
        for (number, frame) in frames.iter().enumerate().filter(|(number, _)| is_chosen(frames, *number)) {
            let faults = faults(side, frame, resets).into_iter();
            // A goodbye that the daemon does not take for one waits for all of its five seconds: once will do.
            let faults = faults.filter(|fault| {
                (phase, side) != (Phase::Close, Side::Client) || !matches!(fault, Fault::Flip(Word::Type, _))
            });
            cells.extend(faults.map(|fault| Cell { phase, side, number, fault, frame: Some(*frame) }));
        }
    }
    cells
}

/// Of the frames with data, which are all alike, the first and the last will do.
fn is_chosen(frames: &[Known], number: usize) -> bool {
    let is_data = |number: usize| {
        let full = (MessageType::STREAM, MessageStatus::CONTINUE);
        frames
            .get(number)
            .is_some_and(|frame| (frame.header.type_, frame.header.status) == full && frame.length > 28)
    };
    let between = number.checked_sub(1).is_some_and(is_data) && is_data(number + 1);
    !(is_data(number) && between)
}

/// Says which frame a fault comes to, and where in it.
pub(crate) fn place(cell: &Cell) -> String {
    let side = match cell.side {
        Side::Client => "client's",
        Side::Daemon => "daemon's",
    };
    let place = match cell.fault {
        Fault::Cut(at, _) => format!(" {at:?}"),
        Fault::Payload(place) => format!(" {place:?}"),
        Fault::Flip(word, bits) => format!(" {word:?} {bits:#x}"),
        Fault::Stray(stray) => format!(" {stray:?}"),
        Fault::Length(length) => format!(" {length}"),
        _ => String::new(),
    };
    match cell.frame {
        Some(frame) => format!("{side} frame {} of procedure {}{place}", cell.number, frame.header.proc),
        None => place,
    }
}

fn faults(side: Side, frame: &Known, resets: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for at in At::ALL {
        // Without a payload, some places are the same.
        let bytes = at.bytes(frame.length);
        if at == At::End || bytes < frame.length && (at == At::AfterHeader || bytes != 28) {
            faults.push(Fault::Cut(at, Then::Close));
        }
    }
    if resets {
        faults.extend([At::Start, At::Middle].map(|at| Fault::Cut(at, Then::Reset)));
    }
    faults.push(Fault::Cut(At::InHeader, Then::Silence));
    faults.extend(LYING.map(Fault::Length));
    if frame.length > 28 {
        faults.push(Fault::Length(28));
    }
    faults.push(Fault::Length(frame.length as u32 + 8));
    faults.push(Fault::Duplicate);
    for (word, bits) in [
        (Word::Program, 0x1000),
        (Word::Version, 2),
        (Word::Procedure, 0x4000_0000),
        (Word::Type, 1),
        (Word::Type, 2),
        (Word::Type, 4),
        (Word::Serial, 0x100),
        (Word::Status, 1),
        (Word::Status, 2),
    ] {
        faults.push(Fault::Flip(word, bits));
    }
    // Turned into an abort, a finish that is confirmed says nothing of what was written.
    let is_finish = (frame.header.type_, frame.header.status) == (MessageType::STREAM, MessageStatus::OK);
    if side == Side::Client && is_finish {
        faults.retain(|fault| *fault != Fault::Flip(Word::Status, 1));
    }
    let length = frame.length - 28;
    let mut places: Vec<Place> =
        Place::ALL.into_iter().filter(|place| place.in_payload(length).is_some()).collect();
    places.dedup_by_key(|place| place.in_payload(length));
    faults.extend(places.into_iter().map(Fault::Payload));
    if side == Side::Daemon {
        faults.extend(Stray::ALL.map(Fault::Stray));
        if !matches!(frame.header.type_, MessageType::REPLY_WITH_FDS) {
            faults.push(Fault::LoneDescriptor);
        }
    }
    if frame.descriptors > 0 {
        faults.push(Fault::WithoutDescriptor);
    }
    faults
}

fn idle() -> Vec<Cell> {
    let ends = [Then::Close, Then::Reset, Then::Silence].map(|then| Fault::Cut(At::Start, then));
    let strays = Stray::ALL.map(Fault::Stray);
    let faults = [Fault::LoneDescriptor].into_iter().chain(ends).chain(strays);
    faults
        .map(|fault| Cell { phase: Phase::Idle, side: Side::Daemon, number: 0, fault, frame: None })
        .collect()
}
