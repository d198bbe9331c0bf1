//! Texts in other encodings than UTF-8.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

use super::magic::{ByteOrder, Kind};

/// UTF-16 and UTF-32, with a byte-order mark or without.
pub(super) fn wide(head: &[u8]) -> Option<Kind> {
    match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Some(Kind::Utf32(ByteOrder::Mark));
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Kind::Utf16(ByteOrder::Mark)),
        _ => {}
    }
    if !head.contains(&0) {
        return None;
    }
    let four = |read: fn([u8; 4]) -> u32| {
        let mut units = head.as_chunks::<4>().0.iter();
        head.len() >= 8 && units.all(|unit| char::from_u32(read(*unit)).is_some_and(is_text))
    };
    if four(u32::from_le_bytes) {
        return Some(Kind::Utf32(ByteOrder::Little));
    }
    if four(u32::from_be_bytes) {
        return Some(Kind::Utf32(ByteOrder::Big));
    }
    // Read in the wrong order ASCII is Chinese: the order that gives more ASCII is the right one.
    let two = |read: fn([u8; 2]) -> u16| {
        let (units, rest) = head.as_chunks::<2>();
        let is_cut = head.len() == super::HEAD_BYTES;
        // The first bytes of a file may end inside a character, a whole file does not.
        let units = &units[..units.len() - usize::from(is_cut)];
        let ascii = units.iter().filter(|unit| read(**unit) < 0x80).count();
        let mut characters = char::decode_utf16(units.iter().map(|unit| read(*unit)));
        let is_text = characters.all(|character| character.is_ok_and(is_text));
        (is_text && units.len() >= 4 && rest.is_empty()).then_some(ascii)
    };
    match (two(u16::from_le_bytes), two(u16::from_be_bytes)) {
        (None, None) => None,
        (little, big) if little >= big => Some(Kind::Utf16(ByteOrder::Little)),
        _ => Some(Kind::Utf16(ByteOrder::Big)),
    }
}

/// Characters that texts are made of.
fn is_text(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' | '\u{feff}' => true,
        // Private use, and what is no character.
        '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{f0000}'.. => false,
        other => !other.is_control(),
    }
}

/// Texts whose lines or whose end are not as they should be, and what is no text.
pub(super) fn layout(head: &[u8]) -> Option<Kind> {
    let end = head.iter().rposition(|&byte| byte != 0);
    let (text, zeros) = head.split_at(end.map_or(0, |last| last + 1));
    if !zeros.is_empty() && !text.contains(&0) {
        return Some(Kind::Zeros { only: false });
    }
    let is_binary = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    let controls = head.iter().filter(is_binary).count();
    if controls > 3
        && controls * 50 > head.len()
        && (head.contains(&0) || std::str::from_utf8(head).is_err())
    {
        return Some(Kind::Other("binary file"));
    }
    let has_line = head.contains(&b'\n');
    (head.contains(&b'\r') && !has_line && head != b"\r").then_some(Kind::CarriageReturns)
}

/// What a text is that is not UTF-8, by a part of it. `None` where the part is UTF-8 after all.
pub(super) fn narrow(sample: &[u8]) -> Option<Kind> {
    let fault = std::str::from_utf8(sample).err()?;
    if fault.error_len().is_none() {
        return Some(Kind::CutCharacter);
    }
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for line in sample.split(|&byte| byte == b'\n') {
        if !line.is_ascii() {
            match std::str::from_utf8(line) {
                Ok(_) => valid += 1,
                Err(_) => invalid += 1,
            }
        }
    }
    let encoding = guess(sample);
    // A line of two-byte characters may be UTF-8 by chance; of one-byte ones it hardly is.
    let is_mixed = match encoding {
        Some(encoding) if is_multi_byte(encoding) => valid * 5 >= invalid,
        _ => valid > 0,
    };
    Some(match encoding {
        _ if is_mixed => Kind::MixedEncoding,
        Some(encoding) => Kind::Encoded(iconv_name(encoding)?),
        None => Kind::UnknownEncoding,
    })
}

/// The encoding of a text, where it is certain enough to name it: each half must speak for the same, and
/// a few characters are no evidence.
fn guess(text: &[u8]) -> Option<&'static Encoding> {
    let encoding = detect(text)?;
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(text)?;
    if !decoded.chars().all(is_text) {
        return None;
    }
    let foreign = text.iter().filter(|byte| !byte.is_ascii());
    let is_punctuation = |byte: &u8| matches!(byte, 0x80 | 0x85 | 0x91..=0x97);
    // Quotation marks and dashes are the same in all encodings of Windows.
    let is_certain = foreign.clone().all(is_punctuation) || foreign.count() >= ENOUGH_BYTES;
    let is_latin = matches!(
        iconv_name(encoding)?,
        "WINDOWS-1250"
            | "WINDOWS-1252"
            | "WINDOWS-1254"
            | "WINDOWS-1257"
            | "WINDOWS-1258"
            | "ISO-8859-2"
            | "ISO-8859-4"
    );
    if !is_certain || is_latin && !is_plausible_latin(&decoded) {
        return None;
    }
    let middle = text.len() / 2;
    let end = text[middle..].iter().position(|&byte| byte == b'\n');
    let (first, second) = text.split_at(end.map_or(text.len(), |end| middle + end));
    let agrees = |half: &[u8]| {
        let foreign = half.iter().filter(|byte| !byte.is_ascii()).count();
        foreign < 2 * ENOUGH_BYTES || detect(half) == Some(encoding)
    };
    (agrees(first) && agrees(second)).then_some(encoding)
}

/// Bytes outside ASCII from which on a guess counts.
const ENOUGH_BYTES: usize = 4;

fn detect(text: &[u8]) -> Option<&'static Encoding> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(text, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    iconv_name(encoding).map(|_| encoding)
}

/// Whether no sign stands where only a letter can: the encodings of DOS and the Mac, which the detector does not
/// have, show as `caf‚`, `d‡j…` and `itÕs`.
fn is_plausible_latin(text: &str) -> bool {
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_inside =
            before.is_lowercase() && letters.peek().is_some_and(|next| next.is_lowercase());
        let is_odd = match letter {
            '\u{201a}' | '\u{201e}' | '\u{2020}' | '\u{2021}' | '\u{2c6}' | '\u{192}'
            | '\u{a4}' => before.is_alphabetic(),
            '\u{2026}' | '\u{201d}' | '\u{a2}' | '\u{a1}' | '\u{a3}' | '\u{a7}' => is_inside,
            _ => !letter.is_ascii() && letter.is_uppercase() && before.is_lowercase(),
        };
        if is_odd {
            return false;
        }
        before = letter;
    }
    true
}

fn is_multi_byte(encoding: &'static Encoding) -> bool {
    !encoding.is_single_byte()
}

/// The name that `iconv` has for it.
fn iconv_name(encoding: &'static Encoding) -> Option<&'static str> {
    Some(match encoding.name() {
        "windows-1250" => "WINDOWS-1250",
        "windows-1251" => "WINDOWS-1251",
        "windows-1252" => "WINDOWS-1252",
        "windows-1253" => "WINDOWS-1253",
        "windows-1254" => "WINDOWS-1254",
        "windows-1255" => "WINDOWS-1255",
        "windows-1256" => "WINDOWS-1256",
        "windows-1257" => "WINDOWS-1257",
        "windows-1258" => "WINDOWS-1258",
        "windows-874" => "CP874",
        "ISO-8859-2" => "ISO-8859-2",
        "ISO-8859-4" => "ISO-8859-4",
        "ISO-8859-5" => "ISO-8859-5",
        "ISO-8859-6" => "ISO-8859-6",
        "ISO-8859-7" => "ISO-8859-7",
        "ISO-8859-8" => "ISO-8859-8",
        "KOI8-U" => "KOI8-U",
        "IBM866" => "CP866",
        "GBK" => "GB18030",
        "Big5" => "BIG5-HKSCS",
        "Shift_JIS" => "CP932",
        "EUC-JP" => "EUC-JP",
        "EUC-KR" => "CP949",
        _ => return None,
    })
}
