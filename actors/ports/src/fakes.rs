//! Fakes of the ports, for tests.

mod checkpoint;
mod clock;
mod files;
mod host;
mod model;
mod sandbox;

pub use checkpoint::NoCheckpoints;
pub use clock::FakeClock;
pub use files::NoFiles;
pub use host::FakeHost;
pub use model::ScriptedModel;
pub use sandbox::{FakeProcess, FakeSandbox, FakeState};
