//! Where a run is carried out: on this machine, or on what a connection leads to.
//!
//! `runtime.target` is `local` or the name of a connection, and may be a `${params.…}`, so that one spec runs here and there
//! unchanged, by a parameter of the run.

use serde_json::{Map, Value};

use crate::params;
use crate::spec::PipelineSpec;

const LOCAL: &str = "local";
/// The place in the spec.
pub const AT: &str = "/runtime/target";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Local,
    /// The connection's name.
    Connection(String),
}

/// The target of a run with these parameters; `None` where one that it needs is missing.
#[must_use]
pub fn of_run(target: &str, params: &Map<String, Value>) -> Option<Target> {
    let name = match params::substitute(&Value::String(target.to_owned()), params, AT).ok()? {
        Value::String(name) => name,
        other => other.to_string(),
    };
    Some(if name == LOCAL { Target::Local } else { Target::Connection(name) })
}

/// The target of a run that is given no parameters; `None` where that is not said.
#[must_use]
pub fn by_default(spec: &PipelineSpec) -> Option<Target> {
    of_run(&spec.runtime.target, &params::defaults(&spec.params))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_may_choose_the_target() {
        let params = |value: Value| Map::from_iter([("where".to_owned(), value)]);
        let cluster = Target::Connection("gpu".into());
        assert_eq!(of_run("local", &Map::new()), Some(Target::Local));
        assert_eq!(of_run("gpu", &Map::new()), Some(cluster.clone()));
        assert_eq!(of_run("${params.where}", &params(json!("local"))), Some(Target::Local));
        assert_eq!(of_run("${params.where}", &params(json!("gpu"))), Some(cluster));
        assert_eq!(of_run("${params.where}", &Map::new()), None);
    }
}
