//! Volumes up and down: each has a content that follows from its name and version, and is compared byte by byte.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use libvirt_client::{
    Connection, StoragePool, StorageVol,
    enums::{StorageVolDownloadFlags, StorageVolUploadFlags},
    streams::Piece,
};
use tokio::time::Instant;

use crate::{
    beacons::POOL,
    random::{Random, mix},
    world::{Trouble, World},
};

/// How much is written at once.
const CHUNK: u64 = 64 << 10;
/// How long after an upload was cut the daemon may still write what it had of it.
const LATE: Duration = Duration::from_secs(3);

/// One who transfers volumes of its own, over one connection after another.
pub(crate) struct Transfers {
    world: Arc<World>,
    random: Random,
    number: u64,
    volumes: [Volume; 2],
}

#[derive(Clone, Debug)]
struct Volume {
    name: String,
    size: u64,
    /// Which version is in it, if one is as a whole.
    version: Option<u64>,
    /// How many versions were uploaded, or begun to be.
    versions: u64,
    /// Until when the daemon may still write what it has of a cut upload.
    busy: Instant,
}

#[derive(Clone, Copy)]
enum Act {
    Upload,
    Download,
    Part,
    Sparse,
    BreakOff,
    BreakOffUpload,
    Describe,
    Passing,
    List,
}

const ACTS: [(u64, Act); 9] = [
    (3, Act::Upload),
    (4, Act::Download),
    (3, Act::Part),
    (2, Act::Sparse),
    (2, Act::BreakOff),
    (1, Act::BreakOffUpload),
    (4, Act::Describe),
    (2, Act::Passing),
    (2, Act::List),
];

impl Transfers {
    pub(crate) fn new(world: Arc<World>, random: Random, number: u64) -> Self {
        let volume = |kind: &str, size| Volume {
            name: format!("v{number}-{kind}"),
            size,
            version: None,
            versions: 0,
            busy: Instant::now(),
        };
        let volumes = [volume("small", 48_007), volume("middle", (1 << 20) + 4096 * (number % 50))];
        Self { world, random, number, volumes }
    }

    /// Does one thing, and checks what comes of it.
    pub(crate) async fn step(&mut self, connection: &Connection) -> Result<(), Trouble> {
        let which = usize::from(self.random.once_in(3));
        let generation = self.world.generation();
        let pool = self.world.call("the pool", generation, connection.storage_pool_by_name(POOL)).await?;
        let volume = self.volume(&pool, which).await?;
        let known = self.volumes[which].version;
        match (self.random.choose(&ACTS), known) {
            (Act::Upload, _) => self.upload(&volume, which).await,
            (Act::BreakOffUpload, _) => self.break_off_upload(&volume, which).await,
            (Act::Describe, _) => self.describe(connection, &volume, which).await,
            (Act::Passing, _) => self.passing(&pool).await,
            (Act::List, _) => self.list(&pool).await,
            (_, None) => self.upload(&volume, which).await,
            (Act::Download, Some(version)) => self.download(&volume, which, version).await,
            (Act::Part, Some(version)) => self.part(&volume, which, version).await,
            (Act::Sparse, Some(version)) => self.sparse(&volume, which, version).await,
            (Act::BreakOff, Some(version)) => self.break_off(&volume, which, version).await,
        }
    }

    /// Finds the volume, or makes it.
    async fn volume(&mut self, pool: &StoragePool, which: usize) -> Result<StorageVol, Trouble> {
        let (world, generation) = (&self.world, self.world.generation());
        let Volume { name, size, version, .. } = &self.volumes[which];
        if let Some(volume) = world.call("a volume", generation, pool.find_volume_by_name(name)).await? {
            return Ok(volume);
        }
        // It was there when it was written.
        world.check(generation, version.is_none(), || format!("{name} is not there any more"));
        let xml = format!(
            "<volume><name>{name}</name><capacity>{size}</capacity><allocation>0</allocation>\
             <target><format type='raw'/></target></volume>"
        );
        self.volumes[which].version = None;
        match pool.create_volume(xml).await {
            // The daemon may have carried out one that had no answer only now.
            Err(error) if error.is_already_exists() => Err(Trouble::Unsure),
            created => world.call("a new volume", generation, async { created }).await,
        }
    }

    async fn upload(&mut self, volume: &StorageVol, which: usize) -> Result<(), Trouble> {
        self.world.sleep(self.volumes[which].busy - Instant::now()).await;
        let Volume { name, size, .. } = self.volumes[which].clone();
        let seed = self.next_version(which);
        let all = async {
            let mut upload = volume.upload(size).await?;
            for at in (0..size).step_by(CHUNK as usize) {
                upload.write_bytes(content(seed, at, CHUNK.min(size - at))).await?;
            }
            upload.finish().await
        };
        let generation = self.world.generation();
        self.world.call(&format!("the upload of {name}"), generation, all).await?;
        self.volumes[which].version = Some(self.volumes[which].versions);
        self.count(size);
        Ok(())
    }

    /// Begins a version, after which nobody knows what is in the volume until it is there; returns its seed.
    fn next_version(&mut self, which: usize) -> u64 {
        let volume = &mut self.volumes[which];
        volume.version = None;
        volume.versions += 1;
        volume.busy = Instant::now() + LATE;
        self.seed(which, self.volumes[which].versions)
    }

    fn seed(&self, which: usize, version: u64) -> u64 {
        mix(self.world.settings.seed ^ mix(self.number << 32 | (which as u64) << 31 | version))
    }

    fn count(&self, bytes: u64) {
        self.world.tally.transfers.add(1);
        self.world.tally.bytes.add(bytes);
    }

    async fn break_off_upload(&mut self, volume: &StorageVol, which: usize) -> Result<(), Trouble> {
        self.world.sleep(self.volumes[which].busy - Instant::now()).await;
        let size = self.volumes[which].size;
        let seed = self.next_version(which);
        let (begun, after) = (self.random.within(0..size), self.random.millis(0..5));
        let some = async {
            let mut upload = volume.upload(size).await?;
            upload.write_bytes(content(seed, 0, begun)).await?;
            tokio::time::sleep(after).await;
            drop(upload);
            Ok(())
        };
        self.world.tally.dropped.add(1);
        self.world.call("an upload that is broken off", self.world.generation(), some).await
    }

    async fn download(&self, volume: &StorageVol, which: usize, version: u64) -> Result<(), Trouble> {
        let size = self.volumes[which].size;
        self.read(volume, which, version, 0, size, u64::MAX).await
    }

    async fn part(&mut self, volume: &StorageVol, which: usize, version: u64) -> Result<(), Trouble> {
        let size = self.volumes[which].size;
        let from = self.random.within(0..size);
        let length = self.random.within(1..size - from + 1);
        self.read(volume, which, version, from, length, u64::MAX).await
    }

    async fn break_off(&mut self, volume: &StorageVol, which: usize, version: u64) -> Result<(), Trouble> {
        let size = self.volumes[which].size;
        let enough = self.random.within(0..size);
        self.world.tally.dropped.add(1);
        self.read(volume, which, version, 0, size, enough).await
    }

    /// Downloads a part of a volume, or less if that is enough, and compares it.
    async fn read(
        &self,
        volume: &StorageVol,
        which: usize,
        version: u64,
        from: u64,
        length: u64,
        enough: u64,
    ) -> Result<(), Trouble> {
        let seed = self.seed(which, version);
        let mut wrong = None;
        let all = async {
            let flags = StorageVolDownloadFlags::empty();
            let mut download = volume.download_with(from, length, flags).await?;
            let mut at = from;
            while at - from < enough {
                let Some(chunk) = download.next().await else { break };
                let chunk = chunk?;
                let count = chunk.len() as u64;
                if wrong.is_none() && chunk != content(seed, at, count) {
                    wrong = Some(at);
                }
                at += count;
            }
            Ok(at - from)
        };
        let name = &self.volumes[which].name;
        let generation = self.world.generation();
        let read = self.world.call(&format!("the download of {name}"), generation, all).await?;
        self.count(read);
        if read < length && read < enough {
            self.world.tally.wrong(format!("{name}: {read} bytes came, not {length}"));
        }
        if let Some(at) = wrong {
            let volume = &self.volumes[which];
            self.world.tally.wrong(format!("{volume:?} has not what it should in the chunk at {at}"));
        }
        Ok(())
    }

    async fn sparse(&self, volume: &StorageVol, which: usize, version: u64) -> Result<(), Trouble> {
        let (seed, size) = (self.seed(which, version), self.volumes[which].size);
        let mut wrong = false;
        let all = async {
            let mut download = volume.download_sparse().await?;
            let mut at = 0;
            while let Some(piece) = download.next().await {
                let count = match piece? {
                    Piece::Data(data) => {
                        wrong |= data != content(seed, at, data.len() as u64);
                        data.len() as u64
                    }
                    // The content has no zeroes.
                    Piece::Hole(length) => {
                        wrong = true;
                        length
                    }
                };
                at += count;
            }
            Ok(at)
        };
        let generation = self.world.generation();
        let read = self.world.call("a sparse download", generation, all).await?;
        self.count(read);
        if wrong || read != size {
            self.world.tally.wrong(format!("{read} bytes are not what {:?} has", self.volumes[which]));
        }
        Ok(())
    }

    async fn describe(
        &self,
        connection: &Connection,
        volume: &StorageVol,
        which: usize,
    ) -> Result<(), Trouble> {
        let (world, generation) = (&self.world, self.world.generation());
        let Volume { name, size, .. } = &self.volumes[which];
        let info = world.call("info", generation, volume.info()).await?;
        world.check(generation, info.capacity == *size, || format!("{info:?} of {name}"));
        let path = world.call("the path", generation, volume.path()).await?;
        world.check(generation, path.ends_with(&format!("/{POOL}/{name}")), || format!("{path} of {name}"));
        let same = world.call("by path", generation, connection.volume_by_path(&path)).await?;
        world.check(generation, same.name() == name, || format!("{same:?} at the path of {name}"));
        let xml = world.call("xml", generation, volume.xml()).await?;
        let right = xml.contains(&format!("<name>{name}</name>")) && xml.contains(&path);
        world.check(generation, right, || format!("{xml} of {name}"));
        Ok(())
    }

    /// Makes a volume and deletes it.
    async fn passing(&mut self, pool: &StoragePool) -> Result<(), Trouble> {
        let (world, generation) = (&self.world, self.world.generation());
        let name = format!("p{}-{}", self.number, self.random.next());
        let xml = format!("<volume><name>{name}</name><capacity>4096</capacity></volume>");
        let volume = world.call("a new volume", generation, pool.create_volume(xml)).await?;
        world.check(generation, volume.name() == name, || format!("{volume:?} is not {name}"));
        let flags = StorageVolUploadFlags::empty();
        let put = async {
            let mut upload = volume.upload_with(0, 4096, flags).await?;
            upload.write_bytes(content(1, 0, 4096)).await?;
            upload.finish().await
        };
        world.call("a small upload", generation, put).await?;
        world.call("delete", generation, volume.delete()).await?;
        let found = world.call("a volume", generation, pool.find_volume_by_name(&name)).await?;
        world.check(generation, found.is_none(), || format!("{name} is there, though deleted"));
        Ok(())
    }

    async fn list(&self, pool: &StoragePool) -> Result<(), Trouble> {
        let (world, generation) = (&self.world, self.world.generation());
        let listed = world.call("the volumes", generation, pool.volumes()).await?;
        for Volume { name, version, .. } in &self.volumes {
            let count = listed.iter().filter(|volume| volume.name() == name).count();
            let right = count == 1 || (count == 0 && version.is_none());
            world.check(generation, right, || format!("{name} is listed {count} times"));
        }
        Ok(())
    }
}

/// Returns a part of what belongs to a seed: bytes that are never zero.
fn content(seed: u64, from: u64, length: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(length as usize + 16);
    for word in from / 8..(from + length).div_ceil(8) {
        bytes.extend_from_slice(&(mix(seed ^ word) | 0x0101_0101_0101_0101).to_le_bytes());
    }
    let start = (from % 8) as usize;
    Bytes::from(bytes).slice(start..start + length as usize)
}

#[test]
fn a_content_is_the_same_in_parts() {
    let all = content(7, 0, 1000);
    assert!(all.len() == 1000 && !all.contains(&0));
    assert_eq!(content(7, 333, 100), all.slice(333..433));
    assert_ne!(content(8, 0, 1000), all);
}
