//! The runner. See [`tinyrun::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tinyrun::cli::main()
}
