use super::document;
use crate::endpoints::{self, Body};
use crate::shapes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn made() -> Value {
    let text = document(|id| id != "session.fork").unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn each_table_has_a_file_of_shapes_with_its_operations() {
    for (table, rows) in endpoints::tables() {
        let file = shapes::of(table).unwrap_or_else(|| panic!("no shapes for {table}"));
        let shaped: BTreeSet<&str> = file.operations.keys().copied().collect();
        let rows: BTreeSet<&str> = rows.iter().map(|operation| operation.id).collect();
        assert_eq!(rows, shaped, "{table}");
    }
    for source in shapes::all() {
        assert!(source.is_ok(), "{:?}", source.as_ref().err());
    }
}

/// Requests are checked against `bodies.json` alone, so everything that bodies are made of has to be there.
#[test]
fn bodies_are_made_of_what_lies_in_their_file() {
    let document = made();
    let known = &shapes::of("bodies").unwrap().schemas;
    let mut open: Vec<&Value> = Vec::new();
    for operation in endpoints::all() {
        open.push(&document["paths"][operation.path][operation.method.key()]["requestBody"]);
    }
    open.extend(
        known
            .keys()
            .map(|name| &document["components"]["schemas"][*name]),
    );
    while let Some(value) = open.pop() {
        if let Some(target) = value["$ref"].as_str() {
            let name = target.rsplit('/').next().unwrap();
            assert!(known.contains_key(name), "{name} is not in bodies.json");
        }
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}

#[test]
fn table_and_shapes_agree_on_bodies_and_path_parameters() {
    let document = made();
    for operation in endpoints::all() {
        let shape = &document["paths"][operation.path][operation.method.key()];
        let body = match shape.get("requestBody") {
            None => Body::None,
            Some(body) => Body::Json {
                required: body["required"] == true,
            },
        };
        assert_eq!(operation.body, body, "{}", operation.id);
        for parameter in shape["parameters"].as_array().unwrap() {
            if parameter["in"] == "path" {
                let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
                assert!(
                    operation.path.contains(&name),
                    "{} lacks {name}",
                    operation.id
                );
            }
        }
    }
}

#[test]
fn every_reference_points_to_a_schema() {
    let document = made();
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    let pointer = target.trim_start_matches('#');
                    assert!(
                        document.pointer(pointer).is_some(),
                        "{target} leads nowhere"
                    );
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}

#[test]
fn operations_without_a_handler_say_so() {
    let document = made();
    assert_eq!(document["openapi"], "3.1.0");
    let create = &document["paths"]["/session"]["post"];
    assert_eq!(create["operationId"], "session.create");
    assert_eq!(create.get("x-kilo-status"), None);
    let fork = &document["paths"]["/session/{sessionID}/fork"]["post"];
    assert_eq!(fork["x-kilo-status"], "not-implemented");
    assert_eq!(
        document["paths"]["/indexing/warnings"]["get"]["x-kilo-status"],
        "absent"
    );
}

/// What a client could trip over: parameters with their place, and status codes, by operation id, method and path.
fn contract(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut facts = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let key = format!(
                "{} {method} {path}",
                operation["operationId"].as_str().unwrap()
            );
            let mut set = BTreeSet::new();
            for parameter in operation["parameters"].as_array().unwrap() {
                set.insert(format!("{} {}", parameter["in"], parameter["name"]));
            }
            set.extend(operation["responses"].as_object().unwrap().keys().cloned());
            facts.insert(key, set);
        }
    }
    facts
}

/// Routes of ours that the reference does not have. The list may only shrink, or grow by a decision.
const OURS: [&str; 17] = [
    "doc.get get /doc",
    "ws.connect get /ws",
    "x.mcp.list get /x/mcp",
    "x.worktree.list get /x/worktree",
    "x.worktree.create post /x/worktree",
    "x.worktree.remove post /x/worktree/remove",
    "x.worktree.reset post /x/worktree/reset",
    "x.worktree.rename post /x/worktree/rename",
    "x.worktree.adopt post /x/worktree/adopt",
    "x.worktree.apply post /x/worktree/apply",
    "x.worktree.kept get /x/worktree/kept",
    "x.worktree.restore post /x/worktree/restore",
    "x.session.worktree post /x/session/{sessionID}/worktree",
    "x.fleet.list get /x/fleet",
    "x.fleet.start post /x/fleet",
    "x.fleet.compare get /x/fleet/{fleetID}",
    "x.fleet.keep post /x/fleet/{fleetID}/keep",
];

#[test]
fn the_document_covers_the_recorded_one() {
    let Some(recording) = option_env!("KILO_RECORDED_API") else {
        return; // the recording is not part of the repository; set the path of one to compare
    };
    let text = std::fs::read_to_string(recording).unwrap();
    let mut mine = contract(&made());
    for route in OURS {
        assert!(mine.remove(route).is_some(), "{route}");
    }
    assert_eq!(contract(&serde_json::from_str(&text).unwrap()), mine);
}
