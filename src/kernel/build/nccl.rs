//! Compiles the part of the kernel that adds gradients on GPUs by NCCL, where CUDA's headers are. It becomes a file that
//! the kernel holds and loads at run time, so that one build serves machines with and without a GPU.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cc::Build;

const SOURCE: &str = "native/nccl.cpp";

/// What it includes beside libtorch's headers, one of each package.
const HEADERS: [&str; 6] = [
    "nccl.h",
    "cuda_runtime.h",
    "crt/host_config.h",
    "nv/target",
    "cublas_v2.h",
    "cusolverDn.h",
];

/// Compiles it to `OUT_DIR/nccl`, which is empty where that cannot be done. `build` knows libtorch's headers; `libtorch`
/// is the folder of its libraries.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo runs the build anew where it was interrupted"
)]
pub(crate) fn compile(build: &Build, libtorch: Option<&Path>) {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let part = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("nccl");
    fs::write(&part, "").expect("OUT_DIR is writable");
    let Some(libtorch) = libtorch.filter(|lib| lib.join("libtorch_cuda.so").exists()) else {
        return;
    };
    let folders = include_folders(libtorch);
    // Headers that are installed later are found by the next build.
    for folder in &folders {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    let missing = HEADERS
        .iter()
        .find(|header| !folders.iter().any(|folder| folder.join(header).exists()));
    if let Some(header) = missing {
        return warn(&format!("the header `{header}` is missing"));
    }
    let mut command = build.get_compiler().to_command();
    let include = |folder: &PathBuf| format!("-I{}", folder.display());
    command.args(folders.iter().map(include));
    // libtorch's names are there when it is loaded.
    command
        .args(["-shared", "-fPIC", "-w", SOURCE, "-o"])
        .arg(&part);
    let done = command.status().expect("the compiler of the rest starts");
    if !done.success() {
        // The kernel does without it.
        fs::write(&part, "").expect("OUT_DIR is writable");
        warn(&format!("{SOURCE} does not compile with these headers"));
    }
}

/// Says why ranks on GPUs will do without NCCL.
fn warn(reason: &str) {
    println!("cargo:warning=built without NCCL: {reason} (docs/guides/gpu.md#ranks-on-gpus)");
}

/// Where headers of CUDA may be: the packages beside a PyTorch, whose versions are its own, and an installation of CUDA.
fn include_folders(libtorch: &Path) -> Vec<PathBuf> {
    // site-packages/torch/lib
    let packages = libtorch.ancestors().nth(2).map(|at| at.join("nvidia"));
    let packages = packages.and_then(|folder| fs::read_dir(folder).ok());
    let mut found: Vec<PathBuf> = packages
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("include")))
        .collect();
    found.sort();
    let home = env::var_os("CUDA_HOME").map_or_else(|| "/usr/local/cuda".into(), PathBuf::from);
    found.push(home.join("include"));
    found.retain(|folder| folder.is_dir());
    found
}
