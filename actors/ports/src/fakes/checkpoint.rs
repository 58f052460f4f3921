use crate::BoxFuture;
use crate::checkpoint::{CheckpointError, Checkpoints, FileChange, LeftAlone, Restored};
use kilo_protocol::model::FileDiff;
use std::path::PathBuf;

/// Checkpoints that say that there is no repository.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCheckpoints;

fn none<T: Send + 'static>(directory: PathBuf) -> BoxFuture<'static, Result<T, CheckpointError>> {
    Box::pin(std::future::ready(Err(CheckpointError::NotARepository(
        directory,
    ))))
}

impl Checkpoints for NoCheckpoints {
    fn track(&self, directory: PathBuf) -> BoxFuture<'static, Result<String, CheckpointError>> {
        none(directory)
    }
    fn diff(
        &self,
        directory: PathBuf,
        _: String,
        _: String,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>> {
        none(directory)
    }
    fn diff_of(
        &self,
        directory: PathBuf,
        _: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Vec<FileDiff>, CheckpointError>> {
        none(directory)
    }
    fn changed(
        &self,
        directory: PathBuf,
        _: String,
        _: String,
    ) -> BoxFuture<'static, Result<Vec<FileChange>, CheckpointError>> {
        none(directory)
    }
    fn left_out(&self, directory: PathBuf) -> BoxFuture<'static, Result<u64, CheckpointError>> {
        none(directory)
    }
    fn left_between(
        &self,
        directory: PathBuf,
        _: u64,
        _: u64,
    ) -> BoxFuture<'static, Result<Vec<LeftAlone>, CheckpointError>> {
        none(directory)
    }
    fn undo(
        &self,
        directory: PathBuf,
        _: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>> {
        none(directory)
    }
    fn redo(
        &self,
        directory: PathBuf,
        _: Vec<FileChange>,
    ) -> BoxFuture<'static, Result<Restored, CheckpointError>> {
        none(directory)
    }
    fn keep(
        &self,
        directory: PathBuf,
        _: PathBuf,
    ) -> BoxFuture<'static, Result<String, CheckpointError>> {
        none(directory)
    }
}
