//! From the rule of `layer-map` to the layers of two models.

use super::check::map_length_faults;
use super::schema::LayerMapRule;
use super::top::Experiment;
use crate::document::{Fault, Span};
use crate::job::LayerMap;

/// Teacher layers for a student of `student` layers under a teacher of `teacher` layers, whether the student's layers
/// are the teacher's (`has_teachers`) or not.
///
/// Source: Jiao et al. 2020 (arXiv 1909.10351), section 3 (uniform) and 4.4 (top, bottom).
///
/// # Errors
///
/// Faults at `layer-map`: a uniform map that does not come out even, lists of the wrong
/// length, layers that the teacher does not have.
pub(super) fn resolve_layer_map(
    experiment: &Experiment,
    [student, teacher]: [usize; 2],
    has_teachers: bool,
) -> Result<LayerMap, Vec<Fault>> {
    let rule = &experiment.student.layer_map;
    let place = || {
        let shape = &experiment.student.shape;
        let span = rule.span.clone();
        span.or_else(|| shape.num_hidden_layers.span.clone())
            .or_else(|| experiment.student.model.as_ref()?.span.clone())
            .or_else(|| experiment.teacher.model.span.clone())
    };
    let deeper = |word: &str| {
        let message = format!("`{word}` needs {student} teacher layers, the teacher has {teacher}");
        vec![Fault::new(message, place())]
    };
    match &rule.value {
        LayerMapRule::Uniform if student == 0 || !teacher.is_multiple_of(student) => {
            let message = format!(
                "a `uniform` layer map needs a teacher with a multiple of the student's {student} layers, the teacher has {teacher}"
            );
            Err(vec![
                Fault::new(message, place()).with_hint(spread_hint(teacher, student)),
            ])
        }
        LayerMapRule::Uniform => Ok(spread(teacher, student)),
        LayerMapRule::Top if student > teacher => Err(deeper("top")),
        LayerMapRule::Top => Ok(LayerMap {
            attention: (teacher - student..teacher).collect(),
            // Hidden state 0, the embeddings, always learns from the embeddings.
            hidden: std::iter::once(0)
                .chain(teacher - student + 1..=teacher)
                .collect(),
        }),
        LayerMapRule::Bottom if student > teacher => Err(deeper("bottom")),
        LayerMapRule::Bottom => Ok(LayerMap {
            attention: (0..student).collect(),
            hidden: (0..=student).collect(),
        }),
        LayerMapRule::Layers => {
            let map = of_start(experiment, teacher, student, has_teachers);
            map.map_err(|message| {
                let layers = experiment.student.layers.as_ref();
                let at = layers.and_then(|layers| layers.span.clone());
                let fault = Fault::new(message, rule.span.clone().or(at));
                vec![fault.with_hint(spread_hint(teacher, student))]
            })
        }
        LayerMapRule::Explicit(map) => {
            let mut faults = map_length_faults(map, student, rule.span.as_ref());
            faults.extend(range_faults(map, teacher, rule.span.as_ref()));
            if faults.is_empty() {
                Ok(map.clone())
            } else {
                Err(faults)
            }
        }
    }
}

/// Entries of an explicit map that the teacher does not have.
fn range_faults(map: &LayerMap, teacher: usize, span: Option<&Span>) -> Vec<Fault> {
    let lists = [
        (
            "attention",
            &map.attention,
            teacher.checked_sub(1),
            "layers",
        ),
        ("hidden", &map.hidden, Some(teacher), "hidden states"),
    ];
    let mut faults = Vec::new();
    for (list, entries, last, what) in lists {
        for entry in entries.iter().filter(|entry| Some(**entry) > last) {
            let message = format!(
                "`{list}` in `layer-map` has {entry}, which is out of range for the teacher"
            );
            let label = format!("its {what} are 0 to {}", last.unwrap_or(0));
            faults.push(Fault::new(message, span.cloned()).with_label(label));
        }
    }
    faults
}

/// The teacher layers that the student started from.
fn of_start(
    experiment: &Experiment,
    teacher: usize,
    student: usize,
    has_teachers: bool,
) -> Result<LayerMap, String> {
    let layers = experiment.student.layers.as_deref();
    let layers = layers.ok_or("`layer-map = \"layers\"` needs `layers` in `[student]`")?;
    if !has_teachers || layers.iter().any(|layer| *layer >= teacher) {
        return Err(
            "`layers` in `[student]` are not the teacher's, so that `layer-map` must be given"
                .to_owned(),
        );
    }
    if layers.len() != student {
        return Err(format!(
            "`layers` in `[student]` has {} entries, the student {student} layers",
            layers.len()
        ));
    }
    Ok(LayerMap {
        attention: layers.clone(),
        hidden: std::iter::once(0)
            .chain(layers.iter().map(|layer| layer + 1))
            .collect(),
    })
}

/// Layers at equal distances, rounded down: the uniform map where it comes out even.
fn spread(teacher: usize, student: usize) -> LayerMap {
    LayerMap {
        attention: (1..=student)
            .map(|i| (i * teacher / student).saturating_sub(1))
            .collect(),
        hidden: (0..=student).map(|i| i * teacher / student).collect(),
    }
}

fn spread_hint(teacher: usize, student: usize) -> Option<String> {
    if student == 0 || student > teacher {
        return None;
    }
    let map = spread(teacher, student);
    Some(format!(
        "list the layers, for example `layer-map = {{ attention = {:?}, hidden = {:?} }}`",
        map.attention, map.hidden
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{messages, pipeline, read_with};
    use super::*;

    fn map(rule: &str, teacher: usize, student: usize) -> Result<LayerMap, Vec<Fault>> {
        let set = format!("student.layer-map={rule}");
        let layers = format!("student.num-hidden-layers={student}");
        let experiment = read_with(&pipeline(), &[&set, &layers]).unwrap();
        resolve_layer_map(&experiment, [student, teacher], false)
    }

    #[test]
    fn uniform_maps_are_those_of_the_paper() {
        let four = map("uniform", 12, 4).unwrap();
        assert_eq!(four.attention, [2, 5, 8, 11]);
        assert_eq!(four.hidden, [0, 3, 6, 9, 12]);
        let six = map("uniform", 12, 6).unwrap();
        assert_eq!(six.attention, [1, 3, 5, 7, 9, 11]);
        assert_eq!(six.hidden, [0, 2, 4, 6, 8, 10, 12]);
    }

    #[test]
    fn top_and_bottom_keep_the_embeddings() {
        let top = map("top", 12, 4).unwrap();
        assert_eq!(top.attention, [8, 9, 10, 11]);
        assert_eq!(top.hidden, [0, 9, 10, 11, 12]);
        let bottom = map("bottom", 12, 4).unwrap();
        assert_eq!(bottom.attention, [0, 1, 2, 3]);
        assert_eq!(bottom.hidden, [0, 1, 2, 3, 4]);
        assert!(map("top", 3, 4).is_err() && map("bottom", 3, 4).is_err());
    }

    #[test]
    fn a_uniform_map_that_is_uneven_is_refused_with_one_to_write_instead() {
        let faults = map("uniform", 6, 4).unwrap_err();
        assert_eq!(
            faults[0].hint.as_deref(),
            Some(
                "list the layers, for example \
                 `layer-map = { attention = [0, 2, 3, 5], hidden = [0, 1, 3, 4, 6] }`"
            )
        );
    }

    #[test]
    fn layers_that_the_teacher_does_not_have_are_named() {
        let rule = "{ attention = [5, 6], hidden = [0, 6, 7] }";
        let faults = map(rule, 6, 2).unwrap_err();
        assert_eq!(
            messages(&faults),
            [
                "`attention` in `layer-map` has 6, which is out of range for the teacher",
                "`hidden` in `layer-map` has 7, which is out of range for the teacher",
            ]
        );
    }
}
