//! Subscribes to the changes of the driver's beacon, reads them fast or slowly, and keeps account of them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use libvirt_client::{Connection, Event, Events};
use tokio::{sync::watch, time::Instant};

use crate::{
    account::Account,
    beacons::{self, Beacon},
    random::Random,
    world::{Driver, HANGS, Trouble, World},
};

/// How long before a loss was noticed, its first event may have been lost: as long as a connection may hang, and the
/// daemon or a busy machine may be late.
const UNNOTICED: Duration = Duration::from_secs(30);

/// Who listens on one connection.
pub(crate) struct Listener {
    pub(crate) world: Arc<World>,
    pub(crate) connection: Connection,
    pub(crate) driver: Driver,
    pub(crate) random: Random,
    /// Whether it takes a rest now and then.
    pub(crate) slow: bool,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Listener {
    /// Makes one subscription after another, until it is told to stop or the connection has ended.
    pub(crate) async fn run(mut self) {
        while !*self.stop.borrow() && self.connection.client().close_reason().is_none() {
            match self.subscribe().await {
                Ok((events, account)) => self.keep_account(events, account).await,
                Err(_) => self.world.sleep(self.random.millis(100..500)).await,
            }
        }
    }

    fn beacon(&self) -> &Beacon {
        self.world.beacon(self.driver)
    }

    async fn subscribe(&self) -> Result<(Events, Account), Trouble> {
        let (world, generation) = (&self.world, self.world.generation());
        let lookup = self.connection.domain_by_uuid(beacons::uuid());
        let domain = world.call("the beacon's lookup", generation, lookup).await?;
        let subscribe = domain.events().domain_metadata_change().subscribe();
        let events = world.call("a subscription", generation, subscribe).await?;
        Ok((events, Account::new(self.beacon().begun())))
    }

    /// Reads events for some time, then up to the last one that there is, and drops the subscription.
    async fn keep_account(&mut self, mut events: Events, mut account: Account) {
        let enough = Instant::now() + self.random.millis(5_000..90_000);
        let mut last = None;
        let mut stop = self.stop.clone();
        let overdue = loop {
            if last.is_some_and(|(number, _)| account.position() >= number) {
                break false;
            }
            let end = last.map_or(enough, |(_, end)| end);
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep_until(end) => match last {
                    None => { last = Some((self.beacon().begun(), Instant::now() + HANGS)); continue }
                    Some(_) => break true,
                },
                _ = stop.wait_for(|stop| *stop), if last.is_none() => {
                    last = Some((self.beacon().begun(), Instant::now() + HANGS));
                    continue;
                }
            };
            match event {
                Some(Ok(event)) => self.take(&mut account, &event),
                Some(Err(error)) => {
                    self.world.judge("an event", self.world.generation(), error);
                }
                None => break false,
            }
            if self.slow && last.is_none() && self.random.once_in(40) {
                let rest = self.random.millis(2_000..6_000);
                let _ = tokio::time::timeout(rest, stop.wait_for(|stop| *stop)).await;
            }
        };
        let tally = &self.world.tally;
        if overdue {
            tally.wrong(format!("events up to {last:?} did not come: {account:?}"));
        }
        tally.subscriptions.add(1);
        tally.events.add(account.delivered);
        tally.lagged.add(account.lagged);
        tally.lost_in_gaps.add(account.lost);
    }

    fn take(&self, account: &mut Account, event: &Event) {
        match event {
            Event::Lagged { missed } => account.lagged(*missed),
            Event::Gap { since } => {
                self.world.tally.gaps.add(1);
                account.gap(*since, self.beacon().begun());
            }
            event => match beacons::number(event).map(|number| account.event(number)) {
                Some(Ok(None)) => {}
                Some(Ok(Some(lost))) => {
                    let before = lost.since - UNNOTICED;
                    if self.beacon().was_made_before(lost.first, before) || lost.since > SystemTime::now() {
                        self.world.tally.wrong(format!("a gap is said to be shorter than it was: {lost:?}"));
                    }
                }
                Some(Err(wrong)) => self.world.tally.wrong(wrong),
                None => self.world.tally.wrong(format!("an event that nobody asked for: {event:?}")),
            },
        }
    }
}
