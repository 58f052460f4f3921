//! The engine, put together: what it stands on, what may be ordered of it, what may be read from it.

use crate::actors::Actors;
use crate::approvals::Approvals;
use crate::core::{Core, Finishing, Ports};
use crate::ledger::Ledger;
use crate::queries::Queries;
use crate::scope::Children;
use crate::seen::SeenInstructions;
use crate::sessions::Sessions;
use kilo_ports::store::StoreError;
use kilo_protocol::SessionId;
use kilo_runtime::{Journal, Placement};
use std::sync::{Arc, Weak};

/// The engine.
pub struct Engine {
    core: Arc<Core>,
    sessions: Arc<Sessions>,
    queries: Queries,
}

impl Engine {
    /// Builds the engine and reads the list of sessions. Gives those that were busy when the last process ended, for
    /// [`Sessions::recover`].
    pub fn open(
        ports: Ports,
        journal: Journal,
        placement: Placement,
    ) -> Result<(Arc<Self>, Vec<SessionId>), StoreError> {
        let approvals = Approvals::new(Arc::clone(journal.store()));
        let (ledger, open) = Ledger::open(journal)?;
        let core = Arc::new(Core {
            ports,
            ledger,
            approvals,
            seen: SeenInstructions::default(),
            finishing: Finishing::default(),
        });
        let mut found = None;
        let sessions = Arc::new_cyclic(|sessions: &Weak<Sessions>| {
            let children = Weak::clone(sessions) as Weak<dyn Children>;
            let actors = Actors::new(Arc::clone(&core), placement, children);
            found = Some(Arc::clone(&actors));
            Sessions::new(Arc::clone(&core), actors)
        });
        let actors = found.expect("the closure above has run");
        let queries = Queries::new(Arc::clone(&core), actors);
        let engine = Self {
            core,
            sessions,
            queries,
        };
        Ok((Arc::new(engine), open))
    }

    /// Ports, log and saved approvals.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What may be ordered.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// What may be read.
    pub fn queries(&self) -> &Queries {
        &self.queries
    }
}
