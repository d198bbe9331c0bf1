//! Where the kernel finds libtorch at run time.

use std::env;
use std::path::{Path, PathBuf};

/// The folders that the kernel searches, in their order, as linker arguments:
///
/// 1. `libtorch/lib` beside the program or beside its folder: a libtorch that was unpacked with tinyrun;
/// 2. the libtorch of the build by its path relative to the program, where both lie in this repository, so that a
///    moved or renamed clone still finds it;
/// 3. the same by its absolute path, for a program that was copied elsewhere on this machine.
///
/// It is an RPATH and not a RUNPATH, which `LD_LIBRARY_PATH` would come before: a libtorch of another version there
/// must not be taken. `LD_LIBRARY_PATH`, and with it `LIBTORCH` at run time, counts where none of these has it.
pub(crate) fn arguments(lib: &Path) -> Vec<String> {
    let mut folders = vec![
        "$ORIGIN/libtorch/lib".to_owned(),
        "$ORIGIN/../libtorch/lib".to_owned(),
    ];
    folders.extend(relative(lib));
    folders.push(lib.display().to_string());
    let folders = folders.iter().map(|folder| format!("-Wl,-rpath,{folder}"));
    std::iter::once("-Wl,--disable-new-dtags".to_owned())
        .chain(folders)
        .collect()
}

/// libtorch's folder as seen from the program, where both lie in this repository.
fn relative(lib: &Path) -> Option<String> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let root = package.join("../..").canonicalize().ok()?;
    // target/<profile>/build/tinyrun-kernel-<hash>/out
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let programs = out.ancestors().nth(3)?.canonicalize().ok()?;
    let lib = lib.strip_prefix(&root).ok()?;
    let depth = programs.strip_prefix(&root).ok()?.components().count();
    let up = "../".repeat(depth);
    Some(format!("$ORIGIN/{up}{}", lib.display()))
}
