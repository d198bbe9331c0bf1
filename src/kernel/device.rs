//! Where and in what to compute.

use std::io::Write as _;
use std::process::ExitCode;

use tch::{Cuda, Device, Kind};
use tinyrun_base::job;

use crate::cpu::{self, multiplies};
use crate::cuda;
use crate::error::KernelError;

/// Checks that libtorch sees every CUDA device of a list, before a rank starts that computes on it.
///
/// # Errors
/// The first one that it does not see.
pub(crate) fn check(devices: &job::Devices) -> Result<(), KernelError> {
    devices
        .iter()
        .filter_map(job::Device::gpu)
        .try_for_each(check_cuda)
}

fn check_cuda(index: usize) -> Result<(), KernelError> {
    let missing = gpus().missing(index);
    missing.map_or(Ok(()), |failure| Err(KernelError::NoCuda { failure }))
}

/// Those that libtorch sees.
fn gpus() -> job::Gpus {
    let reason = cuda::load().err();
    let count = usize::try_from(Cuda::device_count()).unwrap_or_default();
    job::Gpus { count, reason }
}

/// Prints them, if this process was started for that.
pub(crate) fn gpus_of_arguments() -> Option<ExitCode> {
    if std::env::args().nth(1)? != job::GPUS {
        return None;
    }
    let answer = serde_json::to_string(&gpus()).expect("plain data");
    let written = writeln!(std::io::stdout(), "{answer}");
    Some(written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// A resolved device and number format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compute {
    /// Where.
    pub(crate) device: Device,
    /// Format of matrix products and activations.
    pub(crate) kind: Kind,
}

impl Compute {
    /// Resolves the automatic choices against this machine and sets libtorch's threads.
    ///
    /// # Errors
    /// A CUDA device that libtorch does not see; a kind of processor in `TINYRUN_CPU` that this machine lacks.
    pub(crate) fn resolve(
        device: job::Device,
        precision: job::Precision,
        threads: Option<usize>,
    ) -> Result<Self, KernelError> {
        cpu::choose()?;
        let device = match device {
            job::Device::Cpu => Device::Cpu,
            job::Device::Auto => match cuda::load() {
                Ok(()) => Device::cuda_if_available(),
                // Most machines have none; who wants one by all means names it.
                Err(_) => Device::Cpu,
            },
            job::Device::Cuda(index) => {
                check_cuda(index)?;
                Device::Cuda(index)
            }
        };
        let kind = match precision {
            job::Precision::Bf16 => Kind::BFloat16,
            job::Precision::Fp16 => Kind::Half,
            job::Precision::Auto if device != Device::Cpu || multiplies(Kind::BFloat16) => {
                Kind::BFloat16
            }
            job::Precision::Auto | job::Precision::Fp32 => Kind::Float,
        };
        if let Some(threads) = threads {
            tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
        }
        Ok(Self { device, kind })
    }

    /// What is told before the first step.
    pub(crate) fn started(
        &self,
        ranks: &[usize],
        total_steps: u64,
        step: u64,
        parameters: u64,
    ) -> job::Event {
        job::Event::Started {
            device: self.device_name(),
            precision: self.precision_name().to_owned(),
            threads: tch::get_num_threads() as usize,
            ranks: ranks.to_vec(),
            libtorch: crate::LIBTORCH_VERSION.to_owned(),
            total_steps,
            step,
            parameters,
        }
    }

    /// `cpu` or `cuda:0`
    fn device_name(&self) -> String {
        match self.device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        }
    }

    /// `fp32`, `bf16` or `fp16`
    fn precision_name(&self) -> &'static str {
        match self.kind {
            Kind::BFloat16 => "bf16",
            Kind::Half => "fp16",
            _ => "fp32",
        }
    }
}
