//! Prints recordings decoded: what each frame is, and what it carries.
//!
//! ```text
//! cargo run --example frames -- fixtures/recordings/virsh-test-list.rec
//! cargo run --example frames -- --check fixtures/recordings/*.rec
//! ```
//!
//! With `--check` it encodes each value again instead and compares the bytes; the exit status is 1 if any differ or
//! do not decode.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};

use libvirt_client::testing::{Body, Message, RecordedFrame, Recording};

const USAGE: &str = "usage: frames [--check | --procedures | --rewrite] FILE...
  --check       only compare each frame with what encoding it again gives
  --procedures  the same, and list how often each procedure was called, answered, refused and sent as an event
  --rewrite     write the files anew, with comments as they are made now";

fn main() -> ExitCode {
    let (options, files): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    if files.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let (check, procedures) = match options.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (false, false),
        ["--check"] => (true, false),
        ["--procedures"] => (true, true),
        ["--rewrite"] => return rewrite(&files),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut summary = Summary::default();
    for file in &files {
        if let Err(error) = show(file, check, &mut summary) {
            // Whoever reads the first lines only may close the pipe.
            if error.kind() == io::ErrorKind::BrokenPipe {
                break;
            }
            eprintln!("{error}");
            summary.problems += 1;
        }
    }
    if procedures {
        for (name, [calls, replies, errors, events]) in &summary.procedures {
            println!("{name}: {calls} calls, {replies} replies, {errors} errors, {events} events");
        }
    }
    if check {
        println!("{}", summary.line(files.len()));
    }
    if summary.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rewrite(files: &[String]) -> ExitCode {
    for file in files {
        let rewritten =
            Recording::load(file).and_then(|recording| std::fs::write(file, recording.to_string()));
        if let Err(error) = rewritten {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Summary {
    frames: usize,
    bytes: usize,
    problems: usize,
    /// Calls, replies, errors and events of each procedure.
    procedures: BTreeMap<String, [usize; 4]>,
}

impl Summary {
    fn line(&self, files: usize) -> String {
        let called = self.procedures.values().filter(|counts| counts[0] > 0).count();
        let answered = self.procedures.values().filter(|counts| counts[1] > 0).count();
        let events = self.procedures.values().filter(|counts| counts[3] > 0).count();
        format!(
            "{files} recordings, {} frames, {} bytes; {called} procedures called, {answered} answered, {events} events; {} differences",
            self.frames, self.bytes, self.problems
        )
    }

    fn count(&mut self, message: &Message) {
        let [calls, replies, errors, events] =
            self.procedures.entry(message.procedure().name.to_owned()).or_default();
        match message.body() {
            Body::Call(_) => *calls += 1,
            Body::Reply(_) => *replies += 1,
            Body::Error(_) => *errors += 1,
            Body::Event(_) => *events += 1,
            _ => {}
        }
    }
}

fn show(file: &str, check: bool, summary: &mut Summary) -> io::Result<()> {
    let recording = Recording::load(file)?;
    let mut out = io::stdout().lock();
    if !check {
        writeln!(out, "{file}")?;
        for (key, value) in recording.head() {
            writeln!(out, "{key}: {value}")?;
        }
    }
    for (index, frame) in recording.frames().iter().enumerate() {
        summary.frames += 1;
        summary.bytes += frame.bytes().len();
        let message = Message::decode(frame);
        if let Ok(message) = &message {
            summary.count(message);
        }
        let problem = problem(frame, &message);
        if !check {
            writeln!(out, "{:>5} {frame:?}", index + 1)?;
            if let Ok(message) = &message {
                writeln!(out, "      {message}")?;
            }
        }
        if let Some(problem) = problem {
            summary.problems += 1;
            writeln!(out, "{file}: frame {} ({frame:?}): {problem}", index + 1)?;
        }
    }
    Ok(())
}

/// Says what is wrong with a frame: it does not decode, or becomes other bytes when it is encoded again.
fn problem<E: std::fmt::Display>(frame: &RecordedFrame, message: &Result<Message, E>) -> Option<String> {
    match message {
        Err(error) => Some(error.to_string()),
        Ok(message) if message.encoded() == frame.payload() => None,
        Ok(message) => {
            let (ours, theirs) = (message.encoded(), frame.payload());
            let place = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
            Some(format!(
                "encoded again it differs from byte {place} of the payload on: {} bytes instead of {}",
                ours.len(),
                theirs.len()
            ))
        }
    }
}
