//! An OpenID provider: discovery, the authorization code flow with PKCE, and the ID token that it ends with.
//!
//! What is drawn for a sign-in (state, nonce, verifier) goes to the browser that began it and comes back from it, so that a code
//! that another browser brought is worth nothing. The provider's keys are read with its discovery document, and once more when a
//! token is not signed with any of them: they rotate.
//!
//! Not done here: the account ([`super::accounts`]), and what a browser is told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreTokenResponse,
    },
};
use qd_core::error::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    accounts::Person,
    http::Http,
    settings::{ProviderSettings, secret},
};
use crate::{
    clock::Source, context::RequestIds, credentials::Origin, kernel::Kernel, outbound::OutboundOptions,
};

/// How long a discovery document is believed.
const BELIEVED: Duration = Duration::from_hours(1);
/// Between two looks for keys that are not known.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Those with public keys: what signs with the client's secret is not taken.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What a sign-in page shows of a provider.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProviderInfo {
    pub name: String,
    pub display_name: String,
}

/// What a browser keeps while its person is at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

/// What the provider sent the browser back with.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    pub code: &'a str,
    /// Who it says that it is (RFC 9207), where it says so.
    pub issuer: Option<&'a str>,
}

pub(crate) struct Provider {
    pub settings: ProviderSettings,
    http: Http,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    metadata: Option<(Instant, Arc<CoreProviderMetadata>)>,
    looked_again: Option<Instant>,
}

fn bad_answer(why: &'static str) -> Error {
    Error::unauthenticated("provider_answer", why)
}

fn draw(source: &Source) -> String {
    let mut bytes = [0; 32];
    source.random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    pub fn new(settings: ProviderSettings, outbound: &OutboundOptions) -> Result<Self> {
        Ok(Self { settings, http: Http::new(outbound)?, found: Mutex::default() })
    }

    fn info(&self) -> ProviderInfo {
        let name = self.settings.name.to_string();
        let display_name = match self.settings.display_name.as_str() {
            "" => name.clone(),
            shown => shown.to_owned(),
        };
        ProviderInfo { name, display_name }
    }

    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>> {
        let mut found = self.found.lock().await;
        if let Some((at, metadata)) = &found.metadata
            && at.elapsed() < BELIEVED
        {
            return Ok(metadata.clone());
        }
        self.discover(&mut found).await
    }

    /// The keys as they are now; unless they were asked for just before, for the same reason.
    async fn metadata_anew(&self) -> Result<Arc<CoreProviderMetadata>> {
        let mut found = self.found.lock().await;
        if found.looked_again.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return Err(bad_answer("the ID token is signed with no key of the provider's"));
        }
        found.looked_again = Some(Instant::now());
        self.discover(&mut found).await
    }

    async fn discover(&self, found: &mut Found) -> Result<Arc<CoreProviderMetadata>> {
        let failed = |why: String| {
            tracing::warn!(provider = %self.settings.name, why, "read the provider's discovery document");
            let detail = format!("the provider {} cannot be reached", self.settings.name);
            Error::unavailable("provider_unavailable", detail)
        };
        let issuer =
            IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| failed(error.to_string()))?;
        let asked = CoreProviderMetadata::discover_async(issuer, &self.http).await;
        let metadata = Arc::new(asked.map_err(|error| failed(error.to_string()))?);
        found.metadata = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    fn client(&self, metadata: &CoreProviderMetadata, redirect: &str) -> Result<Client> {
        let secret = match &self.settings.client_secret_file {
            Some(file) => Some(ClientSecret::new(secret(file)?.to_string())),
            None => None,
        };
        let redirect = RedirectUrl::new(redirect.to_owned())
            .map_err(|_| Error::internal("redirect_url", "the server's public address is no URL"))?;
        let id = ClientId::new(self.settings.client_id.clone());
        Ok(CoreClient::from_provider_metadata(metadata.clone(), id, secret).set_redirect_uri(redirect))
    }

    /// Where the browser goes.
    async fn start(&self, redirect: &str, pending: &Pending) -> Result<String> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata, redirect)?;
        let verifier = PkceCodeVerifier::new(pending.verifier.clone());
        let (state, nonce) = (CsrfToken::new(pending.state.clone()), Nonce::new(pending.nonce.clone()));
        let request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .add_scopes(self.settings.scopes.iter().filter(|one| *one != "openid").cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        Ok(request.url().0.to_string())
    }

    /// Who came back with this code.
    async fn redeem(&self, redirect: &str, returned: Returned<'_>, pending: &Pending) -> Result<Person> {
        if returned.issuer.is_some_and(|issuer| issuer != self.settings.issuer) {
            return Err(bad_answer("the code is another provider's"));
        }
        let metadata = self.metadata().await?;
        let client = self.client(&metadata, redirect)?;
        let request = client
            .exchange_code(AuthorizationCode::new(returned.code.to_owned()))
            .map_err(|_| bad_answer("the provider has no token endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()));
        let tokens = request.request_async(&self.http).await.map_err(|error| match error {
            RequestTokenError::Request(lost) => lost.into(),
            RequestTokenError::ServerResponse(said) => {
                tracing::info!(provider = %self.settings.name, error = ?said.error(), "the provider took a code back");
                bad_answer("the provider does not take the code")
            }
            _ => bad_answer("the provider's answer to the code is not understood"),
        })?;
        let id_token = tokens.id_token().ok_or_else(|| bad_answer("the provider sent no ID token"))?;
        let mut claims = match proved(&client, id_token, pending) {
            Ok(claims) => claims,
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                let metadata = self.metadata_anew().await?;
                let client = self.client(&metadata, redirect)?;
                proved(&client, id_token, pending)
                    .map_err(|_| bad_answer("the ID token is signed with no key of the provider's"))?
            }
            Err(ClaimsVerificationError::InvalidNonce(_)) => {
                return Err(bad_answer("the ID token was made for another sign-in"));
            }
            Err(_) => return Err(bad_answer("the ID token is not for us, or has expired")),
        };
        if claims.get(&self.settings.groups_claim).is_none() || claims.get("name").is_none() {
            self.add_user_info(&metadata, &tokens, &mut claims).await?;
        }
        let word = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let subject = word("sub");
        if subject.is_empty() {
            return Err(bad_answer("the ID token names nobody"));
        }
        let email = word("email");
        let name = [word("preferred_username"), email.split('@').next().unwrap_or_default().to_owned()];
        Ok(Person {
            issuer: self.settings.issuer.clone(),
            subject,
            provider: format!("oidc:{}", self.settings.name),
            name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
            display_name: word("name"),
            groups: groups(claims.get(&self.settings.groups_claim)),
        })
    }

    /// What the ID token does not say, where the provider says it elsewhere and of the same subject.
    async fn add_user_info(
        &self,
        metadata: &CoreProviderMetadata,
        tokens: &CoreTokenResponse,
        claims: &mut Value,
    ) -> Result<()> {
        let Some(url) = metadata.userinfo_endpoint() else { return Ok(()) };
        let token = tokens.access_token().secret().as_str();
        let answer = self.http.get(url.as_str(), Some(token)).await?;
        let more: Option<Value> = serde_json::from_slice(answer.body()).ok();
        let more = more.filter(|more| answer.status().is_success() && more["sub"] == claims["sub"]);
        let Some(Value::Object(more)) = more else {
            return Err(bad_answer("the provider's user info is not that of the ID token"));
        };
        if let Value::Object(claims) = claims {
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(())
    }
}

/// All claims of an ID token that was verified: signature, issuer, audience, time and nonce.
fn proved(client: &Client, token: &CoreIdToken, pending: &Pending) -> Result<Value, ClaimsVerificationError> {
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    token.claims(&verifier, &Nonce::new(pending.nonce.clone()))?;
    let unread = || ClaimsVerificationError::Other("the claims are no JSON".into());
    let text = token.to_string();
    let body = text.split('.').nth(1).ok_or_else(unread)?;
    let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| unread())?;
    serde_json::from_slice(&bytes).map_err(|_| unread())
}

/// A list of words, or one.
fn groups(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => vec![],
    }
}

impl Kernel {
    /// Where one can sign in besides here.
    pub fn provider_list(&self) -> Vec<ProviderInfo> {
        self.federation.providers.iter().map(|provider| provider.info()).collect()
    }

    /// Begins a sign-in: the address at the provider, and what the browser is to bring back.
    ///
    /// # Errors
    /// `provider_not_found` (404); `provider_unavailable` (503).
    pub async fn provider_start(&self, name: &str, redirect: &str) -> Result<(String, Pending)> {
        let provider = self.federation.provider(name)?;
        let pending =
            Pending { state: draw(&self.source), nonce: draw(&self.source), verifier: draw(&self.source) };
        Ok((provider.start(redirect, &pending).await?, pending))
    }

    /// Ends it: whose account it is, with the roles that follow from its groups.
    ///
    /// # Errors
    /// `provider_answer` (401) where code or ID token do not hold; `bad_credential` (401) where the account is suspended;
    /// `provider_not_found` (404); `provider_unavailable` (503).
    pub async fn provider_finish(
        &self,
        name: &str,
        redirect: &str,
        returned: Returned<'_>,
        pending: &Pending,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<qd_core::id::PrincipalId> {
        let provider = self.federation.provider(name)?;
        let person = provider.redeem(redirect, returned, pending).await?;
        self.person_account(person, Some(&provider.settings.roles), origin, ids).await
    }
}
