//! The training kernel. See [`tinyrun_kernel`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tinyrun_kernel::main()
}
