use super::*;

#[test]
fn later_layers_win_and_origins_are_known() {
    let user = Layer::user(
        "/home/u/config.toml",
        "[zstd]\nlevel = 5\n\n[core]\nline = \"home\" # mine\n",
    );
    let repository = Layer::repository("/r/config", "# top\nchunk.avg = \"512KiB\"\n[zstd]\nlevel = 7\n");
    let config = Config::load(&[user, repository, Layer::command_line("chunk.max=4M")]).unwrap();
    let settings = config.typed();
    assert_eq!((settings.zstd_level, settings.core_line.as_str()), (7, "home"));
    assert_eq!(
        (settings.chunk_avg_bytes, settings.chunk_max_bytes),
        (512 << 10, 4 << 20)
    );
    let lines: Vec<_> = config
        .dump()
        .iter()
        .map(|(key, value, from)| format!("{key}={value} {from}"))
        .collect();
    for line in [
        "core.line=home /home/u/config.toml:5",
        "zstd.level=7 /r/config:4",
        "chunk.avg=512KiB /r/config:2",
        "chunk.max=4MiB command line",
        "snapshot.trust=stat default",
        "snapshot.exclude=[] default",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} in {lines:#?}");
    }
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    let cases = [
        ("[chunk]\n\naverage = 1\n", "/r/config:3", "no such key"),
        (
            "[snapshot]\nexcludes = []",
            "/r/config:2",
            "the nearest is snapshot.exclude",
        ),
        ("snapshot = 1", "/r/config:1", "no such key"),
        (
            "[zstd]\nlevel = \"high\"",
            "/r/config:2",
            "expected a number from 1 to 19",
        ),
        ("[zstd]\nlevel = 99", "/r/config:2", "expected a number from 1 to 19"),
        ("[zstd]\nlevel = -1", "/r/config:2", "expected a number"),
        ("[core]\nsafe = [\"*\"]", "/r/config:2", "user's own file"),
        ("[core]\nline = 'a..b'", "/r/config:2", "name of a line"),
        ("[core\n", "line 1", ""),
        ("[[core]]\nline = 'a'", "core", ""),
        ("a = 1\na = 2", "line 2", "duplicate key"),
        ("[chunk]\nmin = '1M'", "chunk.min = 1MiB", "expected at most chunk.avg"),
    ];
    for (text, place, problem) in cases {
        let error = Config::load(&[Layer::repository("/r/config", text)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(place) && error.contains(problem), "{text:?}: {error}");
    }
    for text in ["zstd.level", "zstd.level=x", "nothing=1"] {
        assert!(Config::load(&[Layer::command_line(text)]).is_err());
    }
}

#[test]
fn editing_keeps_comments_and_order() {
    let text = "# mine\n[zstd] # fast\nlevel = 5 # enough\n\n[core]\nline = \"a\"\n";
    let text = set(text, "zstd.level", "7").unwrap();
    let text = set(&text, "core.threads", "2").unwrap();
    let text = set(&text, "snapshot.exclude", "[\"*.o\", \"a b\"]").unwrap();
    let text = set(&text, "chunk.avg", "4M").unwrap();
    let expected = "# mine\n[zstd] # fast\nlevel = 7 # enough\n\n[core]\nline = \"a\"\nthreads = 2\n\n[snapshot]\n\
                    exclude = [\"*.o\", \"a b\"]\n\n[chunk]\navg = \"4MiB\"\n";
    assert_eq!(text, expected);
    let layer = Layer::user("x", text.as_str());
    assert_eq!(get(&layer, "chunk.avg").unwrap().as_deref(), Some("4MiB"));
    assert_eq!(get(&layer, "chunk.min").unwrap(), None);

    let (text, found) = unset(&text, "core.line").unwrap();
    assert!(found && text.contains("[core]\nthreads = 2\n"));
    assert!(!unset(&text, "core.line").unwrap().1);
    assert!(unset(&text, "core.lines").is_err());
    assert!(set(&text, "zstd.level", "x").is_err());
    assert!(set("[zstd\n", "zstd.level", "1").is_err());
    assert_eq!(
        set("zstd.level = 1 # x\n", "zstd.level", "2").unwrap(),
        "zstd.level = 2 # x\n"
    );
    assert_eq!(
        set("zstd = { level = 1 }\n", "zstd.level", "2").unwrap(),
        "zstd = { level = 2 }\n"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\[[a-z]{0,5}\\]|[a-z.]{1,9} ?= ?[0-9a-z\"\\[\\],]{0,9}|\n|#| ){0,12}") {
        let _ = Config::load(&[Layer::user("x", text.as_str())]);
        if let Ok(changed) = set(&text, "zstd.level", "4") {
            proptest::prop_assert_eq!(get_number(&changed), Some("4".to_owned()));
        }
    }
}

/// Other keys of the text may be wrong: look at this one only.
fn get_number(text: &str) -> Option<String> {
    let document = text.parse::<toml_edit::DocumentMut>().ok()?;
    document.get("zstd")?.get("level")?.as_integer().map(|n| n.to_string())
}

#[test]
fn remotes_stand_beside_settings() {
    let text = "# mine\n[core]\nline = \"work\"\n";
    let text = set_remote(text, "origin", Some("loom:/srv/a")).unwrap();
    let text = set_remote(&text, "usb", Some("/mnt/usb")).unwrap();
    let config = Config::load(&[Layer::repository("/c", text.clone())]).unwrap();
    assert_eq!(config.typed().core_line, "work");
    let found: Vec<(&str, &str)> = config
        .remotes()
        .iter()
        .map(|(name, url)| (name.as_str(), url.as_str()))
        .collect();
    assert_eq!(found, [("origin", "loom:/srv/a"), ("usb", "/mnt/usb")]);
    let text = set_remote(&text, "usb", None).unwrap();
    assert!(
        text.starts_with("# mine\n") && text.contains("[remote.origin]") && !text.contains("usb"),
        "{text}"
    );
    for name in ["", "-x", "a.b", "a/b", "a b"] {
        assert!(set_remote("", name, Some("x")).is_err(), "{name:?}");
    }
    for text in [
        "[remote.a]\nurl = 7\n",
        "[remote.a]\nuri = \"x\"\n",
        "[remote]\na = \"x\"\n",
    ] {
        assert!(Config::load(&[Layer::repository("/c", text)]).is_err(), "{text}");
    }
}
