//! Named tensors of a model, in the order of their names.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use tinyrun_base::job::{Initializer, InitializerKind};
use tinyrun_base::model::names::EMBEDDINGS;

use crate::checkpoint::tensor_bytes;
use crate::seed::{Seed, seeded};

/// A model's tensors by their Hugging Face names. Ordered, because an optimizer, a digest
/// or a file that follows a hash map's order differs from run to run.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    tensors: BTreeMap<String, Tensor>,
}

impl Parameters {
    /// Wraps tensors.
    pub(crate) fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self { tensors }
    }

    /// The tensor of this name, sharing its storage.
    ///
    /// # Panics
    /// Where there is none: a model's parameters were matched against its configuration
    /// before the model is built.
    pub(crate) fn get(&self, name: &str) -> Tensor {
        match self.tensors.get(name) {
            Some(tensor) => tensor.shallow_clone(),
            None => panic!("the model has no parameter `{name}`"),
        }
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Adds a tensor.
    pub(crate) fn insert(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    /// Name and tensor, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Numbers held.
    pub(crate) fn count(&self) -> u64 {
        self.tensors
            .values()
            .map(|tensor| tensor.numel() as u64)
            .sum()
    }

    /// A number that differs, but for one in four billion cases, where one bit of a tensor does.
    pub(crate) fn digest(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for tensor in self.tensors.values() {
            hasher.update(&tensor_bytes(tensor, Kind::Float));
        }
        hasher.finalize()
    }

    /// Moves everything to `device` as trainable fp32 leaves.
    pub(crate) fn trainable(self, device: Device) -> Self {
        self.map(|_, tensor| {
            tensor
                .to_device(device)
                .to_kind(Kind::Float)
                .set_requires_grad(true)
        })
    }

    /// Moves everything to `device` in `kind`, frozen; the embedding tables stay in fp32, as
    /// they are while a model is trained.
    pub(crate) fn frozen(self, device: Device, kind: Kind) -> Self {
        self.map(|name, tensor| {
            let table = name.starts_with(EMBEDDINGS);
            let kind = if table { Kind::Float } else { kind };
            tensor
                .to_device(device)
                .to_kind(kind)
                .set_requires_grad(false)
        })
    }

    fn map(self, change: impl Fn(&str, Tensor) -> Tensor) -> Self {
        let tensors = self
            .tensors
            .into_iter()
            .map(|(name, tensor)| {
                let changed = change(&name, tensor);
                (name, changed)
            })
            .collect();
        Self { tensors }
    }
}

/// Where initial weights are drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Distribution {
    /// Standard deviation, of the normal distribution before it is cut.
    pub(crate) std: f64,
    /// Whether it is cut at two standard deviations.
    pub(crate) truncated: bool,
}

impl Distribution {
    /// Of the tensor `name` of a model (docs/concepts/models.md#initial-weights): MindSpore's code
    /// truncates the weights of layers, not the embedding tables.
    pub(crate) fn of(name: &str, range: f64, initializer: &Initializer) -> Self {
        if name.starts_with(EMBEDDINGS) {
            return Self::normal(initializer.embedding_range);
        }
        Self {
            std: range,
            truncated: initializer.kind == InitializerKind::TruncatedNormal,
        }
    }

    pub(crate) fn normal(std: f64) -> Self {
        Self {
            std,
            truncated: false,
        }
    }

    /// Fills a tensor from the global generator.
    fn fill(self, mut tensor: Tensor) -> Tensor {
        /// `erf(2 / sqrt 2)`: what lies within two standard deviations.
        const WITHIN_TWO: f64 = 0.954_499_736_103_641_6;
        if !self.truncated {
            return tensor.normal_(0.0, self.std);
        }
        let uniform = tensor.uniform_(-WITHIN_TWO, WITHIN_TWO);
        uniform.erfinv() * (self.std * std::f64::consts::SQRT_2)
    }
}

/// Fresh tensors of these names and shapes, as BERT is initialised: weights and embeddings
/// from the distribution, biases 0, layer norms 1 and 0. Each tensor has a seed of its own by
/// its name, so that adding a head changes no other tensor.
pub(crate) fn initial_tensor(
    name: &str,
    shape: &[usize],
    distribution: Distribution,
    seed: Seed,
) -> Tensor {
    let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    let options = (Kind::Float, Device::Cpu);
    if name.ends_with("LayerNorm.weight") {
        return Tensor::ones(size, options);
    }
    if is_bias(name) {
        return Tensor::zeros(size, options);
    }
    seeded(seed.of_name(name), || {
        distribution.fill(Tensor::zeros(size, options))
    })
}

fn is_bias(name: &str) -> bool {
    name.rsplit('.').next() == Some("bias")
}
