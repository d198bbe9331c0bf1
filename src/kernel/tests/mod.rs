//! Rules of the kernel, held against numbers that PyTorch and `transformers` computed
//! (`fixtures/`, with the scripts that made them).

mod attention;
mod boundary;
mod columns;
mod exchange;
mod families;
mod feed;
mod fixture;
mod forward;
mod half;
mod losses;
mod memory;
mod objectives;
mod optimizer;
mod patience;
mod predict;
mod recipes;
mod relations;
mod relative;
mod resume;
mod scoring;
mod several_teachers;
mod shapes;
mod twenty_steps;
mod unpadded;
mod variants;

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use crate::seed::seeded;

/// Draws tensors of standard normal numbers, the same ones whatever other tests draw meanwhile.
fn noise(seed: i64) -> impl Fn(&[i64]) -> Tensor {
    let drawn = Cell::new(0);
    move |shape| {
        drawn.set(drawn.get() + 1);
        seeded(seed * 1000 + drawn.get(), || {
            Tensor::randn(shape, (Kind::Float, Device::Cpu))
        })
    }
}

#[test]
fn threads_that_draw_side_by_side_draw_what_each_draws_alone() {
    let drawn = |seed: i64| {
        let noise = noise(seed);
        let draws: Vec<Tensor> = (0..50).map(|_| noise(&[100, 37])).collect();
        Tensor::cat(&draws, 0)
    };
    let alone: Vec<Tensor> = (0..4).map(drawn).collect();
    let together = std::thread::scope(|scope| {
        let drawing: Vec<_> = (0..4)
            .map(|seed| scope.spawn(move || drawn(seed)))
            .collect();
        drawing
            .into_iter()
            .map(|thread| thread.join().expect("it draws"))
            .collect::<Vec<_>>()
    });
    assert_eq!(alone, together);
    assert_ne!(alone[0], alone[1]);
}
