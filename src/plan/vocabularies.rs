//! Vocabularies of models beside the one of `[teacher]`, which all text is cut by.

use std::collections::BTreeMap;
use std::path::Path;

use super::find::Finder;
use super::inputs::{InputFile, ModelFolder};
use super::missing::shown;
use crate::data::{
    DataError, OtherPieces, OtherToken, TokenizerFiles, Translation, other_token, translate,
};
use crate::document::{Fault, Span};
use crate::experiment::{Experiment, Origin, Role, Stage, Teachers, windows_of_pairs};
use crate::input::excerpt;
use crate::model::{BertConfig, TokenMap};

/// Why other tokens will not do.
const TOKEN_BY_TOKEN: &str = "losses compare a text token by token";

/// What a vocabulary is compared with.
struct Data<'a> {
    tokenizer: &'a Path,
    config: BertConfig,
    has_pairs: bool,
}

impl Finder<'_> {
    /// Models whose vocabulary gives other tokens to the ids of `[teacher]`. A student with the same tokens under
    /// other ids gets a table of ids; other models would learn and answer nonsense.
    pub(super) fn vocabularies(
        &mut self,
        experiment: &Experiment,
        folders: &mut BTreeMap<String, ModelFolder>,
        tokenizer: &Path,
    ) {
        let teacher = &experiment.tokenizer_model().value;
        let Some(config) = folders.get(teacher).map(|folder| folder.config.clone()) else {
            return;
        };
        let data = Data {
            tokenizer,
            config,
            has_pairs: experiment.task.pair.is_some() || windows_of_pairs(experiment).is_some(),
        };
        for (name, folder) in folders.iter_mut().filter(|(name, _)| *name != teacher) {
            let Some(other) = folder
                .tokenizer
                .as_deref()
                .and_then(|own| other_token(tokenizer, own))
            else {
                continue;
            };
            let (role, span) = read_as(experiment, name);
            let found = match role {
                Some(Role::Student) => translated(&data, name, folder),
                Some(Role::Teacher) if is_one_of_several(experiment, name) => {
                    translated(&data, name, folder)
                }
                _ => Err(Box::new(
                    Fault::new(of_another(name, &other), None)
                        .with_label("text is split by the tokenizer of `[teacher]`"),
                )),
            };
            if let Err(fault) = found {
                // What is said of its size would be the same again.
                folder.config.vocab_size = data.config.vocab_size;
                self.faults.push(Fault { span, ..*fault });
            }
        }
    }
}

/// How stages read a folder: the stage, the role, and where it is named.
fn readers<'a>(
    experiment: &'a Experiment,
    name: &str,
) -> impl Iterator<Item = (&'a Stage, Role, Option<Span>)> {
    let folder = Origin::Folder(name.to_owned());
    let stages = experiment.stages.iter();
    stages.flat_map(move |stage| {
        let models = experiment.models_of(stage).into_iter();
        let models = models.filter(|(_, origin)| origin.value.clone().whole() == folder);
        let read = models.map(|(port, origin)| (stage, port.of, origin.span));
        read.collect::<Vec<_>>()
    })
}

/// Whether a folder is read as one of several teachers alone, of which only logits are compared.
fn is_one_of_several(experiment: &Experiment, name: &str) -> bool {
    let mut teachers = readers(experiment, name).filter(|(_, role, _)| *role == Role::Teacher);
    teachers.all(|(stage, ..)| {
        stage
            .get::<Teachers>()
            .is_some_and(|own| own.teachers.is_some())
    })
}

/// The role that stages read a folder for, a teacher's first, and where it is named.
fn read_as(experiment: &Experiment, name: &str) -> (Option<Role>, Option<Span>) {
    let own = |wanted: Role| {
        let mut own = readers(experiment, name).filter(|(_, role, _)| *role == wanted);
        own.next().map(|(_, role, span)| (Some(role), span))
    };
    own(Role::Teacher)
        .or_else(|| own(Role::Student))
        .unwrap_or((None, None))
}

fn of_another(name: &str, OtherToken { id, first, second }: &OtherToken) -> String {
    format!(
        "`{}` has another vocabulary than the teacher: token {id} is `{}`, the teacher's is `{}`",
        shown(name),
        excerpt(second),
        excerpt(first)
    )
}

/// Gives a student's folder the ids of the data.
fn translated(data: &Data<'_>, name: &str, folder: &mut ModelFolder) -> Result<(), Box<Fault>> {
    let Some(own) = folder.tokenizer.clone() else {
        return Ok(());
    };
    let fault = |message: String| Fault::new(message, None);
    let of_error = |error: DataError| Box::new(fault(error.to_string()).with_hint(error.hint()));
    let found = translate(data.tokenizer, &own).map_err(of_error)?;
    let ids = found.map_err(|reason| {
        let message = format!(
            "the tokenizer of `{}` splits text into other tokens than the teacher's: {}",
            shown(name),
            why(&reason)
        );
        Box::new(fault(message).with_label(TOKEN_BY_TOKEN))
    })?;
    if data.has_pairs && !ids.same_pairs {
        let message = format!(
            "the tokenizer of `{}` puts another number of tokens between the texts of a pair than the teacher's",
            shown(name)
        );
        return Err(Box::new(fault(message).with_label(TOKEN_BY_TOKEN)));
    }
    let files = TokenizerFiles::read(&own).map_err(of_error)?;
    if let Some(name) = files.added_file() {
        folder.files.push(InputFile {
            name: name.to_owned(),
            path: own.join(name),
        });
    }
    folder.tokens = Some(map_of(&ids, data.config.vocab_size, &folder.config));
    // As it reads the data.
    folder.config.vocab_size = data.config.vocab_size;
    folder.config.pad_token_id = data.config.pad_token_id;
    Ok(())
}

fn why(reason: &OtherPieces) -> String {
    match reason {
        OtherPieces::Rule(rule) => format!("its {rule} is another one"),
        OtherPieces::OnlyFirst(token) => format!("it lacks the token `{}`", excerpt(token)),
        OtherPieces::OnlySecond(token) => {
            format!("the teacher's lacks the token `{}`", excerpt(token))
        }
    }
}

/// The map of a model of this shape, for data with so many ids.
fn map_of(ids: &Translation, of_data: usize, own: &BertConfig) -> TokenMap {
    let small = |id: usize| u32::try_from(id).unwrap_or(u32::MAX);
    let mut rows = ids.to_second.clone();
    // A teacher's table may be longer than its vocabulary.
    rows.resize(of_data.max(rows.len()), 0);
    let own_rows = (0..own.vocab_size).map(|id| {
        ids.to_first.get(id).copied().flatten().unwrap_or_else(|| {
            rows.push(small(id));
            small(rows.len() - 1)
        })
    });
    let own_rows = own_rows.collect();
    TokenMap {
        rows,
        own: own_rows,
        pad: ids.pad,
        own_pad: small(own.pad_token_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_row_has_a_place_and_is_what_is_read_there() {
        let ids = Translation {
            to_second: vec![3, 0, 4, 2, 2],
            to_first: vec![Some(1), None, Some(4), Some(0), Some(2)],
            pad: 1,
            same_pairs: true,
        };
        let own = BertConfig {
            vocab_size: 6,
            pad_token_id: 0,
            ..serde_json::from_str(
                r#"{ "vocab_size": 6, "hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
                     "intermediate_size": 2, "max_position_embeddings": 8 }"#,
            )
            .unwrap()
        };
        let map = map_of(&ids, 7, &own);
        // Two rows of the teacher's without tokens, and then the own ones that the data do not have.
        assert_eq!(map.rows, [3, 0, 4, 2, 2, 0, 0, 1, 5]);
        assert_eq!(map.own, [1, 7, 4, 0, 2, 8]);
        for (id, row) in map.own.iter().enumerate() {
            assert_eq!(map.rows[*row as usize] as usize, id);
        }
        assert_eq!((map.pad, map.own_pad), (1, 0));
    }
}
