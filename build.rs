//! Writes the wire types, procedure tables and API enums from the definitions in `protocol/` (or in the
//! directory that `LIBVIRT_PROTOCOL_DIR` names) to `OUT_DIR`.

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What the crate is built from, unless told otherwise. The tables of the public API always come from here where
/// the other directory has none: libvirt's own tree has no such files.
const OWN: &str = "protocol";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBVIRT_PROTOCOL_DIR");
    let directory = env::var_os("LIBVIRT_PROTOCOL_DIR").map_or_else(|| PathBuf::from(OWN), PathBuf::from);
    // A file that is added counts as well.
    println!("cargo::rerun-if-changed={}", directory.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    match libvirt_client_codegen::generate(&directory, Path::new(OWN), &out) {
        Ok(read) => {
            for file in read {
                println!("cargo::rerun-if-changed={}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
