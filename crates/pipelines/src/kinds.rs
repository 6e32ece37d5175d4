//! The kinds of this plane and their registration.

mod pipeline;
mod stage_template;

use std::path::PathBuf;
use std::sync::Arc;

use qd_kernel::{
    access::{AIOPS_ENGINEER, PIPELINE_DEV},
    registry::{Registry, Role},
};

pub use pipeline::PIPELINE;
pub use stage_template::STAGE_TEMPLATE;

use crate::describe::Describer;
use crate::engine::ray::connection::connection_type;
use crate::engine::{Ray, RayOptions, Xenna, XennaOptions};
use crate::environment::Environments;

/// Adds the kinds `pipelines` and `stagetemplates`, the engines `xenna` and `ray`, and connections of type `ray`.
///
/// Answers the environments, so that whoever starts the server can have the base prepared
/// ([`Environments::watch`]) and show how far it is; nothing is prepared before somebody asks.
pub fn register(registry: &mut Registry, options: XennaOptions, ray: RayOptions) -> Environments {
    let environments = Environments::new(&options.data);
    let backing = Backing {
        code_root: std::path::absolute(options.data.join("code"))
            .unwrap_or_else(|_| options.data.join("code")),
        environments: environments.clone(),
        describer: Describer::new(&options.data),
    };
    registry.kind(pipeline::Pipelines::new(backing));
    registry.kind(stage_template::StageTemplates::new());
    registry.engine(Arc::new(Xenna::new(options, environments.clone())));
    registry.engine(Arc::new(Ray::new(ray)));
    registry.connection_type(connection_type());
    registry.role(Role { name: PIPELINE_DEV, summary: "", actions: &["pipelines.*", "stagetemplates.*"] });
    registry.role(Role {
        name: AIOPS_ENGINEER,
        summary: "",
        actions: &["pipelines.request", "pipelines.retry", "pipelines.run", "pipelines.stop"],
    });
    environments
}

/// What validation needs beside the spec.
#[derive(Debug, Clone)]
struct Backing {
    /// Where archives are unpacked.
    code_root: PathBuf,
    environments: Environments,
    describer: Describer,
}
