use super::{Gone, Options, Pool, PoolError, Server, Stage, Start};
use kilo_ports::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// A server that ends when the test says so.
#[derive(Clone)]
struct Toy {
    number: usize,
    gone: Arc<watch::Sender<Option<String>>>,
}

impl Server for Toy {
    fn gone(&self) -> BoxFuture<'static, String> {
        let mut gone = self.gone.subscribe();
        Box::pin(async move {
            let why = gone
                .wait_for(Option::is_some)
                .await
                .expect("held by the toy");
            why.clone().unwrap_or_default()
        })
    }

    fn end(&self) -> BoxFuture<'static, ()> {
        self.gone.send_replace(Some("ended".into()));
        Box::pin(std::future::ready(()))
    }
}

impl Toy {
    fn crash(&self, why: &str) {
        self.gone.send_replace(Some(why.into()));
    }
}

/// The pool with a count of starts and the crashes that were told.
struct World {
    pool: Pool<&'static str, Toy>,
    starts: Arc<AtomicUsize>,
    crashes: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        let crashes: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&crashes);
        let on_crash = Arc::new(move |key: &&'static str, why: &str| {
            told.lock().push(format!("{key}: {why}"))
        });
        Self {
            pool: Pool::new(Handle::current(), Options::default(), on_crash),
            starts: Arc::default(),
            crashes,
        }
    }

    fn start(&self) -> Start<Toy> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        let gone = Arc::new(watch::Sender::new(None));
        Box::pin(std::future::ready(Ok(Toy { number, gone })))
    }

    async fn lease(&self) -> super::Lease<Toy> {
        let lease = self.pool.lease(&"a", "me", || self.start()).await;
        lease.map_err(|error| error.to_string()).expect("a server")
    }

    fn starts(&self) -> usize {
        self.starts.load(Ordering::Relaxed)
    }

    fn stage(&self) -> Option<Stage> {
        self.pool.list().first().map(|listed| listed.stage)
    }

    async fn until_down(&self) {
        while self.stage() == Some(Stage::Running) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_one_key_share_one_start() {
    let world = Arc::new(World::new());
    let gate = Arc::new(Semaphore::new(0));
    let callers = (0..20).map(|number| {
        let (world, gate) = (Arc::clone(&world), Arc::clone(&gate));
        tokio::spawn(async move {
            let start = || -> Start<Toy> {
                let begun = world.start();
                Box::pin(async move {
                    let _ = gate.acquire().await;
                    begun.await
                })
            };
            let lease = world
                .pool
                .lease(&"a", &format!("user {number}"), start)
                .await;
            lease.map(|lease| lease.number).ok()
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::task::yield_now().await;
    // The first caller's leaving breaks nothing off.
    callers[0].abort();
    gate.add_permits(1);
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap(), Some(1));
    }
    assert_eq!(world.starts(), 1);
    let listed = world.pool.list();
    assert_eq!(
        (listed[0].stage, listed[0].users.len()),
        (Stage::Running, 20)
    );
}

#[tokio::test(start_paused = true)]
async fn an_unused_server_is_ended_and_a_used_one_is_not() {
    let world = World::new();
    let lease = world.lease().await;
    let toy = Toy::clone(&lease);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(world.stage(), Some(Stage::Running));
    drop(lease);
    tokio::time::sleep(Duration::from_secs(299)).await;
    drop(world.lease().await);
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(world.stage(), Some(Stage::Running));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.stage(), None);
    assert_eq!(toy.gone().await, "ended");
    assert_eq!(world.lease().await.number, 2);
    assert!(world.crashes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_fails_calls_in_flight_and_is_told_once() {
    let world = World::new();
    let (first, second) = (world.lease().await, world.lease().await);
    first.crash("exited with status 1");
    let gone = Gone("exited with status 1".into());
    let never = std::future::pending::<()>;
    assert_eq!(first.during(never()).await, Err(gone.clone()));
    assert_eq!(second.during(never()).await, Err(gone));
    // What was done already counts.
    assert_eq!(second.during(std::future::ready(7)).await, Ok(7));
    assert_eq!(*world.crashes.lock(), ["a: exited with status 1"]);
    assert_eq!(world.lease().await.number, 2);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_restarts_grow_and_end_with_a_steady_run() {
    let world = World::new();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let before = Instant::now();
        let lease = world.lease().await;
        pauses.push(before.elapsed().as_secs());
        lease.crash("no");
        world.until_down().await;
    }
    assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 16, 30]);
    let lease = world.lease().await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    lease.crash("after a good while");
    world.until_down().await;
    let before = Instant::now();
    world.lease().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_fails_all_who_waited_and_the_next_one_tries_again() {
    let world = World::new();
    let failing = || -> Start<Toy> { Box::pin(async { Err("no such program".to_string()) }) };
    let (one, two) = tokio::join!(
        world.pool.lease(&"a", "x", failing),
        world.pool.lease(&"a", "y", failing),
    );
    let expected = Some(PoolError::Start("no such program".into()));
    assert_eq!((one.err(), two.err()), (expected.clone(), expected));
    let panicking = || -> Start<Toy> { Box::pin(async { panic!("on purpose") }) };
    let broken = world.pool.lease(&"a", "x", panicking).await.err();
    assert_eq!(
        broken,
        Some(PoolError::Start("its start broke down".into()))
    );
    assert_eq!(world.lease().await.number, 1);
    assert!(
        world.crashes.lock().is_empty(),
        "a failed start is no crash"
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_server_and_a_start() {
    let world = World::new();
    assert!(!world.pool.stop(&"a").await);
    let lease = world.lease().await;
    let call = lease.during(std::future::pending::<()>());
    let (call, stopped) = tokio::join!(call, world.pool.stop(&"a"));
    assert!(stopped && world.pool.list().is_empty());
    assert_eq!(call, Err(Gone("it was stopped".into())));
    assert_eq!(lease.gone().await, "ended");
    let endless = || -> Start<Toy> { Box::pin(std::future::pending()) };
    let (started, stopped) = tokio::join!(world.pool.lease(&"a", "x", endless), async {
        world.pool.stop(&"a").await
    });
    assert_eq!((started.err(), stopped), (Some(PoolError::Stopped), true));
    // A stop forgets crashes: the user who reconnects does not wait.
    assert_eq!(world.lease().await.number, 2);
    assert!(world.crashes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_all_and_gives_out_no_more() {
    let world = World::new();
    let toy = Toy::clone(&*world.lease().await);
    world.pool.shut_down().await;
    assert_eq!(toy.gone().await, "ended");
    let late = world.pool.lease(&"b", "x", || world.start()).await;
    assert_eq!(late.err(), Some(PoolError::Closed));
}

/// Users, crashes and stops at random: there is never more than one server of a key, and every lease ends.
#[tokio::test(start_paused = true)]
async fn a_storm_of_uses_crashes_and_stops_leaves_one_server_at_most() {
    let world = Arc::new(World::new());
    let living = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for number in 0..200_u64 {
        let (world, living) = (Arc::clone(&world), Arc::clone(&living));
        tasks.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number * 7_919 % 5_000)).await;
            if number % 17 == 0 {
                world.pool.stop(&"a").await;
                return;
            }
            let start = || -> Start<Toy> {
                let begun = world.start();
                Box::pin(async move {
                    let toy = begun.await?;
                    assert_eq!(living.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    let gone = toy.gone();
                    tokio::spawn(async move {
                        gone.await;
                        living.fetch_sub(1, Ordering::SeqCst);
                    });
                    Ok(toy)
                })
            };
            let Ok(lease) = world.pool.lease(&"a", "x", start).await else {
                return;
            };
            if number % 5 == 0 {
                lease.crash("at random");
            }
            let work = tokio::time::sleep(Duration::from_millis(number % 50));
            let _ = lease.during(work).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(world.starts() > 1);
    world.pool.shut_down().await;
    tokio::task::yield_now().await;
    assert_eq!(living.load(Ordering::SeqCst), 0);
}
