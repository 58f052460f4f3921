//! The seams of the engine: small traits of plain data, each with a fake. Read this crate first.
//!
//! It must never know actix, HTTP, sled, git or a provider's wire. Start at [`store`] (the log), then [`provider`]
//! (a model's stream), [`tool`] (what a model may call), [`sandbox`] (child processes) and [`checkpoint`].

pub mod after_write;
pub mod aside;
pub mod background;
pub mod checkpoint;
pub mod clock;
pub mod cut;
pub mod files;
pub mod guarded;
pub mod provider;
pub mod sandbox;
pub mod store;
pub mod tool;

#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
#[cfg(any(test, feature = "fakes"))]
pub mod suite;

/// A boxed future that may cross threads.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;
