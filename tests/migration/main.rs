//! Migrations between two scripted daemons: which calls follow each other, what they pass on, and what follows a failure.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what goes wrong in a test ends it")]

mod daemon;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use libvirt_client::{
    Connection, Domain, Error, ErrorCode, MigrateOptions,
    enums::DomainMigrateFlags,
    migration::{MigratePhase, MigrateSide, MigrateWhereabouts},
};

use daemon::{Act, Host};

/// What daemons of some age can do, as the numbers of their features.
const PARAMETERS: &[i32] = &[3, 4, 6, 7, 11, 12, 13, 14];
const THREE: &[i32] = &[3, 4, 6, 7, 11, 12, 14];
const UNPROTECTED: &[i32] = &[4, 6, 12, 13];
const TWO: &[i32] = &[3, 11];
const ONE: &[i32] = &[1];

/// Two daemons, what they are to do, and connections to them.
struct Pair {
    source: Host,
    destination: Host,
    here: Connection,
    there: Connection,
    calls: Calls,
}

type Calls = Arc<Mutex<Vec<String>>>;

impl Pair {
    async fn new(features: &'static [i32], acts: &[(&'static str, Act)]) -> Self {
        let calls = Calls::default();
        let (source, here) = Host::start("source", features, acts, &calls).await;
        let (destination, there) = Host::start("destination", features, acts, &calls).await;
        Self { source, destination, here, there, calls }
    }

    async fn domain(&self) -> Domain {
        self.here.domain_by_name("web").await.unwrap()
    }

    async fn migrate(&self, options: impl Into<MigrateOptions>) -> Result<Domain, Error> {
        self.domain().await.migrate_to(&self.there, options).timeout(Duration::from_secs(20)).await
    }

    /// The phases that were called, in their order: `finish! <perform` is a finish with “cancelled” that has the cookie of
    /// perform. Takes them away.
    fn phases(&self) -> String {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let phases: Vec<String> =
            calls.iter().map(|call| call.split(" flags ").next().unwrap().to_owned()).collect();
        phases.join(", ")
    }

    /// The flags of each phase that was called.
    fn flags(&self) -> Vec<(String, u32)> {
        let calls = self.calls.lock().unwrap();
        let flags = |call: &String| {
            let (phase, flags) = call.split_once(" flags ").unwrap();
            (phase.split([' ', '!']).next().unwrap().to_owned(), flags.parse().unwrap())
        };
        calls.iter().filter(|call| call.contains(" flags ")).map(flags).collect()
    }
}

/// What a failed migration says of itself.
fn said(error: &Error) -> (MigratePhase, MigrateSide, MigrateWhereabouts, Vec<MigratePhase>) {
    let error = error.migration().unwrap_or_else(|| panic!("{error:?}"));
    (error.phase, error.side, error.whereabouts, error.also.iter().map(|fault| fault.phase).collect())
}

const REFUSES: Act = Act::Refuse(ErrorCode::OPERATION_FAILED);

#[tokio::test]
async fn each_phase_that_fails_is_called_off_on_both_sides() {
    use MigratePhase::{Begin, Confirm, Finish, Perform, Prepare};
    use MigrateSide::{Destination, Source};
    use MigrateWhereabouts as Where;

    const GOOD: &str = "begin <, prepare <begin, perform <prepare, finish <perform, confirm <finish";
    let cases = [
        (&[][..], GOOD, None),
        // The domain runs on the destination all the same.
        (&[("confirm", REFUSES)], GOOD, None),
        (&[("begin", REFUSES)], "begin <", Some((Begin, Source, Where::Source, vec![]))),
        (
            &[("prepare", REFUSES)],
            "begin <, prepare <begin, confirm! <",
            Some((Prepare, Destination, Where::Source, vec![])),
        ),
        (
            &[("prepare", Act::NoUri)],
            "begin <, prepare <begin, finish! <prepare, confirm! <",
            Some((Prepare, Destination, Where::Source, vec![])),
        ),
        (
            &[("perform", REFUSES)],
            "begin <, prepare <begin, perform <prepare, finish! <",
            Some((Perform, Source, Where::Source, vec![])),
        ),
        // The error of perform stays, and that of finish is beside it.
        (
            &[("perform", REFUSES), ("finish", REFUSES)],
            "begin <, prepare <begin, perform <prepare, finish! <",
            Some((Perform, Source, Where::Source, vec![Finish])),
        ),
        (
            &[("finish", REFUSES)],
            "begin <, prepare <begin, perform <prepare, finish <perform, confirm! <",
            Some((Finish, Destination, Where::Source, vec![])),
        ),
        (
            &[("finish", REFUSES), ("confirm", REFUSES)],
            "begin <, prepare <begin, perform <prepare, finish <perform, confirm! <",
            Some((Finish, Destination, Where::Source, vec![Confirm])),
        ),
        // They have done it, and do not know that it was in vain.
        (&[("begin", Act::Nonsense)], "begin <, confirm! <", Some((Begin, Source, Where::Source, vec![]))),
        (
            &[("prepare", Act::Nonsense)],
            "begin <, prepare <begin, finish! <, confirm! <",
            Some((Prepare, Destination, Where::Source, vec![])),
        ),
        (
            &[("perform", Act::Nonsense)],
            "begin <, prepare <begin, perform <prepare, finish! <, confirm! <",
            Some((Perform, Source, Where::Source, vec![])),
        ),
        // Whether it runs there is not known.
        (
            &[("finish", Act::HangUp)],
            "begin <, prepare <begin, perform <prepare, finish <perform, confirm! <",
            Some((Finish, Destination, Where::Unknown, vec![])),
        ),
        (
            &[("perform", Act::HangUp)],
            "begin <, prepare <begin, perform <prepare, finish! <",
            Some((Perform, Source, Where::Unknown, vec![])),
        ),
    ];
    for features in [PARAMETERS, THREE] {
        for (acts, phases, failure) in &cases {
            let pair = Pair::new(features, acts).await;
            let result = pair.migrate(MigrateOptions::live()).await;
            assert_eq!(pair.phases(), *phases, "{acts:?}");
            match (result, failure) {
                (Ok(moved), None) => {
                    assert_eq!((moved.name(), moved.id()), ("web", Some(77)), "{acts:?}");
                    assert_eq!(moved.connection().uri(), pair.there.uri());
                }
                (Err(error), Some(failure)) => {
                    assert_eq!(said(&error), *failure, "{acts:?}: {error}");
                    if acts.iter().all(|(_, act)| *act == REFUSES) {
                        assert_eq!(error.code(), Some(ErrorCode::OPERATION_FAILED), "{error:?}");
                    }
                }
                (result, _) => panic!("{acts:?}: {result:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_source_forgets_the_number_of_what_has_moved() {
    let pair = Pair::new(PARAMETERS, &[]).await;
    let domain = pair.domain().await;
    assert_eq!(domain.id(), Some(5));
    domain.migrate_to(&pair.there, MigrateOptions::live()).await.unwrap();
    assert_eq!(domain.id(), None);
}

#[tokio::test]
async fn a_source_that_does_not_protect_the_domain_has_nothing_to_call_off() {
    let pair = Pair::new(UNPROTECTED, &[("prepare", REFUSES)]).await;
    pair.migrate(MigrateOptions::live()).await.unwrap_err();
    assert_eq!(pair.phases(), "begin <, prepare <begin");
    let error = pair.migrate(MigrateOptions::live().change_protection()).await.unwrap_err();
    assert_eq!(said(&error), (MigratePhase::Check, MigrateSide::Source, MigrateWhereabouts::Source, vec![]));
    assert!(error.is_unsupported() && error.to_string().contains("protect"), "{error}");
    assert_eq!(pair.phases(), "");
}

#[tokio::test]
async fn nothing_is_sent_of_a_domain_that_does_not_run() {
    let pair = Pair::new(PARAMETERS, &[]).await;
    pair.migrate(MigrateOptions::offline()).await.unwrap();
    assert_eq!(pair.phases(), "begin <, prepare <begin, finish <, confirm <finish");
    let pair = Pair::new(&[6, 7, 13], &[]).await;
    let error = pair.migrate(MigrateOptions::offline()).await.unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    assert_eq!(pair.phases(), "");
}

#[tokio::test]
async fn old_versions_have_fewer_phases() {
    type Case = (&'static [i32], &'static [(&'static str, Act)], &'static str, bool);
    let cases: [Case; 9] = [
        (TWO, &[], "xml, prepare2 <, perform <prepare, finish2 <prepare", true),
        (TWO, &[("prepare", REFUSES)], "xml, prepare2 <", false),
        (TWO, &[("perform", REFUSES)], "xml, prepare2 <, perform <prepare, finish2! <", false),
        (TWO, &[("finish", REFUSES)], "xml, prepare2 <, perform <prepare, finish2 <prepare", false),
        (TWO, &[("prepare", Act::NoUri)], "xml, prepare2 <, finish2! <prepare", false),
        (ONE, &[], "prepare1 <, perform <prepare, finish1 <prepare", true),
        (ONE, &[("prepare", REFUSES)], "prepare1 <", false),
        (ONE, &[("perform", REFUSES)], "prepare1 <, perform <prepare", false),
        (ONE, &[("prepare", Act::NoUri)], "prepare1 <", false),
    ];
    for (features, acts, phases, succeeds) in cases {
        let pair = Pair::new(features, acts).await;
        let result = pair.migrate(MigrateOptions::live()).await;
        assert_eq!(pair.phases(), phases, "{acts:?}");
        assert_eq!(result.is_ok(), succeeds, "{acts:?}: {result:?}");
    }
    for features in [TWO, ONE] {
        let pair = Pair::new(features, &[]).await;
        let error = pair.migrate(MigrateOptions::live().destination_xml("<domain/>")).await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
        assert_eq!(pair.phases(), "");
    }
    let pair = Pair::new(TWO, &[("finish", REFUSES)]).await;
    let error = pair.migrate(MigrateOptions::live()).await.unwrap_err();
    assert_eq!(said(&error).2, MigrateWhereabouts::Unknown, "the source has removed it already");
}

#[tokio::test]
async fn daemons_of_different_age_talk_as_the_older_one_can() {
    for (source, destination, phases) in [
        (PARAMETERS, THREE, "begin <, prepare <begin, perform <prepare, finish <perform, confirm <finish"),
        (TWO, PARAMETERS, "xml, prepare2 <, perform <prepare, finish2 <prepare"),
    ] {
        let calls = Calls::default();
        let (source, here) = Host::start("source", source, &[], &calls).await;
        let (destination, there) = Host::start("destination", destination, &[], &calls).await;
        let pair = Pair { source, destination, here, there, calls };
        pair.migrate(MigrateOptions::live()).await.unwrap();
        assert_eq!(pair.phases(), phases);
        let error = pair.migrate(MigrateOptions::live().listen_address("::")).await.unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("listen_address"), "{error}");
        assert_eq!(pair.phases(), "");
    }
    let calls = Calls::default();
    let (source, here) = Host::start("source", THREE, &[], &calls).await;
    let (destination, there) = Host::start("destination", ONE, &[], &calls).await;
    let pair = Pair { source, destination, here, there, calls };
    let error = pair.migrate(MigrateOptions::live()).await.unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    assert_eq!(said(&error).0, MigratePhase::Check);
}

#[tokio::test]
async fn each_side_gets_the_flags_that_are_for_it() {
    let flags =
        DomainMigrateFlags::LIVE | DomainMigrateFlags::ABORT_ON_ERROR | DomainMigrateFlags::AUTO_CONVERGE;
    let protection = DomainMigrateFlags::CHANGE_PROTECTION;
    for (features, asked, source, destination) in [
        (PARAMETERS, flags, flags | protection, DomainMigrateFlags::LIVE),
        (THREE, flags | protection, flags | protection, DomainMigrateFlags::LIVE),
        (UNPROTECTED, flags, flags, DomainMigrateFlags::LIVE),
    ] {
        let pair = Pair::new(features, &[]).await;
        pair.migrate(asked).await.unwrap();
        let sent = ["begin", "prepare", "perform", "finish", "confirm"]
            .map(|phase| {
                (phase.to_owned(), if "prepare finish".contains(phase) { destination } else { source })
            })
            .map(|(phase, flags)| (phase, flags.bits()));
        assert_eq!(pair.flags(), sent);
    }
    // What is paused here stays paused there.
    let pair = Pair::new(PARAMETERS, &[("state", Act::Paused)]).await;
    pair.migrate(MigrateOptions::live()).await.unwrap();
    let paused: Vec<bool> = pair.flags().iter().map(|(_, flags)| flags & 32 != 0).collect();
    assert_eq!(paused, [false, true, true, true, true]);
}

#[tokio::test]
async fn each_phase_says_what_the_ones_before_have_learned() {
    let pair = Pair::new(PARAMETERS, &[]).await;
    let options =
        MigrateOptions::live().destination_xml("<given/>").bandwidth_mib_per_s(9).copy_disks(["vda", "vdb"]);
    pair.migrate(options).await.unwrap();
    let told = |host: &Host, phase: &str, name: &str| {
        let params = host.params(phase);
        params.get(name).map(ToString::to_string)
    };
    let some = |text: &str| Some(text.to_owned());
    for (host, phase, xml, uri, name) in [
        (&pair.source, "begin", some("<given/>"), None, None),
        (&pair.destination, "prepare", some("<begun/>"), None, None),
        (&pair.source, "perform", some("<begun/>"), some("tcp:there:49152"), None),
        (&pair.destination, "finish", some("<begun/>"), some("tcp:there:49152"), some("web")),
        (&pair.source, "confirm", some("<begun/>"), some("tcp:there:49152"), some("web")),
    ] {
        assert_eq!(told(host, phase, "destination_xml"), xml, "{phase}");
        assert_eq!(told(host, phase, "migrate_uri"), uri, "{phase}");
        assert_eq!(told(host, phase, "destination_name"), name, "{phase}");
        assert_eq!(told(host, phase, "bandwidth"), some("9"), "{phase}");
        assert_eq!(host.params(phase).get_all("migrate_disks").count(), 2, "{phase}");
    }
}

#[tokio::test]
async fn a_migration_that_is_cancelled_leaves_the_domain_where_it_was() {
    const CALLED_OFF: &str = "begin <, prepare <begin, perform <prepare, abort, finish! <";
    let waits = [("perform", Act::UntilAborted)];

    let pair = Pair::new(PARAMETERS, &waits).await;
    let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).start();
    pair.source.wait_for("perform").await;
    migration.cancel();
    let error = migration.await.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(
        said(&error),
        (MigratePhase::Perform, MigrateSide::Source, MigrateWhereabouts::Source, vec![])
    );
    assert_eq!(pair.phases(), CALLED_OFF);

    // Nobody waits any more.
    let pair = Pair::new(PARAMETERS, &waits).await;
    let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).start();
    pair.source.wait_for("perform").await;
    drop(migration);
    pair.destination.wait_for("finish").await;
    assert_eq!(pair.phases(), CALLED_OFF);

    // It takes too long.
    let pair = Pair::new(PARAMETERS, &waits).await;
    let limit = Duration::from_millis(50);
    let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).timeout(limit);
    let error = migration.await.unwrap_err();
    assert!(error.is_timeout() && !error.is_cancelled(), "{error}");
    assert!(error.to_string().contains("was not done within 50ms"), "{error}");
    assert_eq!(pair.phases(), CALLED_OFF);

    // The other daemon has gone.
    let pair = Pair::new(PARAMETERS, &waits).await;
    let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).start();
    pair.source.wait_for("perform").await;
    pair.destination.hang_up();
    let error = migration.await.unwrap_err();
    assert!(error.is_transient() && error.close_reason().is_some(), "{error}");
    let said = said(&error);
    assert_eq!(
        (said.0, said.1, said.2),
        (MigratePhase::Perform, MigrateSide::Destination, MigrateWhereabouts::Source)
    );
    assert_eq!(pair.phases(), "begin <, prepare <begin, perform <prepare, abort");
}

#[tokio::test]
async fn what_is_cancelled_early_is_not_sent_at_all() {
    for (phase, phases) in [
        ("begin", "begin <, confirm! <"),
        ("prepare", "begin <, prepare <begin, finish! <prepare, confirm! <"),
    ] {
        let pair = Pair::new(PARAMETERS, &[(phase, Act::UntilReleased)]).await;
        let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).start();
        let host = if phase == "begin" { &pair.source } else { &pair.destination };
        host.wait_for(phase).await;
        migration.cancel();
        host.release();
        let error = migration.await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(said(&error).2, MigrateWhereabouts::Source);
        assert_eq!(pair.phases(), phases);
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_answer_is_not_waited_for() {
    for (phase, side, phases) in [
        ("begin", MigrateSide::Source, "begin <, confirm! <"),
        ("prepare", MigrateSide::Destination, "begin <, prepare <begin, finish! <prepare, confirm! <"),
    ] {
        let pair = Pair::new(PARAMETERS, &[(phase, Act::UntilReleased)]).await;
        let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live());
        let error = migration.timeout(Duration::from_secs(60)).await.unwrap_err();
        assert!(error.is_timeout() && error.to_string().contains("was not done within 60s"), "{error}");
        let said = said(&error);
        assert_eq!((said.1, said.2, said.3), (side, MigrateWhereabouts::Source, vec![said.0]));
        // It is called off as soon as the daemon lets it be.
        let host = if phase == "begin" { &pair.source } else { &pair.destination };
        host.release();
        pair.source.wait_for("confirm").await;
        assert_eq!(pair.phases(), phases);
    }
}

#[tokio::test(start_paused = true)]
async fn the_job_of_somebody_else_is_not_stopped() {
    let uri = "qemu+ssh://there/system";
    let acts = [("perform", Act::UntilReleased), ("job", Act::Backup)];
    let pair = Pair::new(PARAMETERS, &acts).await;
    let migration = pair.domain().await.migrate_to_uri(uri, MigrateOptions::live()).start();
    pair.source.wait_for("perform").await;
    migration.cancel();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(pair.phases(), format!("perform < to {uri}"));
    pair.source.release();
    migration.await.unwrap();
}

#[tokio::test]
async fn what_is_cancelled_too_late_succeeds() {
    let pair = Pair::new(PARAMETERS, &[("finish", Act::UntilReleased)]).await;
    let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).start();
    pair.destination.wait_for("finish").await;
    migration.cancel();
    pair.destination.release();
    migration.await.unwrap();
    assert_eq!(pair.phases(), "begin <, prepare <begin, perform <prepare, finish <perform, confirm <finish");
}

#[tokio::test]
async fn a_migration_that_is_let_go_goes_on() {
    let pair = Pair::new(PARAMETERS, &[("perform", Act::UntilReleased)]).await;
    let migration = pair.domain().await.migrate_to(&pair.there, MigrateOptions::live()).start();
    pair.source.wait_for("perform").await;
    migration.detach();
    pair.source.release();
    pair.source.wait_for("confirm").await;
    assert_eq!(pair.phases(), "begin <, prepare <begin, perform <prepare, finish <perform, confirm <finish");
}

#[tokio::test]
async fn progress_is_told_until_the_end() {
    let pair = Pair::new(PARAMETERS, &[("perform", Act::UntilReleased)]).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let keep = told.clone();
    let mut migration = pair
        .domain()
        .await
        .migrate_to(&pair.there, MigrateOptions::live().post_copy())
        .progress_every(Duration::from_millis(5))
        .post_copy_after_first_pass()
        .on_progress(move |progress| keep.lock().unwrap().push((progress.phase, progress.fraction())))
        .start();
    let mut updates = migration.progress();
    let watching = tokio::spawn(async move {
        let mut phases = Vec::new();
        while let Some(progress) = updates.next().await {
            phases.push(progress.phase);
        }
        (phases, updates.next().await)
    });
    let moved = tokio::time::timeout(Duration::from_secs(20), async {
        let pass = async {
            pair.source.wait_for("post-copy").await;
            pair.source.release();
            std::future::pending::<()>().await;
        };
        tokio::select! { moved = &mut migration => moved, () = pass => unreachable!() }
    });
    moved.await.unwrap().unwrap();
    let (phases, after) = watching.await.unwrap();
    assert!(phases.is_sorted() && phases.contains(&MigratePhase::Perform), "{phases:?}");
    assert_eq!(after, None);
    let told = told.lock().unwrap();
    assert!(told.contains(&(MigratePhase::Perform, Some(0.75))), "{told:?}");
    assert!(told.is_sorted_by_key(|(phase, _)| *phase), "{told:?}");
    assert_eq!(pair.calls.lock().unwrap().iter().filter(|call| *call == "post-copy").count(), 1);
}

#[tokio::test]
async fn the_hook_is_told_once_and_of_what_a_success_leaves_behind() {
    let told = Arc::new(Mutex::new(Vec::new()));
    for acts in [&[("perform", REFUSES), ("finish", REFUSES)][..], &[("confirm", REFUSES)]] {
        let calls = Calls::default();
        let keep = told.clone();
        let hook = move |error: &Error| keep.lock().unwrap().push(said(error).0);
        let builder = Connection::builder("test:///default").on_error(hook);
        let (source, here) = Host::start_with(builder, "source", PARAMETERS, acts, &calls).await;
        let (destination, there) = Host::start("destination", PARAMETERS, acts, &calls).await;
        let pair = Pair { source, destination, here, there, calls };
        let _ = pair.migrate(MigrateOptions::live()).await;
    }
    assert_eq!(*told.lock().unwrap(), [MigratePhase::Perform, MigratePhase::Confirm]);
}

#[tokio::test]
async fn a_deadline_for_calls_is_not_for_migrations() {
    let waits = [("perform", Act::UntilReleased), ("finish", Act::UntilReleased)];
    let pair = Pair::new(PARAMETERS, &waits).await;
    let deadline = Duration::from_millis(1);
    let domain = pair.domain().await.with_timeout(deadline);
    let there = pair.there.with_timeout(deadline);
    let migration = domain.migrate_to(&there, MigrateOptions::live()).start();
    for (host, phase) in [(&pair.source, "perform"), (&pair.destination, "finish")] {
        host.wait_for(phase).await;
        tokio::time::sleep(5 * deadline).await;
        host.release();
    }
    migration.await.unwrap();
}

#[tokio::test]
async fn the_sources_daemon_migrates_on_its_own() {
    let uri = "qemu+ssh://there/system";
    for (features, calls) in [
        (PARAMETERS, "perform < to qemu+ssh://there/system"),
        (THREE, "perform < to qemu+ssh://there/system"),
        (&[4, 3][..], "perform < to qemu+ssh://there/system"),
    ] {
        let pair = Pair::new(features, &[]).await;
        pair.domain().await.migrate_to_uri(uri, MigrateOptions::live()).await.unwrap();
        assert_eq!(pair.calls.lock().unwrap()[..], [format!("{calls} flags 3")]);
    }
    let pair = Pair::new(PARAMETERS, &[]).await;
    let tunnelled = MigrateOptions::live().tunnelled();
    pair.domain().await.migrate_to_uri(uri, tunnelled.clone()).await.unwrap();
    assert_eq!(pair.flags(), [("perform".to_owned(), 7)]);

    let pair = Pair::new(PARAMETERS, &[("perform", Act::UntilAborted)]).await;
    let migration = pair.domain().await.migrate_to_uri(uri, MigrateOptions::live()).start();
    pair.source.wait_for("perform").await;
    migration.cancel();
    let error = migration.await.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(
        said(&error),
        (MigratePhase::Perform, MigrateSide::Source, MigrateWhereabouts::Source, vec![])
    );

    let pair = Pair::new(&[6, 13], &[]).await;
    let domain = pair.domain().await;
    for refused in [
        domain.migrate_to_uri(uri, MigrateOptions::live()).await.unwrap_err(),
        domain.migrate_to_uri("qemu:///system", MigrateOptions::live()).await.unwrap_err(),
        domain.migrate_directly_to("xenmigr://there", MigrateOptions::live()).await.unwrap_err(),
        domain.migrate_to(&pair.there, tunnelled).await.unwrap_err(),
    ] {
        assert!(refused.is_unsupported(), "{refused}");
        assert_eq!(said(&refused).0, MigratePhase::Check);
    }
    assert_eq!(pair.phases(), "");

    let pair = Pair::new(&[5, 6], &[]).await;
    pair.domain().await.migrate_directly_to("xenmigr://there", MigrateOptions::live()).await.unwrap();
    assert_eq!(pair.phases(), "perform < to xenmigr://there");
}
