//! Makes of the folder `shapes/` what the program carries: each file without white space, for the document, and the
//! schema of each request body by itself, so that checking one body reads no other.

use serde_json::Value;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[allow(
    clippy::disallowed_methods,
    reason = "cargo says where the made files go by a variable"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=shapes");
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let (mut bodies, mut named) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("shapes")? {
        let path = entry?.path();
        let name = path.file_name().ok_or("a file without a name")?;
        let file: Value = serde_json::from_str(&fs::read_to_string(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write(out.join(name), file.to_string())?;
        for (id, operation) in fields(&file["operations"]) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !schema.is_null() {
                bodies.push((id.clone(), schema.to_string()));
            }
        }
        if name == "bodies.json" {
            let schemas = fields(&file["schemas"]);
            named.extend(schemas.map(|(name, schema)| (name.clone(), schema.to_string())));
        }
    }
    let mut text = String::new();
    write_table(&mut text, "BODIES", bodies)?;
    write_table(&mut text, "NAMED", named)?;
    fs::write(out.join("bodies.rs"), text)?;
    Ok(())
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Writes a sorted table of names and texts.
fn write_table(out: &mut String, name: &str, mut rows: Vec<(String, String)>) -> std::fmt::Result {
    rows.sort();
    let count = rows.len();
    writeln!(out, "static {name}: [Row; {count}] = [")?;
    for (name, text) in rows {
        writeln!(out, "    Row::new({name:?}, {text:?}),")?;
    }
    writeln!(out, "];")
}
