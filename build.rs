//! Gives the kernel the run-time path of libtorch, and nothing to the runner.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Set by torch-sys, which found libtorch through LIBTORCH or LIBTORCH_USE_PYTORCH.
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg-bin=tinyrun-kernel=-Wl,-rpath,{lib}");
    }
}
