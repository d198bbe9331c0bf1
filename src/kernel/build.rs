//! Compiles the kernel's C++, and finds the folder of libtorch for run time. Without the feature `kernel` there is
//! nothing to do but to look at the processor, for tests.

#[path = "build/native.rs"]
mod native;
#[path = "build/nccl.rs"]
mod nccl;
mod processor;
#[path = "build/search_path.rs"]
mod search_path;

use std::env;
use std::path::{Path, PathBuf};

use processor::Processor;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=processor.rs");
    probe();
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        return;
    }
    // Set by torch-sys, which found libtorch through LIBTORCH or LIBTORCH_USE_PYTORCH.
    let libtorch = env::var_os("DEP_TCH_LIBTORCH_LIB").map(|lib| real_folder(Path::new(&lib)));
    let mut arguments = native::compile(libtorch.as_deref());
    if let Some(lib) = &libtorch {
        arguments.extend(search_path::arguments(lib));
    }
    // For this package's own tests, and for build.rs of the program.
    for argument in &arguments {
        println!("cargo:rustc-link-arg={argument}");
    }
    println!("cargo:link_arguments={}", arguments.join("\u{1f}"));
}

/// Sets a `cfg` for each kind of processor that this machine is. A test that needs another one is shown as ignored.
fn probe() {
    for (name, processor) in [
        ("has_avx2", Processor::Avx2),
        ("has_avx512", Processor::Avx512),
        ("has_bf16", Processor::Avx512Bf16),
    ] {
        println!("cargo:rustc-check-cfg=cfg({name})");
        if processor.is_here() {
            println!("cargo:rustc-cfg={name}");
        }
    }
}

/// The folder libtorch's files are in, links followed: `libtorch_cpu.so` looks for its
/// own libraries relative to the folder it is loaded from.
fn real_folder(lib: &Path) -> PathBuf {
    lib.join("libtorch_cpu.so")
        .canonicalize()
        .ok()
        .and_then(|file| file.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| lib.to_path_buf())
}
