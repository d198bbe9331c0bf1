//! Checks that take the models' `config.json`: whoever has read them calls these, still
//! before anything runs.

use std::collections::BTreeMap;

use super::check::{lengths, trains};
use super::distill::Distill;
use super::layer_map::resolve_layer_map;
use super::origin::{Origin, port_key, source_key};
use super::ports::Role;
use super::relations::relation_heads;
use super::schema::WindowForm;
use super::stage::Stage;
use super::stage_keys::Corpus;
use super::stage_name::StageName;
use super::top::Experiment;
use crate::document::{Fault, Located, Span};
use crate::job::{AttentionLoss, LayerMap};
use crate::model::config::BertConfig;
use crate::model::family::LEAST_BUCKETS;

/// Segments of a pair of texts.
const PAIR: usize = 2;

/// What the experiment's models come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// Layers that the intermediate losses of a stage compare, for the stages that have them.
    pub layer_maps: BTreeMap<StageName, LayerMap>,
    /// Relation heads of the stages that compare relations.
    pub relation_heads: BTreeMap<StageName, usize>,
    /// Shape of the model of `[teacher]`; without one that of the model whose tokenizer cuts the text.
    pub teacher: BertConfig,
    /// Shape of the student. Label names are not in it yet.
    pub student: BertConfig,
}

/// Checks the experiment against the models it names: `folders` holds the `config.json` of
/// every folder that could be read, under the path as written.
///
/// # Errors
///
/// Every fault found, at the key that could be changed to mend it. None where the folder of
/// `[teacher]` or `[student]` is not among `folders`: that was told already.
pub fn check_models(
    experiment: &Experiment,
    folders: &BTreeMap<&str, &BertConfig>,
) -> Result<Models, Vec<Fault>> {
    let config = |model: &Located<String>| folders.get(model.as_str()).copied();
    let teacher = config(experiment.tokenizer_model()).ok_or_else(Vec::new)?;
    let student = match (experiment.start_of_student(), experiment.student_folder()) {
        (None, _) => from_shape(experiment, teacher),
        (Some(start), folder) => {
            // Without a folder it is the fine-tuned teacher.
            let whole = folder.map_or(Some(teacher), config).ok_or_else(Vec::new)?;
            check_layers(experiment, whole)?;
            let mut student = whole.clone();
            experiment.stated_start(&start.value).reshape(&mut student);
            student
        }
    };
    let mut check = Check {
        experiment,
        folders,
        teacher,
        student: &student,
        faults: Vec::new(),
    };
    check.own_models();
    let mut layer_maps = BTreeMap::new();
    let mut all_heads = BTreeMap::new();
    let mut seen: Vec<Pair> = Vec::new();
    for stage in &experiment.stages {
        check.folders_of(stage);
        let Some(distill) = stage.get::<Distill>().filter(|_| stage.has_table) else {
            continue;
        };
        let teacher = check.config(experiment.origin_of(stage, Role::Teacher));
        let student = check.config(experiment.origin_of(stage, Role::Student));
        if let (Some(teacher), Some(student)) = (teacher, student) {
            let (teacher, student) = (&teacher, &student);
            let pair = Pair {
                has_teachers: experiment.starts_from_teacher_of(stage),
                compares_scores: *distill.attention_loss == AttentionLoss::Scores,
                ..Pair::of(student, teacher)
            };
            let known = seen.contains(&pair);
            check.layer_weights(stage, distill, student.num_hidden_layers);
            if !pair.compares_scores {
                match relation_heads(stage, distill, student, teacher) {
                    Ok(heads) => drop(all_heads.insert(stage.name.clone(), heads)),
                    Err(fault) => check.faults.push(*fault),
                }
            }
            if let Some(map) = check.pair(stage, &pair, known) {
                layer_maps.insert(stage.name.clone(), map);
            }
            seen.push(pair);
        }
    }
    let faults = check.faults;
    if faults.is_empty() {
        Ok(Models {
            layer_maps,
            relation_heads: all_heads,
            teacher: teacher.clone(),
            student,
        })
    } else {
        Err(faults)
    }
}

/// The `windows` of a stage whose examples are pairs of texts.
pub(crate) fn windows_of_pairs(experiment: &Experiment) -> Option<&Located<WindowForm>> {
    let stages = experiment.stages.with::<Corpus>();
    let mut windows = stages.map(|(_, corpus)| &corpus.windows);
    windows.find(|windows| windows.is_pairs())
}

/// What the intermediate losses take of two models: layers and heads, the student's first.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    layers: [usize; 2],
    heads: [usize; 2],
    /// Whether the student started with layers of the teacher.
    has_teachers: bool,
    /// Whether scores are compared, head by head.
    compares_scores: bool,
}

impl Pair {
    fn of(student: &BertConfig, teacher: &BertConfig) -> Self {
        Self {
            layers: [student.num_hidden_layers, teacher.num_hidden_layers],
            heads: [student.num_attention_heads, teacher.num_attention_heads],
            has_teachers: false,
            compares_scores: true,
        }
    }
}

/// A check in progress.
struct Check<'a> {
    experiment: &'a Experiment,
    folders: &'a BTreeMap<&'a str, &'a BertConfig>,
    /// The model of `[teacher]`.
    teacher: &'a BertConfig,
    /// The model, or the shape, of `[student]`.
    student: &'a BertConfig,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// The models of `[teacher]` and `[student]`.
    fn own_models(&mut self) {
        let experiment = self.experiment;
        if experiment.has_teacher() {
            let teacher = &experiment.teacher.model;
            check_config("teacher", self.teacher, teacher, &mut self.faults);
            check_lengths(experiment, "teacher", self.teacher, &mut self.faults);
            self.segments("teacher", self.teacher, teacher.span.as_ref());
        }
        self.shape();
        if let Some(model) = &experiment.student.model {
            check_config("student", self.student, model, &mut self.faults);
            if trains(experiment, Role::Student) {
                check_lengths(experiment, "student", self.student, &mut self.faults);
                self.vocabulary("student", self.student, model.span.as_ref());
                self.segments("student", self.student, model.span.as_ref());
            }
        }
    }

    /// The folders that a stage names for itself.
    fn folders_of(&mut self, stage: &Stage) {
        let experiment = self.experiment;
        if !stage.has_table {
            return;
        }
        for (port, origin) in experiment.models_of(stage) {
            let (Some(_), Origin::Folder(folder)) = (port_key(stage, port), &origin.value) else {
                continue;
            };
            let (span, role) = (&origin.span, port.of);
            let Some(config) = self.folders.get(folder.as_str()).copied() else {
                continue;
            };
            let whose = format!("{} of `{}`", role.as_str(), stage.name);
            self.vocabulary(&whose, config, span.as_ref());
            let place = match stage.get::<Corpus>() {
                Some(_) => format!("stages.{}", stage.name),
                None => "task".to_owned(),
            };
            let positions = config.longest_input();
            for (of, length) in lengths(experiment) {
                if of == place && length.value > positions {
                    let message = format!(
                        "the {whose} has {positions} positions, `max-seq-length` in `[{of}]` is {}",
                        length.value
                    );
                    self.faults.push(Fault::new(message, span.clone()));
                }
            }
        }
    }

    /// Text is cut by the tokenizer of `[teacher]`: whoever reads it knows the same tokens.
    fn vocabulary(&mut self, whose: &str, config: &BertConfig, span: Option<&Span>) {
        let (own, wanted) = (config.vocab_size, self.teacher.vocab_size);
        if own != wanted {
            let message =
                format!("the {whose} has a vocabulary of {own} tokens, `[teacher]` has {wanted}");
            let fault = Fault::new(message, span.cloned());
            self.faults
                .push(fault.with_label("both must have the same vocabulary"));
        }
    }

    /// Pairs come in two segments.
    fn segments(&mut self, whose: &str, config: &BertConfig, span: Option<&Span>) {
        if !config.family.token_types || config.type_vocab_size >= PAIR {
            return;
        }
        let (pairs, found) = if let Some(pair) = &self.experiment.task.pair {
            ("pair tasks need two", pair.span.clone())
        } else if let Some(windows) = windows_of_pairs(self.experiment) {
            ("windows of pairs need two", windows.span.clone())
        } else {
            return;
        };
        let message = format!("the {whose} has one segment, {pairs}");
        let fault = Fault::new(message, span.cloned().or(found));
        self.faults
            .push(fault.with_label("`type-vocab-size` is 1, expected at least 2"));
    }

    /// Sizes of `[student]` that the teacher or the data bound.
    fn shape(&mut self) {
        let shape = &self.experiment.student.shape;
        if let Some(size) = &shape.vocab_size
            && size.value < self.teacher.vocab_size
        {
            let wanted = self.teacher.vocab_size;
            let message = format!(
                "`vocab-size` in `[student]` is {}, the teacher has {wanted} tokens",
                size.value
            );
            let fault = Fault::new(message, size.span.clone());
            self.faults
                .push(fault.with_label(format!("expected at least {wanted}")));
        }
        let pads = |pad: &usize| *pad != self.teacher.pad_token_id;
        if let Some(pad) = self.student.family.pad().filter(pads) {
            let title = self.student.family.title;
            let message = format!(
                "a student of the family {title} has the padding token {pad}, the teacher has {}",
                self.teacher.pad_token_id
            );
            let fault = Fault::new(message, self.experiment.teacher.model.span.clone());
            let hint = "use a student of the family `bert`, which takes any".to_owned();
            self.faults.push(fault.with_hint(hint));
        }
        if let Some(size) = &shape.type_vocab_size {
            self.segments("student", self.student, size.span.as_ref());
        }
    }

    /// Shape of a stage's student or teacher; `None` for a folder that could not be read.
    fn config(&self, origin: Option<Located<Origin>>) -> Option<BertConfig> {
        match origin?.value {
            Origin::Folder(folder) => self.folders.get(folder.as_str()).copied().cloned(),
            // Layers are kept of what `[student]` names alone.
            Origin::Random | Origin::Layers { .. } => Some(self.student.clone()),
            Origin::Stage(name) => {
                let stage = self.experiment.stages.get(name.as_str())?;
                match stage.makes_model_of()? {
                    Role::Teacher => Some(self.teacher.clone()),
                    // Reading the file has refused cycles.
                    Role::Student => self.config(self.experiment.origin_of(stage, Role::Student)),
                }
            }
        }
    }

    /// Lists of weights that are not as long as the stage's student has layers.
    fn layer_weights(&mut self, stage: &Stage, distill: &Distill, layers: usize) {
        let lists = [
            (
                "attention-layer-weights",
                &distill.attention_layer_weights,
                layers,
                "one per layer",
            ),
            (
                "hidden-layer-weights",
                &distill.hidden_layer_weights,
                layers + 1,
                "one for the embedding output and one per layer",
            ),
        ];
        for (key, list, wanted, why) in lists {
            if let Some(list) = list.as_ref().filter(|list| list.len() != wanted) {
                let message = format!(
                    "`{key}` in `[stages.{}]` has {} entries, expected {wanted} for {layers} student layers",
                    stage.name,
                    list.len()
                );
                let fault = Fault::new(message, list.span.clone());
                self.faults
                    .push(fault.with_label(format!("expected {wanted}: {why}")));
            }
        }
    }

    /// The layers that two models are compared in. Faults of a pair that is `known` were told.
    fn pair(&mut self, stage: &Stage, pair: &Pair, known: bool) -> Option<LayerMap> {
        let mut faults = Vec::new();
        let own = Pair {
            has_teachers: pair.has_teachers,
            compares_scores: pair.compares_scores,
            ..Pair::of(self.student, self.teacher)
        };
        if pair.compares_scores {
            check_heads(self.experiment, pair.heads, &mut faults);
        }
        let map = resolve_layer_map(self.experiment, pair.layers, pair.has_teachers);
        let map = map.map_err(|found| faults.extend(found)).ok();
        if *pair != own {
            // Not the models of `[teacher]` and `[student]`: the stage's key is to blame.
            let keys = [Role::Teacher, Role::Student].map(|role| source_key(stage, role));
            let key = keys.into_iter().flatten().find_map(|key| key.span.clone());
            for fault in &mut faults {
                fault.message = format!("in `{}`, {}", stage.name, fault.message);
                fault.span = key.clone().or_else(|| fault.span.clone());
            }
        }
        if !known {
            self.faults.extend(faults);
        }
        map
    }
}

/// Shape of `[student]`, with vocabulary, segments and padding id of the teacher.
fn from_shape(experiment: &Experiment, teacher: &BertConfig) -> BertConfig {
    let shape = &experiment.student.shape;
    let family = shape.family();
    let of_teacher = match teacher.type_vocab_size {
        // A teacher without token types.
        0 => PAIR,
        segments => segments,
    };
    let segments = shape.type_vocab_size.as_deref().copied();
    let segments = segments.unwrap_or(of_teacher);
    BertConfig {
        family,
        vocab_size: shape
            .vocab_size
            .as_deref()
            .copied()
            .unwrap_or(teacher.vocab_size),
        hidden_size: *shape.hidden_size,
        num_hidden_layers: *shape.num_hidden_layers,
        num_attention_heads: *shape.num_attention_heads,
        intermediate_size: *shape.intermediate_size,
        hidden_act: shape.hidden_act.clone(),
        hidden_dropout_prob: shape.hidden_dropout_prob,
        seq_classif_dropout: (family.classifier_dropout).map(|_| shape.hidden_dropout_prob),
        attention_probs_dropout_prob: shape.attention_probs_dropout_prob,
        max_position_embeddings: *shape.max_position_embeddings,
        relative_buckets: family.relative_bias.then_some(LEAST_BUCKETS),
        type_vocab_size: if family.token_types { segments } else { 0 },
        initializer_range: shape.initializer_range,
        layer_norm_eps: shape.layer_norm_eps,
        pad_token_id: teacher.pad_token_id,
        use_relative_positions: shape.use_relative_positions,
        id2label: BTreeMap::new(),
        problem_type: None,
        tinyrun_head: None,
        train_padding: experiment.student.train_padding,
    }
}

/// Layers of `[student]` that its model does not have.
fn check_layers(experiment: &Experiment, model: &BertConfig) -> Result<(), Vec<Fault>> {
    let there = model.num_hidden_layers;
    let layers = experiment.student.layers.as_ref();
    let missing = layers.and_then(|layers| layers.iter().find(|layer| **layer >= there));
    let (Some(layers), Some(missing)) = (layers, missing) else {
        return Ok(());
    };
    let message = format!(
        "`layers` in `[student]` has {missing}, which is out of range for `{}`",
        experiment
            .student
            .model
            .as_ref()
            .map_or("", |model| &model.value)
    );
    let last = there.saturating_sub(1);
    let fault = Fault::new(message, layers.span.clone());
    Err(vec![
        fault.with_label(format!("its layers are 0 to {last}")),
    ])
}

fn check_config(role: &str, config: &BertConfig, model: &Located<String>, faults: &mut Vec<Fault>) {
    let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
    if heads == 0 || !hidden.is_multiple_of(heads) {
        let message = format!(
            "the {role}'s `config.json` is inconsistent: hidden size {hidden} is not a multiple of {heads} heads"
        );
        faults.push(Fault::new(message, model.span.clone()));
    }
    if config.num_hidden_layers == 0 {
        let message = format!("the {role}'s `config.json` has no layers");
        faults.push(Fault::new(message, model.span.clone()));
    }
}

fn check_lengths(
    experiment: &Experiment,
    role: &str,
    config: &BertConfig,
    faults: &mut Vec<Fault>,
) {
    let positions = config.longest_input();
    for (place, length) in lengths(experiment) {
        if length.value > positions {
            let message = format!(
                "`max-seq-length` {} in `[{place}]` exceeds the {positions} positions of the {role}",
                length.value
            );
            let span = length.span.clone();
            let span = span.or_else(|| experiment.teacher.model.span.clone());
            faults.push(Fault::new(message, span).with_hint(format!("use at most {positions}")));
        }
    }
}

fn check_heads(experiment: &Experiment, heads: [usize; 2], faults: &mut Vec<Fault>) {
    let [own, wanted] = heads;
    if own == wanted {
        return;
    }
    let message = format!("the student has {own} attention heads, the teacher {wanted}");
    let key = &experiment.student;
    let heads = key.shape.num_attention_heads.span.clone();
    let model = key.model.as_ref().and_then(|model| model.span.clone());
    let hint = match &key.model {
        Some(_) => format!("use a model with {wanted} heads"),
        None => format!("set `num-attention-heads = {wanted}` in `[student]`"),
    };
    let hint = format!("{hint}, or `attention-loss = \"relations\"` in the stage");
    let span = heads
        .or(model)
        .or_else(|| experiment.teacher.model.span.clone());
    faults.push(
        Fault::new(message, span)
            .with_label("the attention loss compares head by head")
            .with_hint(hint),
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{messages, pipeline, read, read_with};
    use super::*;

    fn config(layers: usize, heads: usize) -> BertConfig {
        let text = format!(
            r#"{{ "vocab_size": 100, "hidden_size": 384, "num_hidden_layers": {layers},
                 "num_attention_heads": {heads}, "intermediate_size": 1536,
                 "max_position_embeddings": 512 }}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    /// Checks with these folders; the teacher's is `models/teacher`.
    fn check(
        experiment: &Experiment,
        folders: &[(&str, &BertConfig)],
    ) -> Result<Models, Vec<Fault>> {
        check_models(experiment, &folders.iter().copied().collect())
    }

    #[test]
    fn a_students_tables_are_no_smaller_than_teacher_and_data_need() {
        let teacher: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 12,
                "num_attention_heads": 12, "intermediate_size": 48,
                "max_position_embeddings": 512}"#,
        )
        .unwrap();
        let check = |sets: &[&str]| {
            let experiment = read_with(&pipeline(), sets).unwrap();
            let teacher_folder = experiment.teacher.model.value.clone();
            let folders = BTreeMap::from([(teacher_folder.as_str(), &teacher)]);
            check_models(&experiment, &folders)
        };
        let faults = |sets: &[&str]| -> Vec<String> {
            let found = check(sets).unwrap_err();
            messages(&found).into_iter().map(str::to_owned).collect()
        };
        assert_eq!(
            faults(&["student.vocab-size=99"]),
            ["`vocab-size` in `[student]` is 99, the teacher has 100 tokens"]
        );
        assert_eq!(
            faults(&["student.type-vocab-size=1", "task.pair=second"]),
            ["the student has one segment, pair tasks need two"]
        );
        assert_eq!(
            faults(&[
                "student.type-vocab-size=1",
                "stages.general-distill.windows=sentences"
            ]),
            ["the student has one segment, windows of pairs need two"]
        );
        let sizes = ["student.vocab-size=128", "student.type-vocab-size=1"];
        let student = check(&sizes).unwrap().student;
        assert_eq!((student.vocab_size, student.type_vocab_size), (128, 1));
    }

    #[test]
    fn a_student_takes_vocabulary_and_padding_from_the_teacher() {
        let mut teacher = config(12, 12);
        teacher.pad_token_id = 3;
        let models = check(&read(&pipeline()), &[("models/teacher", &teacher)]).unwrap();
        assert_eq!(models.student.vocab_size, 100);
        assert_eq!(models.student.pad_token_id, 3);
        assert_eq!(models.student.hidden_size, 312);
        let map = &models.layer_maps["td-phase1"];
        assert_eq!(map.attention, [2, 5, 8, 11]);
    }

    #[test]
    fn models_that_cannot_match_are_refused_together() {
        let mut teacher = config(6, 8);
        teacher.max_position_embeddings = 100;
        let faults = check(&read(&pipeline()), &[("models/teacher", &teacher)]).unwrap_err();
        assert_eq!(
            messages(&faults),
            [
                "`max-seq-length` 128 in `[task]` exceeds the 100 positions of the teacher",
                "`max-seq-length` 128 in `[stages.general-distill]` exceeds the 100 positions of the teacher",
                "the student has 12 attention heads, the teacher 8",
                "a `uniform` layer map needs a teacher with a multiple of the student's 4 layers, the teacher has 6",
            ]
        );
        assert!(faults.iter().all(|fault| fault.span.is_some()));
    }

    #[test]
    fn a_students_family_is_its_own_and_not_the_teachers() {
        let distilbert: BertConfig = serde_json::from_str(
            r#"{ "family": "distilbert", "vocab_size": 100, "hidden_size": 384,
                 "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536,
                 "max_position_embeddings": 512, "type_vocab_size": 0 }"#,
        )
        .unwrap();
        let student = |teacher: &BertConfig, sets: &[&str]| {
            let sets = [
                sets,
                &["task.pair=second", "student.hidden-dropout-prob=0.3"],
            ]
            .concat();
            let experiment = read_with(&pipeline(), &sets).unwrap();
            check(&experiment, &[("models/teacher", teacher)])
                .unwrap()
                .student
        };
        let bert = student(&distilbert, &[]);
        assert_eq!((bert.family.model_type, bert.type_vocab_size), ("bert", 2));
        let student = student(&config(12, 12), &["student.family=distilbert"]);
        assert_eq!(student.family, distilbert.family);
        assert_eq!(student.type_vocab_size, 0);
        // Its config.json says so: `transformers` would take 0.2.
        assert_eq!(student.seq_classif_dropout, Some(0.3));
    }

    #[test]
    fn an_mpnet_student_needs_the_padding_token_of_its_family() {
        let experiment = read_with(&pipeline(), &["student.family=mpnet"]).unwrap();
        let mut teacher = config(12, 12);
        teacher.pad_token_id = 1;
        let models = check(&experiment, &[("models/teacher", &teacher)]).unwrap();
        let student = models.student;
        assert_eq!(
            (student.pad_token_id, student.relative_buckets),
            (1, Some(32))
        );
        assert_eq!(student.longest_input(), 510);
        teacher.pad_token_id = 0;
        let faults = check(&experiment, &[("models/teacher", &teacher)]).unwrap_err();
        assert_eq!(
            messages(&faults),
            ["a student of the family MPNet has the padding token 1, the teacher has 0"]
        );
        assert!(faults[0].span.is_some());
        let short = [
            "student.family=mpnet",
            "student.max-position-embeddings=129",
        ];
        let error = read_with(&pipeline(), &short).unwrap_err();
        assert!(
            error.faults[0].message.ends_with(
                "exceeds the student's `max-position-embeddings` 129 without the first 2"
            ),
            "{error}"
        );
    }

    #[test]
    fn relations_need_no_equal_heads_but_a_number_that_divides_both_widths() {
        let relations = "stages.td-phase1.attention-loss=relations";
        let text = pipeline().replace(
            "[stages.general-distill]\ncorpus = [\"corpus/*.txt\"]\n",
            "",
        );
        let of = |sets: &[&str]| {
            let shape = [
                "stages.td-phase1.student=random",
                "student.num-attention-heads=4",
                "student.hidden-size=320",
            ];
            let experiment = read_with(&text, &[&shape, sets].concat()).unwrap();
            check(&experiment, &[("models/teacher", &config(12, 12))])
        };
        let message = "the student has 4 attention heads, the teacher 12";
        let faults = of(&[]).unwrap_err();
        assert_eq!(messages(&faults), [message]);
        assert_eq!(
            faults[0].hint.as_deref(),
            Some(
                "set `num-attention-heads = 12` in `[student]`, or `attention-loss = \"relations\"` in the stage"
            )
        );
        let faults = of(&[relations]).unwrap_err();
        assert_eq!(
            messages(&faults),
            [
                "in `td-phase1`, the relation heads are the teacher's 12 attention heads, which do not divide the student's width of 320"
            ]
        );
        assert_eq!(
            faults[0].hint.as_deref(),
            Some("set `relation-heads = 8` in `[stages.td-phase1]`, which divides both widths")
        );
        let heads = "stages.td-phase1.relation-heads";
        let found = of(&[relations, &format!("{heads}=16")]).unwrap();
        assert_eq!(
            found.relation_heads.values().copied().collect::<Vec<_>>(),
            [16]
        );
        let faults = of(&[relations, &format!("{heads}=5")]).unwrap_err();
        assert_eq!(
            messages(&faults),
            [
                "`relation-heads` in `[stages.td-phase1]` is 5, which does not divide the teacher's width of 384"
            ]
        );
    }

    #[test]
    fn a_given_student_is_checked_by_its_own_config() {
        let experiment = read_with(&pipeline(), &["student.model=models/small"]).unwrap();
        let mut small = config(5, 12);
        small.vocab_size = 99;
        let teacher = config(12, 12);
        let folders = [("models/teacher", &teacher), ("models/small", &small)];
        let faults = check(&experiment, &folders).unwrap_err();
        assert_eq!(
            messages(&faults),
            [
                "the student has a vocabulary of 99 tokens, `[teacher]` has 100",
                "a `uniform` layer map needs a teacher with a multiple of the student's 5 layers, the teacher has 12",
            ]
        );
    }

    #[test]
    fn a_student_of_some_layers_is_compared_with_them() {
        let text = pipeline().replace("[stages.finetune]\n", "[stages.finetune]\nepochs = 1\n");
        let teacher = config(6, 12);
        let folders = [("models/teacher", &teacher)];
        for model in ["models/teacher", "finetune"] {
            let sets = [
                &format!("student.model={model}"),
                "student.layers=[0, 2, 5]",
                "student.hidden-dropout-prob=0.0",
            ];
            let experiment = read_with(&text, &sets).unwrap();
            let models = check(&experiment, &folders).unwrap();
            assert_eq!(models.student.num_hidden_layers, 3);
            assert_eq!(models.student.hidden_size, teacher.hidden_size);
            assert_eq!(models.student.hidden_dropout_prob.to_string(), "0");
            let map = &models.layer_maps["td-phase1"];
            assert_eq!(map.attention, [0, 2, 5]);
            assert_eq!(map.hidden, [0, 1, 3, 6]);
        }
        let sets = ["student.model=finetune", "student.layers=[0, 6]"];
        let faults = check(&read_with(&text, &sets).unwrap(), &folders).unwrap_err();
        assert_eq!(
            messages(&faults),
            ["`layers` in `[student]` has 6, which is out of range for `finetune`"]
        );
        assert!(faults[0].span.is_some());
    }

    #[test]
    fn layers_of_another_model_need_a_map() {
        let sets = ["student.model=models/small", "student.layers=[0, 5]"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let (teacher, small) = (config(12, 12), config(6, 12));
        let folders = [("models/teacher", &teacher), ("models/small", &small)];
        let faults = check(&experiment, &folders).unwrap_err();
        assert_eq!(
            messages(&faults),
            ["`layers` in `[student]` are not the teacher's, so that `layer-map` must be given"]
        );
        let sets = [sets[0], sets[1], "student.layer-map=uniform"];
        let models = check(&read_with(&pipeline(), &sets).unwrap(), &folders).unwrap();
        assert_eq!(models.layer_maps["td-phase1"].attention, [5, 11]);
    }

    #[test]
    fn an_uneven_map_is_no_fault_where_no_layer_is_compared() {
        let text = pipeline().replace("[stages.td-phase1]", "");
        let text = text.replace("[stages.general-distill]\ncorpus = [\"corpus/*.txt\"]", "");
        let experiment = read_with(&text, &["stages.td-phase2.student=models/small"]).unwrap();
        let models = check(&experiment, &[("models/teacher", &config(6, 8))]).unwrap();
        assert!(models.layer_maps.is_empty());
    }

    #[test]
    fn a_stage_with_a_teacher_of_its_own_has_its_own_layer_map() {
        let sets = ["stages.td-phase1.teacher=models/base"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let (teacher, base) = (config(8, 12), config(12, 12));
        let folders = [("models/teacher", &teacher), ("models/base", &base)];
        let maps = check(&experiment, &folders).unwrap().layer_maps;
        assert_eq!(maps["general-distill"].attention, [1, 3, 5, 7]);
        assert_eq!(maps["td-phase1"].attention, [2, 5, 8, 11]);
    }

    #[test]
    fn a_model_that_a_stage_names_is_checked_at_its_key() {
        let sets = ["stages.td-phase1.teacher=models/base"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let (teacher, mut base) = (config(12, 12), config(6, 8));
        base.vocab_size = 101;
        base.max_position_embeddings = 64;
        let folders = [("models/teacher", &teacher), ("models/base", &base)];
        let faults = check(&experiment, &folders).unwrap_err();
        assert_eq!(
            messages(&faults),
            [
                "the teacher of `td-phase1` has a vocabulary of 101 tokens, `[teacher]` has 100",
                "the teacher of `td-phase1` has 64 positions, `max-seq-length` in `[task]` is 128",
                "in `td-phase1`, the student has 12 attention heads, the teacher 8",
                "in `td-phase1`, a `uniform` layer map needs a teacher with a multiple of the student's 4 layers, the teacher has 6",
            ]
        );
        let sources = faults
            .iter()
            .map(|fault| fault.span.as_ref().unwrap().source);
        assert_eq!(sources.collect::<Vec<_>>(), [1; 4]);
    }
}
