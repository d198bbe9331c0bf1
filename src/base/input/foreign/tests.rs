//! Every kind of foreign file, and the hints followed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

const ROWS: &str = "text,label\norder 0 was bad,neg\norder 1 was fine,pos\n";

fn kind_of(head: &[u8]) -> Option<Kind> {
    recognize(head, Expected::Table).map(|found| found.kind)
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    let units = mark.into_iter().chain(text.encode_utf16());
    units
        .flat_map(|unit| {
            if little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        })
        .collect()
}

fn utf32(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = mark.then_some('\u{feff}');
    let letters = mark.into_iter().chain(text.chars()).map(u32::from);
    letters
        .flat_map(|letter| {
            if little {
                letter.to_le_bytes()
            } else {
                letter.to_be_bytes()
            }
        })
        .collect()
}

fn encoded(encoding: &str, text: &str) -> Vec<u8> {
    let encoding = encoding_rs::Encoding::for_label(encoding.as_bytes()).expect(encoding);
    let (bytes, _, lossy) = encoding.encode(text);
    assert!(!lossy, "{text} in {}", encoding.name());
    bytes.into_owned()
}

#[test]
fn binary_files_are_recognized_whatever_their_name() {
    use Kind::{Archive, Compressed, Other, OtherWeights, Spreadsheet};
    let zip = |name: &str| [b"PK\x03\x04\x14\0\0\0\0\0abcdefgh", name.as_bytes()].concat();
    let cases: &[(&[u8], Kind)] = &[
        (
            b"\x1f\x8b\x08\0\0\0\0\0\x02\xff",
            Compressed(Compression::Gzip),
        ),
        (b"BZh91AY&SY\x12\x34", Compressed(Compression::Bzip2)),
        (b"\xfd7zXZ\0\0\x04", Compressed(Compression::Xz)),
        (b"\x28\xb5\x2f\xfd\x24", Compressed(Compression::Zstd)),
        (b"\x04\x22\x4d\x18d@", Compressed(Compression::Lz4)),
        (b"LZIP\x01\x0c", Compressed(Compression::Lzip)),
        (b"\x1f\x9d\x90", Compressed(Compression::Compress)),
        (b"7z\xbc\xaf\x27\x1c\0\x04", Archive("7z archive")),
        (b"Rar!\x1a\x07\x01\0", Archive("rar archive")),
        (&zip("train.csv"), Archive("zip archive")),
        (&zip("archive/data.pkl"), Kind::TorchArchive),
        (
            &zip("xl/workbook.xml"),
            Spreadsheet("Excel workbook (.xlsx)"),
        ),
        (
            &zip("[Content_Types].xml"),
            Spreadsheet("Office document, most likely an Excel workbook (.xlsx)"),
        ),
        (
            &zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
            Spreadsheet("OpenDocument spreadsheet (.ods)"),
        ),
        (
            &zip("[Content_Types].xml....word/document.xml"),
            Other("Word document"),
        ),
        (&zip("arr_0.npy"), Other("NumPy archive (.npz)")),
        (
            b"PAR1\x15\x04\x15\0",
            magic_frame("Parquet file", "read_parquet"),
        ),
        (b"PARE\x15\0", Other("encrypted Parquet file")),
        (
            b"ARROW1\0\0\xff\xff\xff\xff",
            magic_frame("Arrow (Feather) file", "read_feather"),
        ),
        (
            b"\xff\xff\xff\xff\xa8\x02\0\0\x10\0\0\0\0\0\x0a\0",
            Kind::ArrowStream,
        ),
        (b"FEA1\0\0\0\0", magic_frame("Feather file", "read_feather")),
        (b"ORC\x08\x03\0", magic_frame("ORC file", "read_orc")),
        (b"Obj\x01\x04\x14avro.codec", Other("Avro file")),
        (b"\x89HDF\r\n\x1a\n\0\0", Kind::Hdf5),
        (b"\x93NUMPY\x01\0v\0{", Other("NumPy array (.npy)")),
        (b"SQLite format 3\0\x10\0", Kind::Sqlite),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0",
            Spreadsheet("Excel workbook (.xls)"),
        ),
        (b"%PDF-1.7\n%\xe2\xe3", Other("PDF document")),
        (b"{\\rtf1\\ansi", Other("RTF document")),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Other("PNG image")),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", Other("JPEG image")),
        (b"\x7fELF\x02\x01\x01\0", Other("program (ELF)")),
        (b"\x80\x04\x95\x1e\0\0\0", Kind::Pickle),
        (b"\x80\x02}q\0(", Kind::Pickle),
        (
            b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}",
            Kind::Safetensors,
        ),
        (
            b"\x15\x03\0\0\0\0\0\0{\"header_size\":16384}",
            Kind::MindRecord,
        ),
        (
            b"\xa1\0\0\0\0\0\0\0\x02\xe3\x24\x1b\x0a\x9e\x01",
            Kind::TfRecord,
        ),
        (b"GGUF\x03\0\0\0", OtherWeights("GGUF file of llama.cpp")),
        (
            b"\x1c\0\0\0TFL3\x14\0",
            OtherWeights("TensorFlow Lite model"),
        ),
        (&[0; 4000], Kind::Zeros { only: true }),
        (
            b"\x0a\xc3\x1e\x0a.bert.embeddings\x12\x01\0\0\x07\x8f\xff\0\0\x01",
            Other("binary file"),
        ),
    ];
    for (head, kind) in cases {
        for expected in [Expected::Table, Expected::Corpus] {
            let found = recognize(head, expected).map(|found| found.kind);
            assert_eq!(found, Some(*kind), "{}", crate::input::excerpt_bytes(head));
        }
    }
    let mut tar = b"train.csv".to_vec();
    tar.resize(257, 0);
    tar.extend(b"ustar\x0000");
    assert_eq!(kind_of(&tar), Some(Archive("tar archive")));
}

fn magic_frame(form: &'static str, reader: &'static str) -> Kind {
    Kind::Frame { form, reader }
}

#[test]
fn texts_of_other_forms_are_recognized() {
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    let cases: &[(&str, Kind)] = &[
        (lfs, Kind::Pointer(Pointer::Lfs)),
        (
            "/annex/objects/MD5E-s12--ab.csv\n",
            Kind::Pointer(Pointer::Annex),
        ),
        ("<!DOCTYPE html>\n<html lang=\"en\">", Kind::Html),
        ("\u{feff}\n  <HTML><head><title>Sign in", Kind::Html),
        (
            "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"\"><html>",
            Kind::Html,
        ),
        (
            "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code>",
            Kind::Xml,
        ),
        (
            "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n",
            Kind::JsonLines,
        ),
        ("{\"text\": \"only one\"}\n", Kind::JsonLines),
        ("{\"text\": \"cut", Kind::JsonLines),
        ("{\n  \"train\": [\n", Kind::Json),
        ("[{\"text\": \"a\"}, {\"text\": \"b\"}]", Kind::JsonRecords),
        ("[\n  {\n    \"text\": \"a\"", Kind::JsonRecords),
        ("[[\"text\", \"label\"],", Kind::Json),
        ("\u{feff}[\"what is it\", \"oos\"]", Kind::Json),
        ("text,label\rgood,1\rbad,0\r", Kind::CarriageReturns),
        ("text,label\n\0\0\0\0\0\0", Kind::Zeros { only: false }),
    ];
    for (text, kind) in cases {
        assert_eq!(kind_of(text.as_bytes()), Some(*kind), "{text:?}");
    }
}

#[test]
fn tables_and_texts_that_only_look_alike_are_left_alone() {
    for text in [
        ROWS,
        "",
        "\r",
        "{name},label\nhello {\"a\"},1\n",
        "[CLS],label\na,1\n",
        "[1] In the beginning,x\n",
        "<unk> text\n<s>,label\n",
        "ORCID,text,label\n1,a,b\n",
        "GIF8,PAR1,GGUF\na,b,c\n",
        "PK,text\n1,a\n",
        "text,label\r\ngood,1\r\n",
        "房间又小又旧,neg\n",
        "text\tlabel\n\u{1b}[31mred\t1\n",
        "version,text,label\n1,a,b\n",
    ] {
        assert_eq!(kind_of(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn wide_encodings_are_recognized_with_and_without_a_mark() {
    let chinese = "文本,标签\n房间又小又旧而且晚上很吵,差\n";
    for text in [ROWS, chinese] {
        for (little, order) in [(true, ByteOrder::Little), (false, ByteOrder::Big)] {
            assert_eq!(
                kind_of(&utf16(text, little, true)),
                Some(Kind::Utf16(ByteOrder::Mark))
            );
            assert_eq!(
                kind_of(&utf16(text, little, false)),
                Some(Kind::Utf16(order))
            );
            assert_eq!(
                kind_of(&utf32(text, little, true)),
                Some(Kind::Utf32(ByteOrder::Mark))
            );
            assert_eq!(
                kind_of(&utf32(text, little, false)),
                Some(Kind::Utf32(order))
            );
        }
    }
}

#[test]
fn weights_are_left_alone_where_weights_are_expected() {
    let found = |head: &[u8]| recognize(head, Expected::Weights).map(|found| found.kind);
    assert_eq!(found(b"\x80\x02}q\0("), None);
    assert_eq!(found(b"PK\x03\x04........archive/data.pkl"), None);
    assert_eq!(found(b"\x40\0\0\0\0\0\0\0{\"a\":{}}"), None);
    assert_eq!(found(b"\x89HDF\r\n\x1a\n\0\0"), Some(Kind::Hdf5));
    let page = recognize(b"<!doctype html><p>404", Expected::Weights).expect("a page");
    let hint = page.hint(Path::new("model.safetensors")).expect("a hint");
    assert!(hint.starts_with("download the file again"), "{hint}");
}

/// Texts with the encodings that people save them in.
const TEXTS: &[(&str, &str)] = &[
    (
        "windows-1252",
        "order 0 was awful “so” — it’s 5€,neg\norder 1 it’s “fine”,pos\n",
    ),
    (
        "windows-1252",
        "Das Zimmer war schön, aber zu groß,gut\nÜber die Straße gehört,schlecht\n",
    ),
    (
        "windows-1252",
        "La habitación está bien,¿no?\nEl niño comió mañana,sí\n",
    ),
    (
        "windows-1252",
        "Le café était déjà fermé,non\nÇa a été très agréable à Noël,oui\n",
    ),
    (
        "windows-1250",
        "Pokój był brudny a śniadanie zimne,źle\nWszystko było świetne,dobrze\n",
    ),
    (
        "ISO-8859-2",
        "Pokój był brudny a śniadanie zimne,źle\nWszystko było świetne,dobrze\n",
    ),
    (
        "windows-1250",
        "Příliš žluťoučký kůň úpěl ďábelské ódy,špatně\n",
    ),
    (
        "windows-1251",
        "Номер был грязный и холодный,плохо\nВсё было хорошо,хорошо\n",
    ),
    (
        "KOI8-U",
        "Номер был грязный и холодный,плохо\nВсе было хорошо,хорошо\n",
    ),
    (
        "IBM866",
        "Номер был грязный и холодный,плохо\nВсе было хорошо,хорошо\n",
    ),
    (
        "windows-1253",
        "Το δωμάτιο ήταν καθαρό και ωραίο,καλό\nΤο πρωινό ήταν κρύο,κακό\n",
    ),
    (
        "windows-1254",
        "Oda çok küçük ve kirliydi,kötü\nŞöyle böyle ığdır çok güzeldi,iyi\n",
    ),
    (
        "windows-1255",
        "החדר היה קטן וישן מאוד,רע\nארוחת הבוקר הייתה טובה,טוב\n",
    ),
    (
        "windows-1256",
        "كانت الغرفة صغيرة وقديمة جدا,سيئ\nكان الإفطار لذيذا,جيد\n",
    ),
    ("windows-874", "ห้องเล็กและเก่ามาก,แย่\nอาหารเช้าอร่อยมาก,ดี\n"),
    (
        "GBK",
        "房间又小又旧而且晚上很吵,差\n这家酒店的房间很大服务也很好,好\n",
    ),
    (
        "Big5",
        "房間又小又舊而且晚上很吵,差\n這家飯店的房間很大服務也很好,好\n",
    ),
    (
        "Shift_JIS",
        "部屋は狭くて古かったです,悪い\n朝食はとても美味しかった,良い\n",
    ),
    (
        "EUC-JP",
        "部屋は狭くて古かったです,悪い\n朝食はとても美味しかった,良い\n",
    ),
    (
        "EUC-KR",
        "방이 작고 오래되었어요,나쁨\n아침 식사가 아주 맛있었어요,좋음\n",
    ),
];

/// What the first fault of a table is.
fn fault_in(folder: &Path, bytes: &[u8]) -> (std::path::PathBuf, Option<Foreign>) {
    let path = folder.join("my reviews.csv");
    fs::write(&path, bytes).expect("written");
    let offset = std::str::from_utf8(bytes)
        .err()
        .map(|error| error.valid_up_to() as u64);
    let found = recognize_file(&path, offset, Expected::Table).expect("readable");
    (path, found)
}

/// Runs the command of a hint and returns what it wrote.
fn follow(hint: &str, folder: &Path) -> Vec<u8> {
    let command = hint
        .split('`')
        .nth(1)
        .unwrap_or_else(|| panic!("no command in: {hint}"));
    let before: Vec<_> = fs::read_dir(folder)
        .expect("listed")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let status = Command::new("sh")
        .args(["-c", command])
        .status()
        .expect("a shell");
    assert!(status.success(), "{command}");
    let mut after = fs::read_dir(folder)
        .expect("listed")
        .flatten()
        .map(|entry| entry.path());
    let new = after
        .find(|path| !before.contains(path))
        .expect("a new file");
    fs::read(new).expect("read")
}

#[test]
fn the_hint_for_an_encoding_gives_back_the_text() {
    let mut wrong = Vec::new();
    for (encoding, text) in TEXTS {
        for times in [1, 30] {
            let folder = tempfile::tempdir().expect("a folder");
            let text = format!("text,label\n{}", text.repeat(times));
            let (path, found) = fault_in(folder.path(), &encoded(encoding, &text));
            let found = found.expect("not UTF-8");
            if found.kind == Kind::UnknownEncoding {
                wrong.push(format!("{encoding} x{times}: unknown"));
                continue;
            }
            let hint = found.hint(&path).expect("a hint");
            if follow(&hint, folder.path()) != text.as_bytes() {
                wrong.push(format!("{encoding} x{times}: {hint}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_hints_for_wide_encodings_and_line_ends_give_back_the_text() {
    let text = "text,label\norder “0”,neg\n房间又小又旧,pos\n";
    for little in [true, false] {
        for mark in [true, false] {
            for bytes in [utf16(text, little, mark), utf32(text, little, mark)] {
                let folder = tempfile::tempdir().expect("a folder");
                let (path, found) = fault_in(folder.path(), &bytes);
                let hint = found.and_then(|found| found.hint(&path)).expect("a hint");
                assert_eq!(follow(&hint, folder.path()), text.as_bytes(), "{hint}");
            }
        }
    }
    let zeros = [ROWS.as_bytes(), &[0; 99]].concat();
    for bytes in [ROWS.replace('\n', "\r").into_bytes(), zeros] {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, found) = fault_in(folder.path(), &bytes);
        let hint = found.and_then(|found| found.hint(&path)).expect("a hint");
        assert_eq!(follow(&hint, folder.path()), ROWS.as_bytes(), "{hint}");
    }
}

#[test]
fn no_encoding_is_named_where_it_is_not_certain() {
    let folder = tempfile::tempdir().expect("a folder");
    let kind = |bytes: &[u8]| fault_in(folder.path(), bytes).1.expect("not UTF-8").kind;
    let table = |text: &[u8]| [b"text,label\n", text].concat();
    for (what, bytes) in [
        ("one letter", &b"caf\xe9,1\n"[..]),
        (
            "Mac Roman",
            b"caf\x8e d\x8ej\x88 vu,1\nit\xd5s \xd2fine\xd3,0\nle caf\x8e,1\n",
        ),
        (
            "DOS",
            b"caf\x82 d\x82j\x85 vu,1\n\x87a a \x82t\x82,0\nle caf\x82,1\n",
        ),
        ("a sign", &b"5 \xa4,1\n"[..]),
    ] {
        assert_eq!(kind(&table(bytes)), Kind::UnknownEncoding, "{what}");
    }
    let mixed = ["caf\u{e9},1\nna\u{ef}ve,0\n".as_bytes(), b"caf\xe9,1\n"].concat();
    assert_eq!(kind(&table(&mixed)), Kind::MixedEncoding);
    let chinese = [
        "房间又小又旧,1\n".repeat(9).into_bytes(),
        encoded("GBK", "好,1\n"),
    ]
    .concat();
    assert_eq!(kind(&table(&chinese)), Kind::MixedEncoding);
    assert_eq!(
        kind(&table(
            "good,1\ncaf\u{e9}".as_bytes().split_last().unwrap().1
        )),
        Kind::CutCharacter
    );
}

#[test]
fn commands_name_files_as_a_shell_takes_them() {
    let found = Foreign {
        kind: Kind::Compressed(Compression::Gzip),
        expected: Expected::Table,
    };
    let hint = |path: &str| found.hint(Path::new(path)).expect("a hint");
    assert_eq!(
        hint("data/a.csv.gz"),
        "unpack it: `gzip -dc < data/a.csv.gz > data/a.csv`"
    );
    assert_eq!(
        hint("a.csv"),
        "unpack it: `gzip -dc < a.csv > a-unpacked.csv`"
    );
    assert_eq!(
        hint("it's.gz"),
        r"unpack it: `gzip -dc < 'it'\''s.gz' > 'it'\''s'`"
    );
    assert_eq!(hint("-x.gz"), "unpack it: `gzip -dc < ./-x.gz > ./-x`");
    assert_eq!(hint("a\u{1b}[2J.gz"), "unpack it");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.csv"), ROWS).expect("written");
    let hint = found.hint(&folder.path().join("a.csv.gz")).expect("a hint");
    assert_eq!(hint, "unpack it", "the command would overwrite a file");
}
