//! Fakes of the ports, for tests.

mod checkpoint;
mod clock;
mod host;
mod model;
mod sandbox;

pub use checkpoint::NoCheckpoints;
pub use clock::FakeClock;
pub use host::FakeHost;
pub use model::ScriptedModel;
pub use sandbox::FakeSandbox;
