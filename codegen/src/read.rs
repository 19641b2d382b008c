//! Files to a [`Spec`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Source},
    parser,
    resolve::resolve,
    scope::File,
    spec::Spec,
};

/// Reads the protocol definitions of a directory, and returns them with the files that were read.
///
/// These are the files `*.x` in it or, if it has none, all below it, so that libvirt's source tree will do. They are
/// resolved against each other, and come in an order in which a file follows those it builds on.
///
/// # Errors
/// A file cannot be read, there is none, or a definition is wrong: then the message shows the place.
pub fn read_directory(directory: &Path) -> Result<(Spec, Vec<PathBuf>), Error> {
    let mut paths = definitions(directory, false)?;
    if paths.is_empty() {
        paths = definitions(directory, true)?;
    }
    if paths.is_empty() {
        return Err(Error::NoDefinitions { directory: directory.to_path_buf() });
    }
    let sources = paths.iter().map(|path| Source::read(path)).collect::<Result<_, _>>()?;
    Ok((read(sources)?, paths))
}

/// Reads one protocol definition from a string; `path` is what messages call it, and its stem names the protocol.
///
/// # Errors
/// A definition is wrong: the message shows the place.
///
/// # Examples
/// ```
/// use libvirt_client_codegen::read_str;
///
/// let error = read_str("pool.x", "struct pool {\n    string name<>\n};\n").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "error: expected `;` after `>`, found `}`\n \
///       --> pool.x:2:18\n  \
///         |\n\
///       2 |     string name<>\n  \
///         |                  ^ expected `;`"
/// );
/// ```
pub fn read_str(path: impl AsRef<Path>, text: &str) -> Result<Spec, Error> {
    read(vec![Source::new(path.as_ref(), text.to_owned())])
}

fn read(sources: Vec<Source>) -> Result<Spec, Error> {
    let mut files = Vec::new();
    for source in sources {
        let definitions = parser::parse(&source)?;
        files.push(File { source, definitions });
    }
    resolve(&files)
}

/// Finds the `.x` files, sorted; hidden directories and links to directories are left out.
fn definitions(directory: &Path, below: bool) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let cannot_read = |source| Error::Read { path: directory.clone(), source };
        for entry in fs::read_dir(&directory).map_err(cannot_read)? {
            let entry = entry.map_err(cannot_read)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(cannot_read)?);
            if kind.is_dir() {
                if below && !entry.file_name().to_string_lossy().starts_with('.') {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "x") && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
