//! Handlers: one file for each group of operations, one function for each operation. They hold no state and take no lock.

mod access;
mod api;
mod api_model;
mod attach;
mod command;
mod config;
mod event;
mod history;
mod import;
mod provider;
mod server;
mod session;
mod socket;
mod tool;
mod workspace;

use crate::daemon::Daemon;
use kilo_edge::Router;
use std::sync::Arc;

/// Adds handlers `id => function(daemon, request)` to a router.
macro_rules! routes {
    ($router:expr, $daemon:expr, $($id:literal => $function:path;)*) => {{
        let router = $router;
        $(let router = {
            let daemon = ::std::sync::Arc::clone($daemon);
            router.on($id, move |request| $function(::std::sync::Arc::clone(&daemon), request))
        };)*
        router
    }};
}
pub(crate) use routes;

/// All handlers.
pub fn router(daemon: &Arc<Daemon>) -> Router {
    let router = Router::new();
    let router = server::mount(router, daemon);
    let router = event::mount(router, daemon);
    let router = session::mount(router, daemon);
    let router = history::mount(router, daemon);
    let router = access::mount(router, daemon);
    let router = config::mount(router, daemon);
    let router = provider::mount(router, daemon);
    let router = tool::mount(router, daemon);
    let router = import::mount(router, daemon);
    let router = command::mount(router, daemon);
    let router = attach::mount(router, daemon);
    let router = api::mount(router, daemon);
    let router = api_model::mount(router, daemon);
    let router = workspace::mount(router, daemon);
    socket::mount(router, daemon)
}
