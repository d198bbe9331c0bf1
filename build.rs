//! What the programs and the integration tests need to know when they are built: how the kernel is linked, and what this
//! machine has for tests. The C++ is compiled by the package `tinyrun-kernel`.

#[path = "build/probes.rs"]
mod probes;

use std::env;

const KERNEL: &str = "tinyrun-kernel";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    probes::probe();
    // Set by src/kernel/build.rs, where the feature `kernel` is on. The runner gets nothing of it: it never loads libtorch.
    let arguments = env::var("DEP_TINYRUN_KERNEL_LINK_ARGUMENTS").unwrap_or_default();
    for argument in arguments
        .split('\u{1f}')
        .filter(|argument| !argument.is_empty())
    {
        println!("cargo:rustc-link-arg-bin={KERNEL}={argument}");
    }
}
