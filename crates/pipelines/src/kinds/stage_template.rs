//! The kind `StageTemplate`: a stage that pipelines share.

use async_trait::async_trait;
use qd_core::error::Result;
use qd_core::violation::Violation;
use qd_kernel::kind::{Kind, KindInfo, KindScope, SpecView};
use serde_json::{Value, json};

use crate::validate::{template_schema, validate_template, validate_template_shape};

/// The kind's name in documents.
pub const STAGE_TEMPLATE: &str = "StageTemplate";

pub(super) struct StageTemplates {
    info: KindInfo,
}

impl StageTemplates {
    pub fn new() -> Self {
        let info = KindInfo {
            kind: STAGE_TEMPLATE,
            plural: "stagetemplates",
            singular: "stagetemplate",
            title: "Stage templates",
            summary: "A stage class with defaults that pipelines share.",
            group: "build",
            scope: KindScope::Project,
            engine: None,
            actions: Vec::new(),
            schema: template_schema(),
            example: json!({
                "description": "Drops texts that are too short.",
                "uses": "curate.stages:QualityFilter",
                "params": { "min_words": 20 },
                "resources": { "cpus": 0.25 }
            }),
        };
        Self { info }
    }
}

#[async_trait]
impl Kind for StageTemplates {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        let parsed = validate_template_shape(spec)?;
        super::pipeline::written_out(&parsed)
    }

    async fn validate(&self, spec: &Value, _view: &SpecView) -> Result<Vec<Violation>> {
        Ok(validate_template_shape(spec)
            .map_or_else(|violations| violations, |spec| validate_template(&spec)))
    }
}
