//! The scenes of the demo, and the check of each: what is told must have happened.

use super::project::Project;
use super::script::{CLOSING, PROMPT, TEST_COMMAND};
use super::stage::Stage;
use super::watcher::{Seen, Watcher};
use crate::exit::Exit;
use crate::host::Engine;
use crate::render::{diff, tool};
use crate::run::follow;
use crate::terminal::line;
use anyhow::{Context as _, ensure};
use kilo_client::{Client, NewSession, Prompt};
use kilo_protocol::MessageId;
use kilo_protocol::model::{MessageWithParts, PartBody, Session, ToolState};
use similar::DiffTag;
use similar::algorithms::{Capture, Replace, myers};

/// Plays all scenes.
///
/// # Errors
/// When a scene did not happen as told; the message says which.
pub async fn tell(mut stage: Stage, engine: &Engine, project: &Project) -> anyhow::Result<()> {
    prologue(&stage, project);
    let first = engine.client()?.in_directory(project.directory());
    let second = engine.client()?.in_directory(project.directory());
    let mut watcher = Watcher::start(&second)
        .await
        .context("the second client could not attach")?;
    let mut witness = Watcher::start(&first).await?;

    stage.scene("A small project with a bug").await;
    stage.say("greet.sh greets people; sh test.sh says whether it does it well.");
    stage.page(&project.greeter()?);
    ensure!(
        project.greeter()? == Project::broken(),
        "the project is not as it should be"
    );

    stage.scene("One prompt; the agent works").await;
    let session = work(&stage, &first, &second).await?;
    let messages = first.messages(&session.id).await?;
    check_work(project, &messages)?;

    stage.scene("A second client saw the same").await;
    same(&stage, &witness.turn().await, &watcher.turn().await)?;

    stage.scene("Undo: the files go back").await;
    undo(&stage, &first, &session, &messages, project).await?;

    stage.scene("Redo: the fix comes back").await;
    let again = first.unrevert(&session.id).await.context("redo failed")?;
    ensure!(
        again.revert.is_none(),
        "the session still says it is undone"
    );
    ensure!(
        project.greeter()? == Project::repaired(),
        "redo did not bring the fix back"
    );
    changes(&stage, &Project::broken(), &project.greeter()?);
    stage.proof("greet.sh is the repaired one again");

    stage.scene("Checked").await;
    epilogue(&stage);
    Ok(())
}

fn prologue(stage: &Stage, project: &Project) {
    line(
        &stage
            .terminal
            .bold("kilo demo: a whole session from prompt to undo"),
    );
    stage.aside(
        "The model is SCRIPTED: it says fixed lines, over a real HTTP endpoint on this machine.",
    );
    stage.aside(
        "All else is real: the engine, its API, the files, the shell, the permissions, the undo.",
    );
    stage.aside(&format!(
        "It happens in {}, which is removed at the end.",
        project.root().display()
    ));
}

async fn work(stage: &Stage, first: &Client, second: &Client) -> anyhow::Result<Session> {
    line(&format!("  {} {PROMPT}", stage.terminal.bold("you ›")));
    stage.pause().await;
    let events = first.events().await?;
    let session = first.create_session(&NewSession::default()).await?;
    let mut audience = stage.audience(second.clone());
    crate::run::show::Audience::begin(&mut audience, &session, "code", "scripted model");
    let prompt = Prompt::text(PROMPT);
    let answer = first.prompt(&session.id, &prompt);
    let exit = follow::follow(first, &session, events, answer, &mut audience).await?;
    ensure!(
        exit == Exit::OK,
        "the turn did not end well (status {})",
        exit.code()
    );
    let mut asked = audience.asked;
    asked.sort();
    ensure!(
        asked == ["bash", "bash", "edit"],
        "other permissions were asked for than expected: {asked:?}"
    );
    Ok(session)
}

/// Reads happened, the tests failed before the edit and passed after it, and the file holds the fix.
fn check_work(project: &Project, messages: &[MessageWithParts]) -> anyhow::Result<()> {
    let mut steps = Vec::new();
    let mut said = String::new();
    for part in messages
        .iter()
        .filter(|message| message.info.assistant().is_some())
        .flat_map(|message| &message.parts)
    {
        match &part.body {
            PartBody::Text(text) => said.clone_from(&text.text),
            PartBody::Tool(call) => {
                let ToolState::Completed {
                    input, metadata, ..
                } = &call.state
                else {
                    anyhow::bail!("the call of {} did not complete", call.tool);
                };
                let is_test =
                    input.get("command").and_then(|command| command.as_str()) == Some(TEST_COMMAND);
                let exit = tool::exit_of(metadata).filter(|_| is_test);
                steps.push((call.tool.clone(), exit));
            }
            _ => {}
        }
    }
    let expected = [
        ("read", None),
        ("read", None),
        ("bash", Some(1)),
        ("edit", None),
        ("bash", Some(0)),
    ];
    let expected = expected.map(|(name, exit)| (name.to_owned(), exit));
    ensure!(
        steps == expected,
        "the agent did other things than expected: {steps:?}"
    );
    ensure!(
        said == CLOSING,
        "the last answer is not the one that the model gave: {said:?}"
    );
    ensure!(
        project.greeter()? == Project::repaired(),
        "the file does not hold the fix"
    );
    Ok(())
}

fn same(stage: &Stage, first: &Seen, second: &Seen) -> anyhow::Result<()> {
    let missing = first
        .events
        .iter()
        .find(|event| !second.events.contains(event));
    ensure!(
        first == second,
        "the clients saw different events; the second one misses {missing:?}"
    );
    ensure!(
        first.closed && second.text.contains(CLOSING),
        "the clients did not see the whole turn"
    );
    stage.say("It was attached the whole time, and it gave the permission for the edit.");
    stage.proof(&format!(
        "{} events each, the same ids in the same order",
        second.events.len()
    ));
    stage.proof(&format!(
        "{} characters of streamed text, the same",
        second.text.chars().count()
    ));
    Ok(())
}

async fn undo(
    stage: &Stage,
    client: &Client,
    session: &Session,
    messages: &[MessageWithParts],
    project: &Project,
) -> anyhow::Result<()> {
    let prompt: &MessageId = messages
        .iter()
        .find_map(|message| message.info.user().map(|user| &user.id))
        .context("the session has no prompt")?;
    let before = project.greeter()?;
    let undone = client
        .revert(&session.id, prompt, None)
        .await
        .context("undo failed")?;
    let state = undone
        .revert
        .context("the session does not say that it is undone")?;
    ensure!(
        project.greeter()? == Project::broken(),
        "undo did not bring the file back (workspace: {})",
        state.workspace.as_deref().unwrap_or("unknown")
    );
    changes(stage, &before, &project.greeter()?);
    stage.proof("greet.sh is what it was before the prompt");
    Ok(())
}

fn changes(stage: &Stage, before: &str, after: &str) {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut found = Replace::new(Capture::new());
    // What is captured cannot fail.
    let _ = myers::diff(&mut found, &old, 0..old.len(), &new, 0..new.len());
    let mut patch = String::from("@@\n");
    for op in found.into_inner().ops() {
        let (gone, come) = match op.tag() {
            DiffTag::Equal => continue,
            _ => (&old[op.old_range()], &new[op.new_range()]),
        };
        gone.iter()
            .for_each(|line| patch.push_str(&format!("-{line}\n")));
        come.iter()
            .for_each(|line| patch.push_str(&format!("+{line}\n")));
    }
    for row in diff::short(&patch, 8, stage.terminal) {
        line(&row);
    }
}

fn epilogue(stage: &Stage) {
    stage.proof("the tests failed before the edit and passed after it");
    stage.proof("two commands and one change of a file were allowed first, one by one");
    stage.proof("both clients saw the same, event for event");
    stage.proof("undo and redo changed the file on the disk");
    line("");
    stage.say("Now with a real model:");
    stage.say("  kilo auth login anthropic        (or openai, openrouter, google, …)");
    stage.say("  kilo run \"what does this project do?\"");
}
