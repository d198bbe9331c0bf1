//! Pages and comments name files, headings and tests of this repository: each must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::harness::Test;
use crate::reference::Anchors;

/// Folders whose files are named from the root.
const ROOTS: [&str; 8] = [
    "src", "docs", "fixtures", "scripts", "tests", "bench", "fuzz", ".ci",
];

/// Endings of files that are also named without their folder.
const BARE: [&str; 4] = [".rs", ".md", ".cpp", ".inc"];

/// What is built, fetched or written by a run.
const NOT_OURS: [&str; 6] = [
    "target",
    "runs",
    "data",
    "models",
    "fuzz/artifacts",
    "fuzz/target",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository, relative to its root.
fn files() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_hidden = name.starts_with('.') && name != ".ci";
            let path = folder.join(&name);
            if !entry.file_type().unwrap().is_dir() {
                found.insert(path);
            } else if !is_hidden && !NOT_OURS.iter().any(|other| path == Path::new(other)) {
                folders.push(path);
            }
        }
    }
    found
}

/// The part of a line that a person reads: a page's whole line, a comment of code.
fn prose<'a>(path: &Path, line: &'a str) -> &'a str {
    let after = |mark: &str| line.split_once(mark).map_or("", |(_, comment)| comment);
    let in_comment = || after("//!").len().max(after("// ").len());
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("md") => line,
        Some("rs" | "cpp" | "h" | "inc") => &line[line.len() - in_comment()..],
        Some("py" | "toml" | "yml" | "yaml") => after("#"),
        None if !path.starts_with("runs") => after("#"),
        _ => "",
    }
}

/// Files that a text names: paths from the root, and sources and pages by their bare name.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./#*{},<>~".contains(c);
    let words = text.split(move |c| !is_part(c));
    words
        .map(|word| word.trim_end_matches(['.', ',', '/']))
        .filter(|word| {
            let path = word.split('#').next().unwrap_or_default();
            let is_rooted = ROOTS.iter().any(|root| {
                path.strip_prefix(root)
                    .is_some_and(|rest| rest.starts_with('/'))
            });
            let is_bare = BARE
                .iter()
                .any(|ending| path.len() > ending.len() && path.ends_with(ending));
            // Addresses, patterns, and what stands for another name.
            let is_other = word.starts_with("//") || word.contains(['*', '{', '<', '~']);
            let is_made = NOT_OURS.iter().any(|other| path.starts_with(other));
            (is_rooted || is_bare) && !is_other && !is_made && !path.starts_with('/')
        })
}

/// The file that `name` in `page` means: from the root, from the page's folder, or the end of a path.
fn resolve(files: &BTreeSet<PathBuf>, page: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let mut beside = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in name.components() {
        match part {
            Component::ParentDir => drop(beside.pop()),
            part => beside.push(part),
        }
    }
    let exact = [name.to_owned(), beside];
    let exact = exact.into_iter().find(|path| root().join(path).exists());
    exact.or_else(|| files.iter().find(|file| file.ends_with(name)).cloned())
}

/// Why a name of a file, perhaps with a heading, is wrong.
fn fault(files: &BTreeSet<PathBuf>, page: &Path, named: &str) -> Option<String> {
    let (name, heading) = match named.split_once('#') {
        Some((name, heading)) => (name, Some(heading)),
        None => (named, None),
    };
    let Some(file) = resolve(files, page, name) else {
        return Some(format!("there is no `{name}`"));
    };
    let heading = heading.filter(|_| file.extension().is_some_and(|end| end == "md"))?;
    let text = fs::read_to_string(root().join(&file)).ok()?;
    let found = headings(&text).contains(heading);
    (!found).then(|| format!("`{name}` has no heading `#{heading}`"))
}

/// Anchors of a page's headings.
fn headings(text: &str) -> BTreeSet<String> {
    let mut anchors = Anchors::default();
    let mut in_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !in_code) {
            found.insert(anchors.of(heading.trim_start_matches('#').trim()));
        }
    }
    found
}

#[test]
fn every_file_that_a_page_or_comment_names_exists() {
    let files = files();
    let mut faults = Vec::new();
    for path in &files {
        let Ok(text) = fs::read_to_string(root().join(path)) else {
            continue; // weights and the like
        };
        for (number, line) in (1..).zip(text.lines()) {
            let found = named(prose(path, line)).filter_map(|name| fault(&files, path, name));
            faults.extend(found.map(|fault| format!("{}:{number}: {fault}", path.display())));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_file_or_heading_that_does_not_exist_is_found() {
    let files = files();
    let page = Path::new("docs/concepts/losses.md");
    let fault = |name: &str| fault(&files, page, name);
    assert_eq!(fault("src/kernel/losses.rs"), None);
    assert_eq!(fault("losses.rs"), None);
    assert_eq!(fault("../reference/recipes.md"), None);
    assert_eq!(fault("docs/concepts/losses.md#attention"), None);
    let missing = Some("there is no `src/no-such.rs`".to_owned());
    assert_eq!(fault("src/no-such.rs"), missing);
    assert!(fault("no-such.md").is_some());
    assert!(fault("../no-such/recipes.md").is_some());
    let heading = fault("docs/concepts/losses.md#no-such").unwrap();
    assert!(heading.contains("has no heading"), "{heading}");
}

#[test]
fn names_of_files_are_found_in_prose() {
    let found = |text| named(text).collect::<Vec<_>>();
    let text = "See [it](../a/b.md#c), `src/x` (y.rs) and fixtures/z.json.";
    assert_eq!(
        found(text),
        ["../a/b.md#c", "src/x", "y.rs", "fixtures/z.json"]
    );
    assert!(
        found("https://example.org/src/a.md, `data/x.csv`, src/{a,b}.rs, tests/*.rs").is_empty()
    );
    let code = Path::new("src/a.rs");
    assert_eq!(
        prose(code, "let a = \"b.md\"; // see README.md"),
        "see README.md"
    );
    assert_eq!(prose(code, "let a = \"b.md\";"), "");
}

/// Columns of a row of a Markdown table; `\\|` is no border.
fn columns(row: &str) -> usize {
    row.replace("\\|", "").matches('|').count()
}

#[test]
fn every_row_of_a_table_has_the_columns_of_its_header() {
    let is_page = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "md");
    for path in files().iter().filter(is_page) {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let (mut header, mut in_code) = (None, false);
        for (number, line) in (1..).zip(text.lines()) {
            in_code ^= line.starts_with("```");
            if in_code || !line.starts_with('|') {
                header = None;
                continue;
            }
            let expected = *header.get_or_insert(columns(line));
            assert_eq!(columns(line), expected, "{}:{number}", path.display());
        }
    }
}

/// Names of all tests.
fn tests() -> Vec<String> {
    let mut found = Vec::new();
    for path in files() {
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            is_test |= line == "#[test]";
            if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                found.push(rest.split('(').next().unwrap_or_default().to_owned());
                is_test = false;
            }
        }
    }
    found
}

#[test]
fn every_test_that_a_guarantee_names_exists() {
    let page = fs::read_to_string(root().join("docs/concepts/durability.md")).unwrap();
    let tests = tests();
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let column = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in column.split('`').skip(1).step_by(2) {
            if name.contains('_') {
                named += 1;
                // As `cargo test NAME` finds it.
                assert!(
                    tests.iter().any(|test| test.contains(name)),
                    "no test `{name}`"
                );
            }
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn every_field_of_a_plan_is_documented() {
    fn fields(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    found.insert(name.clone());
                    fields(value, found);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| fields(value, found)),
            _ => {}
        }
    }
    let test = Test::new();
    let plan = test
        .run(&["x.toml", "--dry-run", "--json"])
        .succeeds()
        .stdout;
    let mut found = BTreeSet::new();
    fields(&serde_json::from_str(&plan).unwrap(), &mut found);
    let page = fs::read_to_string(root().join("docs/reference/plan-json.md")).unwrap();
    for name in found {
        assert!(
            page.contains(&format!("`{name}`")),
            "`{name}` is not in plan-json.md"
        );
    }
}
