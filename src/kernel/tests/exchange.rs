//! Gradients in the middle of a backward pass.

use std::cell::RefCell;
use std::rc::Rc;

use tch::Tensor;
use tinyrun_base::job::Reduction;

use super::fixture::{batch, intermediate, losses, student, teacher, weights};
use crate::objective::Share;
use crate::ranks::{Hook, turn};

/// Buckets leave in this order: one that has to wait for a later gradient holds up all after it.
#[test]
fn gradients_come_in_the_order_of_the_buckets_and_are_those_of_the_pass() {
    let file = weights("twenty_steps.safetensors");
    let (student, parameters) = student();
    let (teacher, _) = teacher("bert-tiny");
    let leaves: Vec<Tensor> = parameters
        .iter()
        .map(|(_, leaf)| leaf.shallow_clone())
        .collect();
    let seen: Rc<RefCell<Vec<(usize, Tensor)>>> = Rc::default();
    let hooks = leaves.iter().enumerate().map(|(place, leaf)| {
        let seen = Rc::clone(&seen);
        Hook::new(leaf, move |gradient| {
            seen.borrow_mut().push((place, gradient.copy()));
        })
    });
    let hooks: Vec<Hook> = hooks.collect();
    let pass = || {
        let found = losses(
            &intermediate(Reduction::Tokens),
            &student,
            Some(&teacher),
            &batch(&file, "batches.0."),
            Share::WHOLE,
        );
        Tensor::run_backward(&[&found.total], &leaves, false, false)
    };
    let gradients = pass();
    drop(hooks);
    let seen = seen.take();
    let defined = gradients.iter().filter(|gradient| gradient.defined());
    assert_eq!(seen.len(), defined.count());
    for (place, gradient) in &seen {
        assert!(gradient.equal(&gradients[*place]));
    }
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
    let turns: Vec<_> = seen.iter().map(|(place, _)| turn(names[*place])).collect();
    assert!(turns.is_sorted(), "{turns:?}");
    // A hook that is dropped takes nothing more.
    pass();
    assert!(seen.len() > 20);
}
