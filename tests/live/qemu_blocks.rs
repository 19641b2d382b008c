//! Disks of a running QEMU machine, and the jobs that copy, commit and fill them.

use std::fs;

use libvirt_client::{
    Connection, Domain, TypedParams,
    enums::{
        DomainBlockCommitFlags, DomainBlockCopyFlags, DomainBlockJobAbortFlags, DomainBlockJobInfoFlags,
        DomainBlockJobType, DomainBlockResizeFlags, DomainModificationImpact, DomainSnapshotCreateFlags,
    },
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::Comparison,
        listener::Listener,
        live,
        machine::{disk, image, machine},
        python::list,
    },
};

/// Starts a machine with a disk `vda` in qcow2, and a raw one `vdb` that begins with a known text.
async fn start(daemon: &Daemon, connection: &Connection, name: &str) -> Domain {
    image(daemon, "vda.qcow2", "qcow2", "16M");
    let raw = image(daemon, "vdb.img", "raw", "1M");
    let mut contents = vec![0; 1 << 20];
    contents[..5].copy_from_slice(b"raw\0\xff");
    fs::write(raw, contents).unwrap();
    let disks = [disk(daemon, "vda.qcow2", "qcow2", "vda"), disk(daemon, "vdb.img", "raw", "vdb")].concat();
    let domain = connection.define_domain(machine(name, 64, "", &disks)).await.unwrap();
    domain.start().await.unwrap();
    domain
}

#[test]
fn disks_are_told_throttled_resized_and_read() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let domain = start(&daemon, &connection, "disks").await;
        // The BIOS reads from disks, unless it is stopped.
        domain.suspend().await.unwrap();
        let live = DomainModificationImpact::LIVE;
        let limit = TypedParams::new().with("total_bytes_sec", 1_u64 << 20);
        domain.set_block_io_tune_with("vda", limit, live).await.unwrap();
        domain.set_block_io_tune("vdb", [("read_iops_sec", 100_u64)]).await.unwrap();
        domain.set_block_threshold("vda", 1 << 20).await.unwrap();
        domain.block_resize("vda", 32 << 10).await.unwrap();
        domain.block_resize_with("vdb", 2 << 20, DomainBlockResizeFlags::BYTES).await.unwrap();

        let mut both = Comparison::of_domain(&daemon, QEMU, "disks");
        for name in ["vda", "vdb"] {
            let info = domain.block_info(name).await.unwrap();
            let ours = format!("[{}, {}, {}]", info.capacity, info.allocation, info.physical);
            both.same(format!("domain.blockInfo('{name}')"), ours);
            let stats = domain.block_stats(name).await.unwrap();
            let counters = [
                stats.read_requests,
                stats.read_bytes,
                stats.write_requests,
                stats.write_bytes,
                stats.errors,
            ];
            both.same(
                format!("list(domain.blockStats('{name}'))"),
                list(counters.map(|count| count.map_or(-1, u64::cast_signed))),
            );
            let stats = domain.detailed_block_stats(name).await.unwrap();
            both.same_params(&format!("domain.blockStatsFlags('{name}')"), stats);
            let tuned = domain.block_io_tune_with(Some(name), live).await.unwrap();
            both.same_params(&format!("domain.blockIoTune('{name}', 1)"), tuned);
        }
        assert_eq!(domain.block_info("vda").await.unwrap().capacity, 32 << 20);
        assert_eq!(domain.block_info("vdb").await.unwrap().capacity, 2 << 20);
        let tuned = domain.block_io_tune(Some("vda")).await.unwrap();
        both.same("domain.blockIoTune('vda')['total_bytes_sec']", 1 << 20);
        both.same_params("domain.blockIoTune('vda')", tuned);
        let peeked = domain.block_peek("vdb", 0, 512).await.unwrap();
        assert!(peeked.starts_with(b"raw\0\xff\0") && peeked.len() == 512);
        both.same("list(domain.blockPeek('vdb', 0, 512))", format!("{:?}", peeked.to_vec()));
        both.refused("domain.blockPeek('vda', 0, 512)", domain.block_peek("vda", 0, 512).await);
        assert_eq!(domain.disk_errors().await.unwrap(), []);
        both.same("domain.diskErrors()", "{}");
        both.refused("domain.blockInfo('none')", domain.block_info("none").await);
        both.refused("domain.blockStats('none')", domain.block_stats("none").await);
        both.refused("domain.blockStatsFlags('none')", domain.detailed_block_stats("none").await);
        both.refused("domain.blockIoTune('none')", domain.block_io_tune(Some("none")).await);
        both.refused("domain.blockResize('none', 1)", domain.block_resize("none", 1).await);
        both.refused("domain.setBlockThreshold('none', 1)", domain.set_block_threshold("none", 1).await);
        both.check();
        listener.wait_for("domain disks tunable {blkdeviotune.disk=vda,").await;
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn jobs_copy_commit_and_fill_a_disk() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let domain = start(&daemon, &connection, "jobs").await;
        let in_directory = |name: &str| daemon.directory().join(name).display().to_string();
        assert_eq!(domain.block_job_info("vda").await.unwrap(), None);

        let copy = format!(
            "<disk type='file'><source file='{}'/><driver type='qcow2'/></disk>",
            in_directory("copy.qcow2")
        );
        let slowly = TypedParams::new().with("bandwidth", 1_u64 << 30);
        domain.block_copy_with("vda", &copy, slowly, DomainBlockCopyFlags::TRANSIENT_JOB).await.unwrap();
        listener.wait_for("domain jobs block-job-2 vda 2 3").await;
        domain.set_block_job_speed("vda", 100).await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, "jobs");
        let job = domain.block_job_info("vda").await.unwrap().unwrap();
        assert_eq!((job.kind, job.bandwidth), (DomainBlockJobType::COPY, 100));
        let dict = |bandwidth, current, end| {
            format!("{{'type': 2, 'bandwidth': {bandwidth}, 'cur': {current}, 'end': {end}}}")
        };
        both.same("domain.blockJobInfo('vda')", dict(job.bandwidth, job.current, job.end));
        let exact = domain
            .block_job_info_with("vda", DomainBlockJobInfoFlags::BANDWIDTH_BYTES)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(exact.bandwidth, 100 << 20);
        both.same("domain.blockJobInfo('vda', 1)", dict(exact.bandwidth, exact.current, exact.end));
        both.refused("domain.blockPull('vda')", domain.block_pull("vda", 0).await);
        both.refused(
            "domain.blockCommit('vda', None, None)",
            domain.block_commit("vda", None, None, 0).await,
        );
        both.refused("domain.blockRebase('vda', None)", domain.block_rebase("vda", None, 0).await);
        both.refused("domain.blockJobAbort('vdb')", domain.abort_block_job("vdb").await);
        both.refused("domain.blockJobSetSpeed('vdb', 1)", domain.set_block_job_speed("vdb", 1).await);
        both.check();
        domain.abort_block_job("vda").await.unwrap();
        listener.wait_for("domain jobs block-job-2 vda 2 2").await;
        listener.wait_for(&format!("domain jobs block-job {} 2 2", in_directory("vda.qcow2"))).await;

        // A layer above the disk, and the disk again.
        domain.create_snapshot_with(layer(&daemon, 1), only_disks()).await.unwrap();
        assert_eq!(source(&daemon, "jobs"), in_directory("layer1"));
        domain.block_commit_with("vda", None, None, 0, DomainBlockCommitFlags::ACTIVE).await.unwrap();
        listener.wait_for("domain jobs block-job-2 vda 4 3").await;
        let job = domain.block_job_info("vda").await.unwrap().unwrap();
        assert_eq!(job.kind, DomainBlockJobType::ACTIVE_COMMIT);
        domain.abort_block_job_with("vda", DomainBlockJobAbortFlags::PIVOT).await.unwrap();
        listener.wait_for("domain jobs block-job-2 vda 4 0").await;
        assert_eq!(source(&daemon, "jobs"), in_directory("vda.qcow2"));

        // Layers that are filled and need the disk no more.
        domain.create_snapshot_with(layer(&daemon, 2), only_disks()).await.unwrap();
        domain.block_pull("vda", 0).await.unwrap();
        listener.wait_for("domain jobs block-job-2 vda 1 0").await;
        assert!(!chain(&daemon, "jobs").contains("<backingStore type="), "{}", chain(&daemon, "jobs"));
        domain.create_snapshot_with(layer(&daemon, 3), only_disks()).await.unwrap();
        assert!(chain(&daemon, "jobs").contains("<backingStore type="));
        domain.block_rebase("vda", None, 0).await.unwrap();
        while domain.block_job_info("vda").await.unwrap().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(!chain(&daemon, "jobs").contains("<backingStore type="));
        assert_eq!(source(&daemon, "jobs"), in_directory("layer3"));
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

fn only_disks() -> DomainSnapshotCreateFlags {
    DomainSnapshotCreateFlags::DISK_ONLY | DomainSnapshotCreateFlags::NO_METADATA
}

/// A snapshot that puts a layer over `vda`.
fn layer(daemon: &Daemon, number: u32) -> String {
    format!(
        "<domainsnapshot><name>{number}</name><disks><disk name='vdb' snapshot='no'/>\
         <disk name='vda' snapshot='external'><source file='{}/layer{number}'/></disk></disks></domainsnapshot>",
        daemon.directory().display()
    )
}

/// Where virsh says that `vda` is.
fn source(daemon: &Daemon, name: &str) -> String {
    let listed = daemon.virsh(QEMU, &["domblklist", name]);
    let line = listed.lines().find_map(|line| line.trim().strip_prefix("vda"));
    line.unwrap_or_else(|| panic!("{listed}")).trim().to_owned()
}

/// What virsh says of `vda`.
fn chain(daemon: &Daemon, name: &str) -> String {
    let xml = daemon.virsh(QEMU, &["dumpxml", name]);
    xml.split_inclusive("</disk>").next().unwrap_or_default().to_owned()
}
