//! The tests of native code once more, on each kind of processor that this machine has.

use std::process::Command;

use crate::processor::Processor;

/// Tests that run native code. Without the ones in bf16, which run on the kind that multiplies in it alone.
const NATIVE: [&str; 9] = [
    "dropout::",
    "tests::attention::",
    "tests::boundary::",
    "tests::forward::",
    "tests::losses::",
    "tests::optimizer::",
    "tests::relations::",
    "tests::twenty_steps::",
    "tests::unpadded::",
];

fn native_tests_pass_on(processor: Processor) {
    let program = std::env::current_exe().expect("this test's own program");
    let mut command = Command::new(program);
    command.args(NATIVE).env("TINYRUN_CPU", processor.name());
    if processor < Processor::Avx512Bf16 {
        command.args(["--skip", "in_bf16"]);
    }
    let output = command.output().expect("the program runs again");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {told}", processor.name());
    // A filter that matches nothing would pass.
    let passed = told
        .split_once("ok. ")
        .and_then(|(_, rest)| rest.split(' ').next());
    let passed: usize = passed.and_then(|count| count.parse().ok()).unwrap_or(0);
    assert!(passed > 40, "{told}");
}

#[test]
fn native_tests_pass_on_the_baseline() {
    native_tests_pass_on(Processor::Baseline);
}

#[test]
#[cfg_attr(not(has_avx2), ignore = "this processor has no AVX2")]
fn native_tests_pass_with_avx2() {
    native_tests_pass_on(Processor::Avx2);
}

#[test]
#[cfg_attr(not(has_avx512), ignore = "this processor has no AVX-512")]
fn native_tests_pass_with_avx512() {
    native_tests_pass_on(Processor::Avx512);
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn native_tests_pass_with_avx512_bf16() {
    native_tests_pass_on(Processor::Avx512Bf16);
}
