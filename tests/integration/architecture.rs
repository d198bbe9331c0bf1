//! The order of the rooms in `src/`, as docs/development/architecture.md has it in a table, and no circles
//! of files in a room.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by name, and what each may use, in the order of the page.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let page = source("docs/development/architecture.md");
    let (_, table) = page.split_once("| room | uses |").expect("a table");
    let rows = table.lines().skip(2);
    let rows = rows.map_while(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (room, uses) = row.split_once("` |").expect("two columns");
        let uses = uses.split('`').skip(1).step_by(2);
        (room.to_owned(), uses.map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).expect("read")
}

/// A file's code without its tests and comments.
fn code(path: &Path) -> String {
    let text = source(path);
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    code.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// Files and folders in a folder, but for those of tests.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("listed");
    let paths = entries.map(|entry| folder.join(entry.expect("an entry").file_name()));
    let is_test = |path: &PathBuf| {
        let name = path.file_stem();
        name.is_some_and(|name| name == "tests" || name == "testing")
    };
    paths.filter(|path| !is_test(path)).collect()
}

/// Every file of Rust in a folder and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if root().join(&path).is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The first names after a prefix such as `crate::`, those of a list in braces each.
fn names_after<'a>(code: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let name = |text: &'a str| text.split(|c| !is_part(c)).next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c| is_part(c) || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        found.insert(name(list.trim_start()));
        for (place, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(name(list[place + 1..].trim_start()));
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn names_are_found_in_paths_and_in_lists() {
    let code = "use crate::{a::{b, c}, d};\nuse crate::e::F;\nx::crate::g; $crate::h";
    let found: Vec<&str> = names_after(code, "crate::").into_iter().collect();
    assert_eq!(found, ["a", "d", "e", "h"]);
}

/// The folder of a room: that of the package `tinyrun-base` if it is there.
fn folder_of(room: &str) -> PathBuf {
    let shared = Path::new(BASE).join(room);
    if root().join(&shared).is_dir() {
        shared
    } else {
        Path::new("src").join(room)
    }
}

const BASE: &str = "src/base";

/// Folders of rooms, in all packages.
fn folders() -> BTreeSet<PathBuf> {
    let own = entries(Path::new("src")).into_iter();
    // The file of a program that calls the kernel.
    let own = own.filter(|path| !path.ends_with("base") && !path.ends_with("bin"));
    let all = own.chain(entries(Path::new(BASE)));
    all.filter(|path| root().join(path).is_dir()).collect()
}

#[test]
fn a_room_uses_only_the_rooms_that_the_table_allows() {
    let table = table();
    let rooms: BTreeSet<PathBuf> = table.iter().map(|(room, _)| folder_of(room)).collect();
    assert_eq!(folders(), rooms, "rooms in src/ and in the table");
    let mut faults = Vec::new();
    let mut above = BTreeSet::new();
    for (room, allowed) in &table {
        let is_not_above = |used: &&String| !above.contains(*used);
        for used in allowed.iter().filter(is_not_above) {
            faults.push(format!(
                "the table lets `{room}` use `{used}`, which is not above it"
            ));
        }
        for file in files(&folder_of(room)) {
            let code = code(&file);
            // In the kernel, `crate` is the kernel itself.
            let prefix = match &room[..] {
                "kernel" => "tinyrun_base::",
                _ => "crate::",
            };
            let used = names_after(&code, prefix);
            let is_room = |used: &&&str| table.iter().any(|(room, _)| room == **used);
            for used in used.iter().filter(is_room) {
                if *used != room && !allowed.contains(*used) {
                    faults.push(format!("{} uses `{used}`", file.display()));
                }
            }
        }
        above.insert(room);
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Files of a folder by module name, and which of the others each uses, by its name or by a name that
/// `mod.rs` hands on.
fn uses_of(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let room = folder.join("mod.rs");
    let is_room = root().join(&room).is_file();
    let handed_on = if is_room { code(&room) } else { String::new() };
    let modules = entries(folder).into_iter();
    let modules = modules.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let modules = modules.filter(|path| !path.ends_with("mod.rs"));
    let modules: BTreeMap<String, PathBuf> = modules
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                path,
            )
        })
        .collect();
    let mut home: BTreeMap<&str, &str> = BTreeMap::new();
    for module in modules.keys() {
        let names = names_after(&handed_on, &format!("{module}::"));
        home.extend(names.into_iter().map(|name| (name, module.as_str())));
    }
    let uses = modules.iter().map(|(module, path)| {
        let code = code(path);
        let names = names_after(&code, "super::").into_iter();
        let used = names.map(|name| home.get(name).copied().unwrap_or(name));
        let used = used.filter(|used| used != module && modules.contains_key(*used));
        (module.clone(), used.map(str::to_owned).collect())
    });
    uses.collect()
}

/// Files that are in circles: what is left when files that use none of the rest are removed, again and again.
fn circles(folder: &Path) -> Vec<String> {
    let mut left = uses_of(folder);
    loop {
        let leaves = left
            .iter()
            .filter(|(_, uses)| !uses.iter().any(|used| left.contains_key(used)));
        let leaves: Vec<String> = leaves.map(|(module, _)| module.clone()).collect();
        if leaves.is_empty() {
            break;
        }
        left.retain(|module, _| !leaves.contains(module));
    }
    let shown = left.iter().map(|(module, uses)| {
        let uses: Vec<&str> = uses
            .iter()
            .filter(|used| left.contains_key(*used))
            .map(String::as_str)
            .collect();
        format!("{}: {module} uses {}", folder.display(), uses.join(", "))
    });
    shown.collect()
}

#[test]
fn no_files_of_a_room_use_each_other_in_a_circle() {
    let mut found = Vec::new();
    let mut folders = entries(Path::new("src"));
    while let Some(folder) = folders.pop() {
        if !root().join(&folder).is_dir() || folder.ends_with("kernel") {
            continue;
        }
        found.extend(circles(&folder));
        folders.extend(entries(&folder));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What a kind is, it says itself: `src/kinds/`. The kernel's hints and the file that `init` writes are texts.
#[test]
fn rooms_that_handle_stages_know_no_kind_by_name() {
    let kinds = tinyrun::kinds::KINDS.names();
    let mut found = Vec::new();
    for room in ["plan", "stage", "report", "runs", "cli"] {
        for path in files(&Path::new("src").join(room)) {
            let code = code(&path);
            let names_it = |kind: &&&str| {
                code.contains(&format!("\"{kind}\"")) || code.contains(&format!("[stages.{kind}"))
            };
            let named = kinds.iter().filter(names_it);
            found.extend(named.map(|kind| format!("{}: {kind}", path.display())));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
