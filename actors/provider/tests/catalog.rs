//! Where the catalogue comes from.

mod support;

use kilo_provider::Catalog;
use kilo_provider::catalog::refresh::{CACHE_FILE, Source};
use support::{Server, answer};

const LIST: &str = r#"{"new":{"id":"new","name":"New","models":{"m":{"id":"m","name":"M"}}}}"#;

#[allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "file times are the machine's"
)]
fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

fn ids(catalog: &Catalog) -> Vec<&str> {
    catalog.provider_ids().collect()
}

#[tokio::test]
async fn a_newer_list_is_fetched_kept_and_asked_for_once_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![
        answer(200, "", LIST),
        answer(404, "", "no"),
        answer(200, "", "{}"),
    ])
    .await;
    let source = Source {
        url: Some(server.address.clone()),
        cache: Some(folder.path().join("c")),
        ..Source::default()
    };
    assert!(
        ids(&source.load()).len() >= 132,
        "the compiled-in list until then"
    );
    let fetched = source.refresh(now_ms()).await.unwrap().unwrap();
    assert_eq!(server.request(0).line, "GET /api.json HTTP/1.1");
    assert_eq!(
        (ids(&fetched), ids(&source.load())),
        (vec!["new"], vec!["new"])
    );
    assert!(source.refresh(now_ms()).await.unwrap().is_none());
    let later = now_ms() + 3_600_001;
    assert!(source.refresh(later).await.is_err(), "404");
    assert!(source.refresh(later).await.is_err(), "an empty list");
    assert_eq!(
        ids(&source.load()),
        ["new"],
        "a failure keeps what was there"
    );
    let offline = Source {
        offline: true,
        ..source.clone()
    };
    assert!(offline.refresh(later).await.unwrap().is_none());
    std::fs::write(folder.path().join("c").join(CACHE_FILE), b"damaged").unwrap();
    assert!(ids(&source.load()).len() >= 132);
}

#[test]
fn a_file_replaces_every_other_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.json");
    std::fs::write(&path, LIST).unwrap();
    let source = Source {
        path: Some(path),
        ..Source::default()
    };
    assert_eq!(ids(&source.load()), ["new"]);
}
