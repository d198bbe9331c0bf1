//! Where and in which numbers the kernel computes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Failure;
use super::word::words;
use crate::model::WeightDtype;

/// Where the kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The first CUDA device if the kernel sees one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// CUDA device by its index.
    Cuda(usize),
}

impl Device {
    /// Index of the CUDA device that it names.
    pub fn gpu(self) -> Option<usize> {
        match self {
            Self::Cuda(index) => Some(index),
            Self::Auto | Self::Cpu => None,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(word: &str) -> Result<Self, DeviceError> {
        let (kind, index) = match word.split_once(':') {
            Some((kind, index)) => (kind, Some(index)),
            None => (word, None),
        };
        match (kind, index.map(str::parse)) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", None) => Ok(Self::Cuda(0)),
            ("cuda", Some(Ok(index))) => Ok(Self::Cuda(index)),
            _ if ["npu", "ascend"].contains(&kind.to_ascii_lowercase().as_str()) => {
                Err(DeviceError::Ascend)
            }
            _ => Err(DeviceError::Unknown),
        }
    }
}

/// Where the ranks of a job compute: all on one device, or each on one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Devices(Vec<Device>);

impl Devices {
    /// One for all ranks.
    pub fn one(device: Device) -> Self {
        Self(vec![device])
    }

    /// One for each rank, in their order.
    pub fn each(list: Vec<Device>) -> Self {
        Self(list)
    }

    /// That of a rank.
    pub fn of(&self, rank: usize) -> Device {
        let own = self.0.get(rank).or(self.0.first());
        own.copied().unwrap_or(Device::Auto)
    }

    /// How many ranks they are a device each for; 1 where one is for all.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Device> {
        self.0.iter().copied()
    }

    /// Whether one is a CUDA device.
    pub fn have_cuda(&self) -> bool {
        self.iter().any(|device| device.gpu().is_some())
    }
}

/// The CUDA devices that a kernel sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpus {
    /// How many.
    pub count: usize,
    /// Why libtorch's CUDA part is not loaded, if it is not.
    pub reason: Option<String>,
}

impl Gpus {
    /// What to tell of a CUDA device that is none of them.
    pub fn missing(&self, index: usize) -> Option<Failure> {
        if index < self.count {
            return None;
        }
        let reason = self.reason.as_ref().map(|reason| format!("{reason}; "));
        let reason = reason.unwrap_or_default();
        Some(Failure {
            message: format!("no CUDA device {index}: libtorch finds {}", self.count),
            hint: Some(format!("{reason}use device `cpu` or `auto`")),
        })
    }
}

/// First argument of a kernel that prints its [`Gpus`] as JSON, and ends.
pub const GPUS: &str = "--gpus";

/// Why a word names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a word that is known.
    #[error("expected `auto`, `cpu`, `cuda` or `cuda:N`")]
    Unknown,
    /// A device of Huawei's Ascend family, which libtorch does not have.
    #[error("libtorch has no Ascend device; expected `auto`, `cpu`, `cuda` or `cuda:N`")]
    Ascend,
}

impl DeviceError {
    /// What it would take to use the device.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Ascend => Some(
                "an Ascend device needs CANN, `torch_npu` (which adds it to PyTorch as the \
                 PrivateUse1 device) and a training kernel linked with its library; with \
                 `device = \"auto\"` the same experiment runs on a CPU or a CUDA device",
            ),
        }
    }
}

/// Number format of matrix products. Master weights, optimizer and reductions are fp32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// bf16 where the device computes in it natively, else fp32.
    Auto,
    /// 32-bit floats.
    Fp32,
    /// 16-bit brain floats.
    Bf16,
    /// IEEE 16-bit floats, with a scaled loss ([`LossScaling`](super::LossScaling)).
    Fp16,
}

/// Number format in which gradients travel between ranks (docs/guides/ranks.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientExchange {
    /// As they are computed.
    Fp32,
    /// Half the bytes; sums are rounded to 8 bits.
    Bf16,
}

words! {
    Precision { "auto" => Auto, "fp32" => Fp32, "bf16" => Bf16, "fp16" => Fp16 }
    WeightDtype { "fp32" => Fp32, "fp16" => Fp16, "bf16" => Bf16 }
    GradientExchange { "fp32" => Fp32, "bf16" => Bf16 }
}
