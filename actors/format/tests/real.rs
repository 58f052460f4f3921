//! Real formatters, those that are on `PATH`; the others are named and left out.

use kilo_config::Environment;
use kilo_config::programs::Programs;
use kilo_format::{Formatters, Formatting};
use kilo_sandbox::{ProcessSandbox, Settings};
use serde_json::json;
use std::fs;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

struct Kind {
    program: &'static str,
    /// What says that the project wants it.
    sign: (&'static str, &'static str),
    end: &'static str,
    text: &'static str,
    formatted: &'static str,
    /// What it cannot read.
    broken: &'static str,
}

const KINDS: [Kind; 5] = [
    Kind {
        program: "prettier",
        sign: (
            "package.json",
            "{\"devDependencies\": {\"prettier\": \"3\"}}",
        ),
        end: ".ts",
        text: "const  a = 'x'\n",
        formatted: "const a = \"x\";\n",
        broken: "const = ;\n",
    },
    Kind {
        program: "ruff",
        sign: ("pyproject.toml", "[tool.ruff]\n"),
        end: ".py",
        text: "a=  'x'\n",
        formatted: "a = \"x\"\n",
        broken: "def (:\n",
    },
    Kind {
        program: "clang-format",
        sign: (".clang-format", "BasedOnStyle: LLVM\n"),
        end: ".c",
        text: "int  f( void ){return 1;}\n",
        formatted: "int f(void) { return 1; }\n",
        broken: "",
    },
    Kind {
        program: "rustfmt",
        sign: (
            "Cargo.toml",
            "[package]\nname = \"a\"\nedition = \"2024\"\n",
        ),
        end: ".rs",
        text: "fn  a( ){}\n",
        formatted: "fn a() {}\n",
        broken: "fn broken( {\n",
    },
    Kind {
        program: "shfmt",
        sign: ("a.sh", ""),
        end: ".sh",
        text: "if  true;then echo x;fi\n",
        formatted: "if true; then echo x; fi\n",
        broken: "if then fi (\n",
    },
];

const NAMES: [&str; 5] = [
    "plain",
    "with space 'and' \"quotes\"",
    "-x --help",
    "two\nlines",
    "ü$(id)`id`;&",
];

#[tokio::test]
async fn real_formatters_take_any_name_and_leave_what_they_cannot_read() {
    let environment = Environment::from_process();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("a path");
        let programs = Programs::new(&environment, &top);
        if programs.find(kind.program, &top).is_none() {
            eprintln!("{}: left out, it is not on PATH", kind.program);
            continue;
        }
        let vars = environment.vars.iter();
        let settings = Settings::new(vars.map(|(name, value)| (name.into(), value.into())));
        let sandbox = Arc::new(ProcessSandbox::new(settings).expect("a sandbox"));
        let formatters = Formatters::from_config(Some(&json!(true))).expect("on");
        let formatting = Arc::new(Formatting::new(formatters, programs, sandbox));
        fs::write(top.join(kind.sign.0), kind.sign.1).expect("written");
        let cancel = CancellationToken::new();
        for name in NAMES {
            let file = top.join(format!("{name}{}", kind.end));
            fs::write(&file, kind.text).expect("written");
            let formatted = formatting.format(&top, vec![file.clone()], &cancel).await;
            if formatted
                .warnings
                .iter()
                .any(|said| said.contains("is not installed"))
            {
                eprintln!(
                    "{}: left out, {}",
                    kind.program,
                    formatted.warnings.join(" ")
                );
                break;
            }
            let text = fs::read_to_string(&file).expect("text");
            assert_eq!(
                text, kind.formatted,
                "{} {name:?}: {formatted:?}",
                kind.program
            );
            assert_eq!(
                formatted.changed,
                std::slice::from_ref(&file),
                "{} {name:?}",
                kind.program
            );
            if kind.broken.is_empty() {
                continue;
            }
            fs::write(&file, kind.broken).expect("written");
            let formatted = formatting.format(&top, vec![file.clone()], &cancel).await;
            assert_eq!(formatted.changed.len(), 0, "{} {name:?}", kind.program);
            let text = fs::read_to_string(&file).expect("text");
            assert_eq!(text, kind.broken, "{} {name:?}", kind.program);
        }
    }
}
