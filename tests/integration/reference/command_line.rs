//! `docs/reference/command-line.md`: every command, argument and default.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::experiment_file::wrap;

/// A heading for every command, the run itself first.
pub(super) fn markdown() -> String {
    let mut command = tinyrun::cli::command();
    command.build();
    let name = command.get_name().to_owned();
    let mut text = section(&mut command, &name, "Run experiments");
    for command in command.get_subcommands_mut() {
        let about = command.get_about().map(ToString::to_string);
        let heading = format!("{name} {}", command.get_name());
        text.push_str(&section(command, &heading, &about.unwrap_or_default()));
    }
    text
}

/// One command: what it does, how it is written, its arguments and its options.
fn section(command: &mut Command, heading: &str, about: &str) -> String {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines();
    let usage: Vec<&str> = usage.map(str::trim).collect();
    let mut text = format!("\n## `{heading}`\n\n{}\n\n", wrap(&sentence(about), ""));
    let _ = writeln!(text, "```text\n{}\n```", usage.join("\n"));
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let (arguments, options): (Vec<&Arg>, Vec<&Arg>) = shown.partition(|arg| arg.is_positional());
    for (title, list) in [("Arguments", arguments), ("Options", options)] {
        // Every command has these two.
        let list = list
            .into_iter()
            .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
        let entries: Vec<String> = list.map(entry).collect();
        if !entries.is_empty() {
            let _ = writeln!(text, "\n{title}:\n\n{}", entries.join("\n"));
        }
    }
    text
}

/// One argument or option with its values and default.
fn entry(arg: &Arg) -> String {
    let mut text = format!("`{}`", spelling(arg));
    if let Some(help) = arg.get_help() {
        let _ = write!(text, ": {}", sentence(&help.to_string()));
    }
    let values = arg.get_possible_values();
    let values: Vec<String> = values
        .iter()
        .filter(|value| !value.is_hide_set() && !arg.is_hide_possible_values_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(text, " Default: `{}`.", defaults.join(" "));
    }
    format!("* {}", wrap(&text, "  ").trim_start())
}

/// `-j, --jobs <N>` as it is typed: `-j N`, `--jobs N`.
fn spelling(arg: &Arg) -> String {
    let value = if arg.get_action().takes_values() {
        let names = arg.get_value_names().unwrap_or_default();
        let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
        names.join(" ")
    } else {
        String::new()
    };
    if arg.is_positional() {
        return value;
    }
    let value = match value.as_str() {
        "" => String::new(),
        value => format!(" {value}"),
    };
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}{value}"));
    short
        .into_iter()
        .chain(long)
        .collect::<Vec<_>>()
        .join("`, `")
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with('.') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[test]
fn every_command_and_option_is_on_the_page() {
    let text = markdown();
    let mut command = tinyrun::cli::command();
    command.build();
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        assert!(text.contains(command.get_name()), "{}", command.get_name());
        for arg in command.get_arguments() {
            let long = arg
                .get_long()
                .filter(|long| !["help", "version"].contains(long));
            assert!(
                long.is_none_or(|long| text.contains(&format!("--{long}"))),
                "{long:?}"
            );
        }
    }
}
