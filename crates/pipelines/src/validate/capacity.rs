//! Whether the target is large enough, said before the run and with the numbers.
//!
//! Streaming and serving hold every stage's workers at once, batch one stage's after another. Xenna gives stages
//! the whole CPUs within `cpu_allocation_percentage` of the node: on two cores that is one. A stage without a number
//! of workers needs at least one. (So reads `verify_enough_resources` of Xenna 0.5.12; for batch, where Xenna only logs
//! that it cannot place a worker, the same node size is taken.)

use qd_core::violation::Violation;

use crate::describe::Description;
use crate::spec::{ExecutionMode, PipelineSpec, Resources, Stage};

/// Xenna's default of `cpu_allocation_percentage`.
const ALLOCATION: f64 = 0.95;
/// What sums of decimal fractions may be off by.
const SLACK: f64 = 1e-9;

/// The size of a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    pub cpus: f64,
    pub gpus: f64,
}

impl Capacity {
    /// Of a target whose size is not known: nothing is too large for it.
    pub const UNKNOWN: Self = Self { cpus: f64::INFINITY, gpus: f64::INFINITY };
}

struct Need<'a> {
    stage: &'a Stage,
    index: usize,
    resources: Resources,
    workers: u32,
}

pub(super) fn check(
    spec: &PipelineSpec,
    description: Option<&Description>,
    capacity: &Capacity,
) -> Vec<Violation> {
    let needs: Vec<Need<'_>> = spec
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| Need {
            stage,
            index,
            resources: resources_of(stage, description),
            workers: workers_of(stage),
        })
        .collect();
    let share = spec.runtime.config.get("cpu_allocation_percentage").and_then(serde_json::Value::as_f64);
    let share = share.unwrap_or(ALLOCATION);
    let usable = (capacity.cpus * share + SLACK).floor();
    let cpus = Limit {
        unit: "CPU",
        code: "not_enough_cpus",
        usable,
        of: format!(
            "{} can be used ({} × {}, rounded down)",
            number(usable),
            number(capacity.cpus),
            number(share)
        ),
    };
    let gpus = Limit {
        unit: "GPU",
        code: "not_enough_gpus",
        usable: capacity.gpus,
        of: format!("{} can be used", number(capacity.gpus)),
    };
    let mut violations = Vec::new();
    violations.extend(cpus.check(spec.execution_mode, &needs, |resources| resources.cpus.unwrap_or(0.0)));
    violations.extend(gpus.check(spec.execution_mode, &needs, |resources| resources.gpus.unwrap_or(0.0)));
    violations
}

struct Limit {
    unit: &'static str,
    code: &'static str,
    usable: f64,
    of: String,
}

impl Limit {
    fn check(
        &self,
        mode: ExecutionMode,
        needs: &[Need<'_>],
        of_one: fn(&Resources) -> f64,
    ) -> Vec<Violation> {
        let total = |need: &Need<'_>| of_one(&need.resources) * f64::from(need.workers);
        let Self { unit, code, usable, of } = self;
        let term = |need: &Need<'_>| {
            format!("{} {} × {}", need.stage.id, number(of_one(&need.resources)), need.workers)
        };
        if mode == ExecutionMode::Batch {
            let too_large = needs.iter().filter(|need| total(need) > usable + SLACK);
            return too_large
                .map(|need| {
                    let detail = format!("needs {} {unit} ({}), but {of}", number(total(need)), term(need));
                    Violation::new(format!("/stages/{}", need.index), *code, detail)
                })
                .collect();
        }
        let sum: f64 = needs.iter().map(total).sum();
        if sum <= usable + SLACK {
            return Vec::new();
        }
        let terms: Vec<String> = needs.iter().filter(|need| total(need) > 0.0).map(term).collect();
        let detail = format!(
            "{} holds all stages at once and needs {} {unit} ({}), but {of}",
            mode.as_str(),
            number(sum),
            terms.join(" + "),
        );
        vec![Violation::new("/stages", *code, detail)]
    }
}

/// What one worker of the stage needs, number by number: as the stage says, else as its class says, else nothing that is
/// known.
fn resources_of(stage: &Stage, description: Option<&Description>) -> Resources {
    let described = || {
        let class = description?.classes.get(stage.uses.as_deref()?)?;
        class.as_ok()?.resources
    };
    stage.resources.unwrap_or_default().or(described().unwrap_or_default())
}

/// As Xenna counts them, on the one node of a local target.
fn workers_of(stage: &Stage) -> u32 {
    let per_node = || {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; not negative by shape"
        )]
        stage.workers_per_node.map(|count| count.ceil() as u32)
    };
    stage.workers.or_else(per_node).unwrap_or(1)
}

/// Without the noise of binary fractions.
fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}")
}
