//! Holes in files: where they are, and how they are made.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    ops::Range,
};

/// Returns where the first data at or after `position` is; none where there are only holes up to `end`. It moves the file's
/// own position.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(super) fn next_data(file: &File, position: u64, end: u64) -> io::Result<Option<Range<u64>>> {
    use rustix::{
        fs::{SeekFrom, seek},
        io::Errno,
    };

    let start = match seek(file, SeekFrom::Data(position)) {
        Ok(start) => start,
        Err(Errno::NXIO) if length(file)? < end => return Err(was_cut()),
        Err(Errno::NXIO) => return Ok(None),
        // A file system that does not know holes has none.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(position..end)),
        Err(error) => return Err(error.into()),
    };
    if start >= end {
        return Ok(None);
    }
    Ok(Some(start..seek(file, SeekFrom::Hole(start))?.min(end)))
}

/// Elsewhere all is data.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(super) fn next_data(_: &File, position: u64, end: u64) -> io::Result<Option<Range<u64>>> {
    Ok((position < end).then_some(position..end))
}

/// Says that a file has become shorter than it was.
pub(super) fn was_cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut while it was read")
}

/// Reads `length` bytes at `position`, or as many as there are, into memory that need not be cleared before. The file's own
/// position, which others may use, is left alone.
#[cfg(unix)]
pub(super) fn read_at(file: &File, position: u64, length: usize) -> io::Result<Vec<u8>> {
    use rustix::{
        buffer::spare_capacity,
        io::{Errno, pread},
    };

    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        let at = position + data.len() as u64;
        match pread(file, spare_capacity(&mut data), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    data.truncate(length);
    Ok(data)
}

/// Writes at `position`, and leaves the file's own position alone.
#[cfg(unix)]
pub(super) fn write_at(file: &File, data: &[u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, data, position)
}

#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, position: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(length);
    file.seek(SeekFrom::Start(position))?;
    io::Read::read_to_end(&mut io::Read::take(file, length as u64), &mut data)?;
    Ok(data)
}

#[cfg(not(unix))]
pub(super) fn write_at(mut file: &File, data: &[u8], position: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(position))?;
    io::Write::write_all(&mut file, data)
}

/// Refuses a file that takes all that is written at its end, wherever it is meant for.
#[cfg(unix)]
pub(super) fn must_be_written_anywhere(file: &File) -> io::Result<()> {
    let is_for_appending = rustix::fs::fcntl_getfl(file)?.contains(rustix::fs::OFlags::APPEND);
    match is_for_appending {
        true => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it was opened for appending, and so takes nothing but at its end: open it for writing",
        )),
        false => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn must_be_written_anywhere(_: &File) -> io::Result<()> {
    Ok(())
}

/// Tells whether this is a block device, which does not become longer.
#[cfg(unix)]
pub(super) fn is_device(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;

    Ok(file.metadata()?.file_type().is_block_device())
}

#[cfg(not(unix))]
pub(super) fn is_device(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Returns how many bytes there are in a file, or in a block device.
pub(super) fn length(mut file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(metadata.len()) } else { file.seek(SeekFrom::End(0)) }
}

/// Makes zeroes of what the file has in `range`, as a hole where that is possible.
pub(super) fn clear(file: &File, range: Range<u64>) -> io::Result<()> {
    if range.is_empty() || punch(file, &range) {
        return Ok(());
    }
    let zeroes = [0; 64 * 1024];
    let mut position = range.start;
    while position < range.end {
        let count = usize::try_from(range.end - position).unwrap_or(usize::MAX);
        let part = zeroes.get(..count).unwrap_or(&zeroes);
        write_at(file, part, position)?;
        position += part.len() as u64;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn punch(file: &File, range: &Range<u64>) -> bool {
    use rustix::fs::{FallocateFlags, fallocate};

    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, range.start, range.end - range.start).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: &Range<u64>) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_cleared_is_zero_and_the_rest_is_not() {
        let path = std::env::temp_dir().join(format!("libvirt-client-clear-{}", std::process::id()));
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&[7; 300_000]).unwrap();
        clear(&file, 1..1).unwrap();
        clear(&file, 100_000..250_000).unwrap();
        let data = read_at(&file, 0, 1 << 20).unwrap();
        assert_eq!(data.len(), 300_000);
        let zeroes = 100_000..250_000;
        assert!(data.iter().enumerate().all(|(at, byte)| *byte == if zeroes.contains(&at) { 0 } else { 7 }));
        assert_eq!(read_at(&file, 299_999, 8).unwrap(), [7]);
        write_at(&file, &[9], 299_999).unwrap();
        assert_eq!(read_at(&file, 299_998, 8).unwrap(), [7, 9]);
        // Others may use the same file, and its position, meanwhile.
        assert_eq!((file.stream_position().unwrap(), length(&file).unwrap()), (300_000, 300_000));
        let first = next_data(&file, 0, 300_000).unwrap().unwrap();
        assert!(first.start == 0 && first.end >= 100_000, "{first:?}");
        assert_eq!(next_data(&file, 300_000, 300_000).unwrap(), None);
        // It had more when it was looked at first.
        let error = next_data(&file, 300_000, 300_001).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
