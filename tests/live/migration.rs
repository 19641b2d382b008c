//! Migrations between two daemons, beside virsh and Python: what moves, and what stays where it was.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, MigrateOptions, TypedParams,
    enums::DomainState,
    migration::{MigratePhase, MigrateSide, MigrateWhereabouts, RunningMigration},
    protocol::remote,
    rpc::ByteStream,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{UnixListener, UnixStream},
};

use crate::{
    QEMU,
    qemu::BIOS_ONLY,
    support::{
        Daemon,
        daemon::{said, through_socket},
        guest, live, live_within,
        machine::{disk, machine},
        wait_until,
    },
};

/// Emulated processors are slow, and other tests run at the same time.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);
/// Where the hypervisors of both daemons find each other.
pub(crate) const LOOPBACK: &str = "tcp://127.0.0.1";
const AGENT: &str = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";

/// Two daemons that take each other for other hosts, and a connection to each.
pub(crate) struct Hosts {
    pub(crate) source: Daemon,
    pub(crate) destination: Daemon,
    here: Connection,
    there: Connection,
}

impl Hosts {
    pub(crate) async fn start() -> Self {
        let source = Daemon::builder().virtlogd().start();
        let destination = Daemon::builder().virtlogd().listen_inside().beside(&source).start();
        let here = Connection::open(source.uri(QEMU)).await.unwrap();
        let there = Connection::open(destination.uri(QEMU)).await.unwrap();
        Self { source, destination, here, there }
    }

    /// Starts a machine on the source that gets as far as its BIOS.
    pub(crate) async fn bios(&self, name: &str) -> Domain {
        let domain =
            self.here.define_domain(BIOS_ONLY.replace(">bios<", &format!(">{name}<"))).await.unwrap();
        domain.start().await.unwrap();
        domain
    }

    /// Starts a Linux on the source, and returns it once it is up.
    pub(crate) async fn linux(&self, name: &str) -> Domain {
        let domain = self.here.define_domain(machine(name, 256, &guest::boot(), AGENT)).await.unwrap();
        domain.start().await.unwrap();
        guest::wait_for_agent(&self.source, &domain).await;
        domain
    }

    /// What virsh says of the domain on the source and on the destination: `running`, `shut off`; `-` where it is not.
    pub(crate) fn states(&self, name: &str) -> [String; 2] {
        [&self.source, &self.destination].map(|daemon| {
            let all = daemon.virsh(QEMU, &["list", "--all"]);
            let words = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut states =
                words.filter(|words| words.get(1) == Some(&name)).map(|words| words[2..].join(" "));
            states.next().unwrap_or_else(|| "-".to_owned())
        })
    }

    /// Fails the test unless the domain runs on at the source without a job, and nothing of it is at the destination.
    pub(crate) async fn is_as_before(&self, domain: &Domain) {
        assert_eq!(self.states(domain.name()), ["running", "-"]);
        assert_eq!(self.source.virsh(QEMU, &["domjobinfo", domain.name()]).trim(), "Job type:         None");
        wait_until(|| self.destination.shell("ps -C qemu-system-x86_64 -o args= || true").is_empty()).await;
    }
}

/// So slow that it does not end before a test has done with it what it wants to.
fn slowly() -> MigrateOptions {
    MigrateOptions::live().migrate_uri(LOOPBACK).bandwidth_mib_per_s(1)
}

/// Waits until the source has sent something.
async fn begins<T>(migration: &RunningMigration<T>) {
    let mut updates = migration.progress();
    while let Some(progress) = updates.next().await {
        if progress.phase == MigratePhase::Perform
            && progress.stats.memory_processed.is_some_and(|bytes| bytes > 0)
        {
            return;
        }
    }
    panic!("the migration has ended");
}

#[test]
fn a_running_domain_moves() {
    live(async {
        let hosts = Hosts::start().await;
        let domain = hosts.bios("moved").await;
        let options = MigrateOptions::live().persist_destination().undefine_source().migrate_uri(LOOPBACK);
        let moved = domain.migrate_to(&hosts.there, options).await.unwrap();
        assert_eq!(hosts.states("moved"), ["-", "running"]);
        assert_eq!(hosts.destination.virsh(QEMU, &["domstate", "--reason", "moved"]), "running (migrated)");
        assert_eq!(moved.uuid().to_string(), hosts.destination.virsh(QEMU, &["domuuid", "moved"]));
        assert_eq!(moved.id().unwrap().to_string(), hosts.destination.virsh(QEMU, &["domid", "moved"]));
        assert_eq!(domain.id(), None);
        assert!(moved.is_persistent().await.unwrap());

        // And back, over a file, under another name, at which it is known for as long as it runs.
        let socket = hosts.destination.directory().join("migration").display().to_string();
        let options = MigrateOptions::live().migrate_uri(format!("unix://{socket}")).destination_name("back");
        moved.suspend().await.unwrap();
        let back = moved.migrate_to(&hosts.here, options).await.unwrap();
        assert_eq!((back.name(), hosts.states("back")[0].as_str()), ("back", "paused"));
        assert_eq!(hosts.states("moved"), ["-", "shut off"]);
        assert!(!back.is_persistent().await.unwrap());
        back.resume().await.unwrap();
        assert_eq!(hosts.states("back"), ["running", "-"]);
    });
}

#[test]
fn the_sources_daemon_moves_a_domain() {
    live(async {
        let hosts = Hosts::start().await;
        let tcp = "qemu+tcp://127.0.0.1/system".to_owned();
        for (name, uri, options) in [
            ("peer", &tcp, MigrateOptions::live().migrate_uri(LOOPBACK)),
            ("local", &hosts.destination.uri(QEMU), MigrateOptions::live().migrate_uri(LOOPBACK)),
            ("tunnel", &tcp, MigrateOptions::live().tunnelled()),
        ] {
            let domain = hosts.bios(name).await;
            domain.migrate_to_uri(uri, options).await.unwrap();
            assert_eq!(hosts.states(name), ["shut off", "running"]);
            assert_eq!(domain.id(), None);
        }

        let domain = hosts.bios("stays").await;
        let error =
            domain.migrate_to_uri("qemu+tcp://127.0.0.1:1/system", MigrateOptions::live()).await.unwrap_err();
        let python = hosts.source.python_error(
            QEMU,
            "connection.lookupByName('stays').migrateToURI3('qemu+tcp://127.0.0.1:1/system', {}, 3)",
        );
        let why = error.migration().unwrap();
        assert_eq!(said(&why.cause), python);
        assert_eq!((why.phase, why.whereabouts), (MigratePhase::Perform, MigrateWhereabouts::Source));
        hosts.is_as_before_but(&domain, &["peer", "local", "tunnel"]);

        let error =
            domain.migrate_directly_to("tcp:127.0.0.1:49152", MigrateOptions::live()).await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
    });
}

impl Hosts {
    /// The same where others have moved.
    fn is_as_before_but(&self, domain: &Domain, others: &[&str]) {
        assert_eq!(self.states(domain.name()), ["running", "-"]);
        assert_eq!(self.source.virsh(QEMU, &["domjobinfo", domain.name()]).trim(), "Job type:         None");
        let running = self.destination.virsh(QEMU, &["list", "--name"]);
        assert_eq!(running.split_whitespace().collect::<Vec<_>>(), others);
    }
}

#[test]
fn a_definition_moves() {
    live(async {
        let hosts = Hosts::start().await;
        let domain = hosts.here.define_domain(BIOS_ONLY.replace(">bios<", ">still<")).await.unwrap();
        let options = MigrateOptions::offline().undefine_source().migrate_uri(LOOPBACK);
        let moved = domain.migrate_to(&hosts.there, options).await.unwrap();
        assert_eq!(hosts.states("still"), ["-", "shut off"]);
        assert_eq!(moved.id(), None);
        assert_eq!(moved.uuid().to_string(), hosts.destination.virsh(QEMU, &["domuuid", "still"]));
    });
}

#[test]
fn disks_move_with_the_domain() {
    live(async {
        let hosts = Hosts::start().await;
        // The same path, but not the same file: each daemon has its own below it.
        let path = |daemon: &Daemon| daemon.directory().join("lib/images/disk.img");
        let contents: Vec<u8> = (0..4_u32 << 20).map(|at| (at / 997) as u8).collect();
        fs::write(path(&hosts.source), &contents).unwrap();
        fs::write(path(&hosts.destination), vec![0; contents.len()]).unwrap();
        let disk = disk(&hosts.source, "x", "raw", "vda").replace(
            &hosts.source.directory().join("x").display().to_string(),
            "/var/lib/libvirt/images/disk.img",
        );
        let xml = BIOS_ONLY.replace(">bios<", ">disks<").replace("</devices>", &format!("{disk}</devices>"));
        let domain = hosts.here.define_domain(xml).await.unwrap();
        domain.start().await.unwrap();

        // Without its disk it is not safe, which the source says before anything is sent.
        let plain = MigrateOptions::live().migrate_uri(LOOPBACK);
        let error = domain.migrate_to(&hosts.there, plain.clone()).await.unwrap_err();
        let python = hosts.source.python_error(
            QEMU,
            &format!(
                "connection.lookupByName('disks').migrate3(libvirt.open('{}'), {{}}, 1)",
                hosts.destination.uri(QEMU)
            ),
        );
        let why = error.migration().unwrap();
        assert_eq!((said(&why.cause), why.side), (python, MigrateSide::Source));
        hosts.is_as_before(&domain).await;

        let moved = domain.migrate_to(&hosts.there, plain.copy_disks(["vda"])).await.unwrap();
        assert_eq!(hosts.states("disks"), ["shut off", "running"]);
        moved.destroy().await.unwrap();
        assert!(fs::read(path(&hosts.destination)).unwrap() == contents, "the disk is not the same");
    });
}

#[test]
fn a_destination_that_refuses_leaves_the_domain_where_it_is() {
    live(async {
        let hosts = Hosts::start().await;
        let domain = hosts.bios("twice").await;
        hosts.there.define_domain(BIOS_ONLY.replace(">bios<", ">twice<")).await.unwrap();
        let error =
            domain.migrate_to(&hosts.there, MigrateOptions::live().migrate_uri(LOOPBACK)).await.unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        let why = error.migration().unwrap();
        assert_eq!((why.phase, why.side), (MigratePhase::Prepare, MigrateSide::Destination));
        assert_eq!((why.whereabouts, why.also.len()), (MigrateWhereabouts::Source, 0));
        let python = hosts.source.python_error(
            QEMU,
            &format!(
                "connection.lookupByName('twice').migrate3(libvirt.open('{}'), {{}}, 1)",
                hosts.destination.uri(QEMU)
            ),
        );
        assert_eq!(said(&why.cause), python);
        assert_eq!(hosts.states("twice"), ["running", "shut off"]);
        assert_eq!(hosts.source.virsh(QEMU, &["domjobinfo", "twice"]).trim(), "Job type:         None");
        // It is not protected any longer.
        domain.suspend().await.unwrap();

        let error =
            domain.migrate_to(&hosts.here, MigrateOptions::new().migrate_uri(LOOPBACK)).await.unwrap_err();
        let why = error.migration().unwrap();
        assert_eq!((why.phase, why.side), (MigratePhase::Prepare, MigrateSide::Destination), "{error}");
        assert_eq!(hosts.states("twice"), ["paused", "shut off"]);
    });
}

#[test]
fn a_migration_that_is_cancelled_leaves_nothing_behind() {
    live_within(LIMIT, async {
        let hosts = Hosts::start().await;
        let domain = hosts.linux("asked").await;
        let often = Duration::from_millis(50);
        let uri = hosts.destination.uri(QEMU);

        let migration = domain.migrate_to(&hosts.there, slowly()).progress_every(often).start();
        begins(&migration).await;
        let job = hosts.source.virsh(QEMU, &["domjobinfo", "asked"]);
        assert!(job.contains("Outgoing migration"), "{job}");
        migration.cancel();
        let error = migration.await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        let why = error.migration().unwrap();
        assert_eq!((why.phase, why.whereabouts), (MigratePhase::Perform, MigrateWhereabouts::Source));
        hosts.is_as_before(&domain).await;

        // By its time.
        let limited = domain.migrate_to(&hosts.there, slowly()).timeout(Duration::from_secs(1));
        let error = limited.await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        hosts.is_as_before(&domain).await;

        // By being dropped.
        let migration = domain.migrate_to(&hosts.there, slowly()).progress_every(often).start();
        begins(&migration).await;
        drop(migration);
        wait_until(|| hosts.source.virsh(QEMU, &["domjobinfo", "asked"]).trim().ends_with("None")).await;
        wait_until(|| hosts.states("asked") == ["running", "-"]).await;
        hosts.is_as_before(&domain).await;

        // Where the source's daemon does it.
        let migration = domain.migrate_to_uri(uri, slowly()).progress_every(often).start();
        begins(&migration).await;
        migration.cancel();
        let error = migration.await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        hosts.is_as_before(&domain).await;
        guest::wait_for_agent(&hosts.source, &domain).await;

        // And then it moves all the same.
        let moved =
            domain.migrate_to(&hosts.there, MigrateOptions::live().migrate_uri(LOOPBACK)).await.unwrap();
        assert_eq!(hosts.states("asked"), ["shut off", "running"]);
        guest::wait_for_agent(&hosts.destination, &moved).await;
    });
}

#[test]
fn a_domain_stays_where_the_other_daemon_dies() {
    live_within(LIMIT, async {
        let mut hosts = Hosts::start().await;
        let domain = hosts.linux("left").await;
        let migration =
            domain.migrate_to(&hosts.there, slowly()).progress_every(Duration::from_millis(50)).start();
        begins(&migration).await;
        hosts.destination.signal("KILL");
        let error = migration.await.unwrap_err();
        let why = error.migration().unwrap();
        assert_eq!((why.phase, why.side), (MigratePhase::Perform, MigrateSide::Destination), "{error}");
        assert_eq!(why.whereabouts, MigrateWhereabouts::Source);
        assert!(error.is_transient(), "{error}");
        hosts.destination.restart();
        wait_until(|| hosts.states("left") == ["running", "-"]).await;
        hosts.is_as_before(&domain).await;
        guest::wait_for_agent(&hosts.source, &domain).await;
    });
}

/// When a connection ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Breaks {
    /// Before the daemon hears of the call.
    BeforeCall,
    /// Before it has answered.
    AfterCall,
    /// Once it has answered, and we have not heard of it.
    BeforeAnswer,
}

const REPLY: u32 = 1;

/// Passes connections on to a daemon until a procedure is called: that connection ends, and all others pass.
async fn break_at(listener: UnixListener, daemon: PathBuf, procedure: remote::Procedure, breaks: Breaks) {
    let unbroken = Arc::new(AtomicBool::new(true));
    while let Ok((client, _)) = listener.accept().await {
        let daemon = UnixStream::connect(&daemon).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_daemon, mut to_daemon) = daemon.into_split();
        let unbroken = unbroken.clone();
        let is_it = move |frame: &[u8]| {
            frame[12..16] == procedure.0.to_be_bytes() && unbroken.swap(false, Ordering::SeqCst)
        };
        let is_answer = is_it.clone();
        let there = async move {
            while let Some(frame) = whole_frame(&mut from_client).await {
                let ends = breaks != Breaks::BeforeAnswer && is_it(&frame);
                if !ends || breaks == Breaks::AfterCall {
                    to_daemon.write_all(&frame).await.unwrap();
                }
                if ends {
                    return;
                }
            }
        };
        let back = async move {
            while let Some(frame) = whole_frame(&mut from_daemon).await {
                let is_reply = frame[16..20] == REPLY.to_be_bytes();
                if breaks == Breaks::BeforeAnswer && is_reply && is_answer(&frame) {
                    return;
                }
                if to_client.write_all(&frame).await.is_err() {
                    return;
                }
            }
        };
        // What ends first ends both, and with them both sockets.
        tokio::spawn(async move {
            tokio::select! { () = there => {}, () = back => {} }
        });
    }
}

/// Opens a connection to a daemon that ends at this call.
async fn breaking(daemon: &Daemon, name: &str, procedure: remote::Procedure, breaks: Breaks) -> Connection {
    let path = daemon.directory().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(break_at(listener, daemon.socket(), procedure, breaks));
    Connection::open(through_socket(QEMU, &path)).await.unwrap()
}

#[test]
fn a_connection_to_the_destination_that_ends_in_the_last_moment_leaves_the_domain_on_one_side() {
    live(async {
        let hosts = Hosts::start().await;
        let finish = remote::Procedure::DOMAIN_MIGRATE_FINISH3_PARAMS;
        for (name, breaks) in [
            ("unheard", Breaks::BeforeCall),
            ("at-work", Breaks::AfterCall),
            ("unsaid", Breaks::BeforeAnswer),
        ] {
            let domain = hosts.bios(name).await;
            let there = breaking(&hosts.destination, name, finish, breaks).await;
            let result = domain.migrate_to(&there, MigrateOptions::live().migrate_uri(LOOPBACK)).await;
            if breaks == Breaks::BeforeCall {
                let error = result.unwrap_err();
                let why = error.migration().unwrap();
                assert_eq!(
                    (why.phase, why.side),
                    (MigratePhase::Finish, MigrateSide::Destination),
                    "{error}"
                );
                assert_eq!((why.whereabouts, why.also.len()), (MigrateWhereabouts::Source, 0), "{error}");
                hosts.is_as_before(&domain).await;
            } else {
                assert_eq!(result.unwrap().state().await.unwrap().state, DomainState::RUNNING);
                assert_eq!(hosts.states(name), ["shut off", "running"]);
                assert_eq!(domain.id(), None);
            }
        }
    });
}

#[test]
fn a_connection_to_the_source_that_ends_while_it_sends_leaves_the_domain_there() {
    live(async {
        let hosts = Hosts::start().await;
        let perform = remote::Procedure::DOMAIN_MIGRATE_PERFORM3_PARAMS;
        // In the last case all of it has been sent, and the source waits for what it is told.
        for (name, breaks) in [
            ("unheard", Breaks::BeforeCall),
            ("at-work", Breaks::AfterCall),
            ("unsaid", Breaks::BeforeAnswer),
        ] {
            let domain = hosts.bios(name).await;
            let here = breaking(&hosts.source, name, perform, breaks).await;
            let of_it = here.domain_by_uuid(domain.uuid()).await.unwrap();
            let options = MigrateOptions::live().migrate_uri(LOOPBACK);
            let error = of_it.migrate_to(&hosts.there, options).await.unwrap_err();
            let why = error.migration().unwrap();
            assert_eq!((why.phase, why.side), (MigratePhase::Perform, MigrateSide::Source), "{error}");
            assert_eq!((why.whereabouts, why.also.len()), (MigrateWhereabouts::Source, 0), "{error}");
            hosts.is_as_before(&domain).await;
        }
    });
}

#[test]
fn a_domain_is_switched_to_post_copy() {
    live_within(LIMIT, async {
        let hosts = Hosts::start().await;
        let domain = hosts.linux("late").await;
        let options = slowly().post_copy().persist_destination();
        let migration =
            domain.migrate_to(&hosts.there, options).progress_every(Duration::from_millis(50)).start();
        begins(&migration).await;
        migration.start_post_copy().await.unwrap();
        wait_until(|| hosts.destination.virsh(QEMU, &["list"]).contains(" running")).await;
        // Too late.
        migration.cancel();
        let moved = migration.await.unwrap();
        assert_eq!(hosts.states("late"), ["shut off", "running"]);
        assert_eq!(moved.state().await.unwrap().state, DomainState::RUNNING);
        guest::wait_for_agent(&hosts.destination, &moved).await;
        assert_eq!(hosts.source.virsh(QEMU, &["domstate", "--reason", "late"]), "shut off (migrated)");
    });
}

/// A connection to a daemon that denies that its driver has some features, as an older one would.
async fn older(uri: &str, socket: &Path, denied: &'static [i32]) -> Connection {
    let (near, far) = tokio::io::duplex(1 << 16);
    let daemon = UnixStream::connect(socket).await.unwrap();
    tokio::spawn(pass_on(far, daemon, denied));
    Connection::builder(uri).open_over(ByteStream(near), uri.to_owned()).await.unwrap()
}

/// Passes frames on in both directions, and answers no to questions for some features.
async fn pass_on(client: DuplexStream, daemon: UnixStream, denied: &'static [i32]) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_daemon, mut to_daemon) = daemon.into_split();
    let asked = Arc::new(Mutex::new(HashSet::new()));
    let noted = asked.clone();
    let there = async move {
        while let Some(frame) = whole_frame(&mut from_client).await {
            // A question is its length, 24 bytes of header, and the number.
            if frame[12..16] == 60_u32.to_be_bytes()
                && denied.iter().any(|no| frame[28..] == no.to_be_bytes())
            {
                noted.lock().unwrap().insert(frame[20..24].to_vec());
            }
            to_daemon.write_all(&frame).await.unwrap();
        }
    };
    let back = async move {
        while let Some(mut frame) = whole_frame(&mut from_daemon).await {
            if frame.len() == 32 && asked.lock().unwrap().remove(&frame[20..24]) {
                frame[28..].fill(0);
            }
            to_client.write_all(&frame).await.unwrap();
        }
    };
    tokio::join!(there, back);
}

async fn whole_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).await.ok()?;
    frame.resize(u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize, 0);
    stream.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

#[test]
fn a_daemon_without_typed_parameters_is_talked_to_without_them() {
    live(async {
        let hosts = Hosts::start().await;
        // Older versions are for scripted daemons: libvirtd 9.0.0 still offers version 2, and crashes in its last phase.
        let here = older(QEMU, &hosts.source.socket(), &[13]).await;
        let uuid = hosts.bios("third").await.uuid();
        let domain = here.domain_by_uuid(uuid).await.unwrap();
        let options = MigrateOptions::live().migrate_uri("tcp:127.0.0.1").bandwidth_mib_per_s(100);
        let moved = domain.migrate_to(&hosts.there, options.destination_name("renamed")).await.unwrap();
        assert_eq!((moved.name(), moved.uuid()), ("renamed", uuid));
        assert_eq!(
            (hosts.states("third"), hosts.states("renamed")[1].as_str()),
            (["shut off".into(), "-".into()], "running")
        );

        let other = hosts.bios("other").await;
        let domain = here.domain_by_uuid(other.uuid()).await.unwrap();
        let error = domain.migrate_to(&hosts.there, slowly().listen_address("127.0.0.1")).await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
        domain
            .migrate_to_uri(hosts.destination.uri(QEMU), MigrateOptions::live().migrate_uri(LOOPBACK))
            .await
            .unwrap();
        assert_eq!(hosts.states("other"), ["shut off", "running"]);
    });
}

#[test]
fn settings_reach_the_daemons() {
    live(async {
        let hosts = Hosts::start().await;
        let domain = hosts.bios("set").await;
        let xml = hosts.source.virsh(QEMU, &["dumpxml", "--migratable", "set"]);
        let titled = |title: &str| xml.replace("<memory", &format!("<title>{title}</title><memory"));
        let mut options = MigrateOptions::live()
            .migrate_uri("tcp://127.0.0.1:49321")
            .listen_address("127.0.0.1")
            .destination_xml(titled("for now"))
            .persistent_xml(titled("for ever"))
            .persist_destination()
            .auto_converge();
        options.parameters.auto_converge_initial = Some(30);
        let moved = domain.migrate_to(&hosts.there, options).await.unwrap();
        let running = hosts.destination.virsh(QEMU, &["dumpxml", "set"]);
        let defined = hosts.destination.virsh(QEMU, &["dumpxml", "--inactive", "set"]);
        assert!(running.contains("<title>for now</title>"), "{running}");
        assert!(defined.contains("<title>for ever</title>"), "{defined}");
        let _ = moved.destroy().await;

        // What the daemon does not know it says in its own words, and we in Python's.
        domain.start().await.unwrap();
        let mut options = MigrateOptions::live().migrate_uri(LOOPBACK);
        options.parameters.rest = TypedParams::new().with("nonsense", 1_i32);
        let error = domain.migrate_to(&hosts.there, options).await.unwrap_err();
        let why = error.migration().unwrap();
        assert_eq!((why.phase, why.side), (MigratePhase::Begin, MigrateSide::Source), "{error}");
        assert_eq!(hosts.states("set"), ["running", "shut off"]);
    });
}
