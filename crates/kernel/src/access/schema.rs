//! What policies can speak of, as a Cedar schema: a project's own are checked against it before they are published.

use std::{collections::BTreeSet, fmt::Write as _};

use super::matrix;

/// Of what there is beside the actions. Labels are the tags of a resource; `cluster` and `namespace` are there for kinds whose
/// specs name them.
const ENTITIES: &str = "entity Role, Team, Share, Tenant;
entity User in [Role, Team, Share] { name: String, service: Bool };
entity Project in [Tenant];
entity Resource in [Project] {
  kind: String, name: String, owners: Set<String>, teams: Set<String>, cluster?: String, namespace?: String
} tags String;
";

/// The schema with these actions, and the groups that stand for them.
pub(super) fn text(actions: &[String]) -> String {
    let groups: BTreeSet<String> = actions.iter().flat_map(|action| matrix::groups(action)).collect();
    let mut text = ENTITIES.to_owned();
    for group in groups.iter().filter(|group| !actions.contains(group)) {
        let _ = writeln!(text, "action \"{group}\";");
    }
    for action in actions {
        let groups: Vec<String> = matrix::groups(action).iter().map(|group| format!("\"{group}\"")).collect();
        let _ = writeln!(
            text,
            "action \"{action}\" in [{}] appliesTo {{ principal: [User], resource: [Project, Resource] }};",
            groups.join(", ")
        );
    }
    text
}
