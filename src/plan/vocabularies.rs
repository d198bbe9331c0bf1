//! Vocabularies of models beside the one of `[teacher]`, which all text is cut by.

use std::collections::BTreeMap;
use std::path::Path;

use super::find::Finder;
use super::find_tokenizer::{NO_SEGMENTS, same_segment};
use super::inputs::{InputFile, ModelFolder};
use super::missing::shown;
use crate::data::{
    DataError, OtherPieces, OtherToken, OwnStores, TokenizerFiles, Translation, other_token,
    translate,
};
use crate::document::{Fault, Span};
use crate::experiment::{Distill, Experiment, Origin, Role, Stage, windows_of_pairs};
use crate::input::excerpt;
use crate::model::{BertConfig, TokenMap};

/// Why other tokens will not do.
const TOKEN_BY_TOKEN: &str = "losses compare a text token by token";

/// How a student with other tokens can learn.
const LEARNS_LOGITS: &str =
    "use `td-phase2` alone: it compares logits, and each text is split for both models";

/// How a teacher with other tokens can teach.
const TEACHES_LOGITS: &str = "name it as a teacher of `td-phase2` alone: that stage compares logits, and each text is split for both models";

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
        let mut own_stores = OwnStores::all();
        for (name, folder) in folders.iter_mut().filter(|(name, _)| *name != teacher) {
            let Some(other) = folder
                .tokenizer
                .as_deref()
                .and_then(|own| other_token(tokenizer, own))
            else {
                continue;
            };
            let (role, span) = read_as(experiment, name);
            let logits_alone = compares_logits_alone(experiment, name);
            let found = match role {
                Some(Role::Teacher) if !logits_alone => Err(Box::new(of_another(name, &other))),
                // The shape alone, of a student that starts from random weights: it learns the data's ids.
                None if is_students(experiment, name) => {
                    folder.config.vocab_size = data.config.vocab_size;
                    folder.config.pad_token_id = data.config.pad_token_id;
                    Ok(())
                }
                None => Err(Box::new(of_another(name, &other))),
                Some(role) => {
                    understood(&data, (name, folder), (role, logits_alone), &mut own_stores)
                }
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

/// Whether no stage that reads a folder, or a student that was made from it, compares layers.
fn compares_logits_alone(experiment: &Experiment, name: &str) -> bool {
    let reads = |stage: &Stage| {
        let models = experiment.models_of(stage).into_iter();
        let mut folders = models.map(|(_, origin)| experiment.folder_behind(origin.value));
        folders.any(|folder| folder.as_deref() == Some(name))
    };
    let mut readers = experiment.stages.iter().filter(|stage| reads(stage));
    readers.all(|stage| stage.get::<Distill>().is_none())
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

/// Whether `[student]` names a folder.
fn is_students(experiment: &Experiment, name: &str) -> bool {
    let model = experiment.student.model.as_ref();
    model.is_some_and(|model| model.value == name)
}

fn of_another(name: &str, OtherToken { id, first, second }: &OtherToken) -> Fault {
    let message = format!(
        "`{}` has another vocabulary than the teacher: token {id} is `{}`, the teacher's is `{}`",
        shown(name),
        excerpt(second),
        excerpt(first)
    );
    let fault = Fault::new(message, None);
    let fault = fault.with_label("text is split by the tokenizer of `[teacher]`");
    fault.with_hint(TEACHES_LOGITS.to_owned())
}

/// Gives a folder the ids of the data, or rows of its own where it has other tokens and only logits are compared.
fn understood(
    data: &Data<'_>,
    (name, folder): (&str, &mut ModelFolder),
    (role, logits_alone): (Role, bool),
    own_stores: &mut impl Iterator<Item = OwnStores>,
) -> Result<(), Box<Fault>> {
    let Some(own) = folder.tokenizer.clone() else {
        return Ok(());
    };
    let fault = |message: String| Fault::new(message, None);
    let of_error = |error: DataError| Box::new(fault(error.to_string()).with_hint(error.hint()));
    let found = translate(data.tokenizer, &own).map_err(of_error)?;
    let found = match found {
        Ok(ids) if !data.has_pairs || ids.same_pairs => Ok(ids),
        Ok(_) => Err(format!(
            "the tokenizer of `{}` puts another number of tokens between the texts of a pair than the teacher's",
            shown(name)
        )),
        Err(reason) => Err(format!(
            "the tokenizer of `{}` splits text into other tokens than the teacher's: {}",
            shown(name),
            why(&reason)
        )),
    };
    let files = TokenizerFiles::read(&own).map_err(of_error)?;
    // A student is written with a tokenizer that gives them.
    let needs_segments = data.has_pairs && folder.config.family.token_types;
    if role == Role::Teacher && needs_segments && !files.has_segments() {
        return Err(Box::new(fault(same_segment(name)).with_label(NO_SEGMENTS)));
    }
    if let Some(name) = files.added_file() {
        folder.files.push(InputFile {
            name: name.to_owned(),
            path: own.join(name),
        });
    }
    match found {
        Ok(ids) => folder.tokens = Some(map_of(&ids, data.config.vocab_size, &folder.config)),
        Err(_) if logits_alone => {
            let stores = own_stores.next();
            folder.own_stores = Some(stores.ok_or_else(|| Box::new(fault(too_many(name))))?);
        }
        Err(message) => {
            let fault = fault(message).with_label(TOKEN_BY_TOKEN);
            return Err(Box::new(fault.with_hint(LEARNS_LOGITS.to_owned())));
        }
    }
    // As it reads the data.
    folder.config.vocab_size = data.config.vocab_size;
    folder.config.pad_token_id = data.config.pad_token_id;
    Ok(())
}

fn too_many(name: &str) -> String {
    let most = OwnStores::all().count();
    format!(
        "`{}` has other tokens than the teacher, and so have {most} other models; more are not supported",
        shown(name)
    )
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
