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
