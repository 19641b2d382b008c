//! Numbers that look random, and are the same for the same seed.

use std::{ops::Range, time::Duration};

/// A small generator (splitmix64): each task has one of its own.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Makes the generator of one of many that share a seed.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(mix(seed ^ mix(number)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Is so once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.within(range.start * 1000..range.end * 1000))
    }

    /// Takes one of a list in which each stands as often as its weight says.
    pub(crate) fn choose<T: Copy>(&mut self, weighted: &[(u64, T)]) -> T {
        let mut left = self.within(0..weighted.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in weighted {
            if left < *weight {
                return *one;
            }
            left -= weight;
        }
        unreachable!("the weights sum up to more than what is left")
    }
}

/// Turns a number into one that looks like no other's.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
