//! Reads libvirt's protocol definitions and writes the Rust that `libvirt-client` builds with.
//!
//! Definitions are `.x` files in the RPC language of [RFC 4506]: those of `libvirt-client`'s repository, or libvirt's own,
//! unchanged. Text becomes tokens, tokens become definitions of a file, those of all files are resolved
//! against each other into a [`spec::Spec`], and [`emit`] writes Rust from it. The build script calls [`generate`],
//! which does all of that; each step can be used alone, too.
//!
//! ```
//! use libvirt_client_codegen::{print, read_str};
//!
//! let spec = read_str(
//!     "pool.x",
//!     "
//!     const POOL_NAME_MAX = 64;
//!
//!     struct pool {
//!         string   name<POOL_NAME_MAX>;
//!         opaque   uuid[VIR_UUID_BUFLEN];  /* a constant of libvirt's C headers */
//!         unsigned volumes;
//!         pool     *next;
//!     };
//!
//!     enum pool_procedure {
//!         /* @generate: both @acl: pool:read */
//!         POOL_PROC_LIST = 1
//!     };
//!     ",
//! )?;
//! assert_eq!(
//!     print::facts(&spec.protocols[0]),
//!     [
//!         "const POOL_NAME_MAX = 64",
//!         "struct pool",
//!         "struct pool .0 name: string<POOL_NAME_MAX>",
//!         "struct pool .1 uuid: opaque[VIR_UUID_BUFLEN]",
//!         "struct pool .2 volumes: unsigned int",
//!         "struct pool .3 next: pool*",
//!         "enum pool_procedure POOL_PROC_LIST = 1 @generate:both @acl:pool:read",
//!     ]
//! );
//! # Ok::<(), libvirt_client_codegen::Error>(())
//! ```
//!
//! What is wrong is told with its place:
//!
//! ```text
//! error: unknown type `remote_nonnul_domain`
//!     --> protocol/remote_protocol.x:3070:5
//!      |
//! 3070 |     remote_nonnul_domain dom;
//!      |     ^^^^^^^^^^^^^^^^^^^^
//!      = help: did you mean `remote_nonnull_domain`?
//! ```
//!
//! # The language
//!
//! All of RFC 4506, and what libvirt's files have besides: `char` and `short`, `unsigned` alone, `enum x` and
//! `struct x` for the name of a type, numbers left out in enums, names used before they are defined. Comments,
//! lines that begin with `%` and preprocessor lines are skipped, except that `@key: value` at the beginning of a
//! line of comment annotates the enumerator that follows. All files share one scope.
//!
//! # The program
//!
//! `libvirt-client-codegen check|facts|show` looks at definitions from the command line: run it without arguments
//! for its usage.
//!
//! [RFC 4506]: https://www.rfc-editor.org/rfc/rfc4506

mod api;
mod ast;
mod cycles;
pub mod emit;
mod error;
mod generate;
mod lexer;
pub mod names;
pub mod overrides;
mod parser;
pub mod print;
mod read;
mod resolve;
mod scope;
mod show;
pub mod spec;

pub use api::Api;
pub use error::{Diagnostic, Error};
pub use generate::{PROTOCOLS, generate};
pub use read::{read_directory, read_str};
pub use scope::predefined;
pub use show::{UnknownName, show};
