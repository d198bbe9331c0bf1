//! `BertAdam` and `AdamW`, one pass over each tensor, with clipping per tensor or of all together.
//!
//! Sources: docs/concepts/optimizers.md; Loshchilov and Hutter, arXiv 1711.05101. tch's own
//! optimizers neither save their state nor have the rule without bias correction.

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun_base::job::{Clipping, Optimizer as Settings, OptimizerKind};

use crate::fused::{self, Rule};
use crate::parameters::Parameters;

/// Added to a gradient's norm before dividing by it, as torch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;

/// Of which rows of a parameter the gradient is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Its place.
    pub(crate) parameter: usize,
    /// Numbers of the rows, ascending.
    pub(crate) rows: &'a [i64],
}

/// The state of one tensor.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    decays: bool,
    /// Of each row of a table whose gradient is given for some, 1 where its moments may be other than zero; made from
    /// them when first needed.
    moved: Option<Vec<u8>>,
}

/// An optimizer over a model's parameters.
#[derive(Debug)]
pub(crate) struct Optimizer {
    settings: Settings,
    slots: Vec<Slot>,
}

impl Optimizer {
    /// Zero moments for every parameter.
    pub(crate) fn new(settings: Settings, parameters: &Parameters) -> Self {
        let exempt: Vec<String> = settings
            .weight_decay_exempt
            .iter()
            .map(|part| part.to_lowercase())
            .collect();
        let decays = |name: &str| {
            let name = name.to_lowercase();
            !exempt.iter().any(|part| name.contains(part))
        };
        let slots = parameters
            .iter()
            .map(|(name, parameter)| Slot {
                name: name.to_owned(),
                parameter: parameter.shallow_clone(),
                first_moment: parameter.detach().zeros_like(),
                second_moment: parameter.detach().zeros_like(),
                decays: decays(name),
                moved: None,
            })
            .collect();
        Self { settings, slots }
    }

    /// Place of a parameter in that order.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name == name)
    }

    /// The parameters in the order in which [`Self::step_rows`] takes their gradients.
    pub(crate) fn parameters(&self) -> Vec<Tensor> {
        self.slots
            .iter()
            .map(|slot| slot.parameter.shallow_clone())
            .collect()
    }

    /// [`Self::step_rows`] of whole gradients.
    ///
    /// # Errors
    /// As there.
    #[cfg(test)]
    pub(crate) fn step(
        &mut self,
        gradients: &[Tensor],
        scale: f64,
        learning_rate: f64,
        update: u64,
    ) -> Result<(), String> {
        self.step_rows(gradients, None, scale, learning_rate, update)
    }

    /// One update at `learning_rate`. `gradients[i]` belongs to parameter `i` and is `scale` times
    /// its loss's; an undefined gradient leaves its parameter, decay included, as it is. `update` counts
    /// updates from 0.
    /// Where `rows` are given, the gradient of their parameter is that of these rows, and zero for the others.
    ///
    /// # Errors
    /// The name of a parameter whose gradient is not finite; then nothing was changed.
    pub(crate) fn step_rows(
        &mut self,
        gradients: &[Tensor],
        rows: Option<Rows<'_>>,
        scale: f64,
        learning_rate: f64,
        update: u64,
    ) -> Result<(), String> {
        assert_eq!(
            gradients.len(),
            self.slots.len(),
            "one gradient a parameter"
        );
        no_grad(|| {
            let norms = self.norms(gradients, scale)?;
            let all = norms.iter().flatten().map(|norm| norm * norm).sum::<f64>();
            let all = all.sqrt();
            let slots = self.slots.iter_mut().zip(gradients).zip(norms);
            for (place, ((slot, gradient), norm)) in slots.enumerate() {
                if let Some(norm) = norm {
                    let rows = rows.filter(|rows| rows.parameter == place);
                    let gradient = (gradient.contiguous(), rows.map(|rows| rows.rows));
                    let norm = match self.settings.clipping {
                        Clipping::Global => all,
                        Clipping::Tensor | Clipping::Off => norm,
                    };
                    slot.step(
                        &self.settings,
                        &gradient,
                        norm,
                        scale,
                        learning_rate,
                        update,
                    );
                }
            }
            Ok(())
        })
    }

    /// Norm of every gradient without its scale; `None` where it is undefined.
    fn norms(&self, gradients: &[Tensor], scale: f64) -> Result<Vec<Option<f64>>, String> {
        let squares = squared_norms(gradients);
        let norm_of = |(slot, squares): (&Slot, Option<f64>)| {
            let Some(squares) = squares else {
                return Ok(None);
            };
            let norm = squares.sqrt() / scale;
            if norm.is_finite() {
                Ok(Some(norm))
            } else {
                Err(slot.name.clone())
            }
        };
        self.slots.iter().zip(squares).map(norm_of).collect()
    }

    /// Every moment under the name of its parameter, for a checkpoint.
    pub(crate) fn state(&self) -> Vec<(String, &Tensor)> {
        self.slots
            .iter()
            .flat_map(|slot| {
                [
                    (format!("first_moment.{}", slot.name), &slot.first_moment),
                    (format!("second_moment.{}", slot.name), &slot.second_moment),
                ]
            })
            .collect()
    }
}

impl Slot {
    /// `norm` is what the settings bound: of this gradient, or of all together. Beside the gradient the rows
    /// that it is given for, where it is not for all.
    fn step(
        &mut self,
        settings: &Settings,
        (gradient, rows): &(Tensor, Option<&[i64]>),
        norm: f64,
        scale: f64,
        learning_rate: f64,
        update: u64,
    ) {
        let clips = settings.max_grad_norm > 0.0 && settings.clipping != Clipping::Off;
        let clip = if clips {
            (settings.max_grad_norm / (norm + CLIP_EPSILON)).min(1.0)
        } else {
            1.0
        };
        let rule = self.rule(settings, clip / scale, learning_rate, update);
        if self.parameter.device() == Device::Cpu {
            self.fused(gradient, *rows, &rule);
        } else {
            self.composed(gradient, &rule);
        }
    }

    fn rule(&self, settings: &Settings, clip: f64, learning_rate: f64, update: u64) -> Rule {
        let power = i32::try_from(update + 1).unwrap_or(i32::MAX);
        Rule {
            clip,
            learning_rate,
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.epsilon,
            decay: if self.decays {
                settings.weight_decay
            } else {
                0.0
            },
            bias_correction: match settings.kind {
                OptimizerKind::BertAdam => None,
                OptimizerKind::AdamW => Some((
                    1.0 - settings.beta1.powi(power),
                    1.0 - settings.beta2.powi(power),
                )),
            },
        }
    }

    /// The update on a processor: of some rows only those, where the others have never moved.
    fn fused(&mut self, gradient: &Tensor, rows: Option<&[i64]>, rule: &Rule) {
        if rows.is_none() {
            // Every row may move.
            self.moved = None;
        }
        let sparse = rows.map(|rows| {
            let (first, second) = (&self.first_moment, &self.second_moment);
            // Without an epsilon an update by zero moments is 0 / 0, and not 0.
            let divides = rule.epsilon as f32 == 0.0;
            let moved = self.moved.get_or_insert_with(|| {
                if divides {
                    vec![1; first.size()[0] as usize]
                } else {
                    fused::moved(first, second)
                }
            });
            fused::Sparse { rows, moved }
        });
        fused::adam(
            &mut self.parameter,
            (gradient, sparse),
            &mut self.first_moment,
            &mut self.second_moment,
            rule,
        );
    }

    /// The same update in tensor operations, for devices that the fused one does not reach.
    fn composed(&mut self, gradient: &Tensor, rule: &Rule) {
        let gradient = gradient * rule.clip;
        let mut first = self.first_moment.shallow_clone();
        let mut second = self.second_moment.shallow_clone();
        let _ = first
            .g_mul_scalar_(rule.beta1)
            .g_add_(&(&gradient * (1.0 - rule.beta1)));
        let _ = second
            .g_mul_scalar_(rule.beta2)
            .g_add_(&(gradient.square() * (1.0 - rule.beta2)));
        let (correction1, correction2) = rule.bias_correction.unwrap_or((1.0, 1.0));
        let update = (&first / correction1) / ((&second / correction2).sqrt() + rule.epsilon)
            + self.parameter.detach() * rule.decay;
        let _ = self.parameter.g_sub_(&(update * rule.learning_rate));
    }
}

/// Sum of the squares of every gradient; `None` where it is undefined. Those on a GPU are read
/// together: each read waits for the device.
fn squared_norms(gradients: &[Tensor]) -> Vec<Option<f64>> {
    let defined = gradients.iter().filter(|gradient| gradient.defined());
    let sums: Vec<f64> = match defined.clone().next().map(Tensor::device) {
        None => Vec::new(),
        Some(Device::Cpu) => defined
            .map(|gradient| fused::squared_sum(&gradient.contiguous()))
            .collect(),
        Some(_) => {
            let sums: Vec<Tensor> = defined
                .map(|gradient| gradient.square().sum(Kind::Double))
                .collect();
            Vec::try_from(Tensor::stack(&sums, 0)).expect("a number for each gradient")
        }
    };
    let mut sums = sums.into_iter();
    let of = |gradient: &Tensor| gradient.defined().then(|| sums.next()).flatten();
    gradients.iter().map(of).collect()
}
