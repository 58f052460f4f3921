//! The suites that every implementation of a port passes. Fakes included.

pub mod store;
