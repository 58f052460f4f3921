//! `kilo auth`: providers' credentials.

use crate::connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::terminal::table::table;
use crate::terminal::{keys, line};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use kilo_client::Credentials;
use kilo_config::{AuthFile, Paths};
use serde_json::Value;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};

/// What `kilo auth` takes.
#[derive(Clone, Debug, Subcommand)]
pub enum AuthCommand {
    /// Store a provider's API key.
    Login(LoginArgs),
    /// List the stored credentials, without their keys.
    #[command(alias = "ls")]
    List,
    /// Forget a provider's credentials.
    Logout(LogoutArgs),
}

/// What `kilo auth login` takes.
#[derive(Args, Clone)]
pub struct LoginArgs {
    /// The provider, such as anthropic, openai or openrouter.
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// The same as an option.
    #[arg(
        short,
        long = "provider",
        value_name = "PROVIDER",
        conflicts_with = "provider"
    )]
    pub provider_option: Option<String>,
    /// The key. Others may see it in the list of processes: better type it, or pipe it in.
    #[arg(long)]
    pub key: Option<String>,
}

impl std::fmt::Debug for LoginArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginArgs")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// What `kilo auth logout` takes.
#[derive(Args, Clone, Debug)]
pub struct LogoutArgs {
    /// The provider.
    pub provider: String,
}

/// Runs the command. A running daemon is told, so that it uses the change at once.
pub async fn execute(command: AuthCommand, cx: &Context) -> anyhow::Result<Exit> {
    match command {
        AuthCommand::Login(args) => login(args, cx).await,
        AuthCommand::List => list(cx),
        AuthCommand::Logout(args) => logout(&args, cx).await,
    }
}

async fn login(args: LoginArgs, cx: &Context) -> anyhow::Result<Exit> {
    match store(args, cx).await {
        Err(error) if is_interrupted(&error) => Ok(Exit::INTERRUPTED),
        other => other,
    }
}

/// Ctrl-C at a question.
fn is_interrupted(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == ErrorKind::Interrupted)
}

async fn store(args: LoginArgs, cx: &Context) -> anyhow::Result<Exit> {
    // Looking for the provider takes a moment, and name and key may come in one paste: no key must be seen in it.
    let secret = match &args.key {
        Some(_) => None,
        None => Some(keys::Secret::begin()?),
    };
    let provider = match (args.provider.or(args.provider_option), &secret) {
        (Some(provider), _) => provider,
        (None, Some(secret)) if secret.is_typed() => secret.visible(PROVIDER)?,
        (None, _) => ask_provider()?,
    };
    known(&provider, cx).await?;
    let key = match secret {
        None => args.key.unwrap_or_default().trim().to_owned(),
        Some(secret) => secret.ask(&format!("API key of {provider}"))?,
    };
    if key.is_empty() {
        bail!("no key was given");
    }
    match connect::background(&cx.env).await {
        Some(daemon) => daemon.set_api_key(&provider, &key).await?,
        None => {
            let metadata = None;
            let entry = serde_json::to_value(Credentials::Api { key, metadata })?;
            file(cx).put(&provider, entry)?;
        }
    }
    line(&format!(
        "Stored a key for {provider}. `kilo models {provider}` lists its models."
    ));
    Ok(Exit::OK)
}

/// Refuses a name that no provider has: its key would lie there and never be used.
async fn known(provider: &str, cx: &Context) -> anyhow::Result<()> {
    let directory = cx.env.cwd.to_string_lossy().into_owned();
    let link = connect::open(cx, &Remote::default(), &directory).await?;
    let listed = link.client.all_providers().await;
    link.close().await;
    let listed = listed.context("cannot list the providers")?.providers;
    let id = |entry: &Value| entry.get("id").and_then(Value::as_str).map(str::to_owned);
    let ids: Vec<String> = listed.iter().filter_map(id).collect();
    if ids.iter().any(|known| known == provider) {
        return Ok(());
    }
    let near = nearest(provider, &ids);
    let hint = near.map_or_else(String::new, |near| format!(" Did you mean {near:?}?"));
    bail!(
        "no provider is called {provider:?}.{hint}\n\
         A server of your own needs an address and models first, in kilo.json: \
         {{\"provider\": {{\"NAME\": {{\"npm\": \"@ai-sdk/openai-compatible\", \
         \"options\": {{\"baseURL\": \"http://…/v1\"}}, \"models\": {{\"MODEL\": {{}}}}}}}}}}"
    )
}

fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    const ALIKE: f64 = 0.85;
    let name = name.to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.as_str())
}

const PROVIDER: &str = "Provider (anthropic, openai, openrouter, google, …): ";

/// Asks for the provider alone, for its key was given.
fn ask_provider() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("name the provider: kilo auth login PROVIDER");
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{PROVIDER}")?;
    err.flush()?;
    let mut text = String::new();
    stdin.lock().read_line(&mut text)?;
    Ok(text.trim().to_owned())
}

fn list(cx: &Context) -> anyhow::Result<Exit> {
    let entries = file(cx).read()?;
    let kind = |entry: &Value| {
        entry
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let rows: Vec<_> = entries
        .iter()
        .map(|(provider, entry)| vec![provider.clone(), kind(entry)])
        .collect();
    for row in table(&["PROVIDER", "KIND"], &rows, cx.terminal) {
        line(&row);
    }
    line(&cx.terminal.dim(&format!(
        "{} credentials in {}",
        rows.len(),
        Paths::of(&cx.env).auth.display()
    )));
    Ok(Exit::OK)
}

async fn logout(args: &LogoutArgs, cx: &Context) -> anyhow::Result<Exit> {
    let file = file(cx);
    if file.get(&args.provider)?.is_none() {
        bail!("there are no credentials for {}", args.provider);
    }
    match connect::background(&cx.env).await {
        Some(daemon) => daemon.remove_auth(&args.provider).await?,
        None => drop(file.remove(&args.provider)?),
    }
    line(&format!("Forgot the credentials of {}.", args.provider));
    Ok(Exit::OK)
}

fn file(cx: &Context) -> AuthFile {
    AuthFile::new(&cx.env, &Paths::of(&cx.env))
}
