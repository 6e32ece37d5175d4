//! What every verb is handed: the two output streams, the clock, and the way to the server.

use crate::client::Client;
use crate::clock::Clock;
use crate::context::{Access, ContextFile, Overrides};
use crate::failure::Failure;
use crate::output::Out;

pub struct Invocation {
    pub out: Out,
    pub clock: Clock,
    pub contexts: ContextFile,
    pub overrides: Overrides,
}

impl Invocation {
    pub fn access(&self) -> Result<Access, Failure> {
        self.contexts.read()?.renewed_access(&self.overrides, &self.contexts)
    }

    /// A client for somebody else than the context's.
    pub fn client_as(&self, access: &Access) -> Result<Client, Failure> {
        let cacert = access.cacert.clone().or_else(|| self.overrides.cacert.clone());
        Client::new(&Access { cacert, ..access.clone() }, self.clock.clone(), self.out)
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.access()?, self.clock.clone(), self.out)
    }
}
