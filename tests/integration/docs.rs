//! The pages that a newcomer follows: their commands run, in order, in a scratch project with the
//! fake kernel, and print what the pages show; their experiment files are read without faults.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinyrun::experiment::Experiments;

use super::harness::{EXPERIMENT, Ran, Test};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Programs that a page may run here.
const RUN: [&str; 5] = ["tinyrun", "make", "cat", "export", "mkdir"];

/// Commands that are not run, and why; a script that they name must exist.
const NOT_RUN: &[(&str, &str)] = &[
    ("torchrun ", "needs PyTorch; tried by launchers.rs"),
    ("mpirun ", "needs Open MPI; tried by launchers.rs"),
    ("srun ", "needs Slurm; tried by launchers.rs"),
    ("scripts/check_with_transformers.py ", "needs PyTorch"),
    (
        "scripts/prune_vocabulary ",
        "installs packages; its functions are tried by fetch.rs",
    ),
    (
        "scripts/paired_bootstrap ",
        "needs predictions; tried by matrix.rs",
    ),
    ("tinyrun predict ", "needs weights of the real kernel"),
    ("echo ", "the same"),
    ("python3 -m venv ", "needs the pip of a venv"),
    (".venv-cuda/bin/pip ", "downloads PyTorch"),
    ("PATH=\"$PWD/.venv-cuda/bin:$PATH\" ", "builds"),
];

/// Experiments whose make targets run here: their data are written by `project`.
const WITH_DATA: [&str; 2] = ["reviews", "sst2"];

/// A fenced block of a page.
struct Block {
    page: String,
    /// Line of its first line, from 1.
    line: usize,
    language: String,
    lines: Vec<String>,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

/// README.md and the pages in docs/start and docs/guides.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md")];
    for folder in ["docs/start", "docs/guides"] {
        let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("read").file_name());
        let mut paths: Vec<PathBuf> = names.map(|name| Path::new(folder).join(name)).collect();
        paths.sort();
        pages.append(&mut paths);
    }
    pages
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).expect("a page");
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block {
                    page: page.display().to_string(),
                    line: index + 2,
                    language: language.to_owned(),
                    lines: Vec::new(),
                });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", page.display());
    blocks
}

/// A command of a page, and the output shown below it.
struct Shown {
    place: String,
    command: String,
    output: Vec<String>,
}

/// The commands of a `sh` or `console` block; a line that ends in a backslash continues.
fn commands(block: &Block) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut continues = false;
    for (index, line) in block.lines.iter().enumerate() {
        let command = match block.language.as_str() {
            "sh" => Some(line.as_str()),
            _ => line.strip_prefix("$ "),
        };
        match (command, shown.last_mut()) {
            (_, Some(last)) if continues => {
                last.command.pop();
                last.command.push_str(line.trim_start());
            }
            (Some(command), _) => {
                let place = format!("{}:{}", block.page, block.line + index);
                let command = command.split(" #").next().unwrap_or_default().trim();
                shown.push(Shown {
                    place,
                    command: command.to_owned(),
                    output: Vec::new(),
                });
            }
            (None, Some(last)) => last.output.push(line.clone()),
            (None, None) => panic!("{}: output before the first command", block.place()),
        }
        continues = shown
            .last()
            .is_some_and(|last| last.output.is_empty() && last.command.ends_with('\\'));
    }
    shown.retain(|shown| !shown.command.is_empty() && !shown.command.starts_with('#'));
    shown
}

/// A scratch project: the shipped experiments, small stand-ins for their data and teacher.
fn project() -> Test {
    let test = Test::new();
    let experiments = fs::read_dir(Path::new(ROOT).join("experiments")).expect("a folder");
    for entry in experiments {
        let path = entry.expect("read").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let experiment = fs::read_to_string(&path).expect("a file");
        test.write(
            &format!("experiments/{}", name.expect("UTF-8")),
            &experiment,
        );
    }
    let mut tickets = "message,team\n".to_owned();
    let mut reviews = "sentence\tlabel\n".to_owned();
    for number in 0..60 {
        let (team, label, word) = match number % 3 {
            0 => ("billing", "negative", "bad"),
            1 => ("technical", "positive", "good"),
            _ => ("account", "positive", "good"),
        };
        let _ = writeln!(
            tickets,
            "\"ticket {number}, a {word} film for {team}\",{team}"
        );
        let _ = writeln!(reviews, "review {number} of a {word} film\t{label}");
    }
    let sst2 = reviews.replace("negative", "0").replace("positive", "1");
    test.write("data/tickets.csv", &tickets)
        .write("data/reviews/reviews.tsv", &reviews)
        .write(
            "data/reviews/unlabelled.txt",
            "a good film\n\nanother bad film\n",
        )
        .write("data/glue/SST-2/train.tsv", &sst2)
        .write("data/glue/SST-2/dev.tsv", &sst2);
    for name in ["gd_config.yaml", "td_config_qnli.yaml"] {
        let path = Path::new(ROOT).join("fixtures/mindspore-config").join(name);
        test.write(name, &fs::read_to_string(path).expect("a fixture"));
    }
    test.write_bert("models/all-MiniLM-L6-v2", 6, 12);
    test.write("fake/correct", "4");
    test.write_model("fake/model", &["negative", "positive"]);
    fs::create_dir(test.path("bin")).expect("created");
    let program = test.path("bin/tinyrun");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tinyrun"), program).expect("linked");
    test
}

/// Runs one command of a page in the project, with all output in `stdout`.
fn run(test: &Test, command: &str) -> Ran {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(test.path(""))
        .env("PATH", format!("{}:{path}", test.path("bin").display()))
        .env("TINYRUN_KERNEL", Test::fake_kernel())
        .env("FAKE", test.path("fake"))
        .env("HOME", test.path("home"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output();
    output.expect("started").into()
}

/// Numbers, times and counts are those of another machine; white space sets columns.
fn comparable(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars().peekable();
    let mut in_word = false;
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() && !in_word {
            text.push('0');
            while let Some(&next) = letters.peek() {
                let mut ahead = letters.clone();
                let number_goes_on = matches!(next, '.' | ',' | ':')
                    && ahead.nth(1).is_some_and(|c| c.is_ascii_digit());
                if !next.is_alphanumeric() && !number_goes_on {
                    break;
                }
                letters.next();
            }
            continue;
        }
        in_word = letter.is_alphanumeric() || letter == '_';
        text.push(letter);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line is as shown; `...` in it stands for anything.
fn is_as_shown(line: &str, shown: &str) -> bool {
    let (line, shown) = (comparable(line), comparable(shown));
    let Some((begin, end)) = shown.split_once("...") else {
        return line == shown;
    };
    line.len() + "...".len() >= shown.len() && line.starts_with(begin) && line.ends_with(end)
}

/// Compares output with what a page shows; a line `...` stands for any number of lines.
fn compare(shown: &Shown, output: &str) {
    let mut lines = output.lines().peekable();
    let mut skips = false;
    for expected in &shown.output {
        if expected.trim() == "..." {
            skips = true;
            continue;
        }
        let found = if skips {
            lines.any(|line| is_as_shown(line, expected))
        } else {
            lines.next().is_some_and(|line| is_as_shown(line, expected))
        };
        let Shown { place, command, .. } = shown;
        assert!(
            found,
            "{place}: `{command}` prints no `{expected}`:\n{output}"
        );
        skips = false;
    }
    let rest = lines.peek();
    assert!(
        skips || shown.output.is_empty() || rest.is_none(),
        "{}: `{}` prints more than is shown:\n{output}",
        shown.place,
        shown.command
    );
}

/// Targets of the Makefile and one for each experiment.
fn make_targets() -> BTreeSet<String> {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).expect("a Makefile");
    let phony = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY: "));
    let mut targets: BTreeSet<String> = phony
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect();
    for entry in fs::read_dir(Path::new(ROOT).join("experiments")).expect("a folder") {
        let path = entry.expect("read").path();
        targets.extend(
            path.file_stem()
                .and_then(|stem| stem.to_str())
                .map(str::to_owned),
        );
    }
    targets
}

/// The command to run in place of `make TARGET`, where there is one.
fn instead_of_make(shown: &Shown, targets: &BTreeSet<String>) -> Option<String> {
    let rest = shown.command.strip_prefix("make ")?;
    let (target, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
    let Shown { place, .. } = shown;
    assert!(targets.contains(target), "{place}: no target `{target}`");
    let experiment = if target == "run" { "reviews" } else { target };
    let more = arguments.strip_prefix("ARGS=").unwrap_or_default();
    let more = more.trim_matches(['"', '\'']);
    let run = format!("tinyrun experiments/{experiment}.toml {more}");
    Some(if WITH_DATA.contains(&experiment) {
        run
    } else {
        String::new()
    })
}

#[test]
fn the_commands_that_pages_show_run_and_print_what_is_shown() {
    let targets = make_targets();
    let mut used = BTreeSet::new();
    let mut ran = 0;
    for page in pages() {
        let test = project();
        for block in blocks(&page) {
            if let Some(path) = file_name(&block) {
                test.write(&path, &block.lines.join("\n"));
            }
            if !["sh", "console"].contains(&block.language.as_str()) {
                continue;
            }
            for shown in commands(&block) {
                let Shown { place, command, .. } = &shown;
                let skipped = NOT_RUN.iter().find(|(begin, _)| command.starts_with(begin));
                if let Some((begin, _)) = skipped {
                    used.insert(*begin);
                    let script = begin.trim_end();
                    let is_there =
                        !script.starts_with("scripts/") || Path::new(ROOT).join(script).exists();
                    assert!(is_there, "{place}: `{script}` does not exist");
                    continue;
                }
                let program = command.split(' ').next().unwrap_or_default();
                assert!(
                    RUN.contains(&program),
                    "{place}: `{command}` is neither run nor listed"
                );
                let command = match instead_of_make(&shown, &targets) {
                    Some(none) if none.is_empty() => continue,
                    Some(instead) => instead,
                    None => command.clone(),
                };
                let output = run(&test, &command);
                let fails = shown.output.iter().any(|line| line.starts_with("error:"));
                assert_eq!(
                    output.code != Some(0),
                    fails,
                    "{place}: `{command}`:\n{}",
                    output.stdout
                );
                compare(&shown, &output.stdout);
                ran += 1;
            }
        }
    }
    assert!(ran > 10, "{ran} commands ran");
    let listed: BTreeSet<&str> = NOT_RUN.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(used, listed, "what is listed as not run stands on a page");
}

/// The file that a block shows whole: named by its first line, as in `# experiments/x.toml`.
fn file_name(block: &Block) -> Option<String> {
    let first = block.lines.first()?.strip_prefix("# ")?;
    let is_name = Path::new(first)
        .extension()
        .is_some_and(|end| end == "toml");
    let is_name = is_name && !first.contains(' ');
    (block.language == "toml" && is_name).then(|| first.to_owned())
}

/// Lays a part of an experiment file over a whole one.
fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            // Another table of rows has other columns and another dev set; a student that starts from a model has no
            // shape.
            (Some(toml::Value::Table(into)), toml::Value::Table(from))
                if !(from.contains_key("train")
                    || key == "student" && from.contains_key("model")) =>
            {
                merge(into, from);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[test]
fn the_experiment_files_that_pages_show_have_no_faults() {
    let mut read = 0;
    for block in pages().iter().flat_map(|page| blocks(page)) {
        if block.language != "toml" {
            continue;
        }
        let text = block.lines.join("\n");
        let part: toml::Table = text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", block.place()));
        let whole = if file_name(&block).is_some() {
            part
        } else {
            let whole = EXPERIMENT.replace("max-position-embeddings = 32\n", "");
            let mut whole: toml::Table = whole.parse().expect("an experiment");
            merge(&mut whole, part);
            whole
        };
        let text = toml::to_string(&whole).expect("TOML");
        let experiments = Experiments::read(
            tinyrun::kinds::KINDS,
            "x.toml",
            "x",
            &text,
            &[],
            &tinyrun::experiment::FileAlone,
        );
        if let Err(faults) = experiments {
            panic!("{}: {faults}", block.place());
        }
        read += 1;
    }
    assert!(read > 3, "{read} files");
}

#[test]
fn the_python_that_pages_show_parses() {
    let mut read = 0;
    for block in pages().iter().flat_map(|page| blocks(page)) {
        if block.language == "python" {
            let check = "import ast, sys; ast.parse(sys.argv[1])";
            let output = Command::new("python3")
                .args(["-c", check, &block.lines.join("\n")])
                .output()
                .expect("python3 runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {said}", block.place());
            read += 1;
        }
    }
    assert!(read > 0);
}

/// All sources and scripts, with line continuations of string literals joined.
fn sources() -> String {
    let mut text = String::new();
    let mut folders = vec![Path::new(ROOT).join("src"), Path::new(ROOT).join("scripts")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("read").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(file) = fs::read_to_string(&path) {
                text.push_str(&file);
            }
        }
    }
    let mut joined = String::new();
    for line in text.lines() {
        match line.strip_suffix('\\') {
            Some(begin) => joined.push_str(begin),
            None => writeln!(joined, "{line}").expect("memory"),
        }
    }
    joined
}

#[test]
fn the_messages_that_troubleshooting_names_stand_in_the_code() {
    let page = Path::new(ROOT).join("docs/guides/troubleshooting.md");
    let text = fs::read_to_string(page).expect("a page");
    let sources = sources();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let named = rows.flat_map(|row| {
        let cell = row.split(" | ").next().unwrap_or_default();
        cell.split('`').step_by(2)
    });
    let named: Vec<&str> = named.filter(|message| !message.is_empty()).collect();
    let missing: Vec<&&str> = named
        .iter()
        .filter(|message| !sources.contains(**message))
        .collect();
    assert!(named.len() > 20, "{} messages", named.len());
    assert!(missing.is_empty(), "no message contains {missing:?}");
}

fn check_docs(root: &Path) -> Ran {
    let script = Path::new(ROOT).join("scripts/check_docs");
    Command::new(script)
        .arg(root)
        .output()
        .expect("started")
        .into()
}

#[test]
fn links_and_line_lengths_of_all_pages_are_right() {
    check_docs(Path::new(ROOT)).succeeds();
}

#[test]
fn a_broken_link_a_long_line_and_an_unlisted_page_are_found() {
    let test = Test::new();
    let words = "word ".repeat(21);
    let cells = "| cell ".repeat(24);
    let readme = format!(
        "# Title\n\n[there](docs/a.md#a-heading-with-code) [gone](docs/b.md) [no](docs/a.md#b)\n\
         {words}\n{cells}\n```sh\n[code](is/no/link)\n```\n`[x](code)` [web](https://x.y/z)\n"
    );
    test.write("README.md", &format!("{readme}{}", "\n".repeat(150)))
        .write("docs/SUMMARY.md", "# Summary\n\n[A](a.md)\n\n- [A](a.md)\n")
        .write(
            "docs/a.md",
            "# A heading, with `code`\n\n[out](../README.md)\n",
        )
        .write("docs/c.md", "# C\n");
    let found = check_docs(&test.path("")).ends_with(1);
    let lines: Vec<&str> = found.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            "README.md:3: `docs/b.md` links to a file that does not exist",
            "README.md:3: `docs/a.md#b` links to a heading that does not exist",
            "README.md:4: text of 105 columns, the limit is 100",
            "README.md:5: a table row of 168 columns, the limit is 160",
            "docs/a.md:3: `../README.md` links out of docs/, which the built book does not hold; \
             write the file's name as code",
            "README.md:159: 159 lines, the limit is 150; move text to docs/",
            "docs/SUMMARY.md:5: `a.md` is listed twice",
            "docs/SUMMARY.md:5: `c.md` is not listed",
            "error: 8 faults in README.md, docs/ or the pages beside them",
        ]
    );
}

/// Flags and keys of MindSpore's TinyBERT as published: the flags of both programs, the keys of
/// `gd_config.yaml` and `td_config/*.yaml`, the scripts with their arguments, and what its users
/// look for in logs.
const OF_MINDSPORE: &str = "
    config_path device_target distribute device_num device_id epoch_size save_ckpt_step max_ckpt_num
    do_shuffle enable_data_sink data_sink_steps save_ckpt_path load_teacher_ckpt_path data_dir
    schema_dir dataset_type do_train do_eval td_phase1_epoch_size td_phase2_epoch_size
    load_gd_ckpt_path load_td1_ckpt_path train_data_dir eval_data_dir task_type task_name
    assessment_method description common_cfg phase1_cfg phase2_cfg eval_cfg optimizer_cfg
    AdamWeightDecay batch_size loss_scale_value scale_factor scale_window learning_rate
    end_learning_rate power weight_decay eps decay_filter num_labels seed1 seed2
    bert_teacher_net_cfg bert_student_net_cfg td_teacher_net_cfg td_student_net_cfg seq_length
    vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act
    hidden_dropout_prob attention_probs_dropout_prob max_position_embeddings type_vocab_size
    initializer_range use_relative_positions dtype compute_type onnx_path ckpt_file file_name
    file_format enable_profiling result_path label_path enable_modelarts data_url train_url
    checkpoint_url data_path output_path load_path modelarts_dataset_unzip_name
    folder_name_under_zip_file run_standalone_gd.sh run_standalone_td.sh
    run_distributed_gd_ascend.sh run_distributed_gd_gpu.sh run_eval_onnx.sh run_infer_310.sh
    DEVICE_NUM EPOCH_SIZE RANK_TABLE_FILE DATA_DIR SCHEMA_DIR TEACHER_CKPT_PATH hccl.json
    eval.log eval_model.ckpt tinybert_td_phase1_save_ckpt";

#[test]
fn every_flag_and_key_of_mindspores_tinybert_has_an_answer() {
    let page = Path::new(ROOT).join("docs/guides/from-mindspore.md");
    let page = fs::read_to_string(page).expect("a page");
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
    let names: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|code| code.split(|letter| !is_part(letter)))
        .collect();
    let missing = OF_MINDSPORE
        .split_whitespace()
        .filter(|name| !names.contains(name));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    for log in [
        "epoch: 1, step: 100, outputs are",
        "The best acc is",
        "PrivateUse1",
    ] {
        assert!(page.contains(log), "{log}");
    }
    // No key of the fixtures, which have the published form, is unknown to `init`.
    for name in ["gd_config.yaml", "td_config_qnli.yaml"] {
        let path = Path::new(ROOT).join("fixtures/mindspore-config").join(name);
        let text = fs::read_to_string(path).expect("a fixture");
        let values = text.split("\n---").next().unwrap_or_default();
        let keys = values
            .lines()
            .filter_map(|line| line.trim().split_once(':'));
        for (key, _) in keys.filter(|(key, _)| !key.starts_with('#') && *key != "colour") {
            assert!(names.contains(key), "{name}: {key}");
        }
    }
}
