//! Cuts a byte stream into frames, for recording.
//!
//! The crate's own [`FrameDecoder`](crate::protocol::frame::FrameDecoder) is not used on purpose: it is
//! tested with what is recorded here.

use super::recording::{FRAME_HEAD, FRAME_MAX, word};

const CALL_WITH_FDS: u32 = 4;
const REPLY_WITH_FDS: u32 = 5;

/// Collects what one side sends.
#[derive(Debug, Default)]
pub(super) struct Slicer {
    bytes: Vec<u8>,
    descriptors: usize,
}

impl Slicer {
    /// Takes what has been read, and how many descriptors came with it.
    pub(super) fn push(&mut self, bytes: &[u8], descriptors: usize) {
        self.bytes.extend_from_slice(bytes);
        self.descriptors += descriptors;
    }

    /// Returns the next frame and how many descriptors followed it, once all of that is here.
    ///
    /// # Errors
    /// A length word that no frame can have.
    pub(super) fn next(&mut self) -> Result<Option<(Vec<u8>, usize)>, BadLength> {
        if self.bytes.len() < 4 {
            return Ok(None);
        }
        let length = word(&self.bytes, 0) as usize;
        if !(FRAME_HEAD..=FRAME_MAX).contains(&length) {
            return Err(BadLength(length));
        }
        let carriers = match word(&self.bytes, 4) {
            CALL_WITH_FDS | REPLY_WITH_FDS => word(&self.bytes, 7) as usize,
            _ => 0,
        };
        if self.bytes.len() < FRAME_HEAD || self.bytes.len() < length.saturating_add(carriers) {
            return Ok(None);
        }
        let rest = self.bytes.split_off(length + carriers);
        let mut frame = std::mem::replace(&mut self.bytes, rest);
        frame.truncate(length);
        let descriptors = self.descriptors.min(carriers);
        self.descriptors -= descriptors;
        Ok(Some((frame, descriptors)))
    }
}

/// The length that a length word says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLength(pub(super) usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_of_descriptors_are_no_frames() {
        let mut with = [0, 0, 0, 36, 1, 1, 1, 1].to_vec();
        with.resize(36, 0);
        with[19] = 5;
        with[31] = 2;
        let mut without = vec![0; 29];
        without[3] = 29;

        let mut slicer = Slicer::default();
        slicer.push(&with, 0);
        slicer.push(&[0], 1);
        assert_eq!(slicer.next(), Ok(None));
        slicer.push(&[0], 1);
        slicer.push(&without, 0);
        slicer.push(&[255, 255], 0);
        assert_eq!(slicer.next(), Ok(Some((with, 2))));
        assert_eq!(slicer.next(), Ok(Some((without, 0))));
        assert_eq!(slicer.next(), Ok(None));
        slicer.push(&[255, 255], 0);
        assert_eq!(slicer.next(), Err(BadLength(u32::MAX as usize)));
    }
}
