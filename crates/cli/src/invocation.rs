//! What every verb is handed: the two output streams, the clock, and the way to the server.

use crate::client::Client;
use crate::clock::Clock;
use crate::context::{Access, ContextFile, Contexts, Overrides};
use crate::failure::Failure;
use crate::output::Out;

pub struct Invocation {
    pub out: Out,
    pub clock: Clock,
    /// Of the context file. What needs none works without.
    pub place: Option<ContextFile>,
    pub overrides: Overrides,
}

impl Invocation {
    /// The context file.
    pub fn contexts(&self) -> Result<&ContextFile, Failure> {
        self.place.as_ref().ok_or_else(|| {
            Failure::local_with_help(
                "there is no place for the context file: neither HOME nor QD_CONFIG is set",
                "set QD_CONFIG to a file of your own",
            )
        })
    }

    pub fn access(&self) -> Result<Access, Failure> {
        // Whoever says which server needs no file.
        if self.place.is_none() && self.overrides.server.is_some() && self.overrides.context.is_none() {
            return Contexts::default().access(&self.overrides);
        }
        let file = self.contexts()?;
        file.read()?.renewed_access(&self.overrides, file)
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
