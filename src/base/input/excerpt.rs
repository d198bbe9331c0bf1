//! Text of others in messages, escaped and shortened.
//!
//! A label, a column name or a key may hold terminal sequences, line ends, invisible and
//! right-to-left characters, or a megabyte. Everything shown passes through here.

use std::fmt::Write as _;
use std::path::Path;

/// Characters of an excerpt at most, before escaping.
const EXCERPT_CHARS: usize = 80;
/// Characters of a path at most. The end is kept: it holds the file's name.
const PATH_CHARS: usize = 400;
/// Names of a list at most.
const LIST_NAMES: usize = 10;
/// Characters of a whole message at most.
const MESSAGE_CHARS: usize = 3000;

/// One line of at most 80 characters of a foreign text; what does not print is escaped.
pub fn excerpt(text: &str) -> String {
    let (head, is_whole) = first_chars(text, EXCERPT_CHARS);
    let mut shown = escape(head);
    if !is_whole {
        shown.push('…');
    }
    shown
}

/// [`excerpt`] of bytes that may not be UTF-8: invalid ones are shown as `\xNN`.
pub fn excerpt_bytes(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4 * EXCERPT_CHARS)];
    let mut shown = String::new();
    let mut room = EXCERPT_CHARS;
    let mut taken = 0;
    for chunk in head.utf8_chunks() {
        let (valid, is_whole) = first_chars(chunk.valid(), room);
        shown.push_str(&escape(valid));
        taken += valid.len();
        room -= valid.chars().count();
        if !is_whole {
            break;
        }
        let invalid = &chunk.invalid()[..chunk.invalid().len().min(room)];
        for byte in invalid {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
        taken += invalid.len();
        room -= invalid.len();
    }
    if taken < bytes.len() {
        shown.push('…');
    }
    shown
}

/// A path on one line, with its end where it is very long.
pub fn excerpt_path(path: &Path) -> String {
    let text: String = path
        .as_os_str()
        .as_encoded_bytes()
        .utf8_chunks()
        .flat_map(|chunk| {
            let invalid = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            std::iter::once(escape(chunk.valid())).chain(invalid)
        })
        .collect();
    let count = text.chars().count();
    if count <= PATH_CHARS {
        return text;
    }
    let (head, _) = first_chars(&text, PATH_CHARS / 4);
    let tail: String = text
        .chars()
        .skip(count - (PATH_CHARS - PATH_CHARS / 4))
        .collect();
    format!("{head}…{tail}")
}

/// The first ten names in backticks, and how many more there are.
pub fn excerpt_list<S: AsRef<str>>(names: &[S]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(LIST_NAMES)
        .map(|name| format!("`{}`", excerpt(name.as_ref())))
        .collect();
    if names.len() > LIST_NAMES {
        shown.push(format!("{} more", names.len() - LIST_NAMES));
    }
    shown.join(", ")
}

/// A whole message, which may have several lines: line ends and tabs stay, all else that does
/// not print is escaped. For the place that prints, behind [`excerpt`] where messages are made.
pub fn escape_lines(text: &str) -> String {
    let (head, is_whole) = first_chars(text, MESSAGE_CHARS);
    let mut shown = String::with_capacity(head.len());
    for (index, line) in head.split('\n').enumerate() {
        if index > 0 {
            shown.push('\n');
        }
        for (index, cell) in line.split('\t').enumerate() {
            if index > 0 {
                shown.push('\t');
            }
            shown.push_str(&escape(cell));
        }
    }
    if !is_whole {
        shown.push('…');
    }
    shown
}

/// A text as it is written to a terminal, by the places that print: whatever was missed before, nothing but
/// line ends, tabs and colours reaches it.
pub fn for_terminal(text: &str, is_coloured: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\t', '\u{1b}']) {
        shown.push_str(&escape(&rest[..at]));
        rest = &rest[at..];
        let length = colour_code(rest).filter(|_| is_coloured).unwrap_or(1);
        match &rest[..length] {
            "\u{1b}" => shown.push_str(&escape("\u{1b}")),
            kept => shown.push_str(kept),
        }
        rest = &rest[length..];
    }
    shown.push_str(&escape(rest));
    shown
}

/// Length of the code that sets a colour at the start of a text.
fn colour_code(text: &str) -> Option<usize> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let length = codes.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    codes[length..].starts_with('m').then_some(length + 3)
}

/// The text with escapes for what does not print. Quotes and backslashes stay as they are: an
/// excerpt is to be read, not parsed.
fn escape(text: &str) -> String {
    const KEPT: [char; 5] = ['"', '\'', '\\', '\u{3000}', '\u{a0}'];
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(KEPT) {
        shown.extend(rest[..at].escape_debug());
        rest = &rest[at..];
        let mut letters = rest.chars();
        shown.extend(letters.next());
        rest = letters.as_str();
    }
    shown.extend(rest.escape_debug());
    shown
}

/// The first `limit` characters, and whether they are all.
fn first_chars(text: &str, limit: usize) -> (&str, bool) {
    match text.char_indices().nth(limit) {
        Some((end, _)) => (&text[..end], false),
        None => (text, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_hides_is_escaped() {
        for (text, shown) in [
            (
                "te\u{1b}[31mxt\u{1b}]0;owned\u{7}",
                "te\\u{1b}[31mxt\\u{1b}]0;owned\\u{7}",
            ),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\0"),
            ("\u{9b}31m\u{85}\u{7f}", "\\u{9b}31m\\u{85}\\u{7f}"),
            (
                "abc\u{202e}txt\u{2066}\u{200f}",
                "abc\\u{202e}txt\\u{2066}\\u{200f}",
            ),
            (
                "\u{200b}\u{feff}\u{ad}x\u{2028}",
                "\\u{200b}\\u{feff}\\u{ad}x\\u{2028}",
            ),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(excerpt(text), shown);
            assert_eq!(excerpt_bytes(text.as_bytes()), shown);
            assert_eq!(excerpt_path(Path::new(text)), shown);
        }
    }

    #[test]
    fn what_prints_stays_as_it_is() {
        for text in [
            r#"say "it's" \n"#,
            "房间又小又旧　好",
            "Straße, İstanbul, cafe\u{301}",
            "कक्षा ภาษาไทย",
            "😀👏🏽",
            "neg ",
        ] {
            assert_eq!(excerpt(text), text);
            assert_eq!(escape_lines(text), text);
        }
    }

    #[test]
    fn a_megabyte_is_shown_as_one_short_line() {
        for text in [
            "x".repeat(1 << 20),
            "\u{1b}".repeat(1 << 20),
            "é\n".repeat(1 << 19),
        ] {
            for shown in [excerpt(&text), excerpt_bytes(text.as_bytes())] {
                assert!(shown.chars().count() <= 6 * EXCERPT_CHARS + 1, "{shown}");
                assert!(shown.ends_with('…') && !shown.contains('\n'));
            }
            assert!(escape_lines(&text).chars().count() <= 6 * MESSAGE_CHARS + 1);
        }
        let long = "d/".repeat(2000) + "train.csv";
        let shown = excerpt_path(Path::new(&long));
        assert!(shown.ends_with("/train.csv") && shown.chars().count() == PATH_CHARS + 1);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_shown_by_number() {
        assert_eq!(excerpt_bytes(b"caf\xe9 \xff\xfe"), "caf\\xe9 \\xff\\xfe");
        let cut = [b"a".repeat(EXCERPT_CHARS - 1), vec![0xff; 1000]].concat();
        assert_eq!(
            excerpt_bytes(&cut),
            "a".repeat(EXCERPT_CHARS - 1) + "\\xff…"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_utf8_is_shown_by_number() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"data/caf\xe9.csv"));
        assert_eq!(excerpt_path(path), "data/caf\\xe9.csv");
    }

    #[test]
    fn a_list_shows_ten_names() {
        let names: Vec<String> = (0..12).map(|number| format!("n{number}\n")).collect();
        let shown = excerpt_list(&names);
        assert!(shown.starts_with("`n0\\n`, `n1\\n`") && shown.ends_with("`n9\\n`, 2 more"));
    }

    #[test]
    fn a_terminal_gets_lines_and_colours_alone() {
        let text = "\u{1b}[1;31merror\u{1b}[0m: a\n\tb\u{1b}[2J\u{1b}]0;x\u{7}\r\u{202e}";
        assert_eq!(
            for_terminal(text, true),
            "\u{1b}[1;31merror\u{1b}[0m: a\n\tb\\u{1b}[2J\\u{1b}]0;x\\u{7}\\r\\u{202e}"
        );
        assert!(for_terminal(text, false).starts_with("\\u{1b}[1;31merror"));
        let long = "x".repeat(100_000);
        assert_eq!(for_terminal(&long, true), long);
    }

    #[test]
    fn a_message_keeps_its_lines() {
        assert_eq!(
            escape_lines("a\n\tb\u{1b}[2J\r\nc"),
            "a\n\tb\\u{1b}[2J\\r\nc"
        );
    }
}
