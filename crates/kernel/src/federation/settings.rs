//! What an operator writes of providers, of the gateway and of the edge, in YAML files that hold no secret: they name the files
//! that do.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use qd_core::{
    error::{Error, Result},
    name::Name,
};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;
use zeroize::Zeroizing;

use crate::access::matrix::{Level, RoleInfo};

pub(super) fn wrong(detail: impl Into<String>) -> Error {
    Error::malformed("federation_settings", detail)
}

/// A role that the members of a group hold: everywhere, in a tenant, or in a project of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    pub group: String,
    pub role: String,
    /// By name; everywhere where absent.
    pub tenant: Option<String>,
    /// By name; the whole tenant where absent.
    pub project: Option<String>,
}

impl GroupRole {
    pub(super) fn level(&self) -> Level {
        match (&self.tenant, &self.project) {
            (None, _) => Level::Platform,
            (Some(_), None) => Level::Tenant,
            (Some(_), Some(_)) => Level::Project,
        }
    }

    pub(super) fn check(&self, roles: &[RoleInfo]) -> Result<()> {
        if self.tenant.is_none() && self.project.is_some() {
            return Err(wrong(format!("the group {} names a project and no tenant", self.group)));
        }
        let Some(role) = roles.iter().find(|role| role.name == self.role) else {
            let known: Vec<&str> = roles.iter().map(|role| role.name).collect();
            return Err(wrong(format!("there is no role {}; there are {}", self.role, known.join(", "))));
        };
        match role.levels.contains(&self.level()) {
            true => Ok(()),
            false => Err(wrong(format!(
                "the role {} of the group {} is not held at the level {}",
                self.role,
                self.group,
                self.level().as_str()
            ))),
        }
    }
}

/// An OpenID provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Stands in addresses.
    pub name: Name,
    /// Stands on the button.
    #[serde(default)]
    pub display_name: String,
    /// As it stands in the provider's own discovery document, to the letter.
    pub issuer: String,
    pub client_id: String,
    /// Read anew for each sign-in; a public client has none.
    pub client_secret_file: Option<PathBuf>,
    /// Beside `openid`.
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
    /// The claim that lists groups.
    #[serde(default = "usual_claim")]
    pub groups_claim: String,
    #[serde(default)]
    pub roles: Vec<GroupRole>,
}

fn usual_scopes() -> Vec<String> {
    vec!["profile".into(), "email".into()]
}

fn usual_claim() -> String {
    "groups".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderFile {
    providers: Vec<ProviderSettings>,
}

impl ProviderSettings {
    /// # Errors
    /// `federation_settings`, with what is wrong.
    pub fn read(file: &Path) -> Result<Vec<Self>> {
        Ok(yaml::<ProviderFile>(file)?.providers)
    }
}

/// A gateway whose tokens are taken, and the IAM that knows what their holders may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySettings {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that they must have; any where absent.
    pub audience: Option<String>,
    pub keys: GatewayKeys,
    pub iam: IamSettings,
}

/// How its tokens are verified. The file decides the family of the algorithm, and no token does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GatewayKeys {
    /// Public keys, at an address. `algorithms` are of those that have public keys.
    Jwks { url: Url, algorithms: Vec<Algorithm> },
    /// One secret that both know, in a file: 32 bytes at least.
    Shared { file: PathBuf, algorithm: Algorithm },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IamSettings {
    pub url: Url,
    /// A bearer token by which the IAM knows this server, read anew for each call.
    pub token_file: Option<PathBuf>,
    /// How long an answer is remembered, seconds; 60 at most.
    #[serde(default = "usual_cache")]
    pub cache_s: u64,
}

fn usual_cache() -> u64 {
    5
}

impl GatewaySettings {
    /// # Errors
    /// `federation_settings`, with what is wrong.
    pub fn read(file: &Path) -> Result<Self> {
        let read: Self = yaml(file)?;
        read.check()?;
        Ok(read)
    }

    pub(super) fn check(&self) -> Result<()> {
        use jsonwebtoken::AlgorithmFamily::Hmac;
        match &self.keys {
            GatewayKeys::Jwks { algorithms, .. } if algorithms.is_empty() => {
                Err(wrong("keys.jwks names no algorithm"))
            }
            GatewayKeys::Jwks { algorithms, .. } if algorithms.iter().any(|one| one.family() == Hmac) => Err(
                wrong("keys.jwks takes algorithms with public keys: RS256, PS256, ES256, EdDSA and the like"),
            ),
            GatewayKeys::Shared { algorithm, .. } if algorithm.family() != Hmac => {
                Err(wrong("keys.shared takes HS256, HS384 or HS512"))
            }
            GatewayKeys::Shared { file, .. } if secret(file)?.len() < 32 => {
                Err(wrong("the shared secret has less than 32 bytes"))
            }
            _ if self.iam.cache_s > 60 => Err(wrong("iam.cache_s is 60 at most")),
            _ => Ok(()),
        }
    }
}

/// Who may say by headers who somebody is.
#[derive(Debug, Clone, Default)]
pub struct EdgeSettings {
    pub networks: Vec<IpNet>,
    /// In small letters.
    pub user_header: String,
    pub groups_header: String,
    pub roles: Vec<GroupRole>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesFile {
    roles: Vec<GroupRole>,
}

impl EdgeSettings {
    /// The roles of groups that an edge names.
    ///
    /// # Errors
    /// `federation_settings`, with what is wrong.
    pub fn read_roles(file: &Path) -> Result<Vec<GroupRole>> {
        Ok(yaml::<RolesFile>(file)?.roles)
    }
}

/// The secret in a file, without a line's end.
pub(super) fn secret(file: &Path) -> Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| wrong(format!("read {}: {}", file.display(), error.kind())))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn yaml<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("read {}: {}", file.display(), error.kind())))?;
    serde_saphyr::from_str(&text).map_err(|error| wrong(format!("{}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::matrix;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn a_provider_is_read_with_what_is_usual() {
        let (_folder, file) = written(
            "providers:\n- name: corp\n  issuer: https://login.example.org\n  client_id: qd\n  roles:\n  - {group: dev, role: PIPELINE_DEV, tenant: acme}\n",
        );
        let read = ProviderSettings::read(&file).unwrap().remove(0);
        assert_eq!((read.groups_claim.as_str(), read.scopes.len()), ("groups", 2));
        read.roles[0].check(&matrix::built_in()).unwrap();
        for wrong in [
            GroupRole { role: "NONE".into(), ..read.roles[0].clone() },
            GroupRole { tenant: None, ..read.roles[0].clone() },
            GroupRole { tenant: None, project: Some("lab".into()), ..read.roles[0].clone() },
        ] {
            assert_eq!(wrong.check(&matrix::built_in()).unwrap_err().code, "federation_settings");
        }
        let (_folder, file) = written("providers:\n- name: corp\n  secret: inline\n");
        assert_eq!(ProviderSettings::read(&file).unwrap_err().code, "federation_settings");
    }

    #[test]
    fn the_family_of_a_gateways_algorithm_is_fixed_by_its_keys() {
        let (folder, secret) = written(&"s".repeat(32));
        let with = |keys: &str| {
            let (_kept, file) =
                written(&format!("issuer: gate\nkeys:\n  {keys}\niam: {{url: 'https://iam.example.org'}}\n"));
            GatewaySettings::read(&file).map(drop).map_err(|error| error.code)
        };
        let file = secret.display();
        assert_eq!(with("jwks: {url: 'https://g.example.org/jwks', algorithms: [RS256, EdDSA]}"), Ok(()));
        assert_eq!(with(&format!("shared: {{file: '{file}', algorithm: HS256}}")), Ok(()));
        for wrong in [
            "jwks: {url: 'https://g.example.org/jwks', algorithms: [HS256]}".to_owned(),
            "jwks: {url: 'https://g.example.org/jwks', algorithms: []}".to_owned(),
            "jwks: {url: 'https://g.example.org/jwks', algorithms: [none]}".to_owned(),
            format!("shared: {{file: '{file}', algorithm: RS256}}"),
            "shared: {file: /nonexistent, algorithm: HS256}".to_owned(),
        ] {
            assert_eq!(with(&wrong), Err("federation_settings"), "{wrong}");
        }
        std::fs::write(folder.path().join("settings.yaml"), "short\n").unwrap();
        assert_eq!(
            with(&format!("shared: {{file: '{file}', algorithm: HS256}}")),
            Err("federation_settings")
        );
    }
}
