//! `--set key.path=value`: laid over the file's tree before anything reads it.

use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::node::{Entry, Node, Piece, Table, Value};
use super::span::Span;

/// Puts the `number`-th argument's value (from 1) into the tree, in place of what is there.
pub(super) fn apply(number: usize, argument: &str, tree: &mut Table) -> Result<(), Vec<Fault>> {
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
            format!("`{}` is not a key's path", path.trim()),
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

fn insert(tree: &mut Table, path: &[(String, Span)], node: Node) -> Result<(), Vec<Fault>> {
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
