//! Serving: threads, connections, and an orderly end.

use crate::bind::Bound;
use crate::dispatch::Worker;
use crate::door::Door;
use crate::options::EdgeOptions;
use crate::router::Router;
use crate::stopping::{Stopping, stopping};
use crate::table::Table;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpRequest, HttpServer, rt, web};
use std::any::Any;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long running requests may go on after the stop.
const GRACE: Duration = Duration::from_millis(200);
/// When nothing runs within this time after the stop, there are no last bytes to wait for: the end of a command that had
/// the server to itself.
const CALM: Duration = Duration::from_millis(2);
/// How long the last bytes may take to leave.
const FLUSH: Duration = Duration::from_millis(20);
/// How long a client may take for the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a client may go on sending after the last reply, or after the closing of a socket, before it is cut off.
///
/// actix-http reckons it from a clock that it looks at twice a second. A time that is over before it begins wakes nobody,
/// so a linger below half a second leaves every other such connection open for as long as the client likes.
const LINGER: Duration = Duration::from_millis(750);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may leave sent bytes unread before its connection is cut. What it missed is in the log; it comes back
/// with the position it had.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// The most connections of one thread.
const CONNECTIONS_MAX: usize = 8_192;
/// The most blocking threads that one serving thread may start; the edge itself needs none.
const BLOCKING_THREADS_MAX: usize = 1;

/// Serves until `shutdown` is ready, then ends within 300 ms: it stops accepting, ends event streams and sockets, and
/// gives running requests 200 ms.
///
/// `router_factory` is called once here and once on each serving thread. Errors: `InvalidInput` if it has handlers for
/// operations that do not exist, and what the system says.
pub async fn serve<F, S>(
    bound: Bound,
    options: &EdgeOptions,
    router_factory: F,
    shutdown: S,
) -> io::Result<()>
where
    F: Fn() -> Router + Send + Clone + 'static,
    S: Future<Output = ()>,
{
    router_factory().check()?;
    let (switch, stopping) = stopping();
    let server = listen(bound, options, router_factory, &stopping)?;
    let handle = server.handle();
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return result,
        () = shutdown => {}
    }
    let end = async {
        handle.pause().await;
        let nobody = timeout(CALM, stopping.idle()).await.is_ok();
        switch.send_replace(true);
        if timeout(GRACE, stopping.idle()).await.is_err() {
            tracing::debug!("requests still run at the end and are cut off");
        }
        if !nobody {
            sleep(FLUSH).await;
        }
        handle.stop(false).await;
    };
    let (result, ()) = tokio::join!(server, end);
    result
}

fn listen<F>(
    bound: Bound,
    options: &EdgeOptions,
    router_factory: F,
    stopping: &Stopping,
) -> io::Result<actix_web::dev::Server>
where
    F: Fn() -> Router + Send + Clone + 'static,
{
    let table = Arc::new(Table::build()?);
    let door = bound.door();
    let meeting = door.clone();
    let stopping = stopping.clone();
    let (body_bytes_max, body_pause_max) = (options.body_bytes_max, options.body_pause_max);
    let workers = Arc::new(AtomicUsize::new(0));
    let server = HttpServer::new(move || {
        let number = workers.fetch_add(1, Ordering::Relaxed);
        rt::spawn(kilo_pulse::beat("worker", number));
        let worker = Rc::new(Worker {
            door: door.clone(),
            table: table.clone(),
            handlers: router_factory().lined_up(&table),
            body_bytes_max,
            body_pause_max,
            stopping: stopping.clone(),
        });
        App::new().default_service(web::to(
            move |request: HttpRequest, payload: web::Payload| {
                worker.clone().serve(request, payload)
            },
        ))
    });
    let server = server
        .on_connect(move |io, data| meet(&meeting, io, data))
        .workers(options.workers.max(1))
        .worker_max_blocking_threads(BLOCKING_THREADS_MAX)
        .max_connections(CONNECTIONS_MAX)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_MAX)
        .client_disconnect_timeout(LINGER)
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .disable_signals()
        .listen(bound.listener)?;
    Ok(server.run())
}

/// Looks at a new connection, once for all of its requests.
fn meet(door: &Door, io: &dyn Any, data: &mut Extensions) {
    let Some(stream) = io.downcast_ref::<TcpStream>() else {
        return;
    };
    let unread_ms = u32::try_from(UNREAD_MAX.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, unread_ms) {
        tracing::debug!(%error, "a client that does not read will not be cut off");
    }
    if let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) {
        data.insert(door.meet(peer, local));
    }
}
