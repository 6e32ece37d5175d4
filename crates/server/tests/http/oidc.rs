//! Signing in with a real OpenID provider, `oidc-provider` from npm: its page answered over HTTP, as a browser would.

use std::path::PathBuf;

use qd_kernel::federation::{FederationOptions, GroupRole, ProviderSettings};
use qd_testkit::oidc::{Browser, OidcProvider, installed};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{TestServer, answer};

struct World {
    server: TestServer,
    provider: OidcProvider,
    _folder: TempDir,
}

fn rule(group: &str, role: &str, tenant: Option<&str>, project: Option<&str>) -> GroupRole {
    GroupRole {
        group: group.into(),
        role: role.into(),
        tenant: tenant.map(Into::into),
        project: project.map(Into::into),
    }
}

impl World {
    async fn start() -> Option<Self> {
        let mut provider = installed()?;
        let folder = tempfile::tempdir().unwrap();
        let secret: PathBuf = folder.path().join("secret");
        std::fs::write(&secret, format!("{}\n", OidcProvider::client_secret())).unwrap();
        let settings = ProviderSettings {
            name: "corp".parse().unwrap(),
            display_name: "Corp".into(),
            issuer: provider.issuer(),
            client_id: "quarterdeck".into(),
            client_secret_file: Some(secret),
            scopes: ["profile", "email", "groups"].map(Into::into).into(),
            groups_claim: "groups".into(),
            roles: vec![
                rule("admins", "PLATFORM_ADMIN", None, None),
                rule("devs", "PIPELINE_DEV", Some("default"), None),
                rule("lab", "viewer", Some("default"), Some("default")),
                rule("ghosts", "viewer", Some("nowhere"), None),
            ],
        };
        let federation = FederationOptions { providers: vec![settings], ..FederationOptions::default() };
        let server = TestServer::with(|boot| boot.kernel.federation = federation).await;
        provider.start(&server.url("/api/v1/auth/oidc/corp/callback")).await;
        Some(Self { server, provider, _folder: folder })
    }

    fn start_url(&self, query: &str) -> String {
        self.server.url(&format!("/api/v1/auth/oidc/corp/start{query}"))
    }

    /// Up to the address that the provider sends the browser back to.
    async fn returning(&self, browser: &mut Browser, query: &str, answer: &str) -> String {
        let callback = self.server.url("/api/v1/auth/oidc/corp/callback");
        browser.until(&self.start_url(query), &callback, answer).await
    }

    /// Signs in; where the browser is sent at the end.
    async fn sign_in(&self, browser: &mut Browser, who: &str) -> String {
        let back = self.returning(browser, "", &format!("as={who}")).await;
        location(&browser.get(&back).await)
    }

    /// Who a browser is, by its cookie.
    async fn me(&self, browser: &mut Browser) -> (StatusCode, Value) {
        let reply = browser.get(&self.server.url("/api/v1/me")).await;
        (reply.status(), reply.json().await.unwrap())
    }

    /// Somebody's roles, with who granted each.
    async fn roles(&self, name: &str) -> Vec<(String, String)> {
        let mut all = vec![];
        for list in ["/api/v1/members", "/api/v1/administrators"] {
            let (_, page) = self.server.get(list).await;
            let items = page["items"].as_array().unwrap().clone();
            all.extend(items.into_iter().filter(|item| item["name"] == name).map(|item| {
                let word = |field: &str| item[field].as_str().unwrap().to_owned();
                (word("role"), word("granted_by"))
            }));
        }
        all
    }
}

fn location(reply: &reqwest::Response) -> String {
    assert_eq!(reply.status(), StatusCode::SEE_OTHER);
    reply.headers()["location"].to_str().unwrap().to_owned()
}

fn by_corp(role: &str) -> (String, String) {
    (role.to_owned(), "oidc:corp".to_owned())
}

#[tokio::test]
async fn somebody_signs_in_elsewhere_and_groups_become_roles() {
    let Some(world) = World::start().await else { return };
    let (_, list) = answer(world.server.client.get(world.server.url("/api/v1/auth/providers"))).await;
    assert_eq!(list["items"], json!([{ "name": "corp", "display_name": "Corp" }]));
    let person = |groups: Value| json!({ "sub": "4711", "name": "Ann Lee", "preferred_username": "Ann.Lee", "groups": groups });
    world.provider.person(person(json!(["devs", "ghosts", "others"]))).await;
    let mut browser = Browser::default();
    let there = world.sign_in(&mut browser, "4711").await;
    assert_eq!(there, world.server.url("/"));
    let (status, me) = world.me(&mut browser).await;
    assert_eq!((status, &me["principal"]["name"]), (StatusCode::OK, &json!("ann-lee")), "{me}");
    assert_eq!(world.roles("ann-lee").await, [by_corp("PIPELINE_DEV")]);

    // By hand stays, and what is granted by hand over a group's is by hand.
    for role in ["AIOPS_ENGINEER", "PIPELINE_DEV"] {
        let path = format!("/api/v1/members/ann-lee/{role}");
        assert_eq!(answer(world.server.request(Method::PUT, &path)).await.0, StatusCode::NO_CONTENT);
    }
    world.provider.person(person(json!(["lab", "admins"]))).await;
    world.sign_in(&mut Browser::default(), "4711").await;
    let mut roles = world.roles("ann-lee").await;
    roles.sort();
    let owners = |role: &str| (role.to_owned(), "owner".to_owned());
    assert_eq!(
        roles,
        [owners("AIOPS_ENGINEER"), owners("PIPELINE_DEV"), by_corp("PLATFORM_ADMIN"), by_corp("viewer")]
    );
    world.provider.person(person(json!([]))).await;
    world.sign_in(&mut Browser::default(), "4711").await;
    let mut roles = world.roles("ann-lee").await;
    roles.sort();
    assert_eq!(roles, [owners("AIOPS_ENGINEER"), owners("PIPELINE_DEV")]);

    // The same name elsewhere is another person, and so is one who has an account here.
    world
        .provider
        .person(json!({ "sub": "4712", "preferred_username": "ann-lee", "groups": ["devs"] }))
        .await;
    world.provider.person(json!({ "sub": "4713", "preferred_username": "owner", "groups": ["devs"] })).await;
    // Nobody is called what the audit calls the system.
    world.provider.person(json!({ "sub": "4714", "preferred_username": "system", "groups": ["devs"] })).await;
    for (who, name) in [("4712", "ann-lee-2"), ("4713", "owner-2"), ("4714", "system-2")] {
        let mut browser = Browser::default();
        world.sign_in(&mut browser, who).await;
        assert_eq!(world.me(&mut browser).await.1["principal"]["name"], name);
    }
}

#[tokio::test]
async fn the_providers_keys_may_rotate_between_two_sign_ins() {
    let Some(world) = World::start().await else { return };
    world.provider.person(json!({ "sub": "ann", "preferred_username": "ann", "groups": ["devs"] })).await;
    assert_eq!(world.sign_in(&mut Browser::default(), "ann").await, world.server.url("/"));
    world.provider.rotate().await;
    assert_eq!(world.sign_in(&mut Browser::default(), "ann").await, world.server.url("/"));
    // Once more at once: keys that are not known are looked for every ten seconds at most.
    world.provider.rotate().await;
    let refused = world.sign_in(&mut Browser::default(), "ann").await;
    assert_eq!(refused, world.server.url("/sign-in?error=provider_answer"));
}

#[tokio::test]
async fn a_sign_in_that_is_not_ones_own_is_refused() {
    let Some(world) = World::start().await else { return };
    let page = |code: &str| world.server.url(&format!("/sign-in?error={code}"));
    world.provider.person(json!({ "sub": "ann", "preferred_username": "ann", "groups": ["devs"] })).await;
    let cookie_of = world.server.url("/");

    let mut browser = Browser::default();
    let denied = world.returning(&mut browser, "", "deny=1").await;
    assert!(denied.contains("error=access_denied"), "{denied}");
    assert_eq!(location(&browser.get(&denied).await), page("provider_denied"));

    // A code that another browser brings, and a state that is another.
    let mut browser = Browser::default();
    let back = world.returning(&mut browser, "", "as=ann").await;
    assert_eq!(location(&Browser::default().get(&back).await), page("sign_in_state"));
    let mut other = Browser::default();
    let others = world.returning(&mut other, "", "as=ann").await;
    assert_eq!(location(&browser.get(&others).await), page("sign_in_state"));
    assert_eq!(location(&browser.get(&back).await), page("sign_in_state"), "a refusal ends the sign-in");

    // Another nonce, another verifier: what the browser kept was exchanged.
    for (at, code) in [(1, "provider_answer"), (2, "provider_answer")] {
        let mut browser = Browser::default();
        let back = world.returning(&mut browser, "", "as=ann").await;
        let kept = browser.cookie(&cookie_of, "qd_oidc").unwrap();
        let mut parts: Vec<String> = kept.splitn(4, '~').map(str::to_owned).collect();
        parts[at] = "x".repeat(43);
        *kept = parts.join("~");
        assert_eq!(location(&browser.get(&back).await), page(code), "part {at}");
        assert!(browser.cookie(&cookie_of, "qd_session").is_none());
    }

    // A code works once.
    let mut browser = Browser::default();
    let back = world.returning(&mut browser, "?next=/pipelines", "as=ann").await;
    let kept = browser.cookies.clone();
    assert_eq!(location(&browser.get(&back).await), world.server.url("/pipelines"));
    browser.cookies = kept;
    assert_eq!(location(&browser.get(&back).await), page("provider_answer"));

    for next in ["https://elsewhere.example", "//elsewhere.example", "/%5Celsewhere.example"] {
        let asked = world.server.client.get(world.start_url(&format!("?next={next}")));
        let (status, problem) = answer(asked).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_next")), "{next}");
    }
    let (_, audit) = world.server.get("/api/v1/audit?action=own.sign-in&outcome=failed").await;
    assert!(audit["items"].as_array().is_none_or(|items| !items.is_empty()), "{audit}");
}

#[tokio::test]
async fn a_suspended_account_stays_out_and_a_code_lets_a_program_in() {
    let Some(world) = World::start().await else { return };
    world.provider.person(json!({ "sub": "ann", "preferred_username": "ann", "groups": ["devs"] })).await;
    let mut browser = Browser::default();
    let back = world.returning(&mut browser, "?show=code", "as=ann").await;
    let shown = browser.get(&back).await;
    assert!(shown.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = shown.text().await.unwrap();
    assert!(browser.cookie(&world.server.url("/"), "qd_session").is_none(), "no session in the browser");
    let grant = json!({ "grant_type": "sign_in_code", "code": text.lines().next().unwrap() });
    let (status, granted) =
        answer(world.server.client.post(world.server.url("/api/v1/auth/token")).json(&grant)).await;
    assert_eq!((status, &granted["principal"]["name"]), (StatusCode::OK, &json!("ann")), "{granted}");

    let (_, user) = world.server.get("/api/v1/users/ann").await;
    let suspend = world
        .server
        .request(Method::PATCH, "/api/v1/users/ann")
        .header("if-match", format!("\"{}\"", user["version"]))
        .json(&json!({ "state": "suspended" }));
    assert_eq!(answer(suspend).await.0, StatusCode::OK);
    let refused = world.sign_in(&mut Browser::default(), "ann").await;
    assert_eq!(refused, world.server.url("/sign-in?error=bad_credential"));
}

#[tokio::test]
async fn a_provider_that_is_away_is_said_on_the_sign_in_page() {
    let settings = ProviderSettings {
        name: "corp".parse().unwrap(),
        display_name: String::new(),
        issuer: "http://127.0.0.1:9".into(),
        client_id: "quarterdeck".into(),
        client_secret_file: None,
        scopes: vec![],
        groups_claim: "groups".into(),
        roles: vec![],
    };
    let federation = FederationOptions { providers: vec![settings], ..FederationOptions::default() };
    let server = TestServer::with(|boot| boot.kernel.federation = federation).await;
    let mut browser = Browser::default();
    let away = browser.get(&server.url("/api/v1/auth/oidc/corp/start")).await;
    assert_eq!(location(&away), server.url("/sign-in?error=provider_unavailable"));
    let unknown = browser.get(&server.url("/api/v1/auth/oidc/none/start")).await;
    assert_eq!(location(&unknown), server.url("/sign-in?error=provider_not_found"));
}
