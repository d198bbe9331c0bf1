//! Compiles the kernel's C++ and links it into the kernel alone.

use std::env;
use std::path::{Path, PathBuf};

use cc::Build;

use crate::nccl;
use crate::processor::Processor;

/// Files that include libtorch's headers and only call it: optimising the headers for them would take minutes.
const CALLS: [&str; 4] = [
    "native/ffi.cpp",
    "native/hooks.cpp",
    "native/probe.cpp",
    "native/ranks.cpp",
];

/// Names of Gloo that libtorch's headers lack.
const GLOO_NAMES: &str = "native/gloo_names";

/// Files that include them and compute.
const COMPUTES: [&str; 9] = [
    "native/argument.cpp",
    "native/product.cpp",
    "native/embeddings.cpp",
    "native/dense.cpp",
    "native/attention.cpp",
    "native/relations.cpp",
    "native/optimizer_step.cpp",
    "native/dropout_mask.cpp",
    "native/processor.cpp",
];

/// Loops of models, compiled once for each kind of processor. A product and a sum may be rounded once (FMA): where the
/// processor has the instruction, the products of attention take half the time. Their numbers depend on the processor as
/// those of oneDNN's products do.
const LOOPS: &str = "native/kernels.cpp";

/// Loops of updates and masks, compiled once for each kind of processor too. A product and a sum rounded once in a loop's
/// body and twice in its rest would make a number depend on where a block begins, and on the processor.
const EXACT_LOOPS: &str = "native/exact.cpp";

/// What tells a compiler of the processor's instructions.
fn flags(processor: Processor) -> &'static [&'static str] {
    match processor {
        Processor::Baseline => &[],
        Processor::Avx2 => &["-mavx2", "-mfma"],
        Processor::Avx512 => &[
            "-mavx512f",
            "-mavx512bw",
            "-mavx512vl",
            "-mavx512dq",
            "-mfma",
            "-mprefer-vector-width=512",
        ],
        Processor::Avx512Bf16 => &[
            "-mavx512f",
            "-mavx512bw",
            "-mavx512vl",
            "-mavx512dq",
            "-mavx512bf16",
            "-mfma",
            "-mprefer-vector-width=512",
        ],
    }
}

/// Compiles everything, and returns the linker's arguments for it. `libtorch` is the folder of its libraries.
pub(crate) fn compile(libtorch: Option<&Path>) -> Vec<String> {
    for folder in ["native", "processor.rs"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let include = env::var_os("LIBTORCH_INCLUDE")
        .map(|root| PathBuf::from(root).join("include"))
        .or_else(|| libtorch.map(|lib| lib.with_file_name("include")))
        .expect("torch-sys was built against libtorch's headers");
    let x86 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    let with_headers = |level| {
        let mut build = start(level);
        build
            .include(include.join("torch/csrc/api/include"))
            .include(&include)
            .include(GLOO_NAMES)
            // The headers' own business.
            .warnings(false)
            .flag_if_supported("-ffp-contract=off");
        // clang's own OpenMP is another library than the one libtorch brings; without its pragmas
        // the same is computed on one thread.
        if !build.get_compiler().is_like_clang() {
            build.flag("-fopenmp");
        }
        if x86 {
            build.define("TINYRUN_PROCESSORS", None);
        }
        build
    };
    let mut archives = vec!["tinyrun_calls".to_owned(), "tinyrun_computes".to_owned()];
    with_headers(1).files(CALLS).compile(&archives[0]);
    with_headers(2).files(COMPUTES).compile(&archives[1]);
    nccl::compile(&with_headers(1), libtorch);
    for processor in Processor::ALL {
        if !x86 && processor != Processor::Baseline {
            continue;
        }
        for (file, contraction, name) in [
            (LOOPS, "-ffp-contract=fast", "loops"),
            (EXACT_LOOPS, "-ffp-contract=off", "exact"),
        ] {
            let archive = format!("tinyrun_{name}_{}", processor.name());
            start(3)
                .flags(flags(processor))
                // A root that may set errno or trap is taken number by number, at a third of the speed. The numbers
                // are the same.
                .flag_if_supported("-fno-math-errno")
                .flag_if_supported("-fno-trapping-math")
                .flag_if_supported(contraction)
                .define("TINYRUN_PROCESSOR", processor.name())
                .file(file)
                .compile(&archive);
            archives.push(archive);
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let path = |archive: String| out.join(format!("lib{archive}.a")).display().to_string();
    let mut arguments: Vec<String> = archives.into_iter().map(path).collect();
    // libtorch's own OpenMP where it brings one: two in a process would each start their threads.
    match libtorch.map(|lib| lib.join("libgomp.so.1")) {
        Some(gomp) if gomp.exists() => arguments.push(gomp.display().to_string()),
        _ => arguments.push("-lgomp".to_owned()),
    }
    arguments.push("-lstdc++".to_owned());
    if sanitizes() {
        arguments.extend(["-lasan", "-lubsan"].map(str::to_owned));
    }
    arguments
}

/// A build of C++, at the same level in a debug build, which trains too.
fn start(level: u32) -> Build {
    let mut build = Build::new();
    // Linked by path, behind everything that uses them.
    build
        .cpp(true)
        .std("c++17")
        .opt_level(level)
        .cargo_metadata(false);
    sanitize(&mut build);
    build
}

/// With the feature `sanitize`, lets the compiler check every access of memory and every operation without a defined
/// result (docs/development/testing.md#sanitizers).
fn sanitize(build: &mut Build) {
    if !sanitizes() {
        return;
    }
    build
        .flag("-fsanitize=address,undefined")
        // libtorch's own types lack what this one reads.
        .flag("-fno-sanitize=vptr")
        .flag("-fno-sanitize-recover=undefined")
        .flag("-fno-omit-frame-pointer")
        .flag("-g1");
}

fn sanitizes() -> bool {
    env::var_os("CARGO_FEATURE_SANITIZE").is_some()
}
