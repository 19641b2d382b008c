//! The frame decoder, fed with what each side sent in pieces of every kind.

use std::{ops::Range, sync::OnceLock};

use libvirt_client::{
    protocol::frame::{Frame, FrameDecoder},
    testing::{Direction, RecordedFrame},
};

use super::recordings::{self, Report};

/// Streams up to this many bytes are cut at every byte as a whole; longer ones frame by frame, each with its
/// neighbours.
const SMALL: usize = 4096;

pub(crate) fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let mut report =
            Report::new("cut and put together", &["frames fed whole", "bytes fed singly", "cuts"]);
        for (name, recording) in recordings::all() {
            for direction in [Direction::FromClient, Direction::FromDaemon] {
                let frames: Vec<_> =
                    recording.frames().iter().filter(|frame| frame.direction() == direction).collect();
                let stream = Stream::new(&frames);
                assert_eq!(stream.bytes, recording.wire_bytes(direction));
                compare(name, &stream, &mut report);
            }
        }
        report
    })
}

fn compare(name: &str, stream: &Stream<'_>, report: &mut Report) {
    let all = 0..stream.frames.len();
    let mut check = |range: Range<usize>, pieces: &[&[u8]], what: &str| {
        if let Err(problem) = stream.feed(range.clone(), pieces) {
            report.difference(name, range.start, format!("{what}: {problem}"));
        }
    };
    check(all.clone(), &[&stream.bytes], "fed whole");
    check(all.clone(), &stream.bytes.chunks(1).collect::<Vec<_>>(), "fed byte by byte");

    let mut cuts = 0;
    if stream.bytes.len() <= SMALL {
        for cut in 0..=stream.bytes.len() {
            let (before, after) = stream.bytes.split_at(cut);
            check(all.clone(), &[before, after], &format!("cut at {cut}"));
        }
        cuts += stream.bytes.len();
    } else {
        for index in all.clone() {
            let range = index.saturating_sub(1)..(index + 2).min(all.end);
            let window = stream.bytes_of(range.clone());
            let frame = stream.bytes_of(index..index + 1);
            let base = frame.start - window.start;
            let bytes = &stream.bytes[window];
            let start = (0..frame.len().min(64)).map(|offset| base + offset);
            let end = (frame.len().saturating_sub(8)..=frame.len()).map(|offset| base + offset);
            for cut in start.chain(end) {
                let (before, after) = bytes.split_at(cut);
                check(range.clone(), &[before, after], &format!("cut at {cut}"));
                cuts += 1;
            }
        }
    }
    report.count("frames fed whole", stream.frames.len());
    report.count("bytes fed singly", stream.bytes.len());
    report.count("cuts", cuts);
}

/// All that one side sent.
struct Stream<'a> {
    frames: Vec<&'a RecordedFrame>,
    bytes: Vec<u8>,
    /// Where each frame ends, with the bytes that carry its descriptors.
    ends: Vec<usize>,
    /// The bytes that carry descriptors.
    carriers: Vec<usize>,
}

impl<'a> Stream<'a> {
    fn new(frames: &[&'a RecordedFrame]) -> Self {
        let (mut bytes, mut ends, mut carriers) = (Vec::new(), Vec::new(), Vec::new());
        for frame in frames {
            bytes.extend_from_slice(frame.bytes());
            carriers.extend((0..frame.descriptors()).map(|index| bytes.len() + index));
            bytes.resize(bytes.len() + frame.descriptors(), 0);
            ends.push(bytes.len());
        }
        Self { frames: frames.to_vec(), bytes, ends, carriers }
    }

    fn bytes_of(&self, frames: Range<usize>) -> Range<usize> {
        let start = frames.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = frames.end.checked_sub(1).map_or(0, |last| self.ends[last]);
        start..end
    }

    /// Feeds `pieces`, which make up the bytes of the frames in `range`, and compares what comes out after each.
    fn feed(&self, range: Range<usize>, pieces: &[&[u8]]) -> Result<(), String> {
        let base = self.bytes_of(range.clone()).start;
        let mut decoder = FrameDecoder::default();
        let (mut fed, mut next) = (base, range.start);
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                let spare = decoder.spare();
                let mut count = spare.len().min(piece.len());
                // The kernel ends a read with the byte that carries a descriptor.
                let carrier = self.carriers.iter().find(|carrier| (fed..fed + count).contains(carrier));
                count = carrier.map_or(count, |carrier| carrier + 1 - fed);
                spare[..count].copy_from_slice(&piece[..count]);
                if carrier.is_some() {
                    push_descriptor(&mut decoder);
                }
                decoder.advance(count);
                fed += count;
                piece = &piece[count..];
                while let Some(frame) = decoder.next().map_err(|error| error.to_string())? {
                    let Some(expected) = self.frames.get(next).filter(|_| range.contains(&next)) else {
                        return Err(format!("one frame too many: {frame:?}"));
                    };
                    compare_frame(&frame, expected)?;
                    next += 1;
                }
            }
            let complete = self.ends[range.clone()].partition_point(|end| *end <= fed);
            if next - range.start != complete {
                return Err(format!(
                    "after {} bytes {} frames instead of {complete}",
                    fed - base,
                    next - range.start
                ));
            }
            let is_boundary = fed == base || self.ends.binary_search(&fed).is_ok();
            if decoder.is_mid_frame() == is_boundary {
                return Err(format!(
                    "after {} bytes the decoder says mid-frame: {}",
                    fed - base,
                    !is_boundary
                ));
            }
        }
        if next == range.end {
            Ok(())
        } else {
            Err(format!("{} frames instead of {}", next - range.start, range.len()))
        }
    }
}

#[cfg(unix)]
fn push_descriptor(decoder: &mut FrameDecoder) {
    decoder.push_descriptor(std::fs::File::open("/dev/null").unwrap().into());
}

#[cfg(not(unix))]
fn push_descriptor(_: &mut FrameDecoder) {
    panic!("descriptors are passed on Unix only");
}

fn compare_frame(frame: &Frame, expected: &RecordedFrame) -> Result<(), String> {
    if frame.descriptors.len() != expected.descriptors() {
        return Err(format!("{} descriptors instead of {}", frame.descriptors.len(), expected.descriptors()));
    }
    let encoded = frame.encode().map_err(|error| error.to_string())?;
    if encoded != expected.bytes() {
        return Err(format!("{expected:?} became {frame:?}"));
    }
    Ok(())
}
