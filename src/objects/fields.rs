//! The names of typed parameters, which tune a domain or tell its statistics.

include!(concat!(env!("OUT_DIR"), "/fields.rs"));
