//! A conversation between a client and a daemon, as text that people can review.

use std::{fmt, fs, io, path::Path, time::Duration};

use super::{describe, text};

pub use super::text::ParseError;

/// The bytes before the payload of a frame: the length word and the six words of the header.
pub(super) const FRAME_HEAD: usize = 28;

/// The longest frame that libvirt accepts: a length word and 32 MiB after it.
pub(super) const FRAME_MAX: usize = 4 + (32 << 20);

/// Everything that went over one connection, in the order in which it was seen.
///
/// The text form is stable: [`parse`](Self::parse) of what [`Display`](fmt::Display) writes gives an equal
/// value. See the [module](super#the-text-format) for what it looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    head: Vec<(String, String)>,
    frames: Vec<RecordedFrame>,
    ended_by: Option<Direction>,
}

impl Recording {
    /// Reads the text form.
    ///
    /// # Errors
    /// Text that is not a recording: the error says at which line and column, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        text::parse(text)
    }

    /// Reads a file in the text form.
    ///
    /// # Errors
    /// A file that cannot be read, and text that is not a recording, with file, line and column.
    pub fn load(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let in_file =
            |kind, cause: &dyn fmt::Display| io::Error::new(kind, format!("{}:{cause}", path.display()));
        let text =
            fs::read_to_string(path).map_err(|error| in_file(error.kind(), &format_args!(" {error}")))?;
        Self::parse(&text).map_err(|error| in_file(io::ErrorKind::InvalidData, &error))
    }

    /// Says something about the recording, such as `client`, `daemon` or `uri`; a later value replaces an
    /// earlier one. Keys are made of letters, digits and `-`; other characters become `-`. A value is one line:
    /// line ends become spaces.
    pub fn set(&mut self, key: &str, value: &str) {
        let key: String = key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match self.head.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => self.head.push((key, value)),
        }
    }

    /// Returns what is said about the recording under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.head.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Returns all that is said about the recording: keys and values.
    pub fn head(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Adds the next frame.
    pub fn push(&mut self, frame: RecordedFrame) {
        self.frames.push(frame);
    }

    /// Returns the frames in the order in which they were seen.
    #[must_use]
    pub fn frames(&self) -> &[RecordedFrame] {
        &self.frames
    }

    /// Notes who closed the connection.
    pub fn set_ended_by(&mut self, side: Option<Direction>) {
        self.ended_by = side;
    }

    /// Returns who closed the connection, if the recording goes on to its end.
    #[must_use]
    pub fn ended_by(&self) -> Option<Direction> {
        self.ended_by
    }

    /// Returns all that one side sent, as it went over the wire. With each frame that passes descriptors go
    /// the bytes that carry them, one for each, outside of the frame.
    #[must_use]
    pub fn wire_bytes(&self, direction: Direction) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in self.frames.iter().filter(|frame| frame.direction == direction) {
            bytes.extend_from_slice(&frame.bytes);
            bytes.resize(bytes.len() + frame.descriptors, 0);
        }
        bytes
    }
}

/// The text form.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client, written `>`.
    FromClient,
    /// The daemon, written `<`.
    FromDaemon,
}

impl Direction {
    /// Returns the sign that starts the frames of this side: `>` or `<`.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::FromClient => '>',
            Self::FromDaemon => '<',
        }
    }
}

/// One frame, as it went over the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedFrame {
    direction: Direction,
    bytes: Vec<u8>,
    descriptors: usize,
    redacted: bool,
    pause: Duration,
}

impl RecordedFrame {
    /// Takes a whole frame: length word, header and payload.
    ///
    /// # Errors
    /// Bytes that are too short for a header, or whose length word says another length.
    pub fn new(direction: Direction, bytes: Vec<u8>) -> Result<Self, NotAFrame> {
        let stated = word(&bytes, 0);
        if bytes.len() < FRAME_HEAD || stated as usize != bytes.len() {
            return Err(NotAFrame { bytes: bytes.len(), stated });
        }
        Ok(Self { direction, bytes, descriptors: 0, redacted: false, pause: Duration::ZERO })
    }

    /// Says how many descriptors went with it.
    #[must_use]
    pub fn with_descriptors(self, descriptors: usize) -> Self {
        Self { descriptors, ..self }
    }

    /// Says that secrets in it were overwritten.
    #[must_use]
    pub fn with_redacted(self, redacted: bool) -> Self {
        Self { redacted, ..self }
    }

    /// Says how long both sides were silent before it; kept in whole milliseconds.
    #[must_use]
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause: Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// Returns who sent it.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Returns all of its bytes: length word, header and payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(FRAME_HEAD..).unwrap_or_default()
    }

    /// Returns how many descriptors went with it.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Tells whether secrets in it were overwritten.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.redacted
    }

    /// Returns how long both sides were silent before it, where the recorder noted that.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Returns the header's program number.
    #[must_use]
    pub fn program(&self) -> u32 {
        word(&self.bytes, 1)
    }

    /// Returns the header's protocol version.
    #[must_use]
    pub fn version(&self) -> u32 {
        word(&self.bytes, 2)
    }

    /// Returns the header's procedure number.
    #[must_use]
    pub fn procedure(&self) -> i32 {
        word(&self.bytes, 3) as i32
    }

    /// Returns the header's message type: call 0, reply 1, event 2, stream data 3, call and reply with
    /// descriptors 4 and 5, stream hole 6.
    #[must_use]
    pub fn kind(&self) -> u32 {
        word(&self.bytes, 4)
    }

    /// Returns the header's serial number.
    #[must_use]
    pub fn serial(&self) -> u32 {
        word(&self.bytes, 5)
    }

    /// Returns the header's status: ok 0, error 1, continue 2.
    #[must_use]
    pub fn status(&self) -> u32 {
        word(&self.bytes, 6)
    }

    /// Returns the same frame under another serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: u32) -> Self {
        if let Some(place) = self.bytes.get_mut(20..24) {
            place.copy_from_slice(&serial.to_be_bytes());
        }
        self
    }
}

/// Says what kind of frame it is; the bytes are left to [`bytes`](Self::bytes).
impl fmt::Debug for RecordedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction.sign(), describe::headline(self))
    }
}

/// Bytes that are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFrame {
    bytes: usize,
    stated: u32,
}

impl fmt::Display for NotAFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, stated } = self;
        if *bytes < FRAME_HEAD {
            return write!(f, "a frame has at least {FRAME_HEAD} bytes, but here are {bytes}");
        }
        write!(f, "the length word says {stated} bytes, but here are {bytes}")
    }
}

impl std::error::Error for NotAFrame {}

/// Returns the word at `index`, counted in words; zero where there is none.
pub(super) fn word(bytes: &[u8], index: usize) -> u32 {
    bytes.get(4 * index..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_be_bytes(*word))
}
