//! Everything about actors that is not about sessions: where they run, how they are found and rebuilt, how frames reach
//! subscribers, and every bound in one file.
//!
//! It must never know a session's records, a provider or a tool. Start at [`limits`], then [`journal`] (append and
//! publish in one order) and [`registry`] (find, build, rebuild; [`lifetime`] says what an actor owns); [`pool`] is for servers that sessions share.

pub mod bus;
pub mod journal;
pub mod lifetime;
pub mod limits;
pub mod placement;
pub mod pool;
pub mod registry;

pub use bus::{Bus, Received, Subscription};
pub use journal::{Journal, Outgoing};
pub use kilo_pulse::Handling;
pub use lifetime::Lifetime;
pub use placement::Placement;
pub use pool::{Lease, Pool};
pub use registry::{Ending, Live, OnEnding, Registry, RegistryError, Tenure};
