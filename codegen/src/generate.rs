//! What the build script does: files to files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    api::Api,
    emit::{self, File, Problem, Tables},
    error::Error,
    names::Prefix,
    read_directory,
};

/// The stems of the files that `libvirt-client` is built from.
pub const PROTOCOLS: [&str; 6] = [
    "virnetprotocol",
    "virkeepaliveprotocol",
    "remote_protocol",
    "qemu_protocol",
    "lxc_protocol",
    "admin_protocol",
];

/// Writes the modules of `libvirt-client` to `out`, from the `.x` files of `directory`. `enums.tsv`, `names.tsv` and
/// `api.toml` are read from there too or, where it has none, from `own`: they state the public API, which is
/// not in libvirt's own protocol files. Where `directory` is not `own`, procedures may be missing from `api.toml`: they
/// have no methods, and are left to raw calls. Files whose content stays the same are left alone.
///
/// Returns the files that were read.
///
/// # Errors
/// Definitions that cannot be read or become Rust, a protocol that is missing, or a file that cannot be written.
pub fn generate(directory: &Path, own: &Path, out: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut spec, mut read) = read_directory(directory)?;
    for stem in PROTOCOLS {
        if !spec.protocols.iter().any(|protocol| protocol.name == stem) {
            let message = format!(
                "{} has no {stem}.x, which module {} is written from; all of {} are needed",
                directory.display(),
                Prefix::of_file(stem).module(),
                PROTOCOLS.map(|stem| format!("{stem}.x")).join(", ")
            );
            return Err(Problem { location: None, message }.into());
        }
    }
    // libvirt's source tree holds protocols between its own processes as well.
    spec.protocols.retain(|protocol| PROTOCOLS.contains(&protocol.name.as_str()));
    let (api_path, api) = read_either(directory, own, "api.toml")?;
    let api = Api::read(&api_path, &api)?;
    read.push(api_path);
    let tables = read_tables(directory, own, &mut read)?;
    tables.check_overrides()?;
    let mut files = emit::protocols(&spec, &tables, Some(&api))?;
    files.extend(emit::api(&tables)?);
    files.extend(emit::objects(&spec, &tables, &api, directory == own)?);
    for file in files {
        write(out, &file)?;
    }
    Ok(read)
}

/// Reads the tables of the public API from the first directory that has them.
fn read_tables(directory: &Path, otherwise: &Path, read: &mut Vec<PathBuf>) -> Result<Tables, Error> {
    let mut tables = Tables::default();
    let (path, text) = read_either(directory, otherwise, "enums.tsv")?;
    tables.add_enums(&path, &text)?;
    read.push(path);
    let (path, text) = read_either(directory, otherwise, "names.tsv")?;
    tables.add_names(&path, &text)?;
    read.push(path);
    Ok(tables)
}

fn read_either(directory: &Path, otherwise: &Path, name: &str) -> Result<(PathBuf, String), Error> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => return Ok((path, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Read { path, source }),
    }
    let path = otherwise.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(source) => Err(Error::Read { path, source }),
    }
}

/// Leaves a file alone whose content is the same, so that nothing is compiled again for it.
fn write(directory: &Path, file: &File) -> Result<(), Error> {
    let path = directory.join(&file.name);
    if fs::read(&path).is_ok_and(|present| present == file.text.as_bytes()) {
        return Ok(());
    }
    fs::write(&path, &file.text).map_err(|source| Error::Write { path, source })
}
