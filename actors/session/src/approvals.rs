//! The rules that users of a project saved with an answer "always" or by hand, in the store's table `approval`.
//!
//! One lock covers reading, changing and storing: two answers at the same time keep both rules. What cannot be read is
//! never written over, and counts as no rule, so that people are asked again.

use kilo_ports::store::Store;
use kilo_protocol::model::Rule;
use kilo_protocol::{Fault, Millis, ProjectId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const TABLE: &str = "approval";
/// Projects whose rules are kept in memory; the rest is read again.
const PROJECTS_KEPT: usize = 256;

/// Saved rules by project.
pub struct Approvals {
    store: Arc<dyn Store>,
    known: Mutex<HashMap<ProjectId, Arc<Vec<Rule>>>>,
}

impl Approvals {
    /// The rules in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            known: Mutex::default(),
        }
    }

    /// A project's rules, oldest first; none when they cannot be read.
    pub fn rules(&self, project: &str) -> Arc<Vec<Rule>> {
        let mut known = self.known.lock();
        self.read(&mut known, project).unwrap_or_default()
    }

    /// Adds rules to a project's; those that it has stay once.
    ///
    /// Errors: when the stored ones cannot be read, or the new ones cannot be stored.
    pub fn add(&self, project: &str, more: Vec<Rule>, now: Millis) -> Result<(), Fault> {
        let mut known = self.known.lock();
        let old = self.read(&mut known, project)?;
        let mut rules = old.as_ref().clone();
        for rule in more {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        if rules.len() == old.len() {
            return Ok(());
        }
        let body = serde_json::to_vec(&rules).map_err(|error| Fault::unknown(error.to_string()))?;
        self.store.put(TABLE, project, &body, now)?;
        keep(&mut known, project, Arc::new(rules));
        Ok(())
    }

    fn read(
        &self,
        known: &mut HashMap<ProjectId, Arc<Vec<Rule>>>,
        project: &str,
    ) -> Result<Arc<Vec<Rule>>, Fault> {
        if let Some(rules) = known.get(project) {
            return Ok(Arc::clone(rules));
        }
        let rules = match self.store.get(TABLE, project) {
            None => Arc::default(),
            Some(body) => serde_json::from_slice(&body).map_err(|error| {
                tracing::error!(%error, project, "saved rules cannot be read, people are asked again");
                Fault::unknown("the saved rules of this project cannot be read")
            })?,
        };
        keep(known, project, Arc::clone(&rules));
        Ok(rules)
    }
}

fn keep(known: &mut HashMap<ProjectId, Arc<Vec<Rule>>>, project: &str, rules: Arc<Vec<Rule>>) {
    if known.len() >= PROJECTS_KEPT {
        known.clear();
    }
    known.insert(project.to_string(), rules);
}
