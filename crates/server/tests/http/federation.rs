//! A gateway whose tokens are taken, and an edge whose headers are. Gateway and IAM are stand-ins, written from the contract in
//! docs/sign-in.md; no product was asked.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use qd_kernel::federation::{EdgeSettings, FederationOptions, GatewaySettings, GroupRole};
use qd_testkit::{HttpServer, Reply, jwt};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer, document};

const SEED: [u8; 32] = [3; 32];
const SHARED: &str = "thirty-two bytes that both know!!";

/// What the IAM answers next: status, headers, body.
type Answer = Arc<Mutex<Reply>>;

struct World {
    server: TestServer,
    outside: HttpServer,
    answer: Answer,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start(shared: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said: Answer = Arc::new(Mutex::new(Reply::new(200, rights(&["viewer"]))));
        let answers = said.clone();
        let outside = HttpServer::start(move |heard| {
            if heard.path.starts_with("/jwks") {
                return Reply::new(200, json!({ "keys": [jwt::jwk(&SEED, "g1")] }).to_string());
            }
            answers.lock().unwrap().clone()
        });
        let (secret, token): (PathBuf, PathBuf) = (folder.path().join("shared"), folder.path().join("token"));
        std::fs::write(&secret, SHARED).unwrap();
        std::fs::write(&token, "the server's own\n").unwrap();
        let keys = match shared {
            true => format!("shared: {{file: '{}', algorithm: HS256}}", secret.display()),
            false => format!("jwks: {{url: '{}/jwks', algorithms: [EdDSA, RS256]}}", outside.url),
        };
        let file = folder.path().join("gateway.yaml");
        let iam = format!("url: '{}/rights', token_file: '{}', cache_s: 0", outside.url, token.display());
        std::fs::write(
            &file,
            format!("issuer: https://gate.example\naudience: qd\nkeys:\n  {keys}\niam: {{{iam}}}\n"),
        )
        .unwrap();
        let gateway = Some(GatewaySettings::read(&file).unwrap());
        let federation = FederationOptions { gateway, ..FederationOptions::default() };
        let server = TestServer::with(|boot| boot.kernel.federation = federation).await;
        Self { server, outside, answer: said, _folder: folder }
    }

    fn answers(&self, reply: Reply) {
        *self.answer.lock().unwrap() = reply;
    }

    fn claims(&self) -> Value {
        let now = self.server.kernel.source.now().micros() / 1_000_000;
        json!({ "iss": "https://gate.example", "aud": ["qd", "else"], "sub": "u-1", "session_id": "s-1", "exp": now + 60 })
    }

    async fn me(&self, token: &str) -> (StatusCode, Value) {
        answer(self.server.client.get(self.server.url("/api/v1/me")).bearer_auth(token)).await
    }
}

fn rights(roles: &[&str]) -> String {
    let roles: Vec<Value> = roles.iter().map(|role| json!({ "role": role, "tenant": "default" })).collect();
    json!({ "name": "gil", "display_name": "Gil", "roles": roles }).to_string()
}

fn changed(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

#[tokio::test]
async fn a_gateways_token_has_the_rights_that_its_iam_gives() {
    let world = World::start(false).await;
    let header = json!({ "alg": "EdDSA", "kid": "g1" });
    let claims = world.claims();
    let token = jwt::ed25519(&SEED, &header, &claims);
    let (status, me) = world.me(&token).await;
    assert_eq!((status, &me["principal"]["name"]), (StatusCode::OK, &json!("gil")), "{me}");
    assert_eq!(me["principal"]["roles"], json!(["viewer"]));
    let heard = world.outside.heard();
    let asked = heard.iter().find(|one| one.path.starts_with("/rights")).unwrap();
    assert!(asked.path.contains("sub=u-1") && asked.path.contains("session_id=s-1"), "{}", asked.path);
    assert_eq!(asked.headers["authorization"], "Bearer the server's own");
    world.answers(Reply::new(200, rights(&["TENANT_ADMIN", "no-such-role"])));
    assert_eq!(world.me(&token).await.1["principal"]["roles"], json!(["TENANT_ADMIN"]));

    // What the database has of the account is nothing to the IAM.
    let sample = json!({ "documents": [document("one", json!({}))] });
    assert_eq!(world.server.post("/api/v1/apply", sample).await.0, StatusCode::OK);
    let share = world.server.request(Method::PUT, "/api/v1/samples/one/sharing/gil");
    assert_eq!(answer(share.json(&json!({ "as": "editor" }))).await.0, StatusCode::NO_CONTENT);
    world.answers(Reply::new(200, rights(&[])));
    let one = || world.server.client.get(world.server.url("/api/v1/samples/one")).bearer_auth(&token);
    let (status, problem) = answer(one()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("no_role")), "{problem}");
    world.answers(Reply::new(200, rights(&["viewer"])));
    assert_eq!(answer(one()).await.0, StatusCode::OK);

    let now = world.server.kernel.source.now().micros() / 1_000_000;
    let confused = jwt::hs256(&jwt::public(&SEED), &json!({ "alg": "HS256", "kid": "g1" }), &claims);
    for (what, wrong) in [
        ("a stranger's key", jwt::ed25519(&[4; 32], &header, &claims)),
        ("an unknown key", jwt::ed25519(&SEED, &json!({ "alg": "EdDSA", "kid": "g2" }), &claims)),
        ("no algorithm", jwt::unsigned(&json!({ "alg": "none", "kid": "g1" }), &claims)),
        ("the public key as a secret", confused),
        ("another audience", jwt::ed25519(&SEED, &header, &changed(&claims, "aud", json!("else")))),
        ("expired", jwt::ed25519(&SEED, &header, &changed(&claims, "exp", json!(now - 40)))),
        ("not yet", jwt::ed25519(&SEED, &header, &changed(&claims, "nbf", json!(now + 40)))),
        ("no session", jwt::ed25519(&SEED, &header, &changed(&claims, "session_id", json!("")))),
    ] {
        let (status, problem) = world.me(&wrong).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNAUTHORIZED, &json!("bad_credential")),
            "{what}"
        );
    }
}

#[tokio::test]
async fn what_the_iam_says_reaches_the_caller() {
    let world = World::start(true).await;
    let token = jwt::hs256(SHARED.as_bytes(), &json!({ "alg": "HS256" }), &world.claims());
    assert_eq!(world.me(&token).await.0, StatusCode::OK);
    let said = |text: &str| json!({ "message": text }).to_string();
    for (given, status, code, words) in [
        (
            Reply::new(401, said("the session was ended")),
            401,
            "gateway_unauthenticated",
            "the session was ended",
        ),
        (Reply::new(403, "not you"), 403, "gateway_forbidden", "not you"),
        (Reply::new(429, said("slower")).header("retry-after", "17"), 429, "gateway_rate_limited", "slower"),
        (Reply::new(500, said("oops")), 503, "gateway_unavailable", "the gateway's IAM answered 500: oops"),
        (Reply::new(302, "").header("location", "/elsewhere"), 503, "gateway_unavailable", "answered 302"),
        (Reply::new(200, "no JSON"), 503, "gateway_unavailable", "not understood"),
    ] {
        let upstream = given.status;
        world.answers(given);
        let reply =
            world.server.client.get(world.server.url("/api/v1/me")).bearer_auth(&token).send().await.unwrap();
        let (got, after) = (reply.status().as_u16(), reply.headers().get("retry-after").cloned());
        let problem: Value = reply.json().await.unwrap();
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{upstream}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
        if upstream == 429 {
            assert_eq!(after.unwrap(), "17");
        }
    }
    // A key that is shared takes nothing that is signed otherwise.
    let other = jwt::ed25519(&SEED, &json!({ "alg": "EdDSA" }), &world.claims());
    assert_eq!(world.me(&other).await.1["code"], "bad_credential");
}

async fn edge(networks: &[&str]) -> TestServer {
    let settings = EdgeSettings {
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
        user_header: "x-forwarded-user".into(),
        groups_header: "x-forwarded-groups".into(),
        roles: vec![GroupRole {
            group: "devs".into(),
            role: "PIPELINE_DEV".into(),
            tenant: Some("default".into()),
            project: None,
        }],
    };
    let federation = FederationOptions { edge: Some(settings), ..FederationOptions::default() };
    TestServer::with(|boot| boot.kernel.federation = federation).await
}

fn vouched(server: &TestServer, method: Method, path: &str, user: &str, groups: &str) -> RequestBuilder {
    let request = server.client.request(method, server.url(path));
    request.header("x-forwarded-user", user).header("x-forwarded-groups", groups)
}

#[tokio::test]
async fn an_edge_is_believed_at_its_address_and_nowhere_else() {
    let server = edge(&["127.0.0.0/8"]).await;
    let me = |user: &'static str, groups: &'static str| {
        answer(vouched(&server, Method::GET, "/api/v1/me", user, groups))
    };
    let (status, told) = me("ann@example.org", "devs, others").await;
    assert_eq!((status, &told["principal"]["name"]), (StatusCode::OK, &json!("ann")), "{told}");
    assert_eq!(told["principal"]["roles"], json!(["PIPELINE_DEV"]));
    assert_eq!(me("ann@example.org", "").await.1["code"], "no_role", "roles are those of the request");
    assert_eq!(
        answer(server.request(Method::PUT, "/api/v1/members/ann/viewer")).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        me("ann@example.org", "").await.1["principal"]["roles"],
        json!(["viewer"]),
        "by hand counts too"
    );
    for (user, groups) in [("", "devs"), ("ann,bob", "devs")] {
        let (status, problem) = me(user, groups).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("bad_edge_headers")),
            "{user}"
        );
    }
    let twice = vouched(&server, Method::GET, "/api/v1/me", "ann", "devs").header("x-forwarded-user", "bob");
    assert_eq!(answer(twice).await.1["code"], "bad_edge_headers");
    // A token is what somebody chose to come with.
    let both = vouched(&server, Method::GET, "/api/v1/me", "ann", "devs").bearer_auth(&server.token);
    assert_eq!(answer(both).await.1["principal"]["name"], "owner");
    let cross = vouched(&server, Method::POST, "/api/v1/auth/links", "ann", "devs");
    let cross = cross.header("origin", "http://elsewhere.example");
    assert_eq!(answer(cross).await.1["code"], "cross_site");
    assert_eq!(answer(server.client.get(server.url("/api/v1/me"))).await.1["code"], "no_credential");

    let elsewhere = edge(&["10.1.0.0/16"]).await;
    for request in [
        vouched(&elsewhere, Method::GET, "/api/v1/me", "ann", "devs"),
        vouched(&elsewhere, Method::GET, "/api/v1/me", "ann", "devs").bearer_auth(&elsewhere.token),
        elsewhere.client.get(elsewhere.url("/api/v1/me")).header("x-forwarded-groups", "devs"),
    ] {
        let (status, problem) = answer(request).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("untrusted_edge")));
    }
    assert_eq!(elsewhere.get("/api/v1/me").await.0, StatusCode::OK);
}
