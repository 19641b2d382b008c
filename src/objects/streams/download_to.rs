//! Volumes into files.

use std::{fs::File, future::IntoFuture, io, pin::Pin};

use tokio::sync::mpsc;

use super::{
    SparseDownload,
    sparse_file::{clear, is_device, length, must_be_written_anywhere, write_at},
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
    /// Writes the volume's content to a file, which then has the volume's length. A file that was opened for appending cannot
    /// be used.
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
    /// transfer is broken off, and the thread ends a moment later. A transfer that is broken off, in whatever way, cuts the file
    /// where it has come to, unless it was for a [part](DownloadTo::length).
    ///
    /// Some file systems say only later that they have no room for what was written: [`File::sync_all`] asks them.
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

    /// Begins at this offset in bytes, in the volume and in the file alike: a transfer that was broken off, and was for no
    /// [part](Self::length), is taken up again where the file ends.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Transfers no more than this many bytes. What the file has behind them stays.
    pub fn length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// Sets who is told how far it has come, after each piece of at most 256 KiB, in the task that awaits. What is done has been
    /// received, and may not be written yet: that all is written is said by the end of the transfer.
    pub fn on_progress(mut self, listener: impl FnMut(Progress) + Send + 'static) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    async fn run(mut self) -> Result<Transferred> {
        let file = self.file.map_err(|error| failed("open", error))?;
        must_be_written_anywhere(&file).map_err(|error| failed("write to", error))?;
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
            if pieces.send(piece).await.is_err() {
                break;
            }
            self.listener.tell(done, total);
        }
        drop(pieces);
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

/// Writes what comes, and lets the file end behind it if it is to have the whole volume.
fn write(file: &File, pieces: mpsc::Receiver<Piece>, offset: u64, is_whole: bool) -> io::Result<()> {
    let mut position = offset;
    let written = write_pieces(file, pieces, &mut position);
    // What went wrong first is told.
    written.and(settle(file, position, is_whole))
}

/// Gives the file its length. What was there before is not taken for the volume's, also where the transfer was broken off, and
/// a hole at the end leaves nothing behind that would make the file longer. A device is as long as it is.
fn settle(file: &File, position: u64, is_whole: bool) -> io::Result<()> {
    let now = file.metadata()?;
    match now.is_file() && (is_whole || now.len() < position) {
        true => file.set_len(position),
        false => Ok(()),
    }
}

fn write_pieces(file: &File, mut pieces: mpsc::Receiver<Piece>, position: &mut u64) -> io::Result<()> {
    let (before, is_device) = (length(file)?, is_device(file)?);
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Data(data) => {
                write_at(file, &data, *position)?;
                *position += data.len() as u64;
            }
            Piece::Hole(length) => {
                let end = position.saturating_add(length);
                if is_device && end > before {
                    return Err(io::Error::new(io::ErrorKind::StorageFull, "the device is too small"));
                }
                clear(file, *position..end.min(before).max(*position))?;
                *position = end;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    /// Writes pieces to a file of ten bytes, and returns what it has then.
    fn written(pieces: Vec<Piece>, offset: u64, is_whole: bool) -> Vec<u8> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("libvirt-client-written-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, [b'o'; 10]).unwrap();
        let mut file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (sender, receiver) = mpsc::channel(PIECES_BETWEEN);
        for piece in pieces {
            sender.try_send(piece).unwrap();
        }
        drop(sender);
        write(&file, receiver, offset, is_whole).unwrap();
        let mut data = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut data).unwrap();
        data
    }

    #[test]
    fn what_the_file_had_before_is_not_taken_for_the_volumes() {
        let data = |text: &'static [u8]| Piece::Data(text.into());
        assert_eq!(written(vec![data(b"new")], 0, true), b"new");
        assert_eq!(written(vec![data(b"new")], 4, true), b"oooonew");
        assert_eq!(
            written(vec![data(b"n"), Piece::Hole(2), data(b"n"), Piece::Hole(3)], 0, true),
            b"n\0\0n\0\0\0"
        );
        assert_eq!(written(vec![], 2, true), b"oo");
        // Of a part nothing else is touched.
        assert_eq!(written(vec![data(b"new")], 1, false), b"onewoooooo");
        assert_eq!(written(vec![data(b"n"), Piece::Hole(3)], 9, false), b"ooooooooon\0\0\0");
    }
}
