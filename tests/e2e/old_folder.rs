//! A data folder of an earlier version: every message is there, word for word.

use flate2::read::GzDecoder;
use kilo_tests::{Daemon, Home};
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::path::Path;

const FOLDER_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/data-folder-1");
const SEGMENT: &str = "log/00000001-0000.seg";

fn unpack(to: &Path) {
    let from = Path::new(FOLDER_1);
    for folder in ["log", "index/blobs"] {
        fs::create_dir_all(to.join(folder)).expect("folder");
    }
    for file in ["state", "lock", "index/conf", "index/db"] {
        fs::copy(from.join(file), to.join(file)).expect("copy");
    }
    let mut segment = File::create(to.join(SEGMENT)).expect("segment");
    io::copy(&mut packed(&format!("{SEGMENT}.gz")), &mut segment).expect("segment");
}

fn packed(name: &str) -> GzDecoder<File> {
    GzDecoder::new(File::open(Path::new(FOLDER_1).join(name)).expect("fixture"))
}

#[tokio::test]
async fn sessions_of_the_first_format_are_shown_as_they_were() {
    let home = Home::new();
    unpack(&home.path().join(".local/share/kilo/engine"));
    let daemon = Daemon::start(&home);
    let api = daemon.api_in(home.path());
    let expected: Value = serde_json::from_reader(packed("expected.json.gz")).expect("JSON");
    let sessions = expected["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 3);
    for session in sessions {
        let id = session["id"].as_str().expect("id");
        assert_eq!(
            api.get(&format!("/session/{id}")).await.ok()["title"],
            session["title"]
        );
        assert_eq!(
            Value::Array(api.messages(id).await),
            expected["messages"][id],
            "{id}"
        );
    }
    assert_eq!(api.get("/config/warnings").await.ok(), Value::Array(vec![]));
}
