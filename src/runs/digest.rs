//! SHA-256 of fields and of folders.

use sha2::{Digest as _, Sha256};

use crate::system::Digest;

/// Digest of a folder: of its (name, digest) pairs. The caller gives them sorted by name, as a
/// `BTreeMap` does.
pub(super) fn folder_digest<'a>(files: impl IntoIterator<Item = (&'a str, Digest)>) -> Digest {
    let mut hasher = Encoder::new("folder");
    for (name, digest) in files {
        hasher.text(name);
        hasher.digest(digest);
    }
    hasher.finish()
}

/// Feeds a hasher so that two different sequences of fields never feed it the same bytes:
/// whatever has no fixed length is preceded by its length.
pub(super) struct Encoder(Sha256);

impl Encoder {
    /// `domain` keeps digests of two kinds of things apart.
    pub(super) fn new(domain: &str) -> Self {
        let mut encoder = Self(Sha256::new());
        encoder.text("tinyrun");
        encoder.text(domain);
        encoder
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    pub(super) fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    pub(super) fn digest(&mut self, digest: Digest) {
        self.0.update(digest.as_bytes());
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.0.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_digest_depends_on_names_and_on_where_they_end() {
        let digest = Digest::of_bytes(b"x");
        let of = |names: &[&str]| folder_digest(names.iter().map(|name| (*name, digest)));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        assert_ne!(of(&["ab"]), of(&["a"]));
        assert_ne!(of(&[]), of(&["a"]));
    }
}
