//! Which files `Include` means.

use std::path::{Component, Path, PathBuf};

use super::Environment;
use crate::transport::ssh::pattern;

/// Finds the files that a path with `*` and `?` in it means, in the order of their names; of one without them, itself.
pub(super) fn find(path: &Path, environment: &Environment<'_>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name.to_string_lossy(),
            other => {
                found.iter_mut().for_each(|path| path.push(other));
                continue;
            }
        };
        if !name.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(&*name));
            continue;
        }
        found = found.iter().flat_map(|directory| matching(directory, &name, environment)).collect();
    }
    found
}

fn matching(directory: &Path, name: &str, environment: &Environment<'_>) -> Vec<PathBuf> {
    let mut names = (environment.entries)(directory);
    // What is hidden is found only by a pattern that starts with a dot.
    names.retain(|entry| pattern::matches(entry, name) && (!entry.starts_with('.') || name.starts_with('.')));
    names.sort();
    names.into_iter().map(|entry| directory.join(entry)).collect()
}
