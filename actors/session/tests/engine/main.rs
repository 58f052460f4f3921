//! The real engine with real actors, on one thread whose clock stands still while anything can run: the model, the tools,
//! the store and the checkpoints are fakes that a test holds in its hands.

mod calls;
mod catch_up;
#[path = "../simulation/chance.rs"]
mod chance;
mod endings;
mod faults;
mod storm;
mod world;
