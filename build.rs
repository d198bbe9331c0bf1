//! Builds what only the kernel has: the parts of it that are written in C++, and the place where
//! libtorch is found at run time. The runner and the library get nothing, so that the runner
//! never loads libtorch; without the feature `kernel` tests alone are told what this machine has.

#[path = "build/probes.rs"]
mod probes;
#[path = "build/search_path.rs"]
mod search_path;

use std::env;
use std::path::{Path, PathBuf};

const KERNEL: &str = "tinyrun-kernel";
const NATIVE: [&str; 2] = [
    "src/kernel/optimizer_step.cpp",
    "src/kernel/dropout_mask.cpp",
];

/// What includes libtorch's headers and only calls on.
const CALLS: [&str; 1] = ["src/kernel/native/door.cpp"];

/// What includes them and computes.
const NODES: [&str; 4] = [
    "src/kernel/native/product.cpp",
    "src/kernel/native/embeddings.cpp",
    "src/kernel/native/dense.cpp",
    "src/kernel/native/attention.cpp",
];

/// Loops that are compiled once for each kind of processor, and what they include.
const LOOPS: &str = "src/kernel/native/kernels.cpp";

/// Kinds of processor, and what tells a compiler of them.
const PROCESSORS: [(&str, &[&str]); 4] = [
    (
        "avx512_bf16",
        &[
            "-mavx512f",
            "-mavx512bw",
            "-mavx512vl",
            "-mavx512dq",
            "-mavx512bf16",
            "-mfma",
            "-mprefer-vector-width=512",
        ],
    ),
    (
        "avx512",
        &[
            "-mavx512f",
            "-mavx512bw",
            "-mavx512vl",
            "-mavx512dq",
            "-mfma",
            "-mprefer-vector-width=512",
        ],
    ),
    ("avx2", &["-mavx2", "-mfma"]),
    ("baseline", &[]),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    probes::probe();
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        return;
    }
    // Set by torch-sys, which found libtorch through LIBTORCH or LIBTORCH_USE_PYTORCH.
    let libtorch = env::var_os("DEP_TCH_LIBTORCH_LIB").map(|lib| real_folder(Path::new(&lib)));
    if let Some(lib) = &libtorch {
        for argument in search_path::arguments(lib) {
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
    println!("cargo:rerun-if-changed=src/kernel/native");
    for file in CALLS {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let include = env::var_os("LIBTORCH_INCLUDE")
        .map(|root| PathBuf::from(root).join("include"))
        .or_else(|| libtorch.map(|lib| lib.with_file_name("include")))
        .expect("torch-sys was built against libtorch's headers");
    let x86 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    let with_headers = |level| {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .opt_level(level)
            .include(include.join("torch/csrc/api/include"))
            .include(&include)
            // The headers' own business.
            .warnings(false)
            .cargo_metadata(false);
        if !build.get_compiler().is_like_clang() {
            build.flag("-fopenmp");
        }
        if x86 {
            build.define("TINYRUN_PROCESSORS", None);
        }
        build
    };
    let mut archives = vec!["tinyrun_calls".to_owned(), "tinyrun_nodes".to_owned()];
    // Optimising the headers for what only calls on would take minutes.
    with_headers(1).files(CALLS).compile(&archives[0]);
    with_headers(2).files(NODES).compile(&archives[1]);
    for (processor, flags) in PROCESSORS {
        if !x86 && processor != "baseline" {
            continue;
        }
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(3);
        for flag in flags
            .iter()
            .chain(&["-fno-math-errno", "-fno-trapping-math"])
        {
            build.flag(flag);
        }
        let name = format!("tinyrun_loops_{processor}");
        build
            .define("TINYRUN_PROCESSOR", processor)
            .file(LOOPS)
            .cargo_metadata(false)
            .compile(&name);
        archives.push(name);
    }
    archives.push(archive.to_owned());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for archive in archives {
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
