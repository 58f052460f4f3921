//! The built-in formatters as data: the reference's list, with how each is found and called.

use kilo_config::programs::Sign;

/// A formatter that is known without any configuration.
pub struct BuiltIn {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Ends of the names of its files.
    pub extensions: &'static [&'static str],
    /// Its program and arguments; `$FILE` stands for the file.
    pub command: &'static [&'static str],
    /// Folders of a project that may have the program; they come before `PATH`.
    pub own: &'static [&'static str],
    /// What in the project, from the file's folder up to its top, says that it wants this formatter, one of them.
    pub signs: &'static [Sign],
    /// Having the program is enough; a sign only puts it before others.
    pub unasked: bool,
    /// It runs in the nearest folder with one of these; else in the session's.
    pub home: &'static [&'static str],
    /// How the text goes in and out.
    pub text: Text,
}

/// How a formatter gets a text and gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// It changes the file.
    InPlace,
    /// rustfmt: by stdin and stdout, because by file it formats all modules below, too; it needs the crate's edition.
    Rustfmt,
}

use Sign::{Depends, Mention, Name};

const NODE: &[&str] = &["node_modules/.bin"];
const PYTHON: &[&str] = &[".venv/bin", "venv/bin"];
const VENDOR: &[&str] = &["vendor/bin"];
const RUBY: &[&str] = &["bin"];

const PLAIN: BuiltIn = BuiltIn {
    name: "",
    extensions: &[],
    command: &[],
    own: &[],
    signs: &[],
    unasked: false,
    home: &[],
    text: Text::InPlace,
};

const RUBY_FILES: &[&str] = &[".rb", ".rake", ".gemspec", ".ru"];
const CLANG_FILES: &[&str] = &[
    ".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hh", ".hpp", ".hxx", ".h++", ".ino", ".C", ".H",
];
const BIOME_FILES: &[&str] = &[
    ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".json", ".jsonc", ".css",
    ".graphql", ".gql", ".html", ".vue", ".svelte", ".astro",
];
const OXFMT_FILES: &[&str] = &[".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"];
const PRETTIER_FILES: &[&str] = &[
    ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".html", ".htm", ".css", ".scss",
    ".sass", ".less", ".vue", ".svelte", ".json", ".jsonc", ".yaml", ".yml", ".toml", ".xml",
    ".md", ".mdx", ".graphql", ".gql",
];
const PRETTIER_SIGNS: &[Sign] = &[
    Depends("package.json", "prettier"),
    Name(".prettierrc"),
    Name(".prettierrc.json"),
    Name(".prettierrc.yaml"),
    Name(".prettierrc.yml"),
    Name(".prettierrc.toml"),
    Name(".prettierrc.js"),
    Name(".prettierrc.cjs"),
    Name(".prettierrc.mjs"),
    Name("prettier.config.js"),
    Name("prettier.config.cjs"),
    Name("prettier.config.mjs"),
];

/// All of them. Of several that would fit a file the first that its project asks for is taken, else the first.
pub static BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "gofmt",
        extensions: &[".go"],
        command: &["gofmt", "-w", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "mix",
        extensions: &[".ex", ".exs", ".eex", ".heex", ".leex", ".neex", ".sface"],
        command: &["mix", "format", "$FILE"],
        home: &["mix.exs"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "biome",
        extensions: BIOME_FILES,
        command: &[
            "biome",
            "format",
            "--no-errors-on-unmatched",
            "--write",
            "$FILE",
        ],
        own: NODE,
        signs: &[Name("biome.json"), Name("biome.jsonc")],
        home: &["biome.json", "biome.jsonc"],
        ..PLAIN
    },
    BuiltIn {
        name: "oxfmt",
        extensions: OXFMT_FILES,
        command: &["oxfmt", "$FILE"],
        own: NODE,
        signs: &[
            Depends("package.json", "oxfmt"),
            Name(".oxfmtrc.json"),
            Name(".oxfmtrc.jsonc"),
        ],
        home: &["package.json"],
        ..PLAIN
    },
    BuiltIn {
        name: "prettier",
        extensions: PRETTIER_FILES,
        command: &["prettier", "--ignore-unknown", "--write", "$FILE"],
        own: NODE,
        signs: PRETTIER_SIGNS,
        home: &[".prettierignore", "package.json"],
        ..PLAIN
    },
    BuiltIn {
        name: "zig",
        extensions: &[".zig", ".zon"],
        command: &["zig", "fmt", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "clang-format",
        extensions: CLANG_FILES,
        command: &["clang-format", "-i", "$FILE"],
        signs: &[Name(".clang-format"), Name("_clang-format")],
        ..PLAIN
    },
    BuiltIn {
        name: "ktlint",
        extensions: &[".kt", ".kts"],
        command: &["ktlint", "-F", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "ruff",
        extensions: &[".py", ".pyi"],
        command: &["ruff", "format", "--quiet", "$FILE"],
        own: PYTHON,
        signs: &[
            Name("ruff.toml"),
            Name(".ruff.toml"),
            Mention("pyproject.toml", "ruff"),
            Mention("requirements.txt", "ruff"),
            Mention("requirements-dev.txt", "ruff"),
            Mention("Pipfile", "ruff"),
        ],
        ..PLAIN
    },
    BuiltIn {
        name: "air",
        extensions: &[".R"],
        command: &["air", "format", "$FILE"],
        signs: &[Name("air.toml"), Name(".air.toml")],
        ..PLAIN
    },
    BuiltIn {
        name: "uv",
        extensions: &[".py", ".pyi"],
        // It fetches ruff unasked.
        command: &["uv", "format", "--offline", "--", "$FILE"],
        signs: &[Name("uv.lock"), Mention("pyproject.toml", "[tool.uv")],
        home: &["pyproject.toml"],
        ..PLAIN
    },
    BuiltIn {
        name: "rubocop",
        extensions: RUBY_FILES,
        command: &["rubocop", "--autocorrect", "$FILE"],
        own: RUBY,
        signs: &[Name(".rubocop.yml"), Mention("Gemfile", "rubocop")],
        home: &["Gemfile", ".rubocop.yml"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "standardrb",
        extensions: RUBY_FILES,
        command: &["standardrb", "--fix", "$FILE"],
        own: RUBY,
        signs: &[Name(".standard.yml"), Mention("Gemfile", "standard")],
        home: &["Gemfile", ".standard.yml"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "htmlbeautifier",
        extensions: &[".erb", ".html.erb"],
        command: &["htmlbeautifier", "$FILE"],
        own: RUBY,
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "dart",
        extensions: &[".dart"],
        command: &["dart", "format", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "ocamlformat",
        extensions: &[".ml", ".mli"],
        command: &["ocamlformat", "-i", "$FILE"],
        signs: &[Name(".ocamlformat")],
        ..PLAIN
    },
    BuiltIn {
        name: "terraform",
        extensions: &[".tf", ".tfvars"],
        command: &["terraform", "fmt", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "latexindent",
        extensions: &[".tex"],
        command: &["latexindent", "-w", "-s", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "gleam",
        extensions: &[".gleam"],
        command: &["gleam", "format", "$FILE"],
        home: &["gleam.toml"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "shfmt",
        extensions: &[".sh", ".bash"],
        command: &["shfmt", "-w", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "nixfmt",
        extensions: &[".nix"],
        command: &["nixfmt", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "rustfmt",
        extensions: &[".rs"],
        command: &["rustfmt"],
        text: Text::Rustfmt,
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "pint",
        extensions: &[".php"],
        command: &["pint", "$FILE"],
        own: VENDOR,
        signs: &[Depends("composer.json", "laravel/pint"), Name("pint.json")],
        home: &["composer.json"],
        ..PLAIN
    },
    BuiltIn {
        name: "ormolu",
        extensions: &[".hs"],
        command: &["ormolu", "-i", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "cljfmt",
        extensions: &[".clj", ".cljs", ".cljc", ".edn"],
        command: &["cljfmt", "fix", "--quiet", "$FILE"],
        unasked: true,
        ..PLAIN
    },
    BuiltIn {
        name: "dfmt",
        extensions: &[".d"],
        command: &["dfmt", "-i", "$FILE"],
        unasked: true,
        ..PLAIN
    },
];
