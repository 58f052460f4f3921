//! How much of a command names what it does: `git commit`, `npm run build`, `ls`.

use super::unwrap::base_name;
use super::word::Word;

/// Programs whose first words say what they do, with the number of words. Everything else is named by its first word.
/// The longest entry that fits counts.
const WORDS: &[(&str, usize)] = &[
    ("act", 2),
    ("ansible", 1),
    ("apk", 2),
    ("apt", 2),
    ("apt-get", 2),
    ("argocd", 2),
    ("asdf", 2),
    ("aws", 3),
    ("az", 3),
    ("bazel", 2),
    ("bazelisk", 2),
    ("brew", 2),
    ("brew services", 3),
    ("buf", 2),
    ("buildah", 2),
    ("bun", 2),
    ("bun pm", 3),
    ("bun run", 3),
    ("bun x", 3),
    ("bundle", 2),
    ("bundle exec", 3),
    ("bundler", 2),
    ("caddy", 2),
    ("cargo", 2),
    ("cargo nextest", 3),
    ("cargo run", 2),
    ("cdk", 2),
    ("certbot", 2),
    ("chezmoi", 2),
    ("choco", 2),
    ("circleci", 2),
    ("composer", 2),
    ("composer run-script", 3),
    ("conan", 2),
    ("conda", 2),
    ("conda env", 3),
    ("consul", 2),
    ("corepack", 2),
    ("crictl", 2),
    ("dart", 2),
    ("dart pub", 3),
    ("deno", 2),
    ("deno task", 3),
    ("devbox", 2),
    ("direnv", 2),
    ("django-admin", 2),
    ("dnf", 2),
    ("docker", 2),
    ("docker builder", 3),
    ("docker buildx", 3),
    ("docker compose", 3),
    ("docker container", 3),
    ("docker context", 3),
    ("docker image", 3),
    ("docker network", 3),
    ("docker stack", 3),
    ("docker swarm", 3),
    ("docker system", 3),
    ("docker volume", 3),
    ("docker-compose", 2),
    ("doctl", 3),
    ("dotnet", 2),
    ("dotnet tool", 3),
    ("earthly", 2),
    ("eas", 2),
    ("eksctl", 2),
    ("elm", 2),
    ("expo", 2),
    ("firebase", 2),
    ("flutter", 2),
    ("flutter pub", 3),
    ("fly", 2),
    ("flyctl", 2),
    ("fnm", 2),
    ("forge", 2),
    ("gcloud", 3),
    ("gem", 2),
    ("gh", 3),
    ("git", 2),
    ("git bisect", 3),
    ("git config", 3),
    ("git flow", 3),
    ("git lfs", 3),
    ("git notes", 3),
    ("git reflog", 3),
    ("git remote", 3),
    ("git stash", 3),
    ("git submodule", 3),
    ("git worktree", 3),
    ("glab", 3),
    ("go", 2),
    ("go mod", 3),
    ("go tool", 3),
    ("go work", 3),
    ("gradle", 2),
    ("gradlew", 2),
    ("hatch", 2),
    ("helm", 2),
    ("helm repo", 3),
    ("heroku", 2),
    ("hg", 2),
    ("hugo", 2),
    ("ip", 2),
    ("istioctl", 2),
    ("jj", 2),
    ("journalctl", 1),
    ("just", 2),
    ("k3d", 2),
    ("k9s", 1),
    ("kind", 2),
    ("kn", 2),
    ("kubectl", 2),
    ("kubectl config", 3),
    ("kubectl rollout", 3),
    ("kustomize", 2),
    ("lerna", 2),
    ("lerna run", 3),
    ("linkerd", 2),
    ("luarocks", 2),
    ("make", 2),
    ("mc", 2),
    ("meson", 2),
    ("minikube", 2),
    ("mise", 2),
    ("mise run", 3),
    ("mix", 2),
    ("mvn", 2),
    ("mvnw", 2),
    ("n", 2),
    ("netlify", 2),
    ("next", 2),
    ("ng", 2),
    ("nix", 2),
    ("nix flake", 3),
    ("nix-env", 2),
    ("nomad", 2),
    ("npm", 2),
    ("npm exec", 3),
    ("npm init", 3),
    ("npm run", 3),
    ("npm run-script", 3),
    ("npm view", 3),
    ("npx", 2),
    ("nvm", 2),
    ("nx", 2),
    ("nx run", 3),
    ("oc", 2),
    ("opam", 2),
    ("openssl", 2),
    ("pacman", 2),
    ("pdm", 2),
    ("pdm run", 3),
    ("pip", 2),
    ("pip3", 2),
    ("pipenv", 2),
    ("pipenv run", 3),
    ("pipx", 2),
    ("pnpm", 2),
    ("pnpm dlx", 3),
    ("pnpm exec", 3),
    ("pnpm run", 3),
    ("podman", 2),
    ("podman container", 3),
    ("podman image", 3),
    ("poetry", 2),
    ("poetry run", 3),
    ("prisma", 2),
    ("pulumi", 2),
    ("pulumi stack", 3),
    ("pyenv", 2),
    ("rails", 2),
    ("rake", 2),
    ("rbenv", 2),
    ("rustup", 2),
    ("rustup target", 3),
    ("rustup toolchain", 3),
    ("sam", 2),
    ("sbt", 2),
    ("serverless", 2),
    ("sfdx", 3),
    ("skaffold", 2),
    ("sls", 2),
    ("snap", 2),
    ("sops", 1),
    ("sqlx", 2),
    ("stack", 2),
    ("svn", 2),
    ("swift", 2),
    ("symfony", 2),
    ("systemctl", 2),
    ("task", 2),
    ("terraform", 2),
    ("terraform state", 3),
    ("terraform workspace", 3),
    ("terragrunt", 2),
    ("tilt", 2),
    ("tmux", 2),
    ("tofu", 2),
    ("tox", 1),
    ("turbo", 2),
    ("turbo run", 3),
    ("ufw", 2),
    ("uv", 2),
    ("uv pip", 3),
    ("uv run", 3),
    ("uv tool", 3),
    ("uvx", 2),
    ("vagrant", 2),
    ("vault", 2),
    ("vault kv", 3),
    ("vercel", 2),
    ("volta", 2),
    ("wasm-pack", 2),
    ("winget", 2),
    ("wrangler", 2),
    ("xcrun", 2),
    ("yarn", 2),
    ("yarn dlx", 3),
    ("yarn exec", 3),
    ("yarn run", 3),
    ("yarn workspace", 4),
    ("yum", 2),
    ("zig", 2),
];

/// Options that stand between a program and its subcommand: letters and names of those with values.
const GLOBAL: &[(&str, &str, &[&str])] = &[
    (
        "git",
        "Cc",
        &[
            "--git-dir",
            "--work-tree",
            "--namespace",
            "--exec-path",
            "--config-env",
            "--super-prefix",
        ],
    ),
    (
        "docker",
        "Hcl",
        &["--context", "--config", "--host", "--log-level"],
    ),
    ("podman", "", &["--connection", "--root", "--log-level"]),
    (
        "kubectl",
        "ns",
        &[
            "--namespace",
            "--context",
            "--kubeconfig",
            "--cluster",
            "--user",
            "--server",
        ],
    ),
    (
        "helm",
        "n",
        &["--namespace", "--kube-context", "--kubeconfig"],
    ),
    (
        "npm",
        "",
        &["--prefix", "--workspace", "--registry", "--userconfig"],
    ),
    ("pnpm", "CF", &["--dir", "--filter", "--prefix"]),
    ("yarn", "", &["--cwd", "--use-yarnrc"]),
    ("bun", "", &["--cwd", "--config"]),
    ("cargo", "ZC", &["--config", "--color", "--explain"]),
    ("make", "Cfj", &["--directory", "--file", "--jobs"]),
    ("go", "C", &[]),
    ("gh", "R", &["--repo"]),
    ("systemctl", "HM", &["--host", "--machine"]),
    ("terraform", "", &[]),
    ("poetry", "CP", &["--directory", "--project"]),
    ("uv", "", &["--directory", "--project", "--config-file"]),
    (
        "aws",
        "",
        &["--profile", "--region", "--output", "--endpoint-url"],
    ),
    ("gcloud", "", &["--project", "--account", "--configuration"]),
    ("dotnet", "", &[]),
];

/// Programs that run any text that they are given: an answer for "always" covers that very call only.
const RUNS_ANYTHING: [&str; 30] = [
    "bash",
    "sh",
    "dash",
    "zsh",
    "ksh",
    "fish",
    "eval",
    "exec",
    "python",
    "python2",
    "python3",
    "node",
    "perl",
    "ruby",
    "php",
    "lua",
    "osascript",
    "pwsh",
    "powershell",
    "sudo",
    "doas",
    "su",
    "env",
    "xargs",
    "ssh",
    "source",
    ".",
    "trap",
    "awk",
    "busybox",
];

/// Variables that change no more than how a command talks.
const HARMLESS: [&str; 23] = [
    "CI",
    "NODE_ENV",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "DEBUG",
    "VERBOSE",
    "LANG",
    "LANGUAGE",
    "TZ",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TERM",
    "COLUMNS",
    "LINES",
    "CARGO_TERM_COLOR",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "DEBIAN_FRONTEND",
    "GIT_TERMINAL_PROMPT",
    "HUSKY",
    "CARGO_INCREMENTAL",
];

/// Whether setting the variable for a command, or exporting it, needs no word.
pub fn is_harmless_variable(name: &str) -> bool {
    HARMLESS.contains(&name) || name.starts_with("LC_")
}

/// Whether setting the variable in the shell alone may change what later commands are: it is usually exported already,
/// or the shell itself heeds it.
pub fn is_weighty_variable(name: &str) -> bool {
    const EXACT: [&str; 22] = [
        "PATH",
        "IFS",
        "ENV",
        "BASH_ENV",
        "CDPATH",
        "HOME",
        "SHELL",
        "SHELLOPTS",
        "BASHOPTS",
        "PROMPT_COMMAND",
        "PS4",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "BROWSER",
        "PWD",
        "OLDPWD",
        "GLOBIGNORE",
        "LESSOPEN",
        "MANPAGER",
        "TMPDIR",
        "FIGNORE",
    ];
    const STARTS: [&str; 11] = [
        "LD_",
        "DYLD_",
        "GIT_",
        "PYTHON",
        "NODE_",
        "PERL",
        "RUBY",
        "CARGO_",
        "RUSTC",
        "NPM_CONFIG",
        "npm_config",
    ];
    let ends = name.ends_with("_OPTIONS") || name.ends_with("_proxy") || name.ends_with("_PROXY");
    !is_harmless_variable(name)
        && (EXACT.contains(&name) || ends || STARTS.iter().any(|start| name.starts_with(start)))
}

/// The pattern that an answer "always" would allow for a command, or `None` when only that very command can be meant.
pub fn suggestion(words: &[Word]) -> Option<String> {
    let program = words.first()?.literal()?;
    if RUNS_ANYTHING.contains(&base_name(&program)) {
        return None;
    }
    let shown: Vec<String> = words.iter().map(Word::canonical).collect();
    let texts: Vec<String> = words
        .iter()
        .map(|word| word.literal().unwrap_or_default())
        .collect();
    let wanted = word_count(&texts);
    let mut taken = 0;
    let mut named = 0;
    let (letters, long) = options_of(base_name(&program));
    while named < wanted {
        let text = texts.get(taken)?;
        // A word that only the running shell knows names nothing.
        if text.is_empty() {
            return None;
        }
        taken += if text.starts_with('-') && taken > 0 {
            option_words(text, letters, long)
        } else {
            1
        };
        named += usize::from(!text.starts_with('-') || taken == 0);
    }
    Some(format!("{} *", shown.get(..taken)?.join(" ")))
}

fn word_count(texts: &[String]) -> usize {
    let program = texts
        .first()
        .map(|text| base_name(text))
        .unwrap_or_default();
    let (letters, long) = options_of(program);
    let mut named = vec![program.to_owned()];
    let mut index = 1;
    while let Some(text) = texts.get(index).filter(|_| named.len() < 3) {
        if text.starts_with('-') {
            index += option_words(text, letters, long);
        } else {
            named.push(text.clone());
            index += 1;
        }
    }
    (1..=named.len())
        .rev()
        .find_map(|count| {
            let prefix = named.get(..count)?.join(" ");
            WORDS
                .iter()
                .find(|(name, _)| *name == prefix)
                .map(|(_, words)| *words)
        })
        .unwrap_or(1)
}

fn options_of(program: &str) -> (&'static str, &'static [&'static str]) {
    GLOBAL
        .iter()
        .find(|(name, ..)| *name == program)
        .map_or(("", &[]), |(_, letters, long)| (letters, long))
}

fn option_words(option: &str, letters: &str, long: &[&str]) -> usize {
    let takes_value = if option.starts_with("--") {
        long.contains(&option)
    } else {
        option.len() == 2
            && option
                .chars()
                .next_back()
                .is_some_and(|letter| letters.contains(letter))
    };
    if takes_value { 2 } else { 1 }
}

/// The command in its plainest form, where that differs: its program without a path, and without the options before its
/// subcommand. A rule against `git push` must hold for `/usr/bin/git -C x push` too.
pub fn plainest(words: &[Word]) -> Option<Vec<Word>> {
    let (first, rest) = words.split_first()?;
    let program = first.literal()?;
    let name = base_name(&program);
    let (letters, long) = options_of(name);
    let known = GLOBAL.iter().any(|(program, ..)| *program == name);
    let rest = if known {
        subcommand(rest, letters, long)
    } else {
        rest
    };
    if name.is_empty() || (name == program && rest.len() + 1 == words.len()) {
        return None;
    }
    Some(
        std::iter::once(Word::quoted(name))
            .chain(rest.iter().cloned())
            .collect(),
    )
}

/// The words from the subcommand on; all of them when there is none.
fn subcommand<'a>(rest: &'a [Word], letters: &str, long: &[&str]) -> &'a [Word] {
    let mut index = 0;
    while let Some(text) = rest.get(index).and_then(Word::literal) {
        if !text.starts_with(['-', '+']) {
            return rest.get(index..).unwrap_or(rest);
        }
        index += option_words(&text, letters, long);
    }
    rest
}
