//! Builds what only the kernel has: the fused optimizer step and dropout's masks in C++, and the place where
//! libtorch is found at run time. The runner and the library get nothing, so that the runner
//! never loads libtorch; without the feature `kernel` nothing is done at all.

use std::env;
use std::path::{Path, PathBuf};

const KERNEL: &str = "tinyrun-kernel";
const NATIVE: [&str; 2] = [
    "src/kernel/optimizer_step.cpp",
    "src/kernel/dropout_mask.cpp",
];

/// The only file that includes libtorch's headers.
const PACKED: &str = "src/kernel/packed.cpp";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        return;
    }
    // Set by torch-sys, which found libtorch through LIBTORCH or LIBTORCH_USE_PYTORCH.
    let libtorch = env::var_os("DEP_TCH_LIBTORCH_LIB").map(|lib| real_folder(Path::new(&lib)));
    if let Some(lib) = &libtorch {
        // RPATH, not RUNPATH: a libtorch of another version in LD_LIBRARY_PATH must not get in
        // before the one this was built with.
        for argument in [
            "-Wl,--disable-new-dtags".to_owned(),
            format!("-Wl,-rpath,{}", lib.display()),
        ] {
            link(&argument);
        }
    }
    native(libtorch.as_deref());
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

/// Compiles what is written in C++ and links it into the kernel alone.
fn native(libtorch: Option<&Path>) {
    for file in NATIVE {
        println!("cargo:rerun-if-changed={file}");
    }
    let archive = "tinyrun_native";
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17");
    // clang's own OpenMP is another library than the one libtorch brings; without its pragmas
    // the step computes the same on one thread.
    if !build.get_compiler().is_like_clang() {
        build.flag("-fopenmp");
    }
    build
        // A debug build trains with it too.
        .opt_level(3)
        // A root that may set errno or trap is taken number by number, at a third of the speed. The
        // numbers are the same.
        .flag_if_supported("-fno-math-errno")
        .flag_if_supported("-fno-trapping-math")
        // A product and a sum rounded once in a loop's body and twice in its rest would make a number depend on
        // where a block begins, and on the processor.
        .flag_if_supported("-ffp-contract=off")
        .files(NATIVE)
        // Printed by hand below: cargo would give the archive to the library, and so to the runner.
        .cargo_metadata(false)
        .compile(archive);
    let with_headers = "tinyrun_packed";
    println!("cargo:rerun-if-changed={PACKED}");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let include = env::var_os("LIBTORCH_INCLUDE")
        .map(|root| PathBuf::from(root).join("include"))
        .or_else(|| libtorch.map(|lib| lib.with_file_name("include")))
        .expect("torch-sys was built against libtorch's headers");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // It only calls on; optimising the headers would take minutes.
        .opt_level(1)
        .include(include.join("torch/csrc/api/include"))
        .include(&include)
        // The headers' own business.
        .warnings(false)
        .file(PACKED)
        .cargo_metadata(false)
        .compile(with_headers);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for archive in [archive, with_headers] {
        link(&out.join(format!("lib{archive}.a")).display().to_string());
    }
    // libtorch's own OpenMP where it brings one: two in a process would each start their threads.
    match libtorch.map(|lib| lib.join("libgomp.so.1")) {
        Some(gomp) if gomp.exists() => link(&gomp.display().to_string()),
        _ => link("-lgomp"),
    }
    link("-lstdc++");
}

fn link(argument: &str) {
    println!("cargo:rustc-link-arg-bin={KERNEL}={argument}");
}
