//! What an operator trusts the server with: the master key of its secrets, and what it may read and call for its users.
//!
//! A key is read from the environment, from a file, or stays in Vault. It is never a word on the command line, where every
//! user of the machine could read it.

use std::path::PathBuf;

use qd_kernel::outbound::OutboundOptions;
use qd_kernel::secrets::{KeyPlaces, SecretOptions};

use crate::failure::Failure;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Trust {
    /// A file with the master key of secrets (32 bytes, hex or base64); given twice, the second is the one before.
    /// Instead of SECRET_ENCRYPTION_KEY and SECRET_ENCRYPTION_KEY_PREVIOUS
    #[arg(long, env = "QD_SECRET_KEY_FILE", value_name = "FILE", value_delimiter = ',')]
    pub secret_key_file: Vec<PathBuf>,
    /// https://host:8200/MOUNT/KEY: a master key in Vault's transit engine; its token is VAULT_TOKEN
    #[arg(long, env = "QD_SECRET_VAULT_URL", value_name = "URL")]
    pub secret_vault_url: Option<String>,
    /// A file with Vault's token, read anew for each call
    #[arg(long, env = "QD_SECRET_VAULT_TOKEN_FILE", value_name = "FILE", requires = "secret_vault_url")]
    pub secret_vault_token_file: Option<PathBuf>,
    /// A variable of the server's that connections may name as {env: NAME}; RAY_* means all that begin so. With SQLite all but
    /// the server's own while neither this nor a folder is given; may be repeated, or have commas between
    #[arg(long, env = "QD_ALLOW_SECRET_VARIABLE", value_name = "NAME", value_delimiter = ',')]
    pub allow_secret_variable: Vec<String>,
    /// A folder whose files connections may name as {file: PATH}; may be repeated, or have commas between
    #[arg(long, env = "QD_ALLOW_SECRET_FOLDER", value_name = "DIR", value_delimiter = ',')]
    pub allow_secret_folder: Vec<PathBuf>,
    /// Connections and webhooks may lead to loopback and private addresses; with SQLite they may unless this is false
    #[arg(long, env = "QD_ALLOW_PRIVATE_ADDRESSES", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub allow_private_addresses: Option<bool>,
    /// A network that they may lead to whatever it is, such as 10.20.0.0/16; may be repeated, or have commas between
    #[arg(long, env = "QD_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    pub allow_network: Vec<ipnet::IpNet>,
}

impl Trust {
    /// `own` are further files of the server, which no connection may name.
    pub fn secrets(&self, own: impl IntoIterator<Item = PathBuf>) -> Result<SecretOptions, Failure> {
        let places = KeyPlaces {
            files: self.secret_key_file.clone(),
            vault_url: self.secret_vault_url.clone(),
            vault_token_file: self.secret_vault_token_file.clone(),
        };
        let mut options = SecretOptions::read(&places, |name| std::env::var(name).ok())?;
        options.places.variables.clone_from(&self.allow_secret_variable);
        for folder in &self.allow_secret_folder {
            options.places.folders.push(std::path::absolute(folder)?);
        }
        options.places.own.extend(own);
        options.places.own = options.places.own.iter().map(std::path::absolute).collect::<Result<_, _>>()?;
        Ok(options)
    }

    pub fn outbound(&self) -> OutboundOptions {
        OutboundOptions { private: self.allow_private_addresses, networks: self.allow_network.clone() }
    }
}
