//! What this machine has that some tests need. A test without it is shown as ignored, with the reason. Looked up when
//! build.rs runs: `touch build.rs` looks again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Sets a `cfg` for each thing that is there.
pub(crate) fn probe() {
    let found = [
        ("has_cc", on_path("cc")),
        ("has_readelf", on_path("readelf")),
        ("has_strace", on_path("strace")),
        ("has_python", on_path("python3")),
        ("has_transformers", has_transformers()),
        ("has_onnxruntime", has_onnxruntime()),
        ("has_mpirun", on_path("mpirun")),
        (
            "has_slurm",
            can_mount() && on_path("slurmctld") && on_path("slurmd"),
        ),
        ("has_torchrun", torchrun().is_some()),
        ("has_networks", can_mount() && on_path("ip")),
        ("can_mount", can_mount()),
    ];
    let torchrun = torchrun().unwrap_or_default();
    println!("cargo:rustc-env=TORCHRUN={}", torchrun.display());
    for (name, is_there) in found {
        println!("cargo:rustc-check-cfg=cfg({name})");
        if is_there {
            println!("cargo:rustc-cfg={name}");
        }
    }
}

fn on_path(tool: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(tool).is_file())
}

/// Without importing them, which takes seconds.
fn has_transformers() -> bool {
    let script = "import importlib.util as u, sys; sys.exit(not (u.find_spec('torch') and u.find_spec('transformers')))";
    let mut command = Command::new("python3");
    command.args(["-c", script]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The environment that `scripts/fetch_onnxruntime` installs; the file is written last.
fn has_onnxruntime() -> bool {
    Path::new(".venv-onnx/requirements.txt").is_file()
}

/// That of the environment in which `make parity` runs PyTorch, or else on the path.
fn torchrun() -> Option<PathBuf> {
    let own = env::current_dir().ok()?.join(".venv-parity/bin");
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut all = std::iter::once(own).chain(env::split_paths(&folders));
    all.find_map(|folder| Some(folder.join("torchrun")).filter(|path| path.is_file()))
}

/// Whether this process has `CAP_SYS_ADMIN`.
fn can_mount() -> bool {
    const SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> SYS_ADMIN & 1 == 1)
}
