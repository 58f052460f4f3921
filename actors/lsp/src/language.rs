//! What the protocol calls the language of a file.

use std::path::Path;

/// Ends of names, and names, with their language.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("typescript", &["ts", "mts", "cts"]),
    ("typescriptreact", &["tsx"]),
    ("javascript", &["js", "mjs", "cjs"]),
    ("javascriptreact", &["jsx"]),
    ("python", &["py", "pyi"]),
    ("rust", &["rs"]),
    ("go", &["go"]),
    ("c", &["c", "h"]),
    (
        "cpp",
        &[
            "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "C", "H",
        ],
    ),
    ("csharp", &["cs"]),
    ("razor", &["razor", "cshtml"]),
    ("fsharp", &["fs", "fsi", "fsx", "fsscript"]),
    ("java", &["java"]),
    ("kotlin", &["kt", "kts"]),
    ("swift", &["swift"]),
    ("objective-c", &["m"]),
    ("objective-cpp", &["mm"]),
    ("ruby", &["rb", "rake", "gemspec", "ru"]),
    ("php", &["php"]),
    ("elixir", &["ex", "exs"]),
    ("shellscript", &["sh", "bash", "zsh", "ksh"]),
    ("json", &["json"]),
    ("jsonc", &["jsonc"]),
    ("yaml", &["yaml", "yml"]),
    ("html", &["html", "htm"]),
    ("css", &["css"]),
    ("scss", &["scss"]),
    ("less", &["less"]),
    ("markdown", &["md"]),
    ("haskell", &["hs"]),
    ("ocaml", &["ml"]),
    ("ocaml.interface", &["mli"]),
    ("clojure", &["clj", "cljs", "cljc", "edn"]),
    ("julia", &["jl"]),
    ("latex", &["tex"]),
    ("bibtex", &["bib"]),
    ("dockerfile", &["Dockerfile", "dockerfile"]),
    ("terraform", &["tf"]),
    ("terraform-vars", &["tfvars"]),
    ("typst", &["typ"]),
];

/// The language of a file by its name; for others the end of the name, as most languages are called like it.
pub fn language_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let end = name.rsplit('.').next().unwrap_or_default();
    let known = LANGUAGES.iter().find(|(_, ends)| ends.contains(&end));
    known.map_or(end, |(language, _)| language).to_owned()
}

#[cfg(test)]
mod tests {
    use super::language_of;
    use std::path::Path;

    #[test]
    fn languages_of_names() {
        for (name, expected) in [
            ("/a/b.tsx", "typescriptreact"),
            ("/a/Dockerfile", "dockerfile"),
            ("/a/x.zig", "zig"),
            ("/a/x.d.ts", "typescript"),
        ] {
            assert_eq!(language_of(Path::new(name)), expected);
        }
    }
}
