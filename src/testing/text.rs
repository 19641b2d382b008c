//! The text form of recordings: writing and parsing.

use std::{fmt, time::Duration};

use super::{
    describe::describe,
    recording::{Direction, FRAME_HEAD, FRAME_MAX, RecordedFrame, Recording},
};

const FIRST_LINE: &str = "libvirt recording 1";

/// The bytes of a payload that stand on one line.
const BYTES_A_LINE: usize = 32;

/// From how many bytes on a run of equal words is written with a count.
const RUN_MIN: usize = 2 * BYTES_A_LINE;

/// Writes `recording`, with what each frame means as a comment.
pub(super) fn write(recording: &Recording, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{FIRST_LINE}")?;
    for (key, value) in recording.head() {
        writeln!(f, "{}", format!("{key}: {value}").trim_end())?;
    }
    for (index, frame) in recording.frames().iter().enumerate() {
        writeln!(f)?;
        for (line, comment) in describe(frame).lines().enumerate() {
            if line == 0 { writeln!(f, "# {} {comment}", index + 1)? } else { writeln!(f, "#   {comment}")? }
        }
        write_frame(frame, f)?;
    }
    if let Some(side) = recording.ended_by() {
        writeln!(f, "\nend {}", side.sign())?;
    }
    Ok(())
}

fn write_frame(frame: &RecordedFrame, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", frame.direction().sign())?;
    let (head, mut rest) = frame.bytes().split_at_checked(FRAME_HEAD).unwrap_or((frame.bytes(), &[]));
    write_words(head, f)?;
    writeln!(f)?;
    while !rest.is_empty() {
        write!(f, " ")?;
        let (line, count, after) = leading_run(rest).unwrap_or_else(|| {
            let (line, after) = rest.split_at(rest.len().min(BYTES_A_LINE));
            (line, 1, after)
        });
        write_words(line, f)?;
        if count > 1 {
            write!(f, " * {count}")?;
        }
        writeln!(f)?;
        rest = after;
    }
    if frame.descriptors() > 0 {
        writeln!(f, "  fds {}", frame.descriptors())?;
    }
    if frame.is_redacted() {
        writeln!(f, "  redacted")?;
    }
    if !frame.pause().is_zero() {
        writeln!(f, "  pause {}", frame.pause().as_millis())?;
    }
    Ok(())
}

/// Writes hexadecimal digits in groups of four bytes, the words of the encoding.
fn write_words(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for word in bytes.chunks(4) {
        write!(f, " ")?;
        for byte in word {
            write!(f, "{byte:02x}")?;
        }
    }
    Ok(())
}

/// Returns the word that `bytes` starts with, how often it is repeated, and what follows, if it is worth a
/// line of its own.
fn leading_run(bytes: &[u8]) -> Option<(&[u8], usize, &[u8])> {
    let (unit, _) = bytes.split_at_checked(4)?;
    let count = bytes.chunks_exact(4).take_while(|word| *word == unit).count();
    (4 * count >= RUN_MIN).then(|| (unit, count, bytes.get(4 * count..).unwrap_or_default()))
}

/// Reads what [`write`] writes, and the same with other line lengths, comments or runs.
pub(super) fn parse(text: &str) -> Result<Recording, ParseError> {
    let mut parser = Parser::default();
    let mut lines = text.lines().enumerate().map(|(index, text)| Line { number: index + 1, text });
    match lines.next() {
        Some(line) if line.text == FIRST_LINE => {}
        Some(line) => {
            return Err(line.error(0, format!("expected {FIRST_LINE:?}, found {:?}", line.excerpt(0))));
        }
        None => {
            return Err(
                Line { number: 1, text: "" }.error(0, format!("expected {FIRST_LINE:?}, found nothing"))
            );
        }
    }
    for line in lines {
        parser.line(line)?;
    }
    parser.finish_frame()?;
    Ok(parser.recording)
}

/// Why a text is not a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    line: usize,
    column: usize,
    problem: String,
}

impl ParseError {
    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column, counted in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }
}

/// `LINE:COLUMN: what is wrong`, which editors and people understand after a file's name.
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)
    }
}

impl std::error::Error for ParseError {}

#[derive(Default)]
struct Parser<'a> {
    recording: Recording,
    frame: Option<Unfinished<'a>>,
}

/// A frame whose lines are being read.
struct Unfinished<'a> {
    start: Line<'a>,
    direction: Direction,
    bytes: Vec<u8>,
    descriptors: usize,
    redacted: bool,
    pause: Duration,
}

impl<'a> Parser<'a> {
    fn line(&mut self, line: Line<'a>) -> Result<(), ParseError> {
        match line.text.as_bytes().first() {
            None | Some(b'#') => Ok(()),
            Some(b'>') => self.start_frame(line, Direction::FromClient),
            Some(b'<') => self.start_frame(line, Direction::FromDaemon),
            Some(b' ') => self.continue_frame(line),
            Some(_) if self.recording.ended_by().is_some() => {
                Err(line.error(0, "expected nothing after \"end\"".into()))
            }
            Some(_) if line.text.starts_with("end ") => self.end(line),
            Some(_) => self.head(line),
        }
    }

    fn head(&mut self, line: Line<'_>) -> Result<(), ParseError> {
        if self.frame.is_some() {
            let expected = "expected a frame (\"> HEX\" or \"< HEX\"), its continuation (two spaces), a comment or \"end\"";
            return Err(line.error(0, format!("{expected}, found {:?}", line.excerpt(0))));
        }
        let Some((key, value)) = line.text.split_once(':') else {
            return Err(line.error(0, format!("expected \"key: value\", found {:?}", line.excerpt(0))));
        };
        if let Some(place) = key.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')) {
            return Err(line.error(place, "expected a key of small letters, digits and \"-\"".into()));
        }
        if self.recording.get(key).is_some() {
            return Err(line.error(0, format!("{key:?} is said twice")));
        }
        self.recording.set(key, value);
        Ok(())
    }

    fn start_frame(&mut self, line: Line<'a>, direction: Direction) -> Result<(), ParseError> {
        if self.recording.ended_by().is_some() {
            return Err(line.error(0, "expected nothing after \"end\"".into()));
        }
        self.finish_frame()?;
        let mut frame = Unfinished {
            start: line,
            direction,
            bytes: Vec::new(),
            descriptors: 0,
            redacted: false,
            pause: Duration::ZERO,
        };
        frame.hex(line, line.tokens(1))?;
        self.frame = Some(frame);
        Ok(())
    }

    fn continue_frame(&mut self, line: Line<'_>) -> Result<(), ParseError> {
        let mut tokens = line.tokens(0).peekable();
        let (Some((place, first)), Some(frame)) = (tokens.peek().copied(), self.frame.as_mut()) else {
            return Err(line.error(0, "expected a frame before its continuation".into()));
        };
        match first {
            "fds" => frame.descriptors = line.number_after("fds", 32)?,
            "pause" => frame.pause = Duration::from_millis(line.number_after("pause", u64::MAX)?),
            "redacted" if line.tokens(0).nth(1).is_none() => frame.redacted = true,
            "redacted" => return Err(line.error(place, "expected nothing after \"redacted\"".into())),
            _ => frame.hex(line, tokens)?,
        }
        Ok(())
    }

    fn end(&mut self, line: Line<'_>) -> Result<(), ParseError> {
        self.finish_frame()?;
        let side = match line.text {
            "end >" => Direction::FromClient,
            "end <" => Direction::FromDaemon,
            _ => return Err(line.error(4, format!("expected \">\" or \"<\", found {:?}", line.excerpt(4)))),
        };
        self.recording.set_ended_by(Some(side));
        Ok(())
    }

    fn finish_frame(&mut self) -> Result<(), ParseError> {
        let Some(frame) = self.frame.take() else { return Ok(()) };
        let recorded = RecordedFrame::new(frame.direction, frame.bytes)
            .map_err(|error| frame.start.error(0, error.to_string()))?
            .with_descriptors(frame.descriptors)
            .with_redacted(frame.redacted)
            .with_pause(frame.pause);
        self.recording.push(recorded);
        Ok(())
    }
}

impl Unfinished<'_> {
    /// Takes groups of digits, each of which may be followed by `* COUNT`.
    fn hex<'t>(
        &mut self,
        line: Line<'_>,
        tokens: impl Iterator<Item = (usize, &'t str)>,
    ) -> Result<(), ParseError> {
        let mut tokens = tokens.peekable();
        while let Some((place, token)) = tokens.next() {
            let group = hex_group(token).ok_or_else(|| {
                line.error(place, format!("expected one to four bytes in hex, found {token:?}"))
            })?;
            let mut count = 1;
            if tokens.next_if(|(_, token)| *token == "*").is_some() {
                let (place, token) = tokens.next().unwrap_or((line.text.len(), ""));
                count = token.parse().map_err(|_| {
                    line.error(place, format!("expected a count after \"*\", found {token:?}"))
                })?;
            }
            if count > FRAME_MAX / group.len() || self.bytes.len() + count * group.len() > FRAME_MAX {
                return Err(line.error(place, format!("a frame has at most {FRAME_MAX} bytes")));
            }
            for _ in 0..count {
                self.bytes.extend_from_slice(&group);
            }
        }
        Ok(())
    }
}

fn hex_group(token: &str) -> Option<Vec<u8>> {
    let digits = token.as_bytes();
    if !matches!(digits.len(), 2 | 4 | 6 | 8) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | char::from(*digit).to_digit(16)? as u8))
        })
        .collect()
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    /// Makes an error at a place, counted in bytes from the line's start.
    fn error(&self, place: usize, problem: String) -> ParseError {
        let column = self.text.get(..place).map_or(0, |before| before.chars().count()) + 1;
        ParseError { line: self.number, column, problem }
    }

    /// Returns what stands at `place`, short enough for a message.
    fn excerpt(&self, place: usize) -> String {
        self.text.get(place..).unwrap_or_default().chars().take(40).collect()
    }

    /// Returns the words from `start` on, each with its place.
    fn tokens(&self, start: usize) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let text = self.text;
        let mut place = start;
        std::iter::from_fn(move || {
            let rest = text.get(place..)?;
            place += rest.len() - rest.trim_start().len();
            let rest = rest.trim_start();
            let token = rest.split(char::is_whitespace).next().filter(|token| !token.is_empty())?;
            let found = (place, token);
            place += token.len();
            Some(found)
        })
    }

    /// Returns the number that alone follows `word`.
    fn number_after<T: std::str::FromStr + fmt::Display + PartialOrd>(
        &self,
        word: &str,
        max: T,
    ) -> Result<T, ParseError> {
        let mut tokens = self.tokens(0).skip(1);
        let (place, token) = tokens.next().unwrap_or((self.text.len(), ""));
        match token.parse() {
            Ok(number) if number <= max && tokens.next().is_none() => Ok(number),
            _ => {
                Err(self
                    .error(place, format!("expected one number up to {max} after {word:?}, found {token:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(direction: Direction, payload: &[u8]) -> RecordedFrame {
        let mut bytes = vec![0; FRAME_HEAD];
        bytes.extend_from_slice(payload);
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..8].copy_from_slice(&0x2000_8086_u32.to_be_bytes());
        RecordedFrame::new(direction, bytes).unwrap()
    }

    fn sample() -> Recording {
        let mut recording = Recording::default();
        recording.set("client", "virsh 9.0.0");
        recording.set("About", " two\nlines: one ");
        recording.set("empty", "");
        recording.push(frame(Direction::FromClient, &[]));
        recording.push(frame(Direction::FromDaemon, &[7; 63]).with_descriptors(2));
        recording.push(frame(Direction::FromClient, &[7; 64]).with_redacted(true));
        let mixed: Vec<u8> = (0..100).chain([0; 131]).chain(1..4).collect();
        recording.push(frame(Direction::FromDaemon, &mixed).with_pause(Duration::from_micros(1_234_567)));
        recording.push(frame(Direction::FromClient, &[0, 0, 0, 120].repeat(50)));
        recording.push(frame(Direction::FromDaemon, &[97; 262_121]));
        recording.set_ended_by(Some(Direction::FromClient));
        recording
    }

    #[test]
    fn what_is_written_is_read() {
        let recording = sample();
        let text = recording.to_string();
        assert_eq!(Recording::parse(&text), Ok(recording), "{text}");
        assert!(text.contains("\nabout: two lines: one\nempty:\n"), "{text}");
        assert!(text.contains("\n  61616161 * 65530\n  61\n"), "{text}");
        assert!(text.contains("\n  00000078 * 50\n"), "{text}");
        assert!(text.lines().all(|line| line.len() < 120), "{text}");
        assert_eq!(Recording::parse(&text).unwrap().to_string(), text);
    }

    #[test]
    fn other_layouts_are_read() {
        let text = "libvirt recording 1\n\n# nothing\n> 1e * 1 ff\n";
        let error = Recording::parse(text).unwrap_err();
        assert_eq!(error.to_string(), "4:1: a frame has at least 28 bytes, but here are 2");
        let text = "libvirt recording 1\n> 0000 * 1 001c 00 * 23\n  # no comment";
        assert_eq!(
            Recording::parse(text).unwrap_err().to_string(),
            "3:3: expected one to four bytes in hex, found \"#\""
        );
        let text = "libvirt recording 1\n> 0000 * 1 001c 00 * 23\n  00\r\n\n";
        let recording = Recording::parse(text).unwrap();
        assert_eq!(recording.frames()[0].bytes().len(), 28);
    }

    #[test]
    fn errors_name_the_place() {
        let head = "libvirt recording 1\n";
        let frame = "> 0000001c 00 * 24\n";
        for (text, expected) in [
            (String::new(), "1:1: expected \"libvirt recording 1\", found nothing"),
            (
                "libvirt recording 2\n".into(),
                "1:1: expected \"libvirt recording 1\", found \"libvirt recording 2\"",
            ),
            (format!("{head}client virsh"), "2:1: expected \"key: value\", found \"client virsh\""),
            (format!("{head}my Client: virsh"), "2:3: expected a key of small letters, digits and \"-\""),
            (format!("{head}a: 1\na: 2"), "3:1: \"a\" is said twice"),
            (format!("{head}  00"), "2:1: expected a frame before its continuation"),
            (format!("{head}> 0000001c 0g"), "2:12: expected one to four bytes in hex, found \"0g\""),
            (format!("{head}> 0000001c 000"), "2:12: expected one to four bytes in hex, found \"000\""),
            (format!("{head}> 0000001c 00 *"), "2:16: expected a count after \"*\", found \"\""),
            (format!("{head}> 0000001c 00 * -1"), "2:17: expected a count after \"*\", found \"-1\""),
            (format!("{head}> 00000000 * 99999999"), "2:3: a frame has at most 33554436 bytes"),
            (format!("{head}> 0000001d 00 * 24"), "2:1: the length word says 29 bytes, but here are 28"),
            (
                format!("{head}{frame}  fds 33"),
                "3:7: expected one number up to 32 after \"fds\", found \"33\"",
            ),
            (
                format!("{head}{frame}  pause"),
                "3:8: expected one number up to 18446744073709551615 after \"pause\", found \"\"",
            ),
            (format!("{head}{frame}  redacted 1"), "3:3: expected nothing after \"redacted\""),
            (format!("{head}{frame}end x"), "3:5: expected \">\" or \"<\", found \"x\""),
            (format!("{head}{frame}end >\n{frame}"), "4:1: expected nothing after \"end\""),
            (
                format!("{head}{frame}client: virsh"),
                "3:1: expected a frame (\"> HEX\" or \"< HEX\"), its continuation (two spaces), a comment or \"end\", found \"client: virsh\"",
            ),
        ] {
            assert_eq!(Recording::parse(&text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
