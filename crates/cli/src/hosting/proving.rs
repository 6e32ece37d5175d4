//! How the audit is signed and where its checkpoints go: words of `up` and `serve`, each with a variable of the environment.

use std::path::PathBuf;
use std::time::Duration;

use qd_kernel::KernelOptions;
use qd_kernel::audit::KeySource;

#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "The audit")]
pub struct Proving {
    /// The Ed25519 key (PKCS#8 PEM) that signs the audit, the same for every process of a database [default: audit.key in the
    /// data folder]
    #[arg(long, env = "QD_AUDIT_KEY", value_name = "FILE")]
    pub audit_key: Option<PathBuf>,
    /// Make --audit-key the key that signs from now on, in the place of the one that did
    #[arg(long, requires = "audit_key")]
    pub audit_key_rotate: bool,
    /// Where checkpoints go besides: file:///folder, s3://bucket/prefix?endpoint=… or https://…; may be repeated, or have commas
    /// between
    #[arg(long, env = "QD_AUDIT_SINK", value_delimiter = ',', value_name = "URL")]
    pub audit_sink: Vec<String>,
    /// Seconds between two checkpoints of a chain that grows [default: 60]
    #[arg(long, env = "QD_AUDIT_CHECKPOINT_EVERY", value_parser = clap::value_parser!(u32).range(1..), value_name = "SECONDS")]
    pub audit_checkpoint_every: Option<u32>,
}

impl Proving {
    pub fn apply(&self, options: &mut KernelOptions) {
        let audit = &mut options.audit;
        audit.key = self.audit_key.clone().map(KeySource::File);
        audit.rotate = self.audit_key_rotate;
        audit.sinks.clone_from(&self.audit_sink);
        if let Some(seconds) = self.audit_checkpoint_every {
            audit.checkpoint_every = Duration::from_secs(seconds.into());
        }
    }
}
