//! Streams that are dropped, refused, cut or slow: what they were opened with goes on.

use std::{
    fs,
    time::{Duration, Instant},
};

use libvirt_client::{CloseReason, Connection, Error, ErrorCode, KeepaliveConfig, StorageVol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    QEMU,
    support::{
        Daemon, live, live_within,
        volumes::{hash, pool, random_file, volume},
        wait_until,
    },
};

const MIB: u64 = 1 << 20;
/// A second is asked for; a machine with something else to do may take longer.
const SOON: Duration = Duration::from_secs(10);

/// Returns how many files libvirtd has open.
#[track_caller]
fn open_files(daemon: &Daemon) -> usize {
    let pid = format!("$(cat {}/run/libvirtd.pid)", daemon.directory().display());
    daemon.shell(&format!("ls /proc/{pid}/fd | wc -l")).trim().parse().unwrap()
}

#[track_caller]
fn resident_kib(daemon: &Daemon) -> usize {
    let pid = format!("$(cat {}/run/libvirtd.pid)", daemon.directory().display());
    daemon
        .shell(&format!("sed -n 's/^VmRSS:\\s*\\([0-9]*\\) kB/\\1/p' /proc/{pid}/status"))
        .trim()
        .parse()
        .unwrap()
}

async fn volume_of(daemon: &Daemon, connection: &Connection, bytes: u64) -> StorageVol {
    let disks = pool(daemon, connection, "disks").await;
    volume(&disks, "disk.img", bytes).await
}

#[test]
fn a_dropped_transfer_leaves_nothing_open() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disk = volume_of(&daemon, &connection, 512 * MIB).await;
        let before = open_files(&daemon);
        for _ in 0..5 {
            let mut download = disk.download().await.unwrap();
            download.next().await.unwrap().unwrap();
            drop(download);
            let mut upload = disk.upload(0).await.unwrap();
            upload.write_all(&vec![7; 3 << 20]).await.unwrap();
            drop(upload);
            drop(disk.download_sparse().await.unwrap());
            connection.hostname().await.unwrap();
        }
        let file = fs::File::create(daemon.directory().join("copy")).unwrap();
        let transfer = disk.download_to(&file).into_future();
        tokio::time::timeout(Duration::from_millis(50), transfer).await.expect_err("half a GiB takes longer");
        wait_until(|| open_files(&daemon) <= before).await;
        assert!(connection.hostname().await.is_ok());
    });
}

#[test]
fn a_full_disk_ends_an_upload_with_the_daemons_error() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let small = daemon.directory().join("small");
        fs::create_dir(&small).unwrap();
        daemon.shell(&format!("mount -t tmpfs -o size=4m tmpfs {}", small.display()));
        let small = pool(&daemon, &connection, "small").await;
        let disk = volume(&small, "disk.img", 64 * MIB).await;
        let calls = tokio::spawn({
            let connection = connection.clone();
            async move {
                for _ in 0..100 {
                    connection.hostname().await.unwrap();
                }
            }
        });
        let mut upload = disk.upload(64 * MIB).await.unwrap();
        let error = upload.write_all(&vec![7; 64 << 20]).await.unwrap_err();
        let begun = Instant::now();
        let told = Error::from_io(&error).unwrap();
        assert_eq!(told.code(), Some(ErrorCode::SYSTEM_ERROR), "{told}");
        assert!(told.to_string().contains("No space left on device"), "{told}");
        assert_eq!(upload.finish().await.unwrap_err().code(), told.code());
        assert!(begun.elapsed() < SOON);
        calls.await.unwrap();

        // Of a file as well, and what is written at last is told at last.
        let source = daemon.directory().join("source");
        random_file(&source, 20 * MIB);
        let error = disk.upload_from(&fs::File::open(&source).unwrap()).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::SYSTEM_ERROR), "{error}");
        daemon.shell(&format!("umount -l {}", daemon.directory().join("small").display()));
    });
}

#[test]
fn a_killed_daemon_ends_all_streams() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disk = volume_of(&daemon, &connection, 4096 * MIB).await;
        let mut download = disk.download().await.unwrap();
        let mut upload = disk.upload(0).await.unwrap();
        download.next().await.unwrap().unwrap();
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 20];
            loop {
                match download.read(&mut buffer).await {
                    Ok(count) => assert!(count > 0, "a cut download is not at its end"),
                    // And so it stays.
                    Err(_) => break download.read(&mut buffer).await.unwrap_err(),
                }
            }
        });
        let writing = tokio::spawn(async move {
            loop {
                if let Err(error) = upload.write_all(&[7; 65_536]).await {
                    break error;
                }
            }
        });
        connection.hostname().await.unwrap();
        daemon.signal("KILL");
        let begun = Instant::now();
        for error in [reading.await.unwrap(), writing.await.unwrap()] {
            let told = Error::from_io(&error).unwrap();
            assert!(matches!(told.close_reason(), Some(CloseReason::Eof)), "{told}");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
        }
        assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    });
}

#[test]
fn many_transfers_and_many_calls_share_a_connection() {
    live_within(Duration::from_secs(120), async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let source = daemon.directory().join("source");
        random_file(&source, 16 * MIB);
        let expected = hash(&source);
        let mut transfers = Vec::new();
        for number in 0..8 {
            let disk = volume(&disks, &format!("{number}.img"), 16 * MIB).await;
            let [source, copy] = [source.clone(), daemon.directory().join(format!("copy-{number}"))];
            transfers.push(tokio::spawn(async move {
                disk.upload_from(&fs::File::open(&source).unwrap()).await.unwrap();
                disk.download_to(&fs::File::create(&copy).unwrap()).await.unwrap();
                copy
            }));
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..1000 {
            let begun = Instant::now();
            connection.lib_version().await.unwrap();
            slowest = slowest.max(begun.elapsed());
        }
        for transfer in transfers {
            assert_eq!(hash(transfer.await.unwrap()), expected);
        }
        println!("the slowest of 1,000 calls took {slowest:?}");
    });
}

/// Runs on a thread of its own, whose allocations are counted: the connection's and the reader's.
fn measured<T: Send + 'static>(
    run: impl AsyncFnOnce() -> T + Send + 'static,
) -> (T, allocation_counter::AllocationInfo) {
    let thread = std::thread::spawn(move || {
        let mut result = None;
        let info = allocation_counter::measure(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            result = Some(runtime.block_on(run()));
        });
        (result.unwrap(), info)
    });
    thread.join().unwrap()
}

#[test]
fn a_thousand_downloads_leave_nothing_behind() {
    live_within(Duration::from_secs(120), async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disk = volume_of(&daemon, &connection, 300_000).await;
        let (uri, path) = (daemon.uri(QEMU), disk.path().await.unwrap());
        let before = (open_files(&daemon), resident_kib(&daemon));
        let (bytes, info) = measured(async move || {
            let connection = Connection::open(uri).await.unwrap();
            let disk = connection.volume_by_path(path).await.unwrap();
            download(&disk, 1000).await
        });
        assert_eq!(bytes, 300_000 * 1000);
        assert!(info.bytes_max < 4 << 20, "{} bytes were held", info.bytes_max);
        assert!(info.bytes_current < 64 << 10, "{} bytes were left", info.bytes_current);
        let after = (open_files(&daemon), resident_kib(&daemon));
        assert!(after.0 <= before.0 + 2, "libvirtd had {} files open, and has {}", before.0, after.0);
        assert!(after.1 <= before.1 + 16 * 1024, "libvirtd had {} KiB, and has {}", before.1, after.1);
    });
}

async fn download(disk: &StorageVol, times: usize) -> usize {
    let mut bytes = 0;
    for _ in 0..times {
        let mut download = disk.download().await.unwrap();
        while let Some(chunk) = download.next().await {
            bytes += chunk.unwrap().len();
        }
    }
    bytes
}

/// The daemon gives up who is silent for three seconds, and reading takes twenty.
#[test]
fn a_slow_reader_keeps_the_connection_and_little_memory() {
    live(async {
        let daemon = Daemon::builder().setting("keepalive_interval", 1).setting("keepalive_count", 2).start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disk = volume_of(&daemon, &connection, 1024 * MIB).await;
        let (uri, path) = (daemon.uri(QEMU), disk.path().await.unwrap());
        let (read, info) = tokio::task::spawn_blocking(move || {
            measured(async move || {
                let keepalive = KeepaliveConfig { interval: Duration::from_secs(2), count: 3 };
                let connection = Connection::builder(uri).keepalive(keepalive).open().await.unwrap();
                let disk = connection.volume_by_path(path).await.unwrap();
                let mut download = disk.download().await.unwrap();
                let mut buffer = vec![0; 1 << 20];
                let mut second = tokio::time::interval(Duration::from_secs(1));
                for _ in 0..10 {
                    second.tick().await;
                    download.read_exact(&mut buffer).await.unwrap();
                }
                // And not at all.
                tokio::time::sleep(Duration::from_secs(10)).await;
                download.read_exact(&mut buffer).await.unwrap();
                assert!(connection.hostname().await.is_ok());
                11
            })
        })
        .await
        .unwrap();
        assert_eq!(read, 11);
        assert!(info.bytes_max < 8 << 20, "{} bytes were held", info.bytes_max);
        println!("{} bytes were held at most", info.bytes_max);
    });
}

#[test]
fn bulk_work_may_have_a_connection_of_its_own() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::builder(daemon.uri(QEMU)).stream_buffer(1 << 20).open().await.unwrap();
        let disk = volume_of(&daemon, &connection, 64 * MIB).await;
        let bulk = connection.dedicated().await.unwrap();
        assert_eq!(bulk.uri(), connection.uri());
        let mut sleeping =
            bulk.volume_by_path(disk.path().await.unwrap()).await.unwrap().download().await.unwrap();
        sleeping.next().await.unwrap().unwrap();
        connection.close().await.unwrap();
        assert!(bulk.hostname().await.is_ok());
        bulk.close().await.unwrap();
    });
}
