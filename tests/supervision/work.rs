//! What takes a guest out of use, or to another host, while the connection is lost.

use libvirt_client::{Error, MigrateOptions, migration::MigrateWhereabouts, protocol::remote::Procedure};

use crate::daemon::{Act, Daemon, in_time};

#[tokio::test]
async fn a_freeze_that_was_interrupted_is_thawed_after_the_return() {
    let daemon = Daemon::start("freeze");
    let connection = daemon.supervised().await;
    let guest = connection.domain_by_name("web").await.unwrap().guest();
    daemon.act(Procedure::DOMAIN_FSFREEZE, Act::HangUp);
    let error = in_time(guest.freeze()).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { may_have_run: true, .. }), "{error:?}");
    daemon.wait_for_calls(Procedure::DOMAIN_FSTHAW, 1).await;
}

#[tokio::test]
async fn what_the_source_does_without_a_client_is_not_said_to_be_over() {
    const RUNNING: Act = Act::State(1, 1);
    const MIGRATED: Act = Act::State(5, 4);
    for (job, state, expected) in [
        // There may be a job.
        (Some(Act::Refuse), RUNNING, MigrateWhereabouts::Unknown),
        (None, RUNNING, MigrateWhereabouts::Source),
        (None, MIGRATED, MigrateWhereabouts::Destination),
    ] {
        let daemon = Daemon::start("migration");
        let connection = daemon.supervised().await;
        let domain = connection.domain_by_name("web").await.unwrap();
        daemon.act(Procedure::DOMAIN_MIGRATE_PERFORM3_PARAMS, Act::HangUp);
        daemon.act(Procedure::DOMAIN_GET_JOB_STATS, job);
        daemon.act(Procedure::DOMAIN_GET_STATE, state);
        let migration = domain.migrate_to_uri("qemu+ssh://there/system", MigrateOptions::live());
        let error = in_time(migration.into_future()).await.unwrap_err();
        let why = error.migration().unwrap();
        assert_eq!(why.whereabouts, expected, "{job:?} {state:?}: {error}");
        assert_eq!(daemon.calls(Procedure::DOMAIN_MIGRATE_PERFORM3_PARAMS), 1);
    }
}
