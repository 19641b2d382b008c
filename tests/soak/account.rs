//! Keeps account of the events of one subscription: each is delivered, counted as missed, or lost in a reported gap, and
//! none comes twice.

use std::time::SystemTime;

/// What became of the events, which are numbered without a hole.
#[derive(Debug)]
pub(crate) struct Account {
    /// The last one that was delivered.
    last: Option<u64>,
    /// All behind this number must come: they were not begun when the subscription was there, or there again.
    floor: u64,
    /// How many were missed since the last one that was delivered.
    missed: u64,
    /// How many of them since the floor was set.
    missed_since_floor: u64,
    /// Since when events may be lost, if a gap was reported since the last one that was delivered.
    gap: Option<SystemTime>,
    pub(crate) delivered: u64,
    pub(crate) lagged: u64,
    pub(crate) lost: u64,
}

/// Events that a gap has swallowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) first: u64,
    pub(crate) since: SystemTime,
}

impl Account {
    /// Begins after the subscription was made; `begun` is the number of the last event before that or on its way.
    pub(crate) fn new(begun: u64) -> Self {
        Self {
            last: None,
            floor: begun,
            missed: 0,
            missed_since_floor: 0,
            gap: None,
            delivered: 0,
            lagged: 0,
            lost: 0,
        }
    }

    /// Takes the report that events were dropped since they were not read fast enough.
    pub(crate) fn lagged(&mut self, missed: u64) {
        self.missed += missed;
        self.missed_since_floor += missed;
        self.lagged += missed;
    }

    /// Takes the report that the connection was lost and is there again; `begun` is as for [`new`](Self::new).
    pub(crate) fn gap(&mut self, since: SystemTime, begun: u64) {
        self.gap.get_or_insert(since);
        self.floor = begun;
        self.missed_since_floor = 0;
    }

    /// Takes an event. Returns which ones a gap has swallowed before it, or what is wrong.
    pub(crate) fn event(&mut self, number: u64) -> Result<Option<Lost>, String> {
        let lost = self.take(number).map_err(|wrong| format!("{wrong}: {number}, by {self:?}"));
        self.delivered += 1;
        self.last = Some(number);
        (self.missed, self.missed_since_floor) = (0, 0);
        // Behind the one that was delivered nothing may be missing.
        self.floor = number;
        lost
    }

    /// Returns how far it has come.
    pub(crate) fn position(&self) -> u64 {
        self.last.unwrap_or_default()
    }

    fn take(&mut self, number: u64) -> Result<Option<Lost>, &'static str> {
        if number > self.floor + 1 + self.missed_since_floor {
            return Err("events are missing that nothing reported");
        }
        let gap = self.gap.take();
        let Some(last) = self.last else { return Ok(None) };
        if number <= last {
            return Err("an event came twice, or too late");
        }
        let between = number - last - 1;
        match (between.checked_sub(self.missed), gap) {
            (None, _) => Err("fewer events were missed than reported"),
            (Some(0), _) => Ok(None),
            (Some(lost), Some(since)) => {
                self.lost += lost;
                Ok(Some(Lost { first: last + 1 + (self.missed - self.missed_since_floor), since }))
            }
            (Some(_), None) => Err("events are missing that nothing reported"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn whole_accounts_are_accepted() {
        let mut account = Account::new(10);
        // On its way when the subscription was made.
        assert_eq!(account.event(9), Ok(None));
        assert_eq!(account.event(10), Ok(None));
        account.lagged(2);
        assert_eq!(account.event(13), Ok(None));
        account.gap(SINCE, 16);
        assert_eq!(account.event(16), Ok(Some(Lost { first: 14, since: SINCE })));
        account.lagged(1);
        account.gap(SINCE, 20);
        account.lagged(1);
        assert_eq!(account.event(22), Ok(Some(Lost { first: 18, since: SINCE })));
        account.gap(SINCE, 22);
        assert_eq!(account.event(23), Ok(None));
        assert_eq!((account.delivered, account.lagged, account.lost), (6, 4, 5));
        assert_eq!(account.delivered + account.lagged + account.lost, 23 - 9 + 1);
    }

    #[test]
    fn what_is_not_accounted_for_is_found() {
        assert!(Account::new(10).event(12).is_err());
        let mut account = Account::new(10);
        account.event(11).unwrap();
        assert!(account.event(13).is_err());
        assert!(account.event(11).is_err());
        account.lagged(2);
        assert!(account.event(13).is_err());
        let mut account = Account::new(10);
        account.event(11).unwrap();
        account.gap(SINCE, 15);
        assert!(account.event(17).is_err());
    }
}
