//! Compiles the part of the kernel that adds gradients on GPUs by NCCL, where CUDA's headers are. It becomes a file that
//! the kernel holds and loads at run time, so that one build serves machines with and without a GPU.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cc::Build;

const SOURCE: &str = "native/nccl.cpp";

/// What it includes beside libtorch's headers.
const HEADERS: [&str; 3] = ["nccl.h", "cuda_runtime.h", "crt/host_config.h"];

/// Compiles it to `OUT_DIR/nccl`, which is empty where a header is missing. `build` knows libtorch's headers; `libtorch`
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
    let missing = HEADERS
        .iter()
        .find(|header| !folders.iter().any(|folder| folder.join(header).exists()));
    if let Some(header) = missing {
        println!(
            "cargo:warning=ranks on GPUs will add gradients in the memory of the CPU: NCCL needs \
             the header `{header}` (docs/guides/gpu.md#ranks-on-gpus)"
        );
        return;
    }
    let mut command = build.get_compiler().to_command();
    command.args(
        folders
            .iter()
            .map(|folder| format!("-I{}", folder.display())),
    );
    // libtorch's names are there when it is loaded.
    command
        .args(["-shared", "-fPIC", "-w", SOURCE, "-o"])
        .arg(&part);
    let done = command.status().expect("the compiler of the rest starts");
    assert!(done.success(), "{SOURCE} does not compile");
}

/// Where headers of CUDA may be: an installation of CUDA, and the packages beside a PyTorch.
fn include_folders(libtorch: &Path) -> Vec<PathBuf> {
    let home = env::var_os("CUDA_HOME").map_or_else(|| "/usr/local/cuda".into(), PathBuf::from);
    let mut found = vec![home.join("include")];
    // site-packages/torch/lib
    let packages = libtorch.ancestors().nth(2).map(|at| at.join("nvidia"));
    let packages = packages.and_then(|folder| fs::read_dir(folder).ok());
    let mut beside: Vec<PathBuf> = packages
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("include")))
        .collect();
    beside.sort();
    found.extend(beside);
    found.retain(|folder| folder.is_dir());
    found
}
