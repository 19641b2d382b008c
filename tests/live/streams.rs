//! Volumes up and down, whole, in parts and with holes, compared with virsh and Python's binding.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use libvirt_client::{
    Connection, Error,
    enums::{StorageVolDownloadFlags, StorageVolUploadFlags},
    streams::{Piece, Progress},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    QEMU,
    support::{
        Daemon, live, live_within,
        volumes::{allocated, hash, pool, random_file, volume},
    },
};

const MIB: u64 = 1 << 20;
/// A quarter of a GiB goes there and back several times.
const LIMIT: Duration = Duration::from_secs(150);

#[test]
fn a_volume_comes_back_as_it_was_uploaded() {
    live_within(LIMIT, async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let disk = volume(&disks, "disk.img", 256 * MIB).await;
        let [source, copy, theirs] = ["source", "copy", "theirs"].map(|name| daemon.directory().join(name));
        random_file(&source, 256 * MIB);

        let told = Arc::new(Mutex::new(Vec::<Progress>::new()));
        let done = disk
            .upload_from(&File::open(&source).unwrap())
            .on_progress({
                let told = told.clone();
                move |progress| told.lock().unwrap().push(progress)
            })
            .await
            .unwrap();
        assert_eq!((done.data, done.holes), (256 * MIB, 0));
        let expected = hash(&source);
        assert_eq!(hash(disk.path().await.unwrap()), expected);

        // The file had more before.
        let mut file = File::create(&copy).unwrap();
        file.write_all(&[7; 1000]).unwrap();
        file.set_len(300 * MIB).unwrap();
        let done = disk
            .download_to(&file)
            .on_progress({
                let told = told.clone();
                move |progress| told.lock().unwrap().push(progress)
            })
            .await
            .unwrap();
        assert_eq!((done.data, done.holes), (256 * MIB, 0));
        assert_eq!(hash(&copy), expected);
        let told = told.lock().unwrap().clone();
        assert!(told.iter().all(|progress| progress.total == Some(256 * MIB) && progress.holes == 0));
        assert!(told.iter().filter(|progress| progress.bytes == 256 * MIB).count() == 2, "one for each");

        let path = disk.path().await.unwrap();
        daemon.virsh(QEMU, &["vol-download", &path, &theirs.display().to_string()]);
        assert_eq!(hash(&theirs), expected);
    });
}

/// Data at the start, in the middle and not at the end.
fn file_with_holes(daemon: &Daemon, name: &str) -> File {
    let path = daemon.directory().join(name);
    random_file(&path, MIB);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 300_000], 20 * MIB).unwrap();
    file.set_len(64 * MIB).unwrap();
    file
}

#[test]
fn holes_stay_holes_on_both_ways() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let disk = volume(&disks, "disk.img", 64 * MIB).await;
        let [source, copy, theirs] = ["source", "copy", "theirs"].map(|name| daemon.directory().join(name));
        let file = file_with_holes(&daemon, "source");
        let (expected, blocks) = (hash(&source), allocated(&source));
        assert!(blocks < 4 * MIB);

        let done = disk.upload_from(&file).sparse().await.unwrap();
        assert_eq!(done.data + done.holes, 64 * MIB);
        assert!(done.data >= MIB + 300_000 && done.data < 4 * MIB, "{done:?}");
        let path = disk.path().await.unwrap();
        assert_eq!((hash(&path), allocated(&path)), (expected.clone(), blocks));

        // Into a file that has data where the volume has none, and is longer.
        let before = File::create(&copy).unwrap();
        for at in 0..70 {
            before.write_all_at(&[0xff; MIB as usize], at * MIB).unwrap();
        }
        let done = disk.download_to(&before).sparse().await.unwrap();
        assert_eq!(done.data + done.holes, 64 * MIB);
        assert_eq!(fs::metadata(&copy).unwrap().len(), 64 * MIB);
        assert_eq!((hash(&copy), allocated(&copy)), (expected.clone(), blocks));
        let fresh = daemon.directory().join("fresh");
        disk.download_to(&File::create(&fresh).unwrap()).sparse().await.unwrap();
        daemon.virsh(QEMU, &["vol-download", "--sparse", &path, &theirs.display().to_string()]);
        assert_eq!((hash(&theirs), allocated(&theirs)), (expected.clone(), allocated(&fresh)));
        assert_eq!((hash(&fresh), fs::metadata(&fresh).unwrap().len()), (expected, 64 * MIB));

        // All of it at the end, and nothing else.
        let empty = volume(&disks, "empty.img", 5 * MIB).await;
        let done = empty.download_to(&File::create(&fresh).unwrap()).sparse().await.unwrap();
        assert_eq!((done.data, done.holes, fs::metadata(&fresh).unwrap().len()), (0, 5 * MIB, 5 * MIB));
        assert_eq!(allocated(&fresh), 0);
    });
}

#[test]
fn pieces_come_and_go_one_by_one() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let disk = volume(&disks, "disk.img", 8 * MIB).await;
        let sparse = StorageVolUploadFlags::SPARSE_STREAM;
        let mut upload = disk.upload_with(0, 8 * MIB, sparse).await.unwrap();
        upload.write_all(b"start").await.unwrap();
        upload.write_hole(4 * MIB - 5).await.unwrap();
        upload.write_bytes(vec![7; 65_536]).await.unwrap();
        upload.write_hole(4 * MIB - 65_536).await.unwrap();
        upload.shutdown().await.unwrap();
        upload.finish().await.unwrap();

        let mut download = disk.download_sparse().await.unwrap();
        let (mut position, mut data, mut holes) = (0, Vec::new(), 0);
        while let Some(piece) = download.next().await {
            position += match piece.unwrap() {
                Piece::Data(piece) => {
                    data.push((position, piece[0], *piece.last().unwrap()));
                    piece.len() as u64
                }
                Piece::Hole(length) => {
                    holes += 1;
                    length
                }
            };
        }
        assert_eq!((position, holes), (8 * MIB, 2));
        assert_eq!(data, [(0, b's', 0), (4 * MIB, 7, 7)]);

        // To whoever reads bytes, holes are zeroes.
        let flags = StorageVolDownloadFlags::SPARSE_STREAM;
        let mut download = disk.download_with(0, 0, flags).await.unwrap();
        let mut bytes = Vec::new();
        download.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, fs::read(disk.path().await.unwrap()).unwrap());
        let all = disk.download_with(0, 0, flags).await.unwrap().bytes().await.unwrap();
        assert_eq!(all, bytes);

        // A hole that the daemon does not expect would end the connection.
        let mut upload = disk.upload(MIB).await.unwrap();
        assert!(upload.write_hole(4096).await.unwrap_err().is_unsupported());
        upload.write_all(&[1; 4096]).await.unwrap();
        upload.finish().await.unwrap();
        assert_eq!(
            fs::read(disk.path().await.unwrap()).unwrap()[..4097],
            [[1; 4096].as_slice(), &[0]].concat()
        );
        connection.close().await.unwrap();
    });
}

#[test]
fn a_transfer_is_taken_up_where_it_ended() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let disk = volume(&disks, "disk.img", 9 * MIB).await;
        let [source, copy] = ["source", "copy"].map(|name| daemon.directory().join(name));
        random_file(&source, 9 * MIB);
        let file = File::open(&source).unwrap();
        disk.upload_from(&file).length(4 * MIB).await.unwrap();
        let done = disk.upload_from(&file).offset(4 * MIB).await.unwrap();
        assert_eq!(done.data, 5 * MIB);
        assert_eq!(hash(disk.path().await.unwrap()), hash(&source));

        let target = File::create(&copy).unwrap();
        let done = disk.download_to(&target).length(3 * MIB + 7).await.unwrap();
        assert_eq!((done.data, fs::metadata(&copy).unwrap().len()), (3 * MIB + 7, 3 * MIB + 7));
        let done = disk.download_to(&target).offset(3 * MIB + 7).await.unwrap();
        assert_eq!(done.data, 6 * MIB - 7);
        assert_eq!(hash(&copy), hash(&source));
        // In the middle, and nothing else.
        target.write_all_at(&[0; 4096], 5 * MIB).unwrap();
        disk.download_to(&target).offset(5 * MIB).length(4096).sparse().await.unwrap();
        assert_eq!(hash(&copy), hash(&source));
        assert_eq!(disk.download_to(&target).length(0).await.unwrap().data, 0);
        assert_eq!(disk.upload_from(&file).offset(9 * MIB).await.unwrap().data, 0);
    });
}

#[test]
fn a_transfer_says_what_went_wrong() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = pool(&daemon, &connection, "disks").await;
        let disk = volume(&disks, "disk.img", 4 * MIB).await;
        let path = daemon.directory().join("source");
        random_file(&path, MIB);

        // Our side.
        let read_only = File::open(&path).unwrap();
        let error = disk.download_to(&read_only).await.unwrap_err();
        let Error::File { doing: "write to", source } = &error else { panic!("{error:?}") };
        assert_eq!(source.raw_os_error(), Some(9), "not that it cannot be cut: {error}");
        let appending = File::options().append(true).open(&path).unwrap();
        let error = disk.download_to(&appending).await.unwrap_err();
        assert!(error.to_string().contains("opened for appending"), "{error}");
        assert_eq!(appending.metadata().unwrap().len(), MIB);
        let write_only = File::options().write(true).open(&path).unwrap();
        let error = disk.upload_from(&write_only).await.unwrap_err();
        assert!(matches!(error, Error::File { doing: "read", .. }), "{error}");

        // The daemon's.
        let mut python = daemon.ask_python(QEMU);
        python.run(&format!("disk = connection.storageVolLookupByKey({:?})", disk.key()));
        fs::remove_file(disk.path().await.unwrap()).unwrap();
        disks.refresh().await.unwrap();
        let error = disk.download().await.unwrap_err();
        python.is_refused("disk.download(connection.newStream(), 0, 0)", &error);
        let error = disk.upload_from(&read_only).await.unwrap_err();
        assert_eq!(error.remote().unwrap().procedure, "REMOTE_PROC_STORAGE_VOL_UPLOAD");
        assert!(connection.hostname().await.is_ok());
    });
}
