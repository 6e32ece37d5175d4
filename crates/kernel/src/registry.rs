//! What the planes registered. Built once at start, then read only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    connections::ConnectionType,
    engine::{RunEngine, clean::Clean},
    events::Consumer,
    kind::Kind,
    operation::Operation,
};

/// A role of a plane's own, or what it adds to a built-in one of the same name: patterns of actions on its kinds, as in
/// [`crate::access::matrix`].
#[derive(Debug, Clone)]
pub struct Role {
    pub name: &'static str,
    /// For a role of its own.
    pub summary: &'static str,
    pub actions: &'static [&'static str],
}

/// Kinds, operations, engines, consumers, roles and connection types by name.
#[derive(Default, Clone)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn Kind>>,
    operations: BTreeMap<&'static str, Arc<dyn Operation>>,
    askable: BTreeSet<&'static str>,
    engines: BTreeMap<&'static str, Arc<dyn RunEngine>>,
    consumers: BTreeMap<String, Arc<dyn Consumer>>,
    roles: Vec<Role>,
    connection_types: Vec<ConnectionType>,
}

impl Registry {
    pub fn kind(&mut self, kind: impl Kind) -> &mut Self {
        let plural = kind.info().plural;
        let old = self.kinds.insert(plural, Arc::new(kind));
        debug_assert!(old.is_none(), "kind {plural} registered twice");
        self
    }

    pub fn operation(&mut self, operation: impl Operation) -> &mut Self {
        self.operations.insert(operation.name(), Arc::new(operation));
        self
    }

    /// An operation that callers may ask for by its name with any input, over `POST /jobs`. All others have routes of their
    /// own, which make their input.
    pub fn askable(&mut self, operation: impl Operation) -> &mut Self {
        self.askable.insert(operation.name());
        self.operation(operation)
    }

    pub fn engine(&mut self, engine: Arc<dyn RunEngine>) -> &mut Self {
        self.engines.insert(engine.name(), Arc::new(Clean(engine)));
        self
    }

    pub fn consumer(&mut self, consumer: impl Consumer) -> &mut Self {
        self.consumers.insert(consumer.name().to_owned(), Arc::new(consumer));
        self
    }

    pub fn role(&mut self, role: Role) -> &mut Self {
        self.roles.push(role);
        self
    }

    pub fn connection_type(&mut self, connection_type: ConnectionType) -> &mut Self {
        self.connection_types.push(connection_type);
        self
    }

    pub fn kinds(&self) -> impl Iterator<Item = &Arc<dyn Kind>> {
        self.kinds.values()
    }

    /// By plural, as in URLs.
    pub fn find_plural(&self, plural: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.get(plural)
    }

    /// By the `kind` of documents.
    pub fn find_kind(&self, kind: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.values().find(|k| k.info().kind == kind)
    }

    pub fn operations(&self) -> impl Iterator<Item = &Arc<dyn Operation>> {
        self.operations.values()
    }

    /// The names of those that may be asked for by name.
    pub fn askables(&self) -> &BTreeSet<&'static str> {
        &self.askable
    }

    pub fn find_operation(&self, name: &str) -> Option<&Arc<dyn Operation>> {
        self.operations.get(name)
    }

    pub fn find_engine(&self, name: &str) -> Option<&Arc<dyn RunEngine>> {
        self.engines.get(name)
    }

    pub fn engines(&self) -> impl Iterator<Item = &Arc<dyn RunEngine>> {
        self.engines.values()
    }

    pub fn consumers(&self) -> impl Iterator<Item = &Arc<dyn Consumer>> {
        self.consumers.values()
    }

    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    pub fn connection_types(&self) -> &[ConnectionType] {
        &self.connection_types
    }
}
