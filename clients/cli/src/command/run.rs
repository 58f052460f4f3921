//! `kilo run`: one prompt, its answer, an exit status.

use crate::connect::{self, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Remote;
use crate::render::tool::Detail;
use crate::run::choose::{self, Choice};
use crate::run::faults;
use crate::run::follow;
use crate::run::input;
use crate::run::show::{Audience, Lines, People, Wishes};
use crate::run::trees;
use crate::terminal::{Terminal, note};
use clap::{Args, ValueEnum};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kilo_client::{Client, ClientError, Prompt, ProviderList, RunCommand};
use kilo_protocol::model::{MessageWithParts, Session};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What `kilo run` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// What to say; piped text is appended. A `-` waits for piped text however long it takes.
    #[arg(value_name = "MESSAGE")]
    pub message: Vec<String>,
    /// Run this configured command; the message is its arguments.
    #[arg(long, value_name = "NAME")]
    pub command: Option<String>,
    /// Continue the session used last in this folder.
    #[arg(short, long, conflicts_with = "session", group = "origin")]
    pub r#continue: bool,
    /// Continue this session.
    #[arg(short, long, value_name = "ID", group = "origin")]
    pub session: Option<String>,
    /// Continue a copy of it.
    #[arg(long, requires = "origin")]
    pub fork: bool,
    /// The model, as PROVIDER/MODEL.
    #[arg(short, long)]
    pub model: Option<String>,
    /// The agent.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// The model's variant, such as its reasoning effort.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// What is printed: text for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Attach a file; may be given several times.
    #[arg(short, long, value_name = "PATH")]
    pub file: Vec<PathBuf>,
    /// The title of a new session.
    #[arg(long)]
    pub title: Option<String>,
    /// The folder to work in; with --attach a folder of the server's machine.
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Work in the worktree of this name; it is made if there is none.
    #[arg(long, value_name = "NAME")]
    pub worktree: Option<String>,
    /// Allow what is not denied without asking.
    #[arg(long)]
    pub auto: bool,
    /// Show the model's reasoning.
    #[arg(long)]
    pub thinking: bool,
    /// Which server.
    #[command(flatten)]
    pub remote: Remote,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Default,
    /// One JSON object a line.
    Json,
}

/// Runs the prompt. Status 0 when the turn ended well, 1 when it failed or something was refused, 130 after Ctrl-C.
pub async fn execute(args: &RunArgs, cx: &Context) -> anyhow::Result<Exit> {
    let said = input::message(&args.message, args.command.is_some())?;
    if said.trim().is_empty() && args.command.is_none() {
        anyhow::bail!("there is nothing to say: give a message, or pipe one in");
    }
    let directory = connect::directory(&cx.env, args.dir.as_deref(), &args.remote)?;
    let order = Order::of(args, said, &directory)?;
    let mut link = connect::open(cx, &args.remote, &directory).await?;
    let result = match into_worktree(args, &mut link).await {
        Ok(()) => run(args, order, &link, cx).await,
        Err(error) => Err(error),
    };
    link.close().await;
    result
}

/// Goes to the worktree that the command names.
async fn into_worktree(args: &RunArgs, link: &mut Link) -> anyhow::Result<()> {
    if let Some(name) = &args.worktree {
        let directory = trees::find_or_make(&link.client, name).await?;
        link.client = link.client.in_directory(directory);
    }
    Ok(())
}

async fn run(args: &RunArgs, order: Order, link: &Link, cx: &Context) -> anyhow::Result<Exit> {
    let client = &link.client;
    let warnings = faults::tell(client, cx).await;
    if args.auto && faults::may_forbid(&warnings) {
        anyhow::bail!(
            "--auto allows whatever is not forbidden, and the configuration above may forbid more than could be read; put it right first (`kilo config check`)"
        );
    }
    let (events, model) = futures_util::try_join!(client.events(), model(args, client))?;
    let Some(model) = model else {
        note(if warnings.is_empty() {
            NO_MODEL
        } else {
            NO_MODEL_LEFT
        });
        return Ok(Exit::FAILED);
    };
    let choice = Choice {
        last: args.r#continue,
        id: args.session.clone(),
        fork: args.fork,
        title: args.title.clone(),
    };
    let session = choose::session(client, &choice).await?;
    let mut show = audience(args, cx);
    show.begin(
        &session,
        args.agent.as_deref().unwrap_or("code"),
        &shown(args, &session, model),
    );
    let prompt = order.send(client, &session);
    follow::follow(client, &session, events, prompt, show.as_mut()).await
}

/// What is asked of the session.
enum Order {
    Prompt(Box<Prompt>),
    Command(Box<RunCommand>),
}

impl Order {
    fn of(args: &RunArgs, said: String, directory: &str) -> anyhow::Result<Self> {
        let variant = args.variant.as_deref();
        let model = args
            .model
            .as_deref()
            .map(|text| input::model(text, variant))
            .transpose()?;
        let base = Path::new(directory);
        let Some(name) = &args.command else {
            let parts = input::parts(&said, &args.file, base)?;
            let variant = args.variant.clone();
            return Ok(Self::Prompt(Box::new(Prompt {
                parts,
                model,
                agent: args.agent.clone(),
                variant,
                ..Prompt::default()
            })));
        };
        Ok(Self::Command(Box::new(RunCommand {
            command: name.clone(),
            arguments: said,
            agent: args.agent.clone(),
            model: args.model.clone(),
            variant: args.variant.clone(),
            parts: input::file_parts(&args.file, base)?,
            ..RunCommand::default()
        })))
    }

    fn send<'a>(
        &'a self,
        client: &'a Client,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<MessageWithParts, ClientError>> {
        match self {
            Self::Prompt(prompt) => client.prompt(&session.id, prompt).boxed(),
            Self::Command(body) => client.command(&session.id, body).boxed(),
        }
    }
}

fn audience(args: &RunArgs, cx: &Context) -> Box<dyn Audience> {
    let wishes = Wishes {
        thinking: args.thinking,
        auto: args.auto,
        together: false,
        detail: Detail::SHORT,
    };
    match args.format {
        Format::Json => Box::new(Lines {
            thinking: args.thinking,
            auto: args.auto,
        }),
        Format::Default => Box::new(People::new(
            cx.terminal,
            Terminal::of_stderr(&cx.env),
            wishes,
        )),
    }
}

/// The model that a new session would use; `None` when there is none at all.
///
/// The list of providers is asked for last: a daemon may look for local servers to answer it.
async fn model(args: &RunArgs, client: &Client) -> Result<Option<String>, ClientError> {
    if let Some(model) = &args.model {
        return Ok(Some(model.clone()));
    }
    if let Some(model) = client.config().await?.get("model").and_then(Value::as_str) {
        return Ok(Some(model.to_owned()));
    }
    let providers = client.providers().await?;
    if !has_models(&providers) {
        return Ok(None);
    }
    let first = providers.defaults.iter().next();
    Ok(Some(first.map_or_else(
        || "default model".into(),
        |(id, model)| format!("{id}/{}", model.as_str().unwrap_or("?")),
    )))
}

fn has_models(providers: &ProviderList) -> bool {
    let models = |provider: &Value| {
        provider
            .get("models")
            .and_then(Value::as_object)
            .is_some_and(|m| !m.is_empty())
    };
    providers.providers.iter().any(models)
}

/// The model that will answer: what was asked for, else what the session used last, else `fallback`.
fn shown(args: &RunArgs, session: &Session, fallback: String) -> String {
    match &session.model {
        Some(model) if args.model.is_none() => format!("{}/{}", model.provider_id, model.id),
        _ => fallback,
    }
}

const NO_MODEL_LEFT: &str = "No model is left without the part of the configuration that is wrong: see above, or `kilo config check`";

const NO_MODEL: &str = "No model is configured yet. Any one of these is enough:
  kilo auth login PROVIDER   store an API key: anthropic, openai, openrouter, google, … (or name a model in kilo.json)
  ollama serve               or another local server: LM Studio, llama.cpp and vLLM are found by themselves, too
  kilo demo                  no model at hand? watch a whole session with a scripted one";
