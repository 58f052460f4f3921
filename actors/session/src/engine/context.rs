//! What a model call is told beside the conversation, and the rules that users saved.

use super::*;

impl Engine {
    /// The rules that users saved for a project with an answer "always".
    pub fn saved_rules(&self, project: &str) -> Arc<Vec<Rule>> {
        let mut saved = self.saved.lock();
        if let Some(rules) = saved.get(project) {
            return Arc::clone(rules);
        }
        let stored = self.journal().store().get("approval", project);
        let rules: Vec<Rule> = stored
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        let rules = Arc::new(rules);
        saved.insert(project.to_string(), Arc::clone(&rules));
        rules
    }

    /// Adds rules to a project's saved ones.
    pub fn save_rules(&self, project: &str, more: Vec<Rule>) {
        let mut rules = self.saved_rules(project).as_ref().clone();
        rules.extend(
            more.into_iter()
                .filter(|rule| !rules.contains(rule))
                .collect::<Vec<_>>(),
        );
        let body = serde_json::to_vec(&rules).unwrap_or_default();
        self.saved
            .lock()
            .insert(project.to_string(), Arc::new(rules));
        if let Err(error) = self
            .journal()
            .store()
            .put("approval", project, &body, self.now())
        {
            tracing::error!(%error, project, "saved rules could not be stored");
        }
    }

    /// The system texts of a call.
    pub(crate) async fn system(
        &self,
        folder: &Arc<Folder>,
        agent: &Agent,
        user: &UserMessage,
        model: &ModelInfo,
        is_child: bool,
    ) -> Vec<String> {
        let mut system = kilo_config::prompt::system_prompt(agent);
        let date = clock::iso(self.now());
        system.push(kilo_config::prompt::environment_block(
            kilo_config::prompt::EnvFacts {
                directory: &folder.directory,
                worktree: &folder.worktree,
                is_git: folder.is_git,
                platform: std::env::consts::OS,
                date: &date[..10],
                model: &format!("{}/{}", model.provider_id, model.model_id),
            },
        ));
        let _ = is_child;
        let read = Arc::clone(folder);
        let texts = self
            .parts
            .handle
            .spawn_blocking(move || prepare::instructions(&read))
            .await;
        system.extend(texts.unwrap_or_default());
        system.extend(user.system.clone());
        system
    }

    pub(crate) fn seen_instructions<T>(
        &self,
        session: &SessionId,
        message: &str,
        read: impl FnOnce(&mut BTreeSet<PathBuf>) -> T,
    ) -> T {
        let mut seen = self.seen.lock();
        let entry = seen.entry(session.clone()).or_default();
        if entry.0 != message {
            *entry = (message.to_string(), BTreeSet::new());
        }
        read(&mut entry.1)
    }

    /// The skills of a folder: name, description, path.
    pub fn skills(&self, folder: &Folder) -> Vec<(String, String, PathBuf)> {
        prepare::skills(folder)
    }

    pub(crate) fn skills_text(&self, folder: &Folder) -> String {
        let skills = self.skills(folder);
        if skills.is_empty() {
            return "\n\nNo skills are available in this project.".into();
        }
        let lines: String = skills
            .iter()
            .map(|(name, what, _)| format!("- {name}: {what}\n"))
            .collect();
        format!("\n\nSkills:\n{lines}")
    }
}
