//! `--set key.path=value`: laid over the file's tree before anything reads it.

use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::node::{Entry, Node, Piece, Table, Value};
use super::span::Span;

/// Puts the `number`-th argument's value (from 1) into the tree, in place of what is there.
pub(crate) fn apply(number: usize, argument: &str, tree: &mut Table) -> Result<(), Vec<Fault>> {
    let piece = Piece {
        source: number,
        offset: 0,
    };
    let whole = piece.span(0..argument.len());
    let Some(equals) = find_equals(argument) else {
        let fault = Fault::new(format!("`--set {argument}` has no `=`"), whole);
        return Err(vec![fault.with_label("expected `key.path=value`")]);
    };
    let path = parse_path(piece, &argument[..equals])?;
    let node = parse_value(number, argument, equals + 1)?;
    insert(tree, &path, node)
}

/// The first `=` outside of a quoted key.
fn find_equals(argument: &str) -> Option<usize> {
    let mut quote = None;
    argument.char_indices().find_map(|(index, character)| {
        match (quote, character) {
            (None, '=') => return Some(index),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        None
    })
}

/// Keys of a dotted path, with their places.
fn parse_path(piece: Piece, path: &str) -> Result<Vec<(String, Span)>, Vec<Fault>> {
    let whole = piece.span(0..path.len().max(1));
    let malformed = || {
        let fault = Fault::new(
            format!("`{}` is not a valid key path", path.trim()),
            whole.clone(),
        );
        vec![fault.with_label("expected keys with dots between them")]
    };
    // A path alone is no TOML; with a value it is.
    let document = format!("{path}=0");
    let parsed = DeTable::parse(&document).map_err(|_| malformed())?;
    let mut keys = Vec::new();
    let mut table = parsed.get_ref();
    loop {
        let (Some((key, value)), 1) = (table.iter().next(), table.len()) else {
            return Err(malformed());
        };
        keys.push((key.get_ref().to_string(), piece.span(key.span())));
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Ok(keys),
        }
    }
}

/// The value after the `=`: TOML, or else a string without its quotes.
fn parse_value(source: usize, argument: &str, start: usize) -> Result<Node, Vec<Fault>> {
    let text = argument[start..].trim();
    let offset = start + argument[start..].len() - argument[start..].trim_start().len();
    let piece = Piece { source, offset };
    let error = match DeValue::parse(text) {
        Ok(value) => return Ok(piece.node(&value)),
        Err(error) => error,
    };
    if text.starts_with(['"', '\'', '[', '{']) {
        return Err(vec![piece.fault(&error)]);
    }
    Ok(Node {
        value: Value::String(text.to_owned()),
        span: piece.span(0..text.len()),
    })
}

/// Puts a value at a path, in place of what is there.
pub(crate) fn insert(
    tree: &mut Table,
    path: &[(String, Span)],
    node: Node,
) -> Result<(), Vec<Fault>> {
    let Some(((last, place), tables)) = path.split_last() else {
        return Ok(());
    };
    let mut table = tree;
    for (key, span) in tables {
        let entry = table.entry(key.clone()).or_insert_with(|| Entry {
            key: span.clone(),
            node: Node {
                value: Value::Table(Table::new()),
                span: span.clone(),
            },
        });
        let kind = entry.node.value.kind();
        let Value::Table(inner) = &mut entry.node.value else {
            let fault = Fault::new(format!("`{key}` is {kind}"), span.clone());
            return Err(vec![fault.with_label("expected a table")]);
        };
        table = inner;
    }
    let entry = Entry {
        key: place.clone(),
        node,
    };
    table.insert(last.clone(), entry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::experiment::Training;
    use crate::experiment::testing::{MINIMAL, faults, pipeline, read_with};

    #[test]
    fn an_override_replaces_what_the_file_says_and_the_last_one_wins() {
        let sets = ["task.train=a.tsv", "task.train = 'b.tsv'", "seed=7"];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        assert_eq!(experiment.task.train.value, "b.tsv");
        assert_eq!(experiment.task.train.span.unwrap().source, 2);
        assert_eq!(experiment.seed, 7);
    }

    #[test]
    fn an_override_may_add_a_stage() {
        let experiment = read_with(MINIMAL, &["stages.finetune.epochs=1"]).unwrap();
        let training: &Training = experiment.stages.get("finetune").unwrap().keys();
        assert_eq!(*training.epochs, 1);
        let experiment = read_with(MINIMAL, &["stages.eval={}"]).unwrap();
        assert!(experiment.stages.get("eval").is_some());
    }

    #[test]
    fn a_word_that_is_no_toml_is_a_string() {
        let sets = ["task.train=data/a=b #1.tsv", "name= 2e "];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        assert_eq!(experiment.task.train.value, "data/a=b #1.tsv");
        assert_eq!(experiment.name, "2e");
    }

    #[test]
    fn faults_of_overrides_are_placed_in_their_own_text() {
        let sets = [
            "stages.td-phase1.epohcs=3",
            "stages.td-phase1.epochs=0",
            "stages.eval",
            "a..b=1",
            "=1",
            "task.train.x=1",
            "task.labels=['a'",
            "seed=",
        ];
        let expected = [
            "--set:1:18: unknown key `epohcs` in `[stages.td-phase1]`",
            "--set:1:25: `epochs` in `[stages.td-phase1]` is out of range",
            "--set:1:1: `--set stages.eval` has no `=`",
            "--set:1:1: `a..b` is not a valid key path",
            "--set:1:1: `` is not a valid key path",
            "--set:1:6: `train` is a string",
            "--set:1:17: unclosed array, expected `]`",
            "--set:1:6: `seed` is a string",
        ];
        assert_eq!(faults(&pipeline(), &sets), expected);
    }

    #[test]
    fn a_quoted_key_may_hold_an_equals_sign() {
        let found = faults(MINIMAL, &["task.'a=b'=1"]);
        assert_eq!(found, ["--set:1:6: unknown key `a=b` in `[task]`"]);
    }
}
