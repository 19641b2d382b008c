//! What a user's program may be told of each fault in each phase.
//!
//! The rules behind it: an end that can be seen is told as one, at once, and never as a deadline that passed; a silence
//! is ended by a deadline or by keepalive; what the protocol does not allow ends the connection, since nothing that
//! follows can be trusted; what is merely unknown changes nothing; a value whose bits were flipped on the way is given as
//! it came, since nobody can tell, unless it does not decode.

use libvirt_client::protocol::net::{MessageStatus, MessageType};

use crate::{
    cell::{Cell, Known},
    fault::{At, Fault, Side, Stray, Then},
    frames::Word,
    outcome::Outcome::{self, *},
    phases::Phase,
};

/// Returns what a cell may come to.
pub(crate) fn expected(cell: &Cell) -> Vec<Outcome> {
    let outcomes = match (cell.side, cell.frame) {
        (Side::Daemon, Some(frame)) => from_daemon(cell, &frame),
        (Side::Client, Some(frame)) => from_client(cell, &frame),
        (_, None) if cell.fault == Fault::None => vec![Right],
        (_, None) => while_idle(cell.fault),
    };
    match cell.phase {
        Phase::Opening => outcomes.into_iter().map(before_it_is_open).collect(),
        // Whether it can be said or not: it was to end.
        Phase::Close => outcomes.into_iter().chain([Right]).collect(),
        _ => outcomes,
    }
}

/// A connection that ends while it is opened was never there.
fn before_it_is_open(outcome: Outcome) -> Outcome {
    match outcome {
        Closed | Cut => Unconnected,
        Protocol => NoDaemon,
        Silent => Timeout,
        other => other,
    }
}

/// Something is wrong with what the daemon sent.
fn from_daemon(cell: &Cell, frame: &Known) -> Vec<Outcome> {
    let kind = (frame.header.type_, frame.header.status);
    let is_event = kind.0 == MessageType::MESSAGE;
    let is_reply = matches!(kind.0, MessageType::REPLY | MessageType::REPLY_WITH_FDS);
    let is_data = kind == (MessageType::STREAM, MessageStatus::CONTINUE);
    match cell.fault {
        Fault::None | Fault::Dribble(_) | Fault::Late(_) => vec![Right],
        // Answers come in any order, and this one has that length.
        Fault::Length(length) if length as usize == frame.length => vec![Right],
        // The last of what had to be said was said.
        Fault::Cut(at, Then::Close) if frame.is_last && at.is_whole(frame.length) => vec![Right],
        Fault::Cut(at, Then::Reset) if frame.is_last && at.is_whole(frame.length) => vec![Right, Closed],
        Fault::Cut(at, Then::Close) if at == At::Start || at.is_whole(frame.length) => vec![Closed],
        Fault::Cut(_, Then::Close) => vec![Cut],
        // Linux drops what was not read yet of a connection that is reset, or not.
        Fault::Cut(_, Then::Reset) => vec![Closed, Cut],
        Fault::Cut(_, Then::Silence) => vec![Silent],
        // Bulk data and events have no numbers: one that comes twice has happened twice.
        Fault::Duplicate if is_event || is_data => vec![Right, Altered],
        Fault::Duplicate => vec![Right],
        Fault::Length(0 | 3 | 27 | 33_554_437 | u32::MAX) => vec![Protocol],
        // It ends a stream, or is no answer; what was cut off begins like a frame, or does not. The first data may come before the
        // answer, which has this length.
        Fault::Length(28) if is_data => vec![Right, Altered, Protocol, Timeout],
        Fault::Length(28) => vec![Unreadable, Protocol, Timeout],
        // It swallows what comes behind it, or waits for it.
        Fault::Length(_) => vec![Timeout, Unreadable, Protocol],
        Fault::Flip(word, bits) => flipped(frame, word, bits),
        // Its length, its value, or the value's padding.
        // What is done next may depend on it: an authentication that the daemon does not have, parameters that there are not,
        // files that it cannot pass.
        Fault::Payload(_) => match cell.phase {
            Phase::Opening => vec![Right, Unreadable, Auth, Refused],
            Phase::Parameters => vec![Right, Altered, Unreadable, Refused],
            Phase::FilesFrom | Phase::FilesTo => vec![Right, Altered, Unreadable, Protocol, Unsupported],
            _ => vec![Right, Altered, Unreadable],
        },
        // The daemon may send data before the reply that opens the stream.
        Fault::Stray(stray) if is_data => [strayed(stray, true), strayed(stray, false)].concat(),
        Fault::Stray(stray) => strayed(stray, is_reply),
        Fault::WithoutDescriptor => vec![Protocol],
        Fault::LoneDescriptor => vec![Right],
    }
}

fn flipped(frame: &Known, word: Word, bits: u32) -> Vec<Outcome> {
    let (kind, status) = (frame.header.type_, frame.header.status);
    match (word, kind) {
        // An answer to another question.
        (
            Word::Program | Word::Version | Word::Procedure,
            MessageType::REPLY | MessageType::REPLY_WITH_FDS,
        ) => {
            vec![Protocol]
        }
        // Data of no stream, an unknown event: dropped. The program then waits for what has gone, or misses it.
        (Word::Program | Word::Version | Word::Procedure, _) => vec![Right, Altered, Timeout],
        // The answer that is waited for goes to nobody.
        (Word::Serial, MessageType::MESSAGE) => vec![Right],
        (Word::Serial, MessageType::STREAM) => vec![Altered, Timeout],
        (Word::Serial, _) => vec![Timeout],
        (Word::Status, MessageType::REPLY | MessageType::REPLY_WITH_FDS) if bits == 1 => {
            vec![Unreadable, Refused]
        }
        (Word::Status, MessageType::STREAM) if status == MessageStatus::OK && bits == 1 => vec![Unreadable],
        (Word::Status, MessageType::STREAM) if bits == 2 => vec![Altered, Timeout],
        (Word::Status, _) => vec![Protocol],
        // What becomes of it depends on what it becomes: nothing, a call, a frame with descriptors.
        (Word::Type, _) => vec![Protocol, Timeout, Unreadable, Altered],
        (Word::Length, _) => vec![Protocol],
    }
}

fn strayed(stray: Stray, before_a_reply: bool) -> Vec<Outcome> {
    match stray {
        // An answer to what was asked, by somebody who was not.
        Stray::OtherProgram | Stray::OtherVersion | Stray::OtherProcedure if before_a_reply => vec![Protocol],
        Stray::OtherProgram | Stray::OtherVersion | Stray::OtherProcedure => vec![Right],
        Stray::ReplyToNobody | Stray::StreamOfNobody | Stray::OtherType => vec![Right],
        Stray::UnknownEvent | Stray::EventOfUnknownProgram | Stray::Ping | Stray::UnknownKeepalive => {
            vec![Right]
        }
        Stray::ReplyGoesOn | Stray::Call | Stray::UnknownType | Stray::UnknownStatus | Stray::Text => {
            vec![Protocol]
        }
        Stray::ClaimsDescriptor | Stray::ClaimsTooManyDescriptors => vec![Protocol],
    }
}

/// Something is wrong with what the client sent: what the daemon makes of it is up to the daemon, but the client tells it
/// truthfully.
fn from_client(cell: &Cell, frame: &Known) -> Vec<Outcome> {
    match cell.fault {
        Fault::None | Fault::Dribble(_) | Fault::Late(_) => vec![Right],
        // Answers come in any order, and this one has that length.
        Fault::Length(length) if length as usize == frame.length => vec![Right],
        // The daemon has it all, and may answer before the proxy gets to end the connection.
        Fault::Cut(at, Then::Close | Then::Reset) if at.is_whole(frame.length) => vec![Right, Closed, Cut],
        Fault::Cut(_, Then::Close | Then::Reset) => vec![Closed],
        Fault::Cut(_, Then::Silence) => vec![Silent],
        Fault::Duplicate => vec![Right, Altered, Refused],
        // Libvirtd ends such a connection.
        Fault::Length(0 | 3 | 27 | 33_554_437 | u32::MAX) => vec![Closed],
        Fault::Length(28) => vec![Closed, Refused, Timeout, Protocol],
        Fault::Length(_) => vec![Timeout, Refused, Closed],
        // It answers in the name of the program that was asked, which is none that we asked.
        Fault::Flip(Word::Program | Word::Version | Word::Procedure, _) => {
            vec![Protocol, Refused, Closed, Timeout, Altered]
        }
        // The end of a stream becomes its abort, which is confirmed likewise.
        Fault::Flip(Word::Status, _) if frame.header.type_ == MessageType::STREAM => {
            vec![Right, Altered, Refused, Timeout]
        }
        // An old daemon is let off telling of its own end.
        Fault::Flip(..) if cell.phase == Phase::Opening => vec![Right, Timeout, Closed, Refused, Protocol],
        Fault::Flip(..) => vec![Timeout, Closed, Refused, Protocol, Altered],
        Fault::Payload(_) if matches!(cell.phase, Phase::FilesFrom | Phase::FilesTo) => {
            vec![Right, Altered, Refused, Closed, Unsupported]
        }
        Fault::Payload(_) => vec![Right, Altered, Refused],
        Fault::Stray(_) | Fault::LoneDescriptor => vec![Right],
        Fault::WithoutDescriptor => vec![Refused, Closed],
    }
}

/// Something happens while nobody asks anything.
fn while_idle(fault: Fault) -> Vec<Outcome> {
    match fault {
        Fault::Cut(_, Then::Silence) => vec![Silent],
        Fault::Cut(..) => vec![Closed],
        Fault::Stray(stray) => strayed(stray, false),
        _ => vec![Right],
    }
}
