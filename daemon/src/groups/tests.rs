//! Handlers lie where their table says, and the README counts what is served.

use super::GROUPS;
use kilo_protocol::endpoints::{self, Absent};

/// Mounted by hand, because its commands go to the other handlers.
const SOCKET: (&str, &str) = ("server", "ws.connect");

fn handled() -> impl Iterator<Item = (&'static str, &'static str)> {
    GROUPS
        .iter()
        .flat_map(|(table, group)| group.operations.iter().map(|id| (*table, *id)))
        .chain([SOCKET])
}

#[test]
fn a_handler_lies_in_the_file_of_its_table() {
    for (file, id) in handled() {
        let table = endpoints::tables()
            .find(|(_, rows)| rows.iter().any(|row| row.id == id))
            .map(|(name, _)| name);
        assert_eq!(table, Some(file), "{id}");
    }
}

/// An absent feature answers from its row, or by a handler that names folder or session; never both.
#[test]
fn what_is_absent_has_one_answer() {
    for operation in endpoints::all() {
        let has_handler = handled().any(|(_, id)| id == operation.id);
        match operation.absent {
            Some(Absent::Constant { json, .. }) => {
                assert!(!has_handler, "{} is answered twice", operation.id);
                assert!(
                    serde_json::from_str::<serde_json::Value>(json).is_ok(),
                    "{}",
                    operation.id
                );
            }
            Some(Absent::Described) => assert!(has_handler, "{}", operation.id),
            None => {}
        }
    }
}

#[test]
fn the_readme_counts_what_is_served() {
    let is_absent = |id: &str| endpoints::find(id).is_some_and(|row| row.absent.is_some());
    let served = handled().filter(|(_, id)| !is_absent(id)).count();
    let absent = endpoints::all().filter(|row| row.absent.is_some()).count();
    let all = endpoints::all().count();
    let readme = include_str!("../../../README.md").replace('\n', " ");
    let sentence = format!(
        "{served} of its table's {all} operations are served today, {absent} answer the empty or off state of a feature \
         that is not there"
    );
    assert!(
        readme.contains(&sentence),
        "README.md should say: {sentence}"
    );
}
