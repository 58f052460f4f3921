use crate::testing::Stage;
use kilo_protocol::model::{Action, Rule};
use serde_json::{Value, json};

fn read(stage: &Stage, name: &str) -> Value {
    json!({"filePath": stage.shown(name)})
}

fn part(stage: &Stage, name: &str, offset: u64, limit: u64) -> Value {
    json!({"filePath": stage.shown(name), "offset": offset, "limit": limit})
}

#[tokio::test]
async fn a_file_as_numbered_lines() {
    let stage = Stage::new();
    stage.write("a.txt", "hello world\nsecond line\n");
    let output = stage.done("read", read(&stage, "a.txt")).await;
    let path = stage.shown("a.txt");
    assert_eq!(
        output.output,
        format!(
            "<path>{path}</path>\n<type>file</type>\n<content>\n1: hello world\n2: second line\n\n\
             (End of file - total 2 lines)\n</content>"
        )
    );
    assert_eq!(output.title, "a.txt");
    let text = "hello world\nsecond line";
    let display = json!({
        "type": "file", "path": path, "text": text, "lineStart": 1, "lineEnd": 2, "totalLines": 2, "truncated": false,
    });
    assert_eq!(
        Value::Object(output.metadata),
        json!({"preview": text, "truncated": false, "loaded": [], "display": display})
    );
    assert_eq!(
        stage.permissions(),
        [("read".to_owned(), vec!["a.txt".to_owned()])]
    );
}

#[tokio::test]
async fn a_part_of_a_long_file() {
    let stage = Stage::new();
    let text: String = (1..=3_000).map(|n| format!("line {n}\n")).collect();
    stage.write("long.txt", text);
    let output = stage
        .done("read", part(&stage, "long.txt", 10, 3))
        .await
        .output;
    assert!(output.contains("<content>\n10: line 10\n11: line 11\n12: line 12\n\n(Showing lines 10-12 of 3000. Use offset=13"));
    let output = stage.done("read", read(&stage, "long.txt")).await;
    assert!(
        output
            .output
            .contains("\n2000: line 2000\n\n(Showing lines 1-2000 of 3000.")
    );
    assert_eq!(output.metadata["truncated"], true);
    let output = stage
        .done("read", part(&stage, "long.txt", 3_000, 5))
        .await
        .output;
    assert!(
        output.contains("<content>\n3000: line 3000\n\n(End of file - total 3000 lines)"),
        "{output}"
    );
    let error = stage
        .fails("read", part(&stage, "long.txt", 3_001, 5))
        .await;
    assert!(
        error.contains("Offset 3001 is past the end") && error.contains("3000 lines"),
        "{error}"
    );
}

#[tokio::test]
async fn long_lines_and_many_bytes_are_cut() {
    let stage = Stage::new();
    stage.write("wide.txt", format!("{}\nshort\n", "☃".repeat(5_000)));
    let output = stage.done("read", read(&stage, "wide.txt")).await.output;
    assert!(output.contains(&format!(
        "1: {}… (line cut at 2000 characters)\n2: short\n",
        "☃".repeat(2_000)
    )));
    stage.write("fat.txt", format!("{}\n", "x".repeat(999)).repeat(1_000));
    let output = stage.done("read", read(&stage, "fat.txt")).await;
    assert!(
        output.output.contains(
            "(Cut at 51200 bytes. Showing lines 1-51 of 1000. Use offset=52 to continue.)"
        )
    );
    assert_eq!(output.metadata["truncated"], true);
}

#[tokio::test]
async fn a_huge_file_is_streamed() {
    let stage = Stage::new();
    let file = std::fs::File::create(stage.path("huge.txt")).unwrap();
    std::io::Write::write_all(&mut &file, b"first line\n").unwrap();
    drop(file);
    let mut line = vec![b'y'; 40 * 1024 * 1024];
    line.push(b'\n');
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(stage.path("huge.txt"))
        .unwrap();
    for _ in 0..2 {
        std::io::Write::write_all(&mut file, &line).unwrap();
    }
    let output = stage.done("read", read(&stage, "huge.txt")).await.output;
    assert!(
        output.len() < 6_000 && output.contains("total 3 lines"),
        "{}",
        output.len()
    );
}

#[tokio::test]
async fn empty_files_and_files_without_a_last_newline() {
    let stage = Stage::new();
    stage.write("empty.txt", "");
    stage.write("open.txt", "a\r\nb");
    let output = stage.done("read", read(&stage, "empty.txt")).await.output;
    assert!(
        output.ends_with("<content>\n\n(End of file - total 0 lines)\n</content>"),
        "{output}"
    );
    let output = stage.done("read", read(&stage, "open.txt")).await.output;
    assert!(
        output.contains("<content>\n1: a\n2: b\n\n(End of file - total 2 lines)"),
        "{output}"
    );
}

#[tokio::test]
async fn other_encodings_are_shown_as_text() {
    let stage = Stage::new();
    let wide: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain("grün\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    stage.write("wide.txt", wide);
    stage.write("latin.txt", b"d\xE9j\xE0 vu, na\xEFve caf\xE9\n");
    stage.write("bom.txt", "\u{feff}x\n");
    for (name, line) in [
        ("wide.txt", "\n1: grün\n"),
        ("latin.txt", "\n1: déjà vu, naïve café\n"),
        ("bom.txt", "\n1: x\n"),
    ] {
        let output = stage.done("read", read(&stage, name)).await.output;
        assert!(output.contains(line), "{name}: {output}");
    }
}

#[tokio::test]
async fn a_folder_is_listed() {
    let stage = Stage::new();
    stage.write("src/x.rs", "");
    stage.write("a.txt", "");
    let output = stage.done("read", json!({"filePath": stage.root()})).await;
    assert_eq!(
        output.output,
        format!(
            "<path>{}</path>\n<type>directory</type>\n<entries>\na.txt\nsrc/\n\n(2 entries)\n</entries>",
            stage.root().display()
        )
    );
    assert_eq!(output.title, "");
    let output = stage
        .done("read", json!({"filePath": ".", "limit": 1}))
        .await;
    assert!(
        output
            .output
            .contains("Showing entries 1-1 of 2. Use offset=2")
    );
}

#[tokio::test]
async fn images_and_pdfs_are_attached() {
    let stage = Stage::new();
    stage.write("p.png", [0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0]);
    let output = stage.done("read", read(&stage, "p.png")).await;
    let url = "data:image/png;base64,iVBORw0KGgoA";
    assert_eq!(
        output.attachments,
        [json!({"type": "file", "mime": "image/png", "filename": "p.png", "url": url})]
    );
    stage.write("d.pdf", b"%PDF-1.4\n");
    assert_eq!(
        stage.done("read", read(&stage, "d.pdf")).await.attachments[0]["mime"],
        "application/pdf"
    );
    let mut big = vec![0x89, b'P', b'N', b'G'];
    big.resize(10 * 1024 * 1024 + 1, 0);
    stage.write("big.png", big);
    assert!(
        stage
            .fails("read", read(&stage, "big.png"))
            .await
            .contains("limit")
    );
}

#[tokio::test]
async fn binary_files_are_refused() {
    let stage = Stage::new();
    stage.write("bin.dat", "text by content");
    stage.write("nul", b"a\0b");
    stage.write("control", b"\x01\x02\x03abc");
    for name in ["bin.dat", "nul", "control"] {
        let error = stage.fails("read", read(&stage, name)).await;
        assert_eq!(
            error,
            format!("Cannot read binary file: {}", stage.shown(name))
        );
    }
}

#[tokio::test]
async fn a_missing_file_names_its_neighbours() {
    let stage = Stage::new();
    stage.write("config.toml", "");
    stage.write("unrelated.rs", "");
    let error = stage.fails("read", read(&stage, "none.txt")).await;
    assert_eq!(
        error,
        format!("File not found: {}", stage.shown("none.txt"))
    );
    let error = stage.fails("read", read(&stage, "confg.toml")).await;
    assert_eq!(
        error,
        format!(
            "File not found: {}\nSimilar names there:\n{}",
            stage.shown("confg.toml"),
            stage.shown("config.toml")
        )
    );
}

#[tokio::test]
async fn neighbours_that_may_not_be_read_are_not_named() {
    let stage = Stage::new();
    for name in ["secrets.txt", "sub/keys.txt", "sub/keyed.txt"] {
        stage.write(name, "");
    }
    std::os::unix::fs::symlink("sub", stage.path("link")).unwrap();
    for pattern in ["secrets*", "sub/keys.txt"] {
        stage.host.rules.lock().push(Rule {
            permission: "read".into(),
            pattern: pattern.into(),
            action: Action::Deny,
        });
    }
    for name in ["secret.txt", "sub/../secret.txt"] {
        let error = stage.fails("read", read(&stage, name)).await;
        assert!(error.starts_with("File not found"), "{error}");
        assert!(!error.contains("secrets.txt"), "{error}");
    }
    // The rest of the folder is named, by way of a link too.
    for name in ["sub/key.txt", "link/key.txt"] {
        let error = stage.fails("read", read(&stage, name)).await;
        assert!(error.contains("keyed.txt"), "{error}");
        assert!(!error.contains("keys.txt"), "{error}");
    }
}

#[tokio::test]
async fn links_and_outside_paths_are_asked_for() {
    let stage = Stage::new();
    stage.write(".env", "SECRET=1\n");
    std::os::unix::fs::symlink(".env", stage.path("notes.txt")).unwrap();
    stage.done("read", read(&stage, "notes.txt")).await;
    assert_eq!(
        stage.permissions(),
        [(
            "read".to_owned(),
            vec!["notes.txt".to_owned(), ".env".to_owned()]
        )]
    );
    stage.host.denied.lock().push("external_directory".into());
    let error = stage
        .fails("read", json!({"filePath": "/etc/hostname"}))
        .await;
    assert_eq!(error, "rejected");
    let ask = stage.host.asks.lock().last().cloned().unwrap();
    assert_eq!(
        (ask.patterns.as_slice(), ask.always.as_slice()),
        (
            ["/etc/*".to_owned()].as_slice(),
            ["/etc/*".to_owned()].as_slice()
        )
    );
    assert_eq!(
        Value::Object(ask.metadata),
        json!({"filepath": "/etc/hostname", "parentDir": "/etc"})
    );
}

#[tokio::test]
async fn devices_and_pipes_are_refused() {
    let stage = Stage::new();
    let error = stage.fails("read", json!({"filePath": "/dev/zero"})).await;
    assert!(error.contains("not a regular file"), "{error}");
}

#[tokio::test]
async fn a_stopped_call_stops() {
    let stage = Stage::new();
    stage.write("a.txt", "x\n");
    stage.cx.cancel.cancel();
    assert_eq!(
        stage.fails("read", read(&stage, "a.txt")).await,
        "Tool execution aborted"
    );
}
