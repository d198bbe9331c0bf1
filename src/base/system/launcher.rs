//! Programs that start one process a rank, and the variables by which each tells a process its place.

/// The place of this process among those that a launcher has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// Name of the launcher, for messages.
    pub by: &'static str,
    /// Which one this is, from 0 on.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Where they meet.
    pub meeting: MeetingPlace,
}

/// Where the processes of a launcher find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeetingPlace {
    /// A store that the launcher serves. `run` tells its attempts apart.
    Launcher {
        /// Name or address of its machine.
        host: String,
        /// Port.
        port: u16,
        /// The launcher's name of this attempt.
        run: String,
    },
    /// Rank 0 listens here.
    Address {
        /// Name or address of rank 0's machine.
        host: String,
        /// Port.
        port: u16,
        /// The launcher's name of this run.
        run: String,
    },
    /// All are on one machine, and rank 0 writes where it listens to a file of this name.
    File {
        /// The launcher's name of this run, of letters, digits and `.-_`.
        run: String,
    },
}

/// A launcher's variables.
struct Variables {
    by: &'static str,
    /// Set by this launcher and no other; empty where `rank` is.
    mark: &'static str,
    rank: &'static str,
    size: &'static str,
    local: &'static str,
    /// What tells one run from another, side by side.
    run: &'static [&'static str],
}

/// The launchers, those first that others may have started.
const LAUNCHERS: [Variables; 5] = [
    Variables {
        by: "torchrun",
        mark: "TORCHELASTIC_RUN_ID",
        rank: "RANK",
        size: "WORLD_SIZE",
        local: "LOCAL_WORLD_SIZE",
        run: &["TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"],
    },
    Variables {
        by: "mpirun (Open MPI)",
        mark: "OMPI_COMM_WORLD_RANK",
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        local: "OMPI_COMM_WORLD_LOCAL_SIZE",
        run: &["PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"],
    },
    Variables {
        by: "mpirun (MPICH)",
        mark: "PMI_RANK",
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        local: "MPI_LOCALNRANKS",
        run: &[],
    },
    // Not `SLURM_NTASKS`, which a batch script has too, where nobody has started the tasks.
    Variables {
        by: "srun",
        mark: "SLURM_STEP_NUM_TASKS",
        rank: "SLURM_PROCID",
        size: "SLURM_STEP_NUM_TASKS",
        local: "SLURM_STEP_TASKS_PER_NODE",
        run: &["SLURM_JOB_ID", "SLURM_STEP_ID"],
    },
    Variables {
        by: "the environment (`RANK` and `WORLD_SIZE`)",
        mark: "RANK",
        rank: "RANK",
        size: "WORLD_SIZE",
        local: "LOCAL_WORLD_SIZE",
        run: &[],
    },
];

/// Variables by which users and launchers say where rank 0 listens.
const HOST: &str = "MASTER_ADDR";
const PORT: &str = "MASTER_PORT";

/// What a launcher has set and cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLaunch {
    /// A variable that has no number.
    #[error("`{name}`, which {by} sets, is `{value}`, expected a number")]
    Number {
        /// The launcher.
        by: &'static str,
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// A rank beyond the number of ranks.
    #[error("{by} has started rank {rank}, but only {size} ranks")]
    Rank {
        /// The launcher.
        by: &'static str,
        /// The rank.
        rank: usize,
        /// How many there are to be.
        size: usize,
    },
    /// Ranks of several machines without an address.
    #[error("{by} has started ranks, and does not say where rank 0 is")]
    NoAddress {
        /// The launcher.
        by: &'static str,
    },
}

impl BadLaunch {
    /// What helps.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Number { .. } | Self::Rank { .. } => {
                "unset the launcher's variables to run without one"
            }
            Self::NoAddress { .. } => {
                "set `MASTER_ADDR` to the machine of rank 0, and `MASTER_PORT` to a free port there"
            }
        }
    }
}

/// The place that a launcher has given this process; `None` where none has, or where it is the only one.
///
/// # Errors
/// Variables that make no place.
pub fn launched() -> Result<Option<Launched>, BadLaunch> {
    launched_by(|name| std::env::var(name).ok())
}

fn launched_by(get: impl Fn(&str) -> Option<String>) -> Result<Option<Launched>, BadLaunch> {
    let is_set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
    let found = LAUNCHERS
        .iter()
        .find(|it| is_set(it.mark) && is_set(it.size));
    let Some(Variables {
        by,
        rank,
        size,
        local,
        run,
        ..
    }) = found
    else {
        return Ok(None);
    };
    let number = |name: &'static str| -> Result<usize, BadLaunch> {
        let value = get(name).unwrap_or_default();
        let number = value.parse();
        number.map_err(|_| BadLaunch::Number { by, name, value })
    };
    let (rank, size) = (number(rank)?, number(size)?);
    if rank >= size {
        return Err(BadLaunch::Rank { by, rank, size });
    }
    if size == 1 {
        return Ok(None);
    }
    // Slurm writes `2(x3),1` for those of several machines.
    let local: Option<usize> = get(local).and_then(|text| text.parse().ok());
    let parts = run.iter().filter_map(|name| get(name));
    let run = plain(&parts.collect::<Vec<_>>().join("-"));
    let address = get(HOST).filter(|host| !host.is_empty());
    let port = is_set(PORT).then(|| {
        let value = get(PORT).unwrap_or_default();
        let port = value.parse::<u16>();
        port.map_err(|_| BadLaunch::Number {
            by,
            name: PORT,
            value,
        })
    });
    let port = port.transpose()?;
    let meeting = match address.zip(port) {
        Some((host, port)) if get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True") => {
            MeetingPlace::Launcher { host, port, run }
        }
        Some((host, port)) => MeetingPlace::Address { host, port, run },
        None if local == Some(size) && !run.is_empty() => MeetingPlace::File { run },
        None => return Err(BadLaunch::NoAddress { by }),
    };
    let launched = Launched {
        by,
        rank,
        size,
        meeting,
    };
    Ok(Some(launched))
}

/// A name of letters that a file may have.
fn plain(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let letters = text.chars().map(|it| if is_plain(it) { it } else { '_' });
    letters.take(100).collect()
}

#[cfg(test)]
mod tests;
