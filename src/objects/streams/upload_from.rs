//! Files into volumes.

use std::{fs::File, future::IntoFuture, io, ops::Range, pin::Pin};

use tokio::sync::mpsc;

use super::{
    sparse_file::{length, next_data, read_at, was_cut},
    transfer::{Listener, PIECES_BETWEEN, Progress, Transferred, ended, failed},
};
use crate::{
    error::Result,
    objects::{StorageVol, enums::StorageVolUploadFlags},
    rpc::{Piece, stream::MOST_PER_FRAME},
};

/// A transfer of a file's content into a volume: see [`StorageVol::upload_from`]. It begins when it is awaited.
#[derive(Debug)]
#[must_use = "nothing is transferred until it is awaited"]
pub struct UploadFrom {
    volume: StorageVol,
    file: io::Result<File>,
    offset: u64,
    length: Option<u64>,
    flags: StorageVolUploadFlags,
    listener: Listener,
}

impl StorageVol {
    /// Overwrites the volume's content with that of a file, up to the file's end. The volume must have room for it.
    ///
    /// ```no_run
    /// # async fn example(volume: libvirt_client::StorageVol) -> Result<(), Box<dyn std::error::Error>> {
    /// let file = std::fs::File::open("disk.img")?;
    /// let done = volume.upload_from(&file).sparse().await?;
    /// println!("{} bytes, and {} in holes", done.data, done.holes);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The file is read in a thread for blocking work. Its own position is not used, but moved when holes are
    /// [looked for](UploadFrom::sparse). When the future is dropped, the transfer is broken off: what the volume has by then
    /// stays.
    pub fn upload_from(&self, file: &File) -> UploadFrom {
        UploadFrom {
            volume: self.clone(),
            file: file.try_clone(),
            offset: 0,
            length: None,
            flags: StorageVolUploadFlags::empty(),
            listener: Listener::default(),
        }
    }
}

impl UploadFrom {
    /// Leaves holes in the volume where the file has them: they are not transferred. Where the operating system does not tell
    /// of holes, all is transferred.
    ///
    /// This is for fresh volumes, from their start to their end. In a volume that is a file, the daemon passes over a hole and
    /// cuts the file behind it: the first hole keeps what the volume had there, and what it had further on is lost.
    pub fn sparse(mut self) -> Self {
        self.flags |= StorageVolUploadFlags::SPARSE_STREAM;
        self
    }

    /// Begins at this offset in bytes, in the file and in the volume alike: a transfer that was broken off is taken up again
    /// there.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Transfers no more than this many bytes.
    pub fn length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// Sets who is told how far it has come, after each piece of at most 256 KiB, in the task that awaits. What is done has been
    /// handed over, and may be on its way: that all has arrived is said by the end of the transfer.
    pub fn on_progress(mut self, listener: impl FnMut(Progress) + Send + 'static) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    async fn run(mut self) -> Result<Transferred> {
        let file = self.file.map_err(|error| failed("open", error))?;
        let length = length(&file).map_err(|error| failed("look at", error))?;
        let end = self.length.map_or(length, |most| length.min(self.offset.saturating_add(most)));
        let total = end.saturating_sub(self.offset);
        let mut done = Transferred::default();
        if total == 0 {
            return Ok(done);
        }
        let mut upload = self.volume.upload_with(self.offset, total, self.flags).await?;
        let (pieces, mut read) = mpsc::channel(PIECES_BETWEEN);
        let (range, sparse) = (self.offset..end, self.flags.contains(StorageVolUploadFlags::SPARSE_STREAM));
        let reading = tokio::task::spawn_blocking(move || {
            send(&file, range, sparse, &pieces).map_err(|error| failed("read", error))
        });
        while let Some(piece) = read.recv().await {
            match piece {
                Piece::Data(data) => {
                    done.data += data.len() as u64;
                    upload.write_bytes(data).await?;
                }
                Piece::Hole(length) => {
                    done.holes += length;
                    upload.write_hole(length).await?;
                }
            }
            self.listener.tell(done, Some(total));
        }
        ended(reading).await?;
        upload.finish().await?;
        Ok(done)
    }
}

impl IntoFuture for UploadFrom {
    type Output = Result<Transferred>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Reads a part of a file, piece by piece, as long as somebody takes them.
fn send(file: &File, range: Range<u64>, sparse: bool, pieces: &mpsc::Sender<Piece>) -> io::Result<()> {
    let Range { start: mut position, end } = range;
    while position < end {
        let data = if sparse { next_data(file, position, end)? } else { Some(position..end) };
        let data = data.unwrap_or(end..end);
        if data.start > position && pieces.blocking_send(Piece::Hole(data.start - position)).is_err() {
            return Ok(());
        }
        position = data.start;
        while position < data.end {
            let most = usize::try_from(data.end - position).unwrap_or(MOST_PER_FRAME).min(MOST_PER_FRAME);
            let read = read_at(file, position, most)?;
            if read.is_empty() {
                return Err(was_cut());
            }
            position += read.len() as u64;
            if pieces.blocking_send(Piece::Data(read.into())).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
