//! The assignments of literals in a Python file: `NAME = edict({...})` and `NAME = BertConfig(...)`.
//! Nothing is executed: any other statement is skipped, any other expression is no value.

use super::value::{DEPTH, Entry, Node, Read, Value, number};
use crate::document::{Fault, Span};

/// Reads a file's assignments as one map.
///
/// # Errors
/// A bracket or string of an assignment that is not closed, with its place.
pub(super) fn parse(text: &str, source: usize) -> Read<Node> {
    let mut reader = Reader {
        text,
        at: 0,
        source,
    };
    let mut entries: Vec<Entry> = Vec::new();
    while reader.at < text.len() {
        let start = reader.at;
        let name = reader.name();
        let span = reader.span(start);
        reader.blanks(false);
        if !name.is_empty() && reader.rest().starts_with('=') && !reader.rest().starts_with("==") {
            reader.at += 1;
            reader.blanks(false);
            let node = reader.expression(0)?;
            entries.retain(|entry| entry.key != name);
            entries.push(Entry {
                key: name.to_owned(),
                span,
                node,
            });
        }
        reader.at = reader.at.max(start);
        reader.skip(&['\n'])?;
        reader.at = (reader.at + 1).min(text.len());
    }
    Ok(Node {
        value: Value::Map(entries),
        span: Span {
            source,
            range: 0..0,
        },
    })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    source: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn span(&self, start: usize) -> Span {
        Span {
            source: self.source,
            range: start..self.at,
        }
    }

    fn fault<T>(&self, start: usize, message: &str) -> Read<T> {
        let end = self.text.len().min(start + 1);
        let range = start..self.text.ceil_char_boundary(end);
        let source = self.source;
        Err(Box::new(Fault::new(message, Span { source, range })))
    }

    /// Moves past letters.
    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A name, with dots in it.
    fn name(&mut self) -> &'a str {
        if self.peek().is_some_and(|letter| letter.is_ascii_digit()) {
            return "";
        }
        self.take(|letter| letter.is_alphanumeric() || "_.".contains(letter))
    }

    /// Moves past spaces and, within brackets, line ends and comments.
    fn blanks(&mut self, within: bool) {
        loop {
            self.take(|letter| letter == ' ' || letter == '\t' || within && letter.is_whitespace());
            if within && self.rest().starts_with('#') {
                self.take(|letter| letter != '\n');
            } else if self.rest().starts_with("\\\n") {
                self.at += 2;
            } else {
                return;
            }
        }
    }

    /// Moves to one of these letters outside brackets, strings and comments, or to the end.
    fn skip(&mut self, until: &[char]) -> Read<()> {
        let mut open = Vec::new();
        while let Some(letter) = self.peek() {
            if open.is_empty() && until.contains(&letter) {
                return Ok(());
            }
            match letter {
                '"' | '\'' => {
                    self.string()?;
                    continue;
                }
                '#' => {
                    self.take(|letter| letter != '\n');
                    continue;
                }
                '(' | '[' | '{' => open.push(self.at),
                // A closing one of the brackets around is left to who opened it.
                ')' | ']' | '}' if open.pop().is_none() && until.len() > 1 => return Ok(()),
                _ => {}
            }
            self.at += letter.len_utf8();
        }
        match open.first() {
            Some(&start) => self.fault(start, "a bracket that is not closed"),
            None => Ok(()),
        }
    }

    /// An expression up to a comma, a closing bracket or the line's end.
    fn expression(&mut self, depth: usize) -> Read<Node> {
        let start = self.at;
        if depth > DEPTH {
            return self.fault(start, &format!("more than {DEPTH} levels"));
        }
        let value = self.product(depth)?;
        let span = self.span(start);
        self.blanks(depth > 0);
        let is_end = match self.peek() {
            None => true,
            Some(letter) => ",)]}:#;\r\n".contains(letter),
        };
        if is_end {
            return Ok(Node { value, span });
        }
        self.skip(&[',', ')', ']', '}', '\n'][..if depth > 0 { 4 } else { 5 }])?;
        let value = Value::Code;
        Ok(Node { value, span })
    }

    /// Literals multiplied: `2 ** 16`, `4 * 768`.
    fn product(&mut self, depth: usize) -> Read<Value> {
        let mut value = self.literal(depth)?;
        loop {
            let before = self.at;
            self.blanks(depth > 0);
            let is_power = self.rest().starts_with("**");
            if !self.rest().starts_with('*') {
                self.at = before;
                return Ok(value);
            }
            self.at += if is_power { 2 } else { 1 };
            self.blanks(depth > 0);
            let right = self.literal(depth)?;
            value = match (value, right) {
                (Value::Number(left), Value::Number(right)) if is_power => {
                    Value::Number(left.powf(right))
                }
                (Value::Number(left), Value::Number(right)) => Value::Number(left * right),
                _ => Value::Code,
            };
        }
    }

    fn literal(&mut self, depth: usize) -> Read<Value> {
        match self.peek() {
            Some('"' | '\'') => Ok(Value::Text(self.string()?)),
            Some('{' | '[' | '(') => self.items(depth),
            Some(letter) if letter.is_ascii_digit() || "+-.".contains(letter) => {
                Ok(self.number().map_or(Value::Code, Value::Number))
            }
            _ => self.named(depth),
        }
    }

    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        self.take(|letter| "+-".contains(letter));
        self.take(|letter| letter.is_ascii_alphanumeric() || "._".contains(letter));
        if self.text[start..self.at].ends_with(['e', 'E']) {
            self.take(|letter| letter.is_ascii_digit() || "+-".contains(letter));
        }
        number(&self.text[start..self.at])
    }

    /// A word, a dotted name, or a call, which stands for what it is given.
    fn named(&mut self, depth: usize) -> Read<Value> {
        let name = self.name();
        match name {
            "" | "lambda" | "not" => return Ok(Value::Code),
            "True" => return Ok(Value::Flag(true)),
            "False" => return Ok(Value::Flag(false)),
            "None" => return Ok(Value::Nothing),
            _ => {}
        }
        if !self.rest().starts_with('(') {
            return Ok(Value::Text(name.to_owned()));
        }
        Ok(match self.items(depth)? {
            // `edict({...})`
            Value::List(mut items) if items.len() == 1 => items.remove(0).value,
            // `BertConfig()`
            Value::List(items) if items.is_empty() => Value::Map(Vec::new()),
            Value::Map(entries) => Value::Map(entries),
            _ => Value::Code,
        })
    }

    /// What stands in brackets: items, `'key': value`, or `key=value`.
    fn items(&mut self, depth: usize) -> Read<Value> {
        let start = self.at;
        let is_dict = self.peek() == Some('{');
        let closing = match self.peek() {
            Some('{') => '}',
            Some('[') => ']',
            _ => ')',
        };
        self.at += 1;
        let (mut items, mut entries): (Vec<Node>, Vec<Entry>) = (Vec::new(), Vec::new());
        loop {
            self.blanks(true);
            match self.peek() {
                None => return self.fault(start, "a bracket that is not closed"),
                Some(letter) if letter == closing => {
                    self.at += 1;
                    break;
                }
                Some(')' | ']' | '}') => {
                    return self.fault(start, "a bracket that is not closed");
                }
                Some(',') => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            let before = self.at;
            let node = self.expression(depth + 1)?;
            self.blanks(true);
            match (self.peek(), &node.value) {
                (Some(':'), Value::Text(key)) => {
                    self.at += 1;
                    self.blanks(true);
                    let (key, span) = (key.clone(), node.span);
                    let node = self.expression(depth + 1)?;
                    entries.push(Entry { key, span, node });
                }
                (Some(':'), _) => {
                    self.at += 1;
                    self.skip(&[',', ')', ']', '}'])?;
                }
                (_, Value::Code) if self.keyword(before, &node, depth, &mut entries)? => {}
                _ => items.push(node),
            }
            if self.at == before {
                // Nothing that could begin an expression.
                self.at += self.peek().map_or(0, char::len_utf8);
            }
        }
        Ok(if is_dict || !entries.is_empty() {
            Value::Map(entries)
        } else {
            Value::List(items)
        })
    }

    /// `key=value`, which reads as an expression that is no literal.
    fn keyword(
        &mut self,
        start: usize,
        read: &Node,
        depth: usize,
        entries: &mut Vec<Entry>,
    ) -> Read<bool> {
        let end = self.at;
        self.at = start;
        let key = self.name();
        let span = self.span(start);
        self.blanks(true);
        let rest = self.rest();
        if key.is_empty() || !rest.starts_with('=') || rest.starts_with("==") {
            self.at = end.max(read.span.range.end);
            return Ok(false);
        }
        self.at += 1;
        self.blanks(true);
        let node = self.expression(depth + 1)?;
        entries.push(Entry {
            key: key.to_owned(),
            span,
            node,
        });
        Ok(true)
    }

    /// A string; the usual escapes of a path or a word.
    fn string(&mut self) -> Read<String> {
        let start = self.at;
        let rest = self.rest();
        let mark = &rest[..1];
        let triple = mark.repeat(3);
        let mark = if rest.starts_with(&triple) {
            &*triple
        } else {
            mark
        };
        self.at += mark.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(mark) {
                self.at += mark.len();
                return Ok(text);
            }
            let mut letters = self.rest().chars();
            match (letters.next(), letters.next()) {
                (Some('\\'), Some(escaped)) => {
                    self.at += 1 + escaped.len_utf8();
                    match escaped {
                        '\n' => {}
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        '\\' | '\'' | '"' => text.push(escaped),
                        _ => text.extend(['\\', escaped]),
                    }
                }
                (Some('\n'), _) if mark.len() == 1 => {
                    return self.fault(start, "a string that is not closed");
                }
                (Some(letter), _) => {
                    self.at += letter.len_utf8();
                    text.push(letter);
                }
                (None, _) => return self.fault(start, "a string that is not closed"),
            }
        }
    }
}
