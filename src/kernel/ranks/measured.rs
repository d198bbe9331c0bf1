//! What an exchange of gradients costs by itself, for `make bench`: ranks that wait where a training computes, and hand
//! gradients to the exchange as a backward pass does.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tch::{Device, Kind, Tensor};
use tinyrun_base::job::GradientExchange;
use tinyrun_base::model::BertConfig;
use tinyrun_base::model::names::{WORDS, initialized};

use super::exchange::{Exchange, turn};
use super::local::own_address;
use super::native::{Group, Meeting, are_there};
use super::{COMING, Rank, lost};
use crate::error::KernelError;

/// First argument of a process that measures.
const MEASURE: &str = "--measure-exchange";

/// Steps before those that count.
const WARMING_UP: u32 = 3;

/// Shape of the projection of a student's hidden states to a teacher of this width.
const TEACHER_WIDTH: i64 = 384;

/// What is measured, as one of the ranks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measurement {
    rank: usize,
    size: usize,
    /// Where rank 0 listens.
    host: String,
    port: u16,
    /// The student.
    config: BertConfig,
    /// Rows of the table of words that a batch has.
    words: usize,
    gradient_exchange: GradientExchange,
    /// Whether gradients leave before all are there.
    overlap: bool,
    /// How long a step computes, were it not for the exchange: a third forward, the rest backward.
    compute_ms: f64,
    steps: u32,
}

/// Measures where this process was started for that.
pub(crate) fn measurement_of_arguments() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let is_asked = arguments.next()? == MEASURE;
    let text = arguments.next().filter(|_| is_asked)?;
    let done = serde_json::from_str(&text)
        .map_err(KernelError::Job)
        .and_then(|measurement| measure(&measurement));
    let failed = match done {
        Ok(found) => writeln!(io::stdout(), "{found}").is_err(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            true
        }
    };
    Some(ExitCode::from(u8::from(failed)))
}

/// Parameters of the student, and of a projection, with gradients.
fn parameters(config: &BertConfig) -> Vec<(String, Tensor)> {
    let named = initialized(config, None).into_iter();
    let projection = [(
        "fit_dense.weight".to_owned(),
        vec![TEACHER_WIDTH as usize, config.hidden_size],
    )];
    let all = named.chain(projection).map(|(name, shape)| {
        let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        let tensor = Tensor::zeros(&shape[..], (Kind::Float, Device::Cpu));
        (name, tensor.set_requires_grad(true))
    });
    all.collect()
}

/// Gradients of the parameters; of the table of words those of so many rows.
fn gradients(all: &[(&str, &Tensor)], words: Option<usize>, rows: usize) -> Vec<Tensor> {
    let all = all.iter().enumerate().map(|(place, (_, tensor))| {
        let mut shape = tensor.size();
        if words == Some(place) {
            shape[0] = rows as i64;
        }
        Tensor::ones(&shape[..], (Kind::Float, Device::Cpu))
    });
    all.collect()
}

fn measure(asked: &Measurement) -> Result<serde_json::Value, KernelError> {
    if !are_there() {
        return Err(KernelError::OneRankOnly);
    }
    tch::set_num_threads(1);
    let (meeting, group) = join(asked)?;
    let parameters = parameters(&asked.config);
    let all: Vec<(&str, &Tensor)> = parameters
        .iter()
        .map(|(name, it)| (&name[..], it))
        .collect();
    let words = all.iter().position(|(name, _)| *name == WORDS);
    let rows = asked.words.min(asked.config.vocab_size);
    let gradients = gradients(&all, words, rows);
    let exchange = Exchange::new(&group, &all, words, asked.gradient_exchange);
    // In the order of a backward pass, and a wait before each part of it.
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|place| (turn(all[*place].0), words == Some(*place)));
    let mut times = Vec::new();
    let mut cpu = cpu_time();
    let mut since = Instant::now();
    for step in 0..WARMING_UP + asked.steps {
        if step == WARMING_UP {
            times.clear();
            cpu = cpu_time();
        }
        take_step(asked, &exchange, (&all, &order, &gradients), rows)?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        since = Instant::now();
    }
    let numbers: i64 = gradients.iter().map(|it| it.numel() as i64).sum();
    let bytes = match asked.gradient_exchange {
        GradientExchange::Fp32 => 4,
        GradientExchange::Bf16 => 2,
    };
    let spent = cpu_time().saturating_sub(cpu).as_secs_f64() * 1e3 / f64::from(asked.steps);
    // Rank 0 serves the meeting: it leaves last.
    let end = |rank: usize| format!("measured/{rank}");
    meeting.set(&end(asked.rank), "").map_err(lost)?;
    if asked.rank == 0 {
        for rank in 1..asked.size {
            meeting.wait_for(&end(rank), COMING).map_err(lost)?;
        }
    }
    drop(exchange);
    Ok(json!({ "step_ms": times, "cpu_ms": spent, "megabytes": (numbers * bytes) as f64 / 1e6 }))
}

/// Meets the others at rank 0's address.
fn join(asked: &Measurement) -> Result<(Meeting, Rc<Group>), KernelError> {
    let address = (&asked.host[..], asked.port);
    let meeting = if asked.rank == 0 {
        let socket = TcpListener::bind(("0.0.0.0", asked.port));
        let socket = socket.map_err(|error| lost(error.to_string()))?;
        Meeting::open(address, Some(socket), "measure", COMING)
    } else {
        Meeting::open(address, None, "measure", COMING)
    };
    let meeting = meeting.map_err(lost)?;
    let own = own_address(address).map_err(|error| lost(error.to_string()))?;
    let place = Rank {
        rank: asked.rank,
        size: asked.size,
    };
    let group = Group::open(&meeting, (place.rank, place.size), &own, (COMING, COMING));
    Ok((meeting, Rc::new(group.map_err(lost)?)))
}

/// A step: waits in place of computation, and the exchange of these gradients.
fn take_step(
    asked: &Measurement,
    exchange: &Exchange,
    (all, order, gradients): (&[(&str, &Tensor)], &[usize], &[Tensor]),
    rows: usize,
) -> Result<(), KernelError> {
    exchange.begin(rows);
    wait(asked.compute_ms / 3.0);
    if asked.overlap {
        exchange.last_pass();
    }
    let parts: Vec<&[usize]> = order
        .chunk_by(|one, other| turn(all[*one].0) == turn(all[*other].0))
        .collect();
    for part in &parts {
        wait(asked.compute_ms * 2.0 / 3.0 / parts.len() as f64);
        for place in *part {
            exchange.hand(*place, &gradients[*place]);
        }
    }
    let (sums, _) = exchange.finish(&mut [0.0; 4], false)?;
    // They must not be more than sums.
    assert!(sums.iter().all(Tensor::defined), "every gradient was there");
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "it stands for computation, which is what is measured"
)]
fn wait(milliseconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(milliseconds / 1e3));
}

/// Of all threads of this process so far.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have spaces.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|field| fields.get(*field)?.parse::<u64>().ok())
        .sum();
    // `getconf CLK_TCK` is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}
