//! A whole session with a scripted model: real engine, real files, real shell, real HTTP; only the model plays a part.
//!
//! [`project`] makes a small broken program, [`script`] says what the model will say, [`model`] says it over HTTP,
//! [`story`] plays the scenes and checks that each really happened, [`stage`] shows them.

mod model;
mod project;
mod script;
mod stage;
mod story;
mod watcher;

use crate::context::Context;
use crate::exit::Exit;
use crate::host::{Engine, Start};
use crate::signals::Signals;
use anyhow::Context as _;
use kilo_config::Environment;
use model::ScriptedModel;
use project::Project;
use serde_json::json;
use stage::Stage;
use std::path::Path;

/// Plays the demo in a folder of its own, which is gone afterwards.
///
/// # Errors
/// When a step did not happen as told.
pub async fn play(fast: bool, cx: &Context) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let folder = tempfile::Builder::new()
        .prefix("kilo-demo-")
        .tempdir_in(&cx.env.temp)
        .context("cannot make a folder")?;
    let root = folder.path().canonicalize()?;
    let project = Project::make(&root.join("greeter")).context("cannot write the project")?;
    let model = ScriptedModel::start(script::turns(&project), fast)
        .await
        .context("cannot start the scripted model")?;
    let env = environment(&root.join("home"), &model, cx)?;
    let engine = Engine::start(Start {
        env,
        embedded: true,
        ..Start::default()
    })
    .await?;
    let stage = Stage::new(fast, cx);
    let result = tokio::select! {
        result = story::tell(stage, &engine, &project) => result.map(|()| Exit::OK),
        exit = signals.next() => Ok(exit),
    };
    engine.stop().await;
    result
}

/// The environment of the engine: a home of its own, so that nothing of the user is read or written.
fn environment(home: &Path, model: &ScriptedModel, cx: &Context) -> anyhow::Result<Environment> {
    let config = json!({
        "model": "demo/scripted",
        "permission": {"edit": "ask", "bash": {"*": "ask"}},
        "provider": {"demo": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Scripted demo model",
            "options": {"baseURL": model.base_url(), "apiKey": "demo"},
            "models": {"scripted": {"name": "Scripted model", "tool_call": true, "limit": {"context": 100_000, "output": 8_000}}},
        }},
    });
    let folder = home.join(".config").join("kilo");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("kilo.json"), config.to_string())?;
    let mut env = Environment {
        home: home.into(),
        cwd: home.into(),
        temp: cx.env.temp.clone(),
        ..Environment::default()
    };
    for name in ["PATH", "LANG", "LC_ALL", "TERM"] {
        env.vars.extend(
            cx.env
                .get(name)
                .map(|value| (name.to_owned(), value.to_owned())),
        );
    }
    env.vars
        .insert("HOME".into(), home.to_string_lossy().into_owned());
    env.vars
        .insert("KILO_DISABLE_MODELS_FETCH".into(), "1".into());
    Ok(env)
}
