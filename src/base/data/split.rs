//! Which rows of a training table are held out as dev.

use sha2::{Digest, Sha256};

/// Part of the hash, so that the side of a text is not a property of its plain SHA-256. Never changed:
/// every user's split would change with it.
const SALT: &[u8] = b"tinyrun dev-fraction 1\0";

/// A hash of a row's text (and second text), the same for rows that differ at their ends by
/// whitespace only. Neither the label nor the place in the file counts.
pub fn text_hash(text: &str, pair: Option<&str>) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(SALT);
    for part in std::iter::once(text).chain(pair) {
        let part = part.trim();
        // The length first, so that no text runs into the next.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(head)
}

/// The same of a row that is token ids: of each text of a pair its ids.
pub fn ids_hash(first: &[u32], second: &[u32]) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(SALT);
    for part in [first, second] {
        hasher.update((part.len() as u64).to_le_bytes());
        // Many at a time: a call costs more than the four bytes of an id.
        for ids in part.chunks(64) {
            let mut bytes = [0; 4 * 64];
            for (place, id) in bytes.chunks_exact_mut(4).zip(ids) {
                place.copy_from_slice(&id.to_le_bytes());
            }
            hasher.update(&bytes[..4 * ids.len()]);
        }
    }
    let digest = hasher.finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(head)
}

/// Whether the row of this hash belongs to dev, where dev is to have `fraction` (0 to 1) of all
/// different texts.
pub fn is_dev(hash: u64, fraction: f64) -> bool {
    // 53 bits of the hash are a number in 0..1 without rounding.
    let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    place < fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_of_a_text_never_changes() {
        let sides: Vec<bool> = ["good", "bad", "a film", "", "Ende"]
            .into_iter()
            .map(|text| is_dev(text_hash(text, None), 0.5))
            .collect();
        assert_eq!(text_hash("good film", None), 6_736_545_275_945_887_344);
        assert_eq!(sides, [false, false, true, false, true]);
    }

    #[test]
    fn only_the_text_counts() {
        assert_eq!(text_hash("good ", None), text_hash("good", None));
        assert_ne!(text_hash("good", None), text_hash("Good", None));
        assert_ne!(text_hash("ab", Some("c")), text_hash("a", Some("bc")));
        assert_ne!(text_hash("a", Some("")), text_hash("a", None));
    }

    #[test]
    fn the_share_is_about_the_fraction() {
        let dev = (0..10_000)
            .filter(|i| is_dev(text_hash(&format!("text {i}"), None), 0.1))
            .count();
        // Standard deviation 30.
        assert!((880..1120).contains(&dev), "{dev} of 10000");
    }

    #[test]
    fn the_ends_of_the_range_are_all_or_nothing() {
        for hash in [0, 1, u64::MAX] {
            assert!(is_dev(hash, 1.0));
            assert!(!is_dev(hash, 0.0));
        }
    }
}
