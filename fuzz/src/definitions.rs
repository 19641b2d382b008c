//! The reader of protocol definitions, and what writes Rust out of them.
//!
//! Input: a definition file.

use libvirt_client_codegen::{
    emit::{self, Tables},
    print, read_str,
    spec::Spec,
};

const NAME: &str = "fuzz.x";

/// Reads one input; tells whether it is well-formed.
pub fn run(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let spec = match read_str(NAME, &text) {
        Ok(spec) => spec,
        Err(error) => {
            assert!(error.to_string().contains(NAME), "the file is not named: {error}");
            let place = error.location().expect("the text is to blame");
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&(place.line as usize)), "line {} of {lines}: {error}", place.line);
            return false;
        }
    };

    let printed = print_all(&spec);
    let again =
        read_str(NAME, &printed).unwrap_or_else(|error| panic!("printed definitions are wrong: {error}"));
    assert_eq!(facts(&spec), facts(&again), "printing changed the definitions:\n{printed}");
    assert_eq!(printed, print_all(&again));

    // Not all definitions have a counterpart in Rust; an error says so.
    match emit::protocols(&spec, &Tables::default(), None) {
        Ok(files) => assert!(files.iter().any(|file| file.name == "visit.rs")),
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
    true
}

fn print_all(spec: &Spec) -> String {
    let definitions = spec.protocols.iter().flat_map(|protocol| &protocol.definitions);
    definitions.map(|definition| print::definition(definition) + "\n").collect()
}

fn facts(spec: &Spec) -> Vec<String> {
    spec.protocols.iter().flat_map(print::facts).collect()
}
