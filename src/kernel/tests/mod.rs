//! Rules of the kernel, held against numbers that PyTorch and `transformers` computed
//! (`fixtures/`, with the scripts that made them).

mod attention;
mod boundary;
mod columns;
mod exchange;
mod families;
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
mod shapes;
mod twenty_steps;
mod unpadded;
mod variants;
