//! The frame decoder, fed with arbitrary bytes in arbitrary cuts.
//!
//! Input: a count, so many cuts, and the stream. A cut's low seven bits are the bytes of one read less one;
//! its high bit says that a descriptor comes with it.

use libvirt_client::protocol::frame::{Frame, FrameDecoder, FrameError};

use super::Input;

/// The most that the decoder may ask for beyond what has come.
const MOST_SPARE: usize = 2 * 1024 * 1024;

/// Feeds one input to the decoder; tells whether a frame came out.
pub fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let count = usize::from(input.byte());
    let cuts = input.take(count);
    let stream = input.0;

    let whole = decode(stream, &[], false);
    let cut = decode(stream, cuts, false);
    assert_eq!(whole.error, cut.error, "the error depends on how the stream is cut");
    assert_eq!(whole.frames.len(), cut.frames.len(), "frames depend on how the stream is cut");
    let mut encoded = Vec::new();
    for (one, other) in whole.frames.iter().zip(&cut.frames) {
        assert_eq!((&one.header, &one.payload), (&other.header, &other.payload));
        assert!(one.descriptors.is_empty(), "there were none");
        encoded.extend(one.encode().expect("a frame that came can be sent"));
    }
    assert!(stream.starts_with(&encoded), "frames encode to other bytes than they came from");
    if whole.error.is_none() {
        let rest = stream.len() - encoded.len();
        assert_eq!(whole.mid_frame, rest > 0, "{rest} bytes are left");
    }

    // With descriptors the bytes after a frame may be theirs: only the frames' own account must be right.
    for frame in decode(stream, cuts, true).frames {
        let bytes = frame.encode().expect("a frame that came can be sent");
        assert!(bytes.len() >= 28 && frame.descriptors.len() <= 32);
    }
    !whole.frames.is_empty()
}

struct Decoded {
    frames: Vec<Frame>,
    error: Option<FrameError>,
    mid_frame: bool,
}

/// Decodes a stream that comes in reads of the sizes in `cuts`, over and over; in one read without any.
fn decode(stream: &[u8], cuts: &[u8], with_descriptors: bool) -> Decoded {
    let mut decoder = FrameDecoder::default();
    let mut decoded = Decoded { frames: Vec::new(), error: None, mid_frame: false };
    let mut cuts = cuts.iter().cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let cut = cuts.next();
        let size = cut.map_or(rest.len(), |cut| usize::from(cut & 0x7f) + 1);
        let (mut read, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        if with_descriptors && cut.is_some_and(|cut| cut & 0x80 != 0) {
            push_descriptor(&mut decoder);
        }
        while !read.is_empty() {
            let spare = decoder.spare();
            assert!(!spare.is_empty() && spare.len() <= MOST_SPARE, "room for {} bytes", spare.len());
            let count = read.len().min(spare.len());
            spare[..count].copy_from_slice(&read[..count]);
            decoder.advance(count);
            read = &read[count..];
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => decoded.frames.push(frame),
                    Ok(None) => break,
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        decoded.error = Some(error);
                        return decoded;
                    }
                }
            }
        }
    }
    decoded.mid_frame = decoder.is_mid_frame();
    decoded
}

#[cfg(unix)]
fn push_descriptor(decoder: &mut FrameDecoder) {
    let file = std::fs::File::open("/dev/null").expect("/dev/null opens");
    decoder.push_descriptor(file.into());
}

#[cfg(not(unix))]
fn push_descriptor(_: &mut FrameDecoder) {}
