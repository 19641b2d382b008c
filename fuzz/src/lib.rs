//! What the fuzz targets do with their input. The targets call these functions under a fuzzer;
//! `tests/fuzz_corpus.rs` of the crate calls them with the corpus, in every run of the tests.

pub mod conf;
pub mod definitions;
pub mod frame;
#[cfg(feature = "ssh")]
pub mod known_hosts;
#[cfg(feature = "sasl")]
pub mod sasl;
pub mod session;
#[cfg(feature = "ssh")]
pub mod ssh_config;
pub mod types;
pub mod uri;

/// The fuzzer's bytes, taken from the front; zeros once they are used up.
#[derive(Debug)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn peek(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn word(&mut self) -> u32 {
        let mut word = [0; 4];
        let bytes = self.take(4);
        word[..bytes.len()].copy_from_slice(bytes);
        u32::from_be_bytes(word)
    }

    /// Takes so many bytes, or as many as there are.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
