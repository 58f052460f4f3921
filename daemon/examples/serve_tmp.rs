#[tokio::main(flavor = "current_thread")]
async fn main() {
    tracing_subscriber::fmt().with_env_filter(std::env::var("KLOG").unwrap_or("info".into())).with_writer(std::io::stderr).init();
    let args: Vec<String> = std::env::args().collect();
    let get = |n: &str| args.iter().position(|a| a == n).map(|i| args[i + 1].clone());
    let cors: Vec<String> = args.iter().enumerate().filter(|(_, a)| *a == "--cors").map(|(i, _)| args[i + 1].clone()).collect();
    let r = kilo_daemon::start(kilo_daemon::Options {
        environment: kilo_config::Environment::from_process(),
        hostname: get("--hostname").unwrap_or("127.0.0.1".into()),
        port: get("--port").and_then(|p| p.parse().ok()).unwrap_or(0),
        cors, embedded: false }).await;
    let r = match r { Ok(r) => r, Err(e) => { eprintln!("{e}"); std::process::exit(1) } };
    println!("kilo server listening on {}", r.url);
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    term.recv().await;
    r.stop().await;
}
