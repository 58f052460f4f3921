//! The built-in servers as data: the reference's list, with how each is found, where its root is, and what would install it.

use kilo_config::programs::Sign;

/// A server that is known without any configuration.
pub struct BuiltIn {
    /// Its name in the configuration.
    pub id: &'static str,
    /// Other names under which the configuration may have it.
    pub aliases: &'static [&'static str],
    /// Ends of the names of its files, or whole names.
    pub extensions: &'static [&'static str],
    /// Commands that start it; the first whose program is there is taken.
    pub commands: &'static [&'static [&'static str]],
    /// Folders of a project that may have the program; they come before `PATH`.
    pub own: &'static [&'static str],
    /// What marks its root, by preference: the nearest folder with one of the first group, else of the second, …
    pub roots: &'static [&'static [Sign]],
    /// The project must have one of these at or above the file; empty for none.
    pub needs: &'static [Sign],
    /// A project that has one of these at or above the file is not its.
    pub never: &'static [&'static str],
    /// Only the first server of a group that fits a file is started for it.
    pub group: &'static str,
    /// What is found in the project and told to it at its start.
    pub asks_for: Setting,
    /// The command that would install it.
    pub install: &'static str,
}

/// Something of the project that a server has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nothing.
    None,
    /// The project's own TypeScript: `tsserver.path`; and not to fetch types of packages by npm, as it does unasked.
    TsServer,
    /// The same, as the folder of its library: `typescript.tsdk`.
    TsSdk,
    /// Not to fetch schemas from the net, as it does unasked.
    NoSchemas,
    /// The interpreter of the project's virtual environment: `python.pythonPath`.
    Python,
}

use Sign::{Mention, Name};

const PLAIN: BuiltIn = BuiltIn {
    id: "",
    aliases: &[],
    extensions: &[],
    commands: &[],
    own: &[],
    roots: &[],
    needs: &[],
    never: &[],
    group: "",
    asks_for: Setting::None,
    install: "",
};

const NODE: &[&str] = &["node_modules/.bin"];
const PYTHON: &[&str] = &[".venv/bin", "venv/bin"];
const SCRIPTS: &[&str] = &[".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts"];
const JS_FILES: &[&str] = &[
    ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".astro",
];
const BIOME_FILES: &[&str] = &[
    ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".json", ".jsonc", ".vue",
    ".svelte", ".astro", ".css", ".graphql", ".gql", ".html",
];
const C_FILES: &[&str] = &[
    ".c", ".cpp", ".cc", ".cxx", ".c++", ".h", ".hpp", ".hh", ".hxx", ".h++",
];
const NODE_ROOT: &[&[Sign]] = &[&[
    Name("package-lock.json"),
    Name("bun.lock"),
    Name("bun.lockb"),
    Name("pnpm-lock.yaml"),
    Name("yarn.lock"),
    Name("tsconfig.json"),
    Name("jsconfig.json"),
    Name("package.json"),
]];
const PYTHON_ROOT: &[&[Sign]] = &[&[
    Name("pyproject.toml"),
    Name("pyrightconfig.json"),
    Name("ty.toml"),
    Name("setup.py"),
    Name("setup.cfg"),
    Name("requirements.txt"),
    Name("Pipfile"),
]];
const ESLINT: &[Sign] = &[
    Name("eslint.config.js"),
    Name("eslint.config.mjs"),
    Name("eslint.config.cjs"),
    Name("eslint.config.ts"),
    Name(".eslintrc.js"),
    Name(".eslintrc.cjs"),
    Name(".eslintrc.json"),
    Name(".eslintrc.yml"),
    Name(".eslintrc"),
];
const DOTNET_ROOT: &[&[Sign]] = &[
    &[Name("*.sln"), Name("*.slnx")],
    &[Name("*.csproj"), Name("*.fsproj"), Name("global.json")],
];

/// All of them.
pub static BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        id: "deno",
        extensions: &[".ts", ".tsx", ".js", ".jsx", ".mjs"],
        commands: &[&["deno", "lsp"]],
        roots: &[&[Name("deno.json"), Name("deno.jsonc")]],
        needs: &[Name("deno.json"), Name("deno.jsonc")],
        group: "script",
        install: "curl -fsSL https://deno.land/install.sh | sh",
        ..PLAIN
    },
    BuiltIn {
        id: "typescript",
        extensions: SCRIPTS,
        commands: &[&["typescript-language-server", "--stdio"]],
        own: NODE,
        roots: NODE_ROOT,
        never: &["deno.json", "deno.jsonc"],
        group: "script",
        asks_for: Setting::TsServer,
        install: "npm install -g typescript-language-server typescript",
        ..PLAIN
    },
    BuiltIn {
        id: "vue",
        extensions: &[".vue"],
        commands: &[&["vue-language-server", "--stdio"]],
        own: NODE,
        roots: NODE_ROOT,
        asks_for: Setting::TsSdk,
        install: "npm install -g @vue/language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "eslint",
        extensions: &[
            ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue",
        ],
        commands: &[&["vscode-eslint-language-server", "--stdio"]],
        own: NODE,
        roots: NODE_ROOT,
        needs: ESLINT,
        install: "npm install -g vscode-langservers-extracted",
        ..PLAIN
    },
    BuiltIn {
        id: "oxlint",
        extensions: JS_FILES,
        commands: &[&["oxlint", "--lsp"], &["oxc_language_server"]],
        own: NODE,
        roots: &[&[Name(".oxlintrc.json"), Name("package.json")]],
        needs: &[Name(".oxlintrc.json")],
        install: "npm install -D oxlint",
        ..PLAIN
    },
    BuiltIn {
        id: "biome",
        extensions: BIOME_FILES,
        commands: &[&["biome", "lsp-proxy", "--stdio"]],
        own: NODE,
        roots: &[&[Name("biome.json"), Name("biome.jsonc")]],
        needs: &[Name("biome.json"), Name("biome.jsonc")],
        install: "npm install -D @biomejs/biome",
        ..PLAIN
    },
    BuiltIn {
        id: "gopls",
        extensions: &[".go"],
        commands: &[&["gopls"]],
        roots: &[&[Name("go.work")], &[Name("go.mod"), Name("go.sum")]],
        install: "go install golang.org/x/tools/gopls@latest",
        ..PLAIN
    },
    BuiltIn {
        id: "rust-analyzer",
        aliases: &["rust"],
        extensions: &[".rs"],
        commands: &[&["rust-analyzer"]],
        roots: &[
            &[Mention("Cargo.toml", "[workspace]")],
            &[Name("Cargo.toml")],
        ],
        install: "rustup component add rust-analyzer",
        ..PLAIN
    },
    BuiltIn {
        id: "ty",
        extensions: &[".py", ".pyi"],
        commands: &[&["ty", "server"]],
        own: PYTHON,
        roots: PYTHON_ROOT,
        needs: &[Name("ty.toml"), Mention("pyproject.toml", "[tool.ty")],
        group: "python",
        install: "pip install ty",
        ..PLAIN
    },
    BuiltIn {
        id: "pyright",
        extensions: &[".py", ".pyi"],
        commands: &[
            &["pyright-langserver", "--stdio"],
            &["basedpyright-langserver", "--stdio"],
        ],
        own: &[".venv/bin", "venv/bin", "node_modules/.bin"],
        roots: PYTHON_ROOT,
        group: "python",
        asks_for: Setting::Python,
        install: "npm install -g pyright",
        ..PLAIN
    },
    BuiltIn {
        id: "ruby-lsp",
        extensions: &[".rb", ".rake", ".gemspec", ".ru"],
        commands: &[&["ruby-lsp"]],
        own: &["bin"],
        roots: &[&[Name("Gemfile")]],
        install: "gem install ruby-lsp",
        ..PLAIN
    },
    BuiltIn {
        id: "elixir-ls",
        extensions: &[".ex", ".exs"],
        commands: &[&["elixir-ls"], &["language_server.sh"]],
        roots: &[&[Name("mix.exs"), Name("mix.lock")]],
        install: "brew install elixir-ls",
        ..PLAIN
    },
    BuiltIn {
        id: "zls",
        extensions: &[".zig", ".zon"],
        commands: &[&["zls"]],
        roots: &[&[Name("build.zig")]],
        install: "brew install zls",
        ..PLAIN
    },
    BuiltIn {
        id: "csharp",
        extensions: &[".cs"],
        commands: &[&["csharp-ls"]],
        roots: DOTNET_ROOT,
        install: "dotnet tool install --global csharp-ls",
        ..PLAIN
    },
    BuiltIn {
        id: "razor",
        extensions: &[".razor", ".cshtml"],
        commands: &[&["rzls"]],
        roots: DOTNET_ROOT,
        install: "dotnet tool install --global rzls",
        ..PLAIN
    },
    BuiltIn {
        id: "fsharp",
        extensions: &[".fs", ".fsi", ".fsx", ".fsscript"],
        commands: &[&["fsautocomplete"]],
        roots: DOTNET_ROOT,
        install: "dotnet tool install --global fsautocomplete",
        ..PLAIN
    },
    BuiltIn {
        id: "sourcekit",
        aliases: &["sourcekit-lsp"],
        extensions: &[".swift", ".m", ".mm"],
        commands: &[&["sourcekit-lsp"]],
        roots: &[&[
            Name("Package.swift"),
            Name("*.xcodeproj"),
            Name("*.xcworkspace"),
        ]],
        install: "install Swift from https://swift.org/install",
        ..PLAIN
    },
    BuiltIn {
        id: "clangd",
        extensions: C_FILES,
        commands: &[&["clangd", "--background-index", "--clang-tidy"]],
        roots: &[
            &[
                Name("compile_commands.json"),
                Name("compile_flags.txt"),
                Name(".clangd"),
            ],
            &[
                Name("CMakeLists.txt"),
                Name("Makefile"),
                Name("meson.build"),
            ],
        ],
        install: "apt-get install clangd",
        ..PLAIN
    },
    BuiltIn {
        id: "svelte",
        extensions: &[".svelte"],
        commands: &[&["svelteserver", "--stdio"]],
        own: NODE,
        roots: NODE_ROOT,
        install: "npm install -g svelte-language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "astro",
        extensions: &[".astro"],
        commands: &[&["astro-ls", "--stdio"]],
        own: NODE,
        roots: NODE_ROOT,
        asks_for: Setting::TsSdk,
        install: "npm install -g @astrojs/language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "kotlin-ls",
        extensions: &[".kt", ".kts"],
        commands: &[&["kotlin-lsp", "--stdio"], &["kotlin-language-server"]],
        roots: &[
            &[Name("settings.gradle"), Name("settings.gradle.kts")],
            &[
                Name("build.gradle"),
                Name("build.gradle.kts"),
                Name("pom.xml"),
            ],
        ],
        install: "brew install JetBrains/utils/kotlin-lsp",
        ..PLAIN
    },
    BuiltIn {
        id: "yaml-ls",
        extensions: &[".yaml", ".yml"],
        commands: &[&["yaml-language-server", "--stdio"]],
        asks_for: Setting::NoSchemas,
        own: NODE,
        install: "npm install -g yaml-language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "lua-ls",
        extensions: &[".lua"],
        commands: &[&["lua-language-server"]],
        roots: &[&[
            Name(".luarc.json"),
            Name(".luarc.jsonc"),
            Name(".luacheckrc"),
            Name(".stylua.toml"),
            Name("stylua.toml"),
            Name("selene.toml"),
        ]],
        install: "brew install lua-language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "prisma",
        extensions: &[".prisma"],
        commands: &[&["prisma-language-server", "--stdio"]],
        own: NODE,
        roots: &[&[Name("schema.prisma"), Name("package.json")]],
        install: "npm install -g @prisma/language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "dart",
        extensions: &[".dart"],
        commands: &[&["dart", "language-server", "--lsp"]],
        roots: &[&[Name("pubspec.yaml"), Name("analysis_options.yaml")]],
        install: "install Dart from https://dart.dev/get-dart",
        ..PLAIN
    },
    BuiltIn {
        id: "ocaml-lsp",
        extensions: &[".ml", ".mli"],
        commands: &[&["ocamllsp"]],
        roots: &[&[
            Name("dune-project"),
            Name("dune-workspace"),
            Name("*.opam"),
            Name(".merlin"),
        ]],
        install: "opam install ocaml-lsp-server",
        ..PLAIN
    },
    BuiltIn {
        id: "bash",
        extensions: &[".sh", ".bash", ".zsh", ".ksh"],
        commands: &[&["bash-language-server", "start"]],
        own: NODE,
        install: "npm install -g bash-language-server",
        ..PLAIN
    },
    BuiltIn {
        id: "terraform",
        extensions: &[".tf", ".tfvars"],
        commands: &[&["terraform-ls", "serve"]],
        roots: &[&[Name(".terraform.lock.hcl"), Name("*.tf")]],
        install: "brew install hashicorp/tap/terraform-ls",
        ..PLAIN
    },
    BuiltIn {
        id: "texlab",
        extensions: &[".tex", ".bib"],
        commands: &[&["texlab"]],
        roots: &[&[
            Name(".latexmkrc"),
            Name("latexmkrc"),
            Name(".texlabroot"),
            Name("texlabroot"),
        ]],
        install: "cargo install --git https://github.com/latex-lsp/texlab",
        ..PLAIN
    },
    BuiltIn {
        id: "dockerfile",
        extensions: &[".dockerfile", "Dockerfile"],
        commands: &[&["docker-langserver", "--stdio"]],
        own: NODE,
        install: "npm install -g dockerfile-language-server-nodejs",
        ..PLAIN
    },
    BuiltIn {
        id: "gleam",
        extensions: &[".gleam"],
        commands: &[&["gleam", "lsp"]],
        roots: &[&[Name("gleam.toml")]],
        install: "brew install gleam",
        ..PLAIN
    },
    BuiltIn {
        id: "clojure-lsp",
        extensions: &[".clj", ".cljs", ".cljc", ".edn"],
        commands: &[&["clojure-lsp", "listen"]],
        roots: &[&[
            Name("deps.edn"),
            Name("project.clj"),
            Name("shadow-cljs.edn"),
            Name("bb.edn"),
            Name("build.boot"),
        ]],
        install: "brew install clojure-lsp/brew/clojure-lsp-native",
        ..PLAIN
    },
    BuiltIn {
        id: "nixd",
        extensions: &[".nix"],
        commands: &[&["nixd"]],
        roots: &[&[Name("flake.nix")]],
        install: "nix profile install nixpkgs#nixd",
        ..PLAIN
    },
    BuiltIn {
        id: "tinymist",
        extensions: &[".typ", ".typc"],
        commands: &[&["tinymist"]],
        roots: &[&[Name("typst.toml")]],
        install: "cargo install --locked tinymist-cli",
        ..PLAIN
    },
    BuiltIn {
        id: "haskell",
        aliases: &["haskell-language-server"],
        extensions: &[".hs", ".lhs"],
        commands: &[&["haskell-language-server-wrapper", "--lsp"]],
        roots: &[&[
            Name("stack.yaml"),
            Name("cabal.project"),
            Name("hie.yaml"),
            Name("*.cabal"),
        ]],
        install: "ghcup install hls",
        ..PLAIN
    },
    BuiltIn {
        id: "julia",
        aliases: &["julials"],
        extensions: &[".jl"],
        commands: &[&[
            "julia",
            "--startup-file=no",
            "--history-file=no",
            "-e",
            "using LanguageServer; runserver()",
        ]],
        roots: &[&[Name("Project.toml"), Name("Manifest.toml")]],
        install: "julia -e 'using Pkg; Pkg.add(\"LanguageServer\")'",
        ..PLAIN
    },
    BuiltIn {
        id: "jdtls",
        extensions: &[".java"],
        commands: &[&["jdtls"]],
        roots: &[
            &[Name("settings.gradle"), Name("settings.gradle.kts")],
            &[
                Name("pom.xml"),
                Name("build.gradle"),
                Name("build.gradle.kts"),
                Name(".project"),
                Name(".classpath"),
            ],
        ],
        install: "brew install jdtls",
        ..PLAIN
    },
    BuiltIn {
        id: "php intelephense",
        aliases: &["intelephense", "php"],
        extensions: &[".php"],
        commands: &[&["intelephense", "--stdio"]],
        own: NODE,
        roots: &[&[
            Name("composer.json"),
            Name("composer.lock"),
            Name(".php-version"),
        ]],
        install: "npm install -g intelephense",
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::BUILT_IN;

    #[test]
    fn every_server_can_be_found_and_says_how_to_get_it() {
        assert_eq!(BUILT_IN.len(), 38);
        for server in BUILT_IN {
            assert!(
                !server.commands.is_empty() && !server.install.is_empty(),
                "{}",
                server.id
            );
            assert!(!server.extensions.is_empty(), "{}", server.id);
            let same = BUILT_IN.iter().filter(|other| other.id == server.id);
            assert_eq!(same.count(), 1, "{}", server.id);
        }
    }
}
