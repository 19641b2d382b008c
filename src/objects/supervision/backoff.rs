//! When the next attempt is made.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Delays that double from one attempt to the next, with a part that is left to chance.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

/// The least delay but for the first, so that no policy keeps a processor busy.
const LEAST: Duration = Duration::from_millis(10);

impl Backoff {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        let max = max.max(LEAST);
        Self { first: first.min(max), max, next: first.min(max) }
    }

    /// Returns how long to wait now. The next time, it is twice as long.
    pub(super) fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.max(LEAST / 2).saturating_mul(2).min(self.max);
        jittered(delay, chance())
    }

    /// Returns how long to wait where haste does not help.
    pub(super) fn longest_delay(&mut self) -> Duration {
        self.next = self.max;
        self.delay()
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Takes or adds up to a quarter, as `chance` has it.
fn jittered(delay: Duration, chance: u64) -> Duration {
    let thousandths = u32::try_from(chance % 501).unwrap_or(250) + 750;
    delay.saturating_mul(thousandths) / 1000
}

/// Returns a number that nobody can foresee: hash maps are seeded so.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let within = |delay: Duration, of: u64| {
            let of = Duration::from_millis(of);
            delay >= of * 3 / 4 && delay <= of * 5 / 4
        };
        for expected in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.delay();
            assert!(within(delay, expected), "{delay:?} instead of about {expected} ms");
        }
        backoff.reset();
        assert!(within(backoff.delay(), 100));
        assert!(within(backoff.longest_delay(), 1000));
        assert!(within(backoff.delay(), 1000));
    }

    #[test]
    fn at_once_is_once() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(backoff.delay(), Duration::ZERO);
        for _ in 0..3 {
            assert!(backoff.delay() >= LEAST * 3 / 4);
        }
    }

    #[test]
    fn chance_takes_or_adds_a_quarter_at_most() {
        let second = Duration::from_secs(1);
        assert_eq!(jittered(second, 0), Duration::from_millis(750));
        assert_eq!(jittered(second, 250), second);
        assert_eq!(jittered(second, 500), Duration::from_millis(1250));
        assert_eq!(jittered(Duration::MAX, 0), Duration::MAX / 1000);
        let delays: std::collections::HashSet<Duration> =
            (0..50).map(|_| jittered(second, chance())).collect();
        assert!(delays.len() > 10, "{delays:?}");
    }
}
