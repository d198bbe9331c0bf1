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
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Option<Launched>, BadLaunch> {
        launched_by(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// What the launchers were seen to set.
    #[test]
    fn each_launcher_is_known_by_its_variables() {
        let torchrun = [
            ("RANK", "1"),
            ("WORLD_SIZE", "3"),
            ("LOCAL_WORLD_SIZE", "3"),
            ("MASTER_ADDR", "node"),
            ("MASTER_PORT", "29500"),
            ("TORCHELASTIC_RUN_ID", "a b"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("SLURM_PROCID", "0"),
            ("SLURM_STEP_NUM_TASKS", "1"),
        ];
        let launched = found(&torchrun).unwrap().unwrap();
        assert_eq!(
            (launched.by, launched.rank, launched.size),
            ("torchrun", 1, 3)
        );
        let (host, run) = ("node".to_owned(), "a_b-2".to_owned());
        let meeting = MeetingPlace::Launcher {
            host,
            port: 29500,
            run,
        };
        assert_eq!(launched.meeting, meeting);

        let mpirun = [
            ("OMPI_COMM_WORLD_RANK", "0"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
            ("PMIX_NAMESPACE", "123"),
        ];
        let launched = found(&mpirun).unwrap().unwrap();
        let run = "123".to_owned();
        assert_eq!(launched.meeting, MeetingPlace::File { run });
        assert_eq!(launched.rank, 0);

        let srun = [
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "4"),
            ("SLURM_STEP_NUM_TASKS", "4"),
            ("SLURM_STEP_TASKS_PER_NODE", "2(x2)"),
            ("SLURM_JOB_ID", "7"),
            ("SLURM_STEP_ID", "0"),
        ];
        let error = found(&srun).unwrap_err();
        assert_eq!(error, BadLaunch::NoAddress { by: "srun" });
        let address = [("MASTER_ADDR", "n0"), ("MASTER_PORT", "29500")];
        let launched = found(&[&srun[..], &address].concat()).unwrap().unwrap();
        let (host, run) = ("n0".to_owned(), "7-0".to_owned());
        let meeting = MeetingPlace::Address {
            host,
            port: 29500,
            run,
        };
        assert_eq!(launched.meeting, meeting);
    }

    #[test]
    fn a_process_that_is_alone_is_not_launched() {
        // A batch script, and a single rank.
        let batch = [
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "4"),
            ("SLURM_JOB_ID", "7"),
        ];
        assert_eq!(found(&batch), Ok(None));
        assert_eq!(found(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(None));
        assert_eq!(found(&[("RANK", "0")]), Ok(None));
        assert_eq!(found(&[]), Ok(None));
    }

    #[test]
    fn variables_that_make_no_place_are_named() {
        let error = found(&[("RANK", "x"), ("WORLD_SIZE", "2")]).unwrap_err();
        assert!(error.to_string().contains("`RANK`"), "{error}");
        let error = found(&[("RANK", "5"), ("WORLD_SIZE", "2")]).unwrap_err();
        assert!(
            error.to_string().contains("started rank 5, but only 2"),
            "{error}"
        );
        let ranks = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "h")];
        for port in ["http", "70000"] {
            let port = [("MASTER_PORT", port)];
            let error = found(&[&ranks[..], &port].concat()).unwrap_err();
            assert!(error.to_string().contains("`MASTER_PORT`"), "{error}");
        }
    }
}
