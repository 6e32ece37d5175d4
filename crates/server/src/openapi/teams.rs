//! The routes of teams.

use qd_kernel::{
    access::teams::{Team, TeamDetail},
    page::Page,
};

use super::{
    route::{Content, Route},
    schemas::Schemas,
};
use crate::{
    api::describe::{NamedBody, TeamPatchBody},
    http::query::PageQuery,
};

pub fn routes(s: &mut Schemas) -> Vec<Route> {
    let (page, team) = (s.query::<PageQuery>(), s.of::<Team>());
    let change = |method, path: &str, id: &str, summary: &str| {
        Route::with(method, path, id, "people", summary, Content::None, (204, Content::None))
    };
    let (one, member) = ("/api/v1/teams/{name}", "/api/v1/teams/{name}/members/{person}");
    vec![
        Route::get(
            "/api/v1/teams",
            "team_list",
            "people",
            "The teams of the tenant, by name",
            Content::Json(s.of::<Page<Team>>()),
        )
        .query(page),
        Route::with(
            "post",
            "/api/v1/teams",
            "team_create",
            "people",
            "Make a team",
            Content::Json(s.of::<NamedBody>()),
            (201, Content::Json(team.clone())),
        ),
        Route::get(
            one,
            "team_get",
            "people",
            "A team with who is in it and what it holds",
            Content::Json(s.of::<TeamDetail>()),
        ),
        Route::with(
            "patch",
            one,
            "team_update",
            "people",
            "Change how a team is shown",
            Content::Json(s.of::<TeamPatchBody>()),
            (200, Content::Json(team)),
        )
        .if_match(),
        change("delete", one, "team_delete", "Remove a team; its members lose what came from it"),
        change("put", member, "team_member_add", "Put somebody in a team"),
        change("delete", member, "team_member_remove", "Take somebody out of a team"),
    ]
}
