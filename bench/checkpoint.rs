//! Reading a model file, every tensor as 32-bit floats, beside reading the same bytes: a part of `make bench`.
//!
//!     cargo bench --bench checkpoint -- FILE ROUNDS
//!
//! Prints the seconds of each as JSON, the median of the rounds, which change places.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use tinyrun::model::Weights;

fn tensors(path: &Path) -> Result<usize, Box<dyn Error>> {
    let weights = Weights::open(path)?;
    let mut numbers = 0;
    for name in weights.names() {
        numbers += std::hint::black_box(weights.to_f32(name)?).len();
    }
    Ok(numbers)
}

fn bytes(path: &Path) -> Result<usize, Box<dyn Error>> {
    Ok(std::hint::black_box(fs::read(path)?).len())
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let path = arguments.next().ok_or("no file")?;
    let rounds: usize = arguments.next().ok_or("no number of rounds")?.parse()?;
    let works = [tensors, bytes];
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for place in [round % 2, (round + 1) % 2] {
            let begin = Instant::now();
            works[place](Path::new(&path))?;
            // The first round fetches the file from the disk.
            if round > 0 {
                took[place].push(begin.elapsed().as_secs_f64());
            }
        }
    }
    let [tensors, bytes] = took.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    });
    #[expect(clippy::print_stdout, reason = "it is what it is for")]
    {
        println!("{{\"tensors\": {tensors}, \"bytes\": {bytes}}}");
    }
    Ok(())
}
