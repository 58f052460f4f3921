use super::{Body, Method, Operation, Stream, all, find};
use std::collections::HashSet;

/// The names in braces, in order; `Err` says what is wrong with the path.
fn parameters(operation: &Operation) -> Result<Vec<&'static str>, String> {
    let mut names = Vec::new();
    let rest = operation
        .path
        .strip_prefix('/')
        .ok_or("does not begin with a slash")?;
    for segment in rest.split('/') {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let text = name.unwrap_or(segment);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if segment == "*" && operation.path.ends_with("/*") {
            continue;
        }
        if text.is_empty() || !text.chars().all(plain) {
            return Err(format!("has the segment {segment:?}"));
        }
        names.extend(name);
    }
    Ok(names)
}

#[test]
fn every_path_is_well_formed_and_names_no_parameter_twice() {
    for operation in all() {
        let names = parameters(operation).unwrap_or_else(|why| panic!("{} {why}", operation.path));
        let distinct: HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{}", operation.path);
        assert!(
            operation.path.starts_with(&format!("/{}", operation.group)),
            "{}",
            operation.path
        );
    }
}

#[test]
fn no_row_is_there_twice() {
    let (mut ids, mut routes) = (HashSet::new(), HashSet::new());
    for operation in all() {
        assert!(
            ids.insert(operation.id),
            "two rows have the id {}",
            operation.id
        );
        assert!(
            routes.insert((operation.method, operation.path)),
            "two rows have {} {}",
            operation.method,
            operation.path
        );
    }
}

#[test]
fn every_summary_is_one_sentence() {
    for Operation { id, summary, .. } in all() {
        assert!(
            summary.starts_with(|c: char| c.is_ascii_uppercase()),
            "{id}: {summary}"
        );
        assert!(
            summary.ends_with('.') && !summary.contains('\n'),
            "{id}: {summary}"
        );
    }
}

#[test]
fn bodies_and_streams_stand_where_they_make_sense() {
    for operation in all() {
        if operation.method == Method::Get {
            assert_eq!(operation.body, Body::None, "{}", operation.id);
        }
        if operation.stream == Stream::WebSocket {
            assert_eq!(operation.method, Method::Get, "{}", operation.id);
        }
    }
    assert_eq!(
        find("session.create").map(|row| row.body),
        Some(Body::Json { required: false })
    );
    assert_eq!(
        find("pty.connect").map(|row| row.stream),
        Some(Stream::WebSocket)
    );
    assert_eq!(
        find("event.subscribe").map(|row| row.stream),
        Some(Stream::Sse)
    );
}
