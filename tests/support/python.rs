//! libvirt's own Python binding, in a process that stays: for tests that ask it many questions.

use std::{
    fmt::Display,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use libvirt_client::{Error, TypedParams, TypedValue};

use super::daemon::said;

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Answers each line `KIND EXPRESSION`, in which line breaks are written `\n`, with one line.
const SERVER: &str = r#"
import sys
def show(value):
    if value is None: return 'None'
    if isinstance(value, bool): return str(int(value))
    if isinstance(value, bytes): return value.hex()
    if isinstance(value, dict): return '\n'.join(sorted(f'{key}={show(value[key])}' for key in value))
    if isinstance(value, (list, tuple)): return '[' + ', '.join(show(one) for one in value) + ']'
    return str(value)
# Some functions of the binding return a number or nothing where they should raise.
def last(value): raise libvirt.libvirtError(f'no error but {value}')
def cpus(flags): return [number for number, on in enumerate(flags) if on]
def answer(kind, text):
    try:
        if kind == 'run': exec(text, globals()); return ''
        value = show(eval(text, globals()))
        return value if kind == 'value' else 'no error but ' + value
    except libvirt.libvirtError as error:
        said = f'{error.get_error_code()} {error.get_error_domain()} {error.get_error_message()}'
        return said if kind == 'error' else 'the error ' + said
    except Exception as error: return f'the exception {error!r}'
for line in sys.stdin:
    kind, text = line.rstrip('\n').split(' ', 1)
    text = text.replace('\\n', '\n') if kind == 'run' else text
    print(answer(kind, text).replace('\\', '\\\\').replace('\n', '\\n'), flush=True)
"#;

/// A Python with `connection` open; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Python {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
}

impl Python {
    /// Starts `command`, which runs what [`program`](Self::program) returns.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let (Some(questions), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("a child without pipes")
        };
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, questions, answers }
    }

    /// The program that answers questions.
    pub(crate) fn program() -> &'static str {
        SERVER
    }

    /// Carries out statements; variables stay.
    #[track_caller]
    pub(crate) fn run(&mut self, statements: &str) {
        let answer = self.ask("run", &statements.replace('\n', "\\n"));
        assert_eq!(answer, "", "{statements}");
    }

    /// Returns the value of an expression: numbers and texts as they are, truth as 0 or 1, bytes in hexadecimal, lists and
    /// tuples as `[a, b]`, dictionaries sorted with `key=value` in each line.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> String {
        self.ask("value", expression)
    }

    /// Fails the test unless the value of an expression is ours.
    #[track_caller]
    pub(crate) fn agrees(&mut self, expression: &str, ours: impl Display) {
        assert_eq!(ours.to_string(), self.value(expression), "ours is left, right is {expression}");
    }

    /// Fails the test unless an expression fails with our error.
    #[track_caller]
    pub(crate) fn is_refused(&mut self, expression: &str, ours: &Error) {
        assert_eq!(said(ours), self.ask("error", expression), "ours is left, right is {expression}");
    }

    #[track_caller]
    fn ask(&mut self, kind: &str, text: &str) -> String {
        let asked = writeln!(self.questions, "{kind} {text}");
        asked.unwrap_or_else(|error| panic!("cannot ask Python about {text}: {error}"));
        let answer = self.answers.recv_timeout(ANSWER_LIMIT);
        let answer = answer.unwrap_or_else(|error| panic!("Python does not answer to {text}: {error}"));
        unescaped(&answer)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unescaped(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) if characters.next() == Some('n') => text.push('\n'),
            (_, _) => text.push(character),
        }
    }
    text
}

/// Writes parameters as Python's dictionaries of them are written.
pub(crate) fn dictionary(params: impl Into<TypedParams>) -> String {
    let mut lines: Vec<String> = params
        .into()
        .iter()
        .map(|(name, value)| match value {
            TypedValue::Bool(value) => format!("{name}={}", i32::from(*value)),
            value => format!("{name}={value}"),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// Writes what can be shown as Python's lists are written.
pub(crate) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}

/// The same, in the order of the texts, for what comes in no certain order.
pub(crate) fn sorted<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.sort();
    list(items)
}
