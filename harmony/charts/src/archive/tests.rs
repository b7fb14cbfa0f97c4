use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;

type Entry<'a> = (&'a str, EntryType, &'a [u8]);

fn file<'a>(path: &'a str, content: &'a str) -> Entry<'a> {
    (path, EntryType::Regular, content.as_bytes())
}

/// An archive with these names, however invalid.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn problem(entries: &[Entry<'_>]) -> String {
    Chart::from_archive(&archive(entries))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_files_below_the_folder_are_read() {
    let entries = [
        ("web/", EntryType::Directory, b"".as_slice()),
        file("web/Chart.yaml", "name: web"),
        file("web/templates/a.yaml", "kind: A"),
        file("web/marked.yaml", "\u{feff}kind: B"),
    ];
    let files = Chart::from_archive(&archive(&entries)).unwrap();
    assert_eq!(files.name(), "web");
    assert_eq!(
        files.files().map(|(path, _)| path).collect::<Vec<_>>(),
        ["Chart.yaml", "marked.yaml", "templates/a.yaml"]
    );
    assert_eq!(files.file("templates/a.yaml"), Some(b"kind: A".as_slice()));
    assert_eq!(files.text("Chart.yaml").unwrap(), "name: web");
    assert_eq!(files.text("marked.yaml").unwrap(), "kind: B");
    assert_eq!(
        files.text("values.yaml").unwrap_err().to_string(),
        "values.yaml: this file is missing"
    );
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in [
        "/etc/passwd",
        "web/../../etc/passwd",
        "../web/a",
        "web//a",
        "web/./a",
        "web\\a",
        "web/a\\..\\b",
        "web/a/",
        "web/",
        "./web/a",
    ] {
        let found = problem(&[file("web/Chart.yaml", ""), file(path, "x")]);
        assert!(
            found.contains("which is not a path below its directory"),
            "{path}: {found}"
        );
    }
    assert!(
        problem(&[file("Chart.yaml", "")])
            .contains("contains `Chart.yaml` outside of the directory of the chart")
    );
    assert!(
        problem(&[file("web/a", ""), file("other/a", "")])
            .contains("contains two directories, `web` and `other`")
    );
}

#[test]
fn what_is_no_file_or_there_twice_is_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Fifo,
    ] {
        let found = problem(&[("web/a", kind, b"")]);
        assert!(
            found.contains("contains `web/a`, which is neither a file nor a directory"),
            "{found}"
        );
    }
    assert!(problem(&[file("web/a", "1"), file("web/a", "2")]).contains("contains `web/a` twice"));
    assert!(problem(&[]).contains("contains no files"));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_held() {
    let five = vec![0; usize::try_from(Chart::MAX_FILE_SIZE).unwrap()];
    let six = [five.as_slice(), b"x"].concat();
    assert!(problem(&[("web/a", EntryType::Regular, &six)]).contains("more than 5 MiB"));
    let names: Vec<_> = (0..21).map(|index| format!("web/{index}")).collect();
    let entries: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), EntryType::Regular, five.as_slice()))
        .collect();
    Chart::from_archive(&archive(&entries[..20])).unwrap();
    assert!(problem(&entries).contains("unpacks to more than 100 MiB"));
}

#[test]
fn damage_is_told() {
    let whole = archive(&[file("web/Chart.yaml", &"content ".repeat(1000))]);
    for broken in [b"no gzip".as_slice(), &whole[..whole.len() / 2], b""] {
        let error = Chart::from_archive(broken).unwrap_err().to_string();
        assert!(error.contains("is not a gzipped tar archive"), "{error}");
    }
    let error = Chart::from_archive(&archive(&[(
        "web/\u{e4}",
        EntryType::Regular,
        b"\xff\n\xff",
    )]))
    .unwrap()
    .text("\u{e4}")
    .unwrap_err();
    assert_eq!(error.to_string(), "ä:1: is not UTF-8");
}
