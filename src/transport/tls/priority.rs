//! GnuTLS's priority strings, as libvirt has them in `tls_priority`: what of them is understood.

use tokio_rustls::rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

/// What a priority string allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Priority {
    tls12: bool,
    tls13: bool,
    /// The words that were not understood. There is no need for those about ciphers: rustls has none that are weak.
    pub(super) ignored: Vec<String>,
}

impl Default for Priority {
    fn default() -> Self {
        Self { tls12: true, tls13: true, ignored: Vec::new() }
    }
}

impl Priority {
    /// Reads a string such as `NORMAL:-VERS-TLS1.3`: words with colons between them, of which those are understood that
    /// allow (`+`) or forbid (`-`, `!`) versions of TLS.
    pub(super) fn read(text: &str) -> Self {
        let mut priority = Self::default();
        for word in text.split([':', ',']).filter(|word| !word.is_empty()) {
            priority.apply(word);
        }
        priority
    }

    fn apply(&mut self, word: &str) {
        let word = word.trim().to_ascii_uppercase();
        let (allowed, version) = match (word.strip_prefix('+'), word.strip_prefix(['-', '!'])) {
            (Some(version), _) => (true, version),
            (_, Some(version)) => (false, version),
            _ if word == "NONE" => (false, "VERS-ALL"),
            // The usual sets, by which all versions are allowed that rustls has.
            _ if [
                "NORMAL",
                "SYSTEM",
                "@SYSTEM",
                "@LIBVIRT",
                "PERFORMANCE",
                "SECURE256",
                "SECURE128",
                "PFS",
            ]
            .contains(&word.as_str()) =>
            {
                return;
            }
            _ => return self.ignored.push(word),
        };
        match version {
            "VERS-TLS1.2" => self.tls12 = allowed,
            "VERS-TLS1.3" => self.tls13 = allowed,
            "VERS-ALL" | "VERS-TLS-ALL" => (self.tls12, self.tls13) = (allowed, allowed),
            // Never offered anyway.
            "VERS-SSL3.0" | "VERS-TLS1.0" | "VERS-TLS1.1" | "VERS-DTLS-ALL" => {}
            _ => self.ignored.push(word),
        }
    }

    /// Returns the versions that are allowed, of those that rustls has.
    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let known = [(self.tls13, &TLS13), (self.tls12, &TLS12)];
        known.into_iter().filter(|(allowed, _)| *allowed).map(|(_, version)| version).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_understood_and_the_rest_is_noted() {
        for (text, tls12, tls13, ignored) in [
            ("", true, true, &[][..]),
            ("NORMAL", true, true, &[]),
            ("@LIBVIRT,SYSTEM", true, true, &[]),
            ("NORMAL:-VERS-TLS1.3", true, false, &[]),
            ("NORMAL:-VERS-ALL:+VERS-TLS1.3", false, true, &[]),
            ("normal:!vers-tls1.2", false, true, &[]),
            ("NORMAL:-VERS-TLS1.0:-VERS-TLS1.1", true, true, &[]),
            ("NORMAL:-VERS-TLS-ALL", false, false, &[]),
            ("NONE:+VERS-TLS1.2:+AES-256-GCM", true, false, &["+AES-256-GCM"]),
            ("NORMAL:%COMPAT", true, true, &["%COMPAT"]),
        ] {
            let priority = Priority::read(text);
            assert_eq!((priority.tls12, priority.tls13), (tls12, tls13), "{text}");
            assert_eq!(priority.ignored, ignored, "{text}");
            assert_eq!(priority.versions().len(), usize::from(tls12) + usize::from(tls13));
        }
    }
}
