//! Files that calls name. The daemon has a working directory of its own, so that a relative path would be another file
//! there: it is made absolute here, as libvirt's own client does. That one leaves the paths in typed parameters to the
//! daemon, whose directory no user knows; here both are treated alike.

use std::path::Path;

use super::{TypedParams, TypedValue, fields};
use crate::error::{Error, Result};

/// Returns a path as the daemon needs it.
pub(super) fn absolute(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let refused =
        |reason: String| Error::Unsupported(format!("cannot tell the daemon the path {path:?}: {reason}"));
    let absolute = std::path::absolute(path)
        .map_err(|error| refused(format!("it cannot be taken from the working directory: {error}")))?;
    let text = absolute.into_os_string().into_string();
    text.map_err(|_| refused("it is not UTF-8, as all text in the protocol".to_owned()))
}

/// Returns parameters that name a file, as the daemon needs them.
pub(super) fn absolute_file(params: TypedParams) -> Result<TypedParams> {
    let mut known = TypedParams::new();
    for (name, value) in params {
        match value {
            TypedValue::String(path) if name == fields::DOMAIN_SAVE_PARAM_FILE => {
                known.push(name, absolute(path)?)
            }
            value => known.push(name, value),
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute() {
        let here = std::env::current_dir().unwrap().into_os_string().into_string().unwrap();
        assert_eq!(absolute("save/one").unwrap(), format!("{here}/save/one"));
        assert_eq!(absolute("./one").unwrap(), format!("{here}/one"));
        assert_eq!(
            absolute("/var/../one").unwrap(),
            "/var/../one",
            "what .. means is known to the daemon's host"
        );
        assert!(absolute("").unwrap_err().is_unsupported());
        let params = TypedParams::new().with("file", "one").with("dxml", "two").with("file", 3_u32);
        let expected =
            TypedParams::new().with("file", format!("{here}/one")).with("dxml", "two").with("file", 3_u32);
        assert_eq!(absolute_file(params).unwrap(), expected);
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        let error = absolute(Path::new(std::ffi::OsStr::from_bytes(b"/caf\xe9"))).unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("UTF-8"), "{error}");
        assert!(error.to_string().contains(r"/caf\xE9"), "the path is named: {error}");
    }
}
