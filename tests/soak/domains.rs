//! Calls whose answers are known: about domains that only this task changes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use libvirt_client::{
    Connection, Domain, Error, Uuid,
    enums::{DomainMetadataType, DomainModificationImpact, DomainState},
};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    random::{Random, mix},
    world::{Trouble, World},
};

/// How long after a lost call the daemon may still carry it out.
const LATE: Duration = Duration::from_secs(15);

/// One who defines, changes and looks up a domain of its own, over one connection after another.
pub(crate) struct Caller {
    world: Arc<World>,
    random: Random,
    number: u64,
    /// How many domains were defined.
    defined: u64,
    own: Option<Own>,
    /// What is to be found out, since nobody told whether it was done.
    open: Option<(Change, Trouble)>,
    /// Domains whose fate is not known, with when it is.
    left: Vec<(String, Instant)>,
}

/// The domain that there is, and what is known of it.
#[derive(Clone, Debug)]
struct Own {
    name: String,
    uuid: Uuid,
    memory_kib: u64,
    vcpus: u16,
    title: Option<String>,
    runs: bool,
    /// The definition as it was last read, if nothing was changed since.
    xml: Option<String>,
    /// When it was known to be there: later daemons do not know it.
    generation: u64,
    /// It on the connection of now.
    handle: Option<Domain>,
}

#[derive(Clone, Debug)]
enum Change {
    /// It became there.
    Define(Own),
    /// It is no longer there.
    Undefine,
    /// It has another title.
    Title(Option<String>),
    /// It runs, or does not.
    Run(bool),
}

#[derive(Clone, Copy)]
enum Act {
    Facts,
    Read,
    LookUp,
    Title,
    Run,
    Replace,
    List,
    Burst,
    Hurry,
    Drop,
}

const ACTS: [(u64, Act); 10] = [
    (3, Act::Facts),
    (4, Act::Read),
    (3, Act::LookUp),
    (3, Act::Title),
    (3, Act::Run),
    (2, Act::Replace),
    (1, Act::List),
    (2, Act::Burst),
    (2, Act::Hurry),
    (2, Act::Drop),
];

impl Caller {
    pub(crate) fn new(world: Arc<World>, random: Random, number: u64) -> Self {
        Self { world, random, number, defined: 0, own: None, open: None, left: Vec::new() }
    }

    /// Forgets what belongs to the connection of before.
    pub(crate) fn leave(&mut self) {
        if let Some(own) = &mut self.own {
            own.handle = None;
        }
    }

    /// Does one thing, and checks what comes of it.
    pub(crate) async fn step(&mut self, connection: &Connection) -> Result<(), Trouble> {
        self.forget_what_was_before_a_restart();
        self.settle(connection).await?;
        let Some(own) = self.hold(connection).await? else { return self.define(connection).await };
        match self.random.choose(&ACTS) {
            Act::Facts => self.facts(connection).await,
            Act::Read => self.read(own).await,
            Act::LookUp => self.look_up(connection, own).await,
            Act::Title => self.title(own).await,
            Act::Run => self.run(own).await,
            Act::Replace => self.undefine(own).await,
            Act::List => self.list(connection, own).await,
            Act::Burst => self.burst(connection, own).await,
            Act::Hurry => self.hurry(connection).await,
            Act::Drop => self.drop(connection, own).await,
        }?;
        self.clean_up(connection).await
    }

    fn forget_what_was_before_a_restart(&mut self) {
        let generation = self.world.generation();
        let is_past = |own: &Own| own.generation != generation;
        let open = match &self.open {
            Some((Change::Define(new), _)) => Some(new),
            _ => self.own.as_ref(),
        };
        if open.is_some_and(is_past)
            && let Some((Change::Define(new), _)) = self.open.take()
        {
            self.left.push((new.name, Instant::now()));
        }
        // Those that were defined while it was being restarted may be there.
        let past = self.own.take_if(|own| is_past(own));
        self.left.extend(past.map(|own| (own.name, Instant::now())));
    }

    /// Finds out what became of a change that had no answer. If it is not sure that it is over, the domain is given up.
    async fn settle(&mut self, connection: &Connection) -> Result<(), Trouble> {
        let Some((change, trouble)) = self.open.clone() else { return Ok(()) };
        let generation = self.world.generation();
        let was_not_done = trouble == Trouble::NotDone;
        match (&change, self.hold_quietly(connection).await?) {
            (Change::Define(new), _) => {
                let found = connection.find_domain_by_name(&new.name);
                let found = self.world.call("a lookup", generation, found).await?;
                let right = found.is_none() || !was_not_done;
                self.world.check(generation, right, || format!("defined, though said not to be: {new:?}"));
            }
            (Change::Undefine, found) => {
                let right = found.is_some() || !was_not_done;
                self.world.check(generation, right, || format!("not there, though said so: {:?}", self.own));
            }
            (_, None) => {
                self.world.check(generation, false, || format!("not there any more: {:?}", self.own));
            }
            (Change::Title(new), Some(own)) => {
                let title = self.read_title(&own).await?;
                let right = title == own.title || (title == *new && !was_not_done);
                self.world
                    .check(generation, right, || format!("title {title:?}, after {change:?} of {own:?}"));
            }
            (Change::Run(new), Some(own)) => {
                let runs = self.read_state(&own).await?;
                let right = runs == own.runs || (runs == *new && !was_not_done);
                self.world.check(generation, right, || format!("runs {runs}, after {change:?} of {own:?}"));
            }
        }
        self.open = None;
        if let Change::Define(new) = change {
            self.left.push((new.name, Instant::now() + LATE));
        } else if !was_not_done && let Some(own) = self.own.take() {
            self.left.push((own.name, Instant::now() + LATE));
        }
        Ok(())
    }

    /// Returns the domain with a handle of this connection. That it is not there is wrong.
    async fn hold(&mut self, connection: &Connection) -> Result<Option<Own>, Trouble> {
        let held = self.hold_quietly(connection).await?;
        if held.is_none()
            && let Some(own) = self.own.take()
        {
            self.world.check(own.generation, false, || format!("not there any more: {own:?}"));
        }
        Ok(held)
    }

    async fn hold_quietly(&mut self, connection: &Connection) -> Result<Option<Own>, Trouble> {
        let Some(own) = &mut self.own else { return Ok(None) };
        let found = connection.find_domain_by_uuid(own.uuid);
        // A handle from before would do, too; but somebody may have undefined it.
        own.handle = self.world.call("a lookup", own.generation, found).await?;
        Ok(own.handle.is_some().then(|| own.clone()))
    }

    async fn define(&mut self, connection: &Connection) -> Result<(), Trouble> {
        self.defined += 1;
        let name = format!("s{}-{}", self.number, self.defined);
        let half = |number: u64| mix(self.number << 32 | number).to_be_bytes();
        let uuid: [u8; 16] =
            [half(self.defined * 2), half(self.defined * 2 + 1)].concat().try_into().unwrap();
        let own = Own {
            name,
            uuid: Uuid::from(uuid),
            memory_kib: 1024 * self.random.within(4..64),
            vcpus: u16::try_from(self.random.within(1..5)).unwrap(),
            title: None,
            runs: false,
            xml: None,
            generation: self.world.generation(),
            handle: None,
        };
        let xml = format!(
            "<domain type='test'><name>{}</name><uuid>{}</uuid><memory unit='KiB'>{}</memory><vcpu>{}</vcpu>\
             <os><type>hvm</type></os></domain>",
            own.name, own.uuid, own.memory_kib, own.vcpus
        );
        let defined = self.world.call("define", own.generation, connection.define_domain(xml)).await;
        match defined {
            Ok(domain) => {
                let right = domain.name() == own.name && domain.uuid() == own.uuid;
                self.world.check(own.generation, right, || format!("{domain:?} was defined as {own:?}"));
                self.own = Some(own);
                Ok(())
            }
            Err(trouble) => self.leave_open(Change::Define(own), trouble),
        }
    }

    fn leave_open(&mut self, change: Change, trouble: Trouble) -> Result<(), Trouble> {
        if trouble == Trouble::Unsure {
            self.world.tally.unsure.add(1);
        }
        self.open = Some((change, trouble));
        Err(trouble)
    }

    async fn undefine(&mut self, own: Own) -> Result<(), Trouble> {
        if own.runs {
            self.run(own.clone()).await?;
        }
        let undefined = self.world.call("undefine", own.generation, handle(&own).undefine()).await;
        match undefined {
            Ok(()) => {
                self.own = None;
                let found = handle(&own).connection().find_domain_by_name(&own.name);
                let found = self.world.call("a lookup", own.generation, found).await?;
                self.world.check(own.generation, found.is_none(), || format!("undefined and there: {own:?}"));
                Ok(())
            }
            Err(trouble) => self.leave_open(Change::Undefine, trouble),
        }
    }

    async fn title(&mut self, own: Own) -> Result<(), Trouble> {
        let title = (!self.random.once_in(5)).then(|| format!("Nº {}", self.random.next()));
        let set = set_title(&own, title.as_deref());
        match self.world.call("a new title", own.generation, set).await {
            Ok(()) => {
                self.now(|own| (own.title, own.xml) = (title.clone(), None));
                let read = self.read_title(&own).await?;
                self.world.check(own.generation, read == title, || format!("title {read:?}, not {title:?}"));
                Ok(())
            }
            Err(trouble) => self.leave_open(Change::Title(title), trouble),
        }
    }

    /// Starts the domain, or stops it.
    async fn run(&mut self, own: Own) -> Result<(), Trouble> {
        let domain = handle(&own);
        let done = match own.runs {
            true => self.world.call("destroy", own.generation, domain.destroy()).await,
            false => self.world.call("start", own.generation, domain.start()).await,
        };
        match done {
            Ok(()) => {
                self.now(|own| (own.runs, own.xml) = (!own.runs, None));
                let runs = self.read_state(&own).await?;
                self.world
                    .check(own.generation, runs != own.runs, || format!("runs {runs}, as before: {own:?}"));
                Ok(())
            }
            Err(trouble) => self.leave_open(Change::Run(!own.runs), trouble),
        }
    }

    /// Writes down what is known of the domain now.
    fn now(&mut self, change: impl FnOnce(&mut Own)) {
        if let Some(own) = &mut self.own {
            change(own);
        }
    }

    async fn read_title(&self, own: &Own) -> Result<Option<String>, Trouble> {
        let title = handle(own).metadata(DomainMetadataType::TITLE, None);
        self.world.call("the title", own.generation, title).await
    }

    async fn read_state(&self, own: &Own) -> Result<bool, Trouble> {
        let state = self.world.call("the state", own.generation, handle(own).state()).await?.state;
        let known = state == DomainState::RUNNING || state == DomainState::SHUTOFF;
        self.world.check(own.generation, known, || format!("{state} is no state of {own:?}"));
        Ok(state == DomainState::RUNNING)
    }

    async fn facts(&self, connection: &Connection) -> Result<(), Trouble> {
        let (world, generation) = (&self.world, self.world.generation());
        let version = world.call("the version", generation, connection.lib_version()).await?;
        world.check(generation, (6..100).contains(&version.major), || format!("version {version}"));
        let node = world.call("the node", generation, connection.node_info()).await?;
        // What libvirt's simulated host has.
        let right = (node.memory_kib, node.cpus, node.mhz) == (3 << 20, 16, 1400);
        world.check(generation, right, || format!("{node:?}"));
        let nobody = connection.find_domain_by_name(format!("nobody-{}", self.number));
        let nobody = world.call("a lookup of nobody", generation, nobody).await?;
        world.check(generation, nobody.is_none(), || format!("found {nobody:?}"));
        Ok(())
    }

    async fn read(&mut self, own: Own) -> Result<(), Trouble> {
        let (world, domain) = (self.world.clone(), handle(&own));
        let info = world.call("info", own.generation, domain.info()).await?;
        let right = info.max_memory_kib == own.memory_kib
            && info.vcpus == own.vcpus
            && (info.state == DomainState::RUNNING) == own.runs;
        world.check(own.generation, right, || format!("{info:?} of {own:?}"));
        let xml = world.call("xml", own.generation, domain.xml()).await?;
        let right = match &own.xml {
            Some(before) => *before == xml,
            None => {
                let title = own.title.as_ref().map(|title| format!("<title>{title}</title>"));
                xml.contains(&own.uuid.to_string()) && title.is_none_or(|title| xml.contains(&title))
            }
        };
        world.check(own.generation, right, || format!("{xml} of {own:?}"));
        self.now(|own| own.xml = Some(xml));
        Ok(())
    }

    async fn look_up(&self, connection: &Connection, own: Own) -> Result<(), Trouble> {
        let (world, generation) = (&self.world, own.generation);
        let by_name = world.call("by name", generation, connection.domain_by_name(&own.name)).await?;
        let by_uuid = world.call("by UUID", generation, connection.domain_by_uuid(own.uuid)).await?;
        let right = by_name == by_uuid && by_name.name() == own.name && by_name.uuid() == own.uuid;
        world.check(generation, right, || format!("{by_name:?} and {by_uuid:?} of {own:?}"));
        Ok(())
    }

    async fn list(&self, connection: &Connection, own: Own) -> Result<(), Trouble> {
        let listed = self.world.call("the list", own.generation, connection.domains()).await?;
        let prefix = format!("s{}-", self.number);
        let mut names: BTreeSet<&str> = listed.iter().map(Domain::name).collect();
        names.retain(|name| name.starts_with(&prefix));
        let is_there = names.remove(own.name.as_str());
        let right = is_there && names.iter().all(|name| self.left.iter().any(|(left, _)| left == name));
        self.world.check(own.generation, right, || {
            format!("{names:?} listed beside {own:?} (listed: {is_there}), left are {:?}", self.left)
        });
        let beacon = listed.iter().filter(|domain| domain.uuid() == crate::beacons::uuid()).count();
        self.world.check(own.generation, beacon == 1, || format!("{beacon} beacons listed"));
        Ok(())
    }

    /// Asks many different things at once: each must have its own answer.
    async fn burst(&self, connection: &Connection, own: Own) -> Result<(), Trouble> {
        let mut calls = JoinSet::new();
        for number in 0..12 {
            let (world, connection, own) = (self.world.clone(), connection.clone(), own.clone());
            calls.spawn(async move {
                let generation = own.generation;
                let (said, expected) = match number % 4 {
                    0 => (
                        world
                            .call("by name", generation, connection.domain_by_name(&own.name))
                            .await?
                            .uuid()
                            .to_string(),
                        own.uuid.to_string(),
                    ),
                    1 => (
                        world
                            .call("by UUID", generation, connection.domain_by_uuid(own.uuid))
                            .await?
                            .name()
                            .to_owned(),
                        own.name.clone(),
                    ),
                    2 => (
                        world
                            .call("test", generation, connection.domain_by_name("test"))
                            .await?
                            .name()
                            .to_owned(),
                        "test".to_owned(),
                    ),
                    _ => {
                        let title = handle(&own).metadata(DomainMetadataType::TITLE, None);
                        let title = world.call("the title", generation, title).await?;
                        (format!("{title:?}"), format!("{:?}", own.title))
                    }
                };
                world.check(generation, said == expected, || format!("{said} instead of {expected}"));
                Ok(())
            });
        }
        while let Some(done) = calls.join_next().await {
            done.unwrap()?;
        }
        Ok(())
    }

    /// Makes a call with a deadline that may be too short.
    async fn hurry(&mut self, connection: &Connection) -> Result<(), Trouble> {
        let deadline = self.random.millis(1..20);
        let (hurried, begun) = (connection.with_timeout(deadline), Instant::now());
        let found = self.world.in_time("a call in a hurry", hurried.domain_by_name("test")).await?;
        // A busy machine may be late.
        let late = begun.elapsed() > deadline + Duration::from_secs(10);
        let generation = self.world.generation();
        self.world
            .check(generation, !late, || format!("a deadline of {deadline:?} took {:?}", begun.elapsed()));
        match found {
            Ok(domain) => self.world.check(generation, domain.name() == "test", || format!("{domain:?}")),
            Err(error @ Error::Timeout { .. }) => self.world.tally.explained(&error),
            Err(error) => return Err(self.world.judge("a call in a hurry", generation, error)),
        }
        Ok(())
    }

    /// Drops the futures of calls, whenever.
    async fn drop(&mut self, connection: &Connection, own: Own) -> Result<(), Trouble> {
        for _ in 0..4 {
            self.world.tally.dropped.add(1);
            let after = self.random.millis(0..3);
            let _ = tokio::time::timeout(after, connection.domain_by_name("test")).await;
        }
        self.world.tally.dropped.add(1);
        let title = Some(format!("Nº {}", self.random.next()));
        let after = self.random.millis(0..3);
        let set = set_title(&own, title.as_deref());
        match tokio::time::timeout(after, set).await {
            Ok(Ok(())) => self.now(|own| (own.title, own.xml) = (title, None)),
            Ok(Err(error)) => {
                let trouble = self.world.judge("a new title", own.generation, error);
                return self.leave_open(Change::Title(title), trouble);
            }
            Err(_) => {
                let _ = self.leave_open(Change::Title(title), Trouble::Unsure);
            }
        }
        Ok(())
    }

    /// Removes domains that may have become there, once that is over.
    async fn clean_up(&mut self, connection: &Connection) -> Result<(), Trouble> {
        let Some(place) = self.left.iter().position(|(_, due)| *due < Instant::now()) else { return Ok(()) };
        let (name, _) = self.left.swap_remove(place);
        // It may run, or not be there, and the daemon may be another: no answer is wrong. But only one who does not find it knows
        // that it is gone: one that still ran when it was undefined is there as long as it runs.
        let is_gone = self.world.in_time("the removal", async {
            let Some(domain) = connection.find_domain_by_name(&name).await? else { return Ok(true) };
            let _ = domain.destroy().await;
            let _ = domain.undefine().await;
            Ok::<bool, Error>(false)
        });
        if !matches!(is_gone.await, Ok(Ok(true))) {
            self.left.push((name, Instant::now()));
        }
        Ok(())
    }
}

/// Sets the title, or removes it: now, and for the domain's next start.
async fn set_title(own: &Own, title: Option<&str>) -> libvirt_client::Result<()> {
    let config = DomainModificationImpact::CONFIG;
    let flags = if own.runs { config | DomainModificationImpact::LIVE } else { config };
    handle(own).set_metadata_with(DomainMetadataType::TITLE, title, None, None, flags).await
}

fn handle(own: &Own) -> &Domain {
    own.handle.as_ref().expect("step() looks it up first")
}
