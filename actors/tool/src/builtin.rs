//! The built-in tools, one file each.

pub mod apply_patch;
pub mod background_process;
pub mod bash;
pub mod edit;
pub mod glob;
pub mod grep;
pub mod question;
pub mod read;
pub mod skill;
pub mod task;
pub mod todowrite;
pub mod webfetch;
pub mod write;

use crate::place::Place;
use kilo_ports::files::Kind;
use kilo_ports::tool::ToolError;
use std::path::Path;

/// Refuses changes to the file in which the agent manager of an editor keeps its state.
fn refuse_reserved(place: &Place) -> Result<(), ToolError> {
    let reserved = |path: &Path| {
        let folder = path.parent().and_then(Path::file_name);
        path.file_name()
            .is_some_and(|name| name == "agent-manager.json")
            && folder.is_some_and(|name| name == ".kilo")
    };
    if reserved(&place.absolute) || reserved(&place.real) {
        return Err(ToolError::failed(
            ".kilo/agent-manager.json belongs to the program and may not be changed by tools",
        ));
    }
    Ok(())
}

/// The folder of a search: an empty path and none both mean the working folder.
fn folder_or_here(path: Option<&str>) -> &str {
    match path.map(str::trim) {
        None | Some("") => ".",
        Some(path) => path,
    }
}

/// Fails when a search's folder is none. It blocks for a moment.
fn expect_folder(place: &Place) -> Result<(), ToolError> {
    let shown = place.shown();
    match place.spot.facts().map(|facts| facts.kind) {
        Ok(Kind::Folder) => Ok(()),
        Ok(Kind::File | Kind::Other) => Err(ToolError::failed(format!("{shown} is not a folder"))),
        _ => Err(ToolError::failed(format!("Folder not found: {shown}"))),
    }
}
