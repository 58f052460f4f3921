//! Routing: from method and path to an operation, in one step, whatever its place in the table.

use kilo_protocol::endpoints::{self, Method, Operation};
use std::io;

/// A tree of paths for each method, over the rows of the endpoint table. Built once, shared by all threads.
pub(crate) struct Table {
    rows: Vec<&'static Operation>,
    trees: [matchit::Router<usize>; Method::ALL.len()],
}

/// An operation and its place in the table.
pub(crate) struct Found<'k, 'v> {
    pub row: usize,
    pub operation: &'static Operation,
    pub params: matchit::Params<'k, 'v>,
}

impl Table {
    /// Builds the trees. It fails only if two rows of the table contradict each other, which a test rules out.
    pub fn build() -> io::Result<Self> {
        let rows: Vec<&'static Operation> = endpoints::all().collect();
        let mut trees: [matchit::Router<usize>; Method::ALL.len()] = Default::default();
        for (row, operation) in rows.iter().enumerate() {
            let route = pattern(operation.path);
            trees[place(operation.method)]
                .insert(route, row)
                .map_err(io::Error::other)?;
        }
        Ok(Self { rows, trees })
    }

    /// Finds the operation of a path as it came, still percent-encoded.
    pub fn find<'p>(&self, method: Method, path: &'p str) -> Option<Found<'_, 'p>> {
        let matched = self.trees[place(method)].at(path).ok()?;
        let row = *matched.value;
        Some(Found {
            row,
            operation: self.rows[row],
            params: matched.params,
        })
    }

    /// The place of an operation id.
    pub fn row(&self, id: &str) -> Option<usize> {
        self.rows.iter().position(|operation| operation.id == id)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Reads the method of a request; `HEAD` is served by `GET`.
pub(crate) fn method(method: &actix_web::http::Method) -> Option<Method> {
    match method.as_str() {
        "HEAD" => Some(Method::Get),
        name => Method::ALL
            .into_iter()
            .find(|method| method.as_str() == name),
    }
}

fn place(method: Method) -> usize {
    match method {
        Method::Get => 0,
        Method::Post => 1,
        Method::Put => 2,
        Method::Patch => 3,
        Method::Delete => 4,
    }
}

/// The document writes `*` for the rest of a path, the tree wants a name for it.
fn pattern(path: &str) -> String {
    match path.strip_suffix("/*") {
        Some(front) => format!("{front}/{{*path}}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    /// A path that the operation must match: parameters filled in.
    fn example(operation: &Operation) -> String {
        let segments = operation.path.split('/').map(|segment| {
            if segment.starts_with('{') || segment == "*" {
                "some_id"
            } else {
                segment
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_row_is_found_by_its_own_path() {
        let table = Table::build().unwrap();
        for operation in endpoints::all() {
            let path = example(operation);
            let found = table
                .find(operation.method, &path)
                .map(|found| found.operation.id);
            assert_eq!(found, Some(operation.id), "{path}");
        }
        assert!(table.find(Method::Get, "/no-such-route").is_none());
        assert!(table.find(Method::Delete, "/global/health").is_none());
        assert!(table.find(Method::Get, "/session/").is_none());
    }

    #[test]
    fn the_rest_of_a_path_is_one_parameter() {
        let table = Table::build().unwrap();
        let found = table.find(Method::Get, "/api/fs/read/src/a.rs").unwrap();
        assert_eq!(found.params.get("path"), Some("src/a.rs"));
    }

    #[test]
    fn the_slowest_route_costs_less_than_ten_times_the_first() {
        let table = Table::build().unwrap();
        let cost = |operation: &Operation| {
            let path = example(operation);
            let rounds = (0..5).map(|_| {
                let start = Instant::now();
                for _ in 0..2_000 {
                    black_box(table.find(operation.method, black_box(&path)));
                }
                start.elapsed()
            });
            rounds.min().unwrap_or(Duration::MAX)
        };
        let costs: Vec<_> = endpoints::all()
            .map(|operation| (cost(operation), operation))
            .collect();
        let first = costs[0].0;
        let (slowest, operation) = costs.iter().max_by_key(|(cost, _)| *cost).unwrap();
        assert!(
            *slowest < first * 10,
            "{}: {slowest:?}, first: {first:?}",
            operation.path
        );
    }
}
