//! Volumes into files.

use std::{fs::File, future::IntoFuture, io, pin::Pin};

use tokio::sync::mpsc;

use super::{
    SparseDownload,
    sparse_file::{clear, length, write_at},
    transfer::{Listener, PIECES_BETWEEN, Progress, Transferred, ended, failed},
};
use crate::{
    error::Result,
    objects::{
        StorageVol,
        enums::{StorageVolDownloadFlags, StorageVolInfoFlags},
    },
    rpc::{Piece, expecting},
};

/// A transfer of a volume's content into a file: see [`StorageVol::download_to`]. It begins when it is awaited.
#[derive(Debug)]
#[must_use = "nothing is transferred until it is awaited"]
pub struct DownloadTo {
    volume: StorageVol,
    file: io::Result<File>,
    offset: u64,
    length: Option<u64>,
    flags: StorageVolDownloadFlags,
    listener: Listener,
}

impl StorageVol {
    /// Writes the volume's content to a file, which then has the volume's length.
    ///
    /// ```no_run
    /// # async fn example(volume: libvirt_client::StorageVol) -> Result<(), Box<dyn std::error::Error>> {
    /// let file = std::fs::File::create("disk.img")?;
    /// let done = volume
    ///     .download_to(&file)
    ///     .sparse()
    ///     .on_progress(|progress| println!("{} bytes", progress.bytes))
    ///     .await?;
    /// println!("{} bytes, and {} in holes", done.data, done.holes);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The file is written in a thread for blocking work, and its own position is not used. When the future is dropped, the
    /// transfer is broken off, the thread ends a moment later, and what the file has by then stays.
    pub fn download_to(&self, file: &File) -> DownloadTo {
        DownloadTo {
            volume: self.clone(),
            file: file.try_clone(),
            offset: 0,
            length: None,
            flags: StorageVolDownloadFlags::empty(),
            listener: Listener::default(),
        }
    }
}

impl DownloadTo {
    /// Leaves holes in the file where the volume has them: they are not transferred. What the file had there is cleared.
    pub fn sparse(mut self) -> Self {
        self.flags |= StorageVolDownloadFlags::SPARSE_STREAM;
        self
    }

    /// Begins at this offset in bytes, in the volume and in the file alike: a transfer that was broken off is taken up again
    /// where the file ends.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Transfers no more than this many bytes. What the file has behind them stays.
    pub fn length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// Sets who is told how far it has come, after each piece of at most 256 KiB, in the task that awaits.
    pub fn on_progress(mut self, listener: impl FnMut(Progress) + Send + 'static) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    async fn run(mut self) -> Result<Transferred> {
        let file = self.file.map_err(|error| failed("open", error))?;
        let mut done = Transferred::default();
        if self.length == Some(0) {
            return Ok(done);
        }
        let total = match self.listener.is_there() {
            true => total(&self.volume, self.offset, self.length).await,
            false => None,
        };
        let opening = self.volume.open_download(self.offset, self.length.unwrap_or(0), self.flags);
        let mut download = SparseDownload::new(opening.await?);
        let (pieces, received) = mpsc::channel(PIECES_BETWEEN);
        let (offset, is_whole) = (self.offset, self.length.is_none());
        let writing = tokio::task::spawn_blocking(move || {
            write(&file, received, offset, is_whole).map_err(|error| failed("write to", error))
        });
        while let Some(piece) = download.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    // The file is settled before anybody hears of it: they may take the transfer up again.
                    drop(pieces);
                    let _ = ended(writing).await;
                    return Err(error);
                }
            };
            match &piece {
                Piece::Data(data) => done.data += data.len() as u64,
                Piece::Hole(length) => done.holes += length,
            }
            // A writer that has failed says so below.
            if pieces.send(Some(piece)).await.is_err() {
                break;
            }
            self.listener.tell(done, total);
        }
        let _ = pieces.send(None).await;
        ended(writing).await?;
        Ok(done)
    }
}

impl IntoFuture for DownloadTo {
    type Output = Result<Transferred>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Returns how many bytes there are to transfer, if the daemon can say that.
async fn total(volume: &StorageVol, offset: u64, length: Option<u64>) -> Option<u64> {
    // With this flag the allocation is how long the file is.
    let asking = volume.info_with(StorageVolInfoFlags::GET_PHYSICAL);
    let info = expecting(|_| true, asking).await.ok()?;
    let rest = info.allocation.saturating_sub(offset);
    Some(length.map_or(rest, |length| length.min(rest)))
}

/// Writes what comes until `None` says that it was all; otherwise the transfer was broken off.
fn write(
    file: &File,
    mut pieces: mpsc::Receiver<Option<Piece>>,
    offset: u64,
    is_whole: bool,
) -> io::Result<()> {
    let before = length(file)?;
    let mut position = offset;
    let mut is_all = false;
    while let Some(piece) = pieces.blocking_recv() {
        let Some(piece) = piece else {
            is_all = true;
            break;
        };
        match piece {
            Piece::Data(data) => {
                write_at(file, &data, position)?;
                position += data.len() as u64;
            }
            Piece::Hole(length) => {
                let end = position.saturating_add(length);
                clear(file, position..end.min(before).max(position))?;
                position = end;
            }
        }
    }
    // A hole at the end leaves nothing behind that would make the file longer. A device is as long as it is.
    let now = file.metadata()?;
    if now.is_file() && ((is_whole && is_all) || now.len() < position) {
        file.set_len(position)?;
    }
    Ok(())
}
