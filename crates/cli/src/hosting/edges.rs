//! The edges of the server that this process starts: TLS, proxies before it, other sites, and how much it takes from whom.

use std::path::PathBuf;

use qd_server::{ClassRate, EdgeOptions, MAX_CONNECTIONS, TlsFiles};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Edges {
    /// A PEM file with the server's certificate and those between it and the root; read again when it changes
    #[arg(long, env = "QD_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the certificate's key
    #[arg(long, env = "QD_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A proxy before this server speaks TLS for it
    #[arg(long, env = "QD_BEHIND_PROXY")]
    pub behind_proxy: bool,
    /// A proxy whose X-Forwarded-For is believed, such as 10.0.0.0/8; may be repeated, or have commas between
    #[arg(long, env = "QD_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<ipnet::IpNet>,
    /// Another site whose pages may call the API with a token, such as https://portal.example.org; may be repeated, or have
    /// commas between
    #[arg(long, env = "QD_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
    /// What one sender may ask at once, and the seconds after which all of it is back, by class (sign-in, refused, read,
    /// write, stream): sign-in=60/60, or sign-in=off; may be repeated, or have commas between
    #[arg(long, env = "QD_RATE_LIMIT", value_name = "CLASS=N/SECONDS", value_delimiter = ',')]
    pub rate_limit: Vec<ClassRate>,
    /// Connections that are held at once; one address has half of them at most
    #[arg(long, env = "QD_MAX_CONNECTIONS", value_name = "N", default_value_t = MAX_CONNECTIONS)]
    pub max_connections: usize,
}

impl Edges {
    pub fn options(&self) -> EdgeOptions {
        let mut options = EdgeOptions {
            trusted_proxies: self.trusted_proxy.clone(),
            cors_origins: self.cors_origin.clone(),
            tls: self.tls_cert.clone().zip(self.tls_key.clone()).map(|(cert, key)| TlsFiles { cert, key }),
            behind_proxy: self.behind_proxy,
            max_connections: self.max_connections,
            ..EdgeOptions::default()
        };
        self.rate_limit.iter().for_each(|given| options.rates.set(given));
        options
    }
}
