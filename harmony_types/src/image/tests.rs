use std::error::Error;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn every_part_is_taken_apart() -> Result<(), ImageRefError> {
    let text = format!("localhost:5000/team/app:1.0.0-rc.1@{DIGEST}");
    let image = ImageRef::parse(&text)?;
    assert_eq!(image.registry().as_str(), "localhost:5000");
    assert_eq!(image.repository().as_str(), "team/app");
    assert_eq!(image.tag().map(Tag::as_str), Some("1.0.0-rc.1"));
    assert_eq!(image.digest().map(Digest::as_str), Some(DIGEST));
    assert_eq!(image.reference(), Some(DIGEST));
    assert_eq!(image.name(), "localhost:5000/team/app");
    assert_eq!(image.to_string(), text);
    for text in [
        "docker.io/library/nginx",
        "[::1]:5000/a",
        "a.b/c_d:_",
        "10.0.0.1/x:V1",
    ] {
        assert_eq!(ImageRef::parse(text)?.to_string(), text);
    }
    Ok(())
}

#[test]
fn a_tag_moves_and_a_digest_does_not() -> Result<(), Box<dyn Error>> {
    let image = ImageRef::parse("localhost/app:1.0.0")?;
    assert_eq!(
        (image.is_pinned(), image.pinned(), image.reference()),
        (false, None, Some("1.0.0"))
    );
    let pinned = image.with_digest(Digest::parse(DIGEST)?);
    assert!(pinned.is_pinned());
    assert_eq!(pinned.to_string(), format!("localhost/app:1.0.0@{DIGEST}"));
    assert_eq!(
        pinned.pinned().map(|image| image.to_string()),
        Some(format!("localhost/app@{DIGEST}"))
    );
    assert_eq!(
        pinned.with_tag(Tag::parse("2.0.0")?).to_string(),
        "localhost/app:2.0.0"
    );
    Ok(())
}

#[test]
fn docker_defaults_are_spelled_out_not_assumed() {
    for (text, full) in [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/nginx", "docker.io/bitnami/nginx"),
        ("team/web/app:1", "docker.io/team/web/app:1"),
    ] {
        let error = ImageRef::parse(text).expect_err(text);
        assert_eq!(
            error.to_string(),
            format!("image reference `{text}` has no registry")
        );
        assert!(
            error.hint().contains(&format!("`{full}`")),
            "{}",
            error.hint()
        );
    }
}

#[test]
fn the_illegal_part_is_named_by_the_source() {
    for (text, source, hint) in [
        (
            "Hub.example.com/app",
            "registry host `Hub.example.com` has `H` at position 1",
            "`hub.example.com`",
        ),
        (
            "hub.example.com:x/app",
            "registry host `hub.example.com:x` has the port `x`",
            ":5000",
        ),
        (
            "[::1/app",
            "registry host `[::1` looks like an IP address but is not a valid one",
            "[::1]:5000",
        ),
        ("hub.example.com/", "repository is empty", "team/my-app"),
        (
            "hub.example.com/App",
            "repository `App` has `A` at position 1",
            "`app`",
        ),
        ("hub.example.com/app:", "tag is empty", "1.0.0"),
        (
            "hub.example.com/app:1.0.0+b",
            "tag `1.0.0+b` has `+` at position 6",
            "build metadata",
        ),
        (
            "hub.example.com/app:.x",
            "tag `.x` has `.` at position 1",
            "start with",
        ),
        (
            "hub.example.com/app:a:b",
            "tag `a:b` has `:` at position 2",
            "start with",
        ),
        ("hub.example.com/app@", "digest is empty", "sha256"),
        (
            "hub.example.com/app@sha256:00",
            "digest `sha256:00` has 2 hex digits",
            "cut off",
        ),
        (
            "hub.example.com/app:1@sha256:0@1",
            "digest `sha256:0@1` has `@` at position 9",
            "sha256",
        ),
        (
            "hub.example.com/a pp",
            "repository `a pp` has ` ` at position 2",
            "team/my-app",
        ),
    ] {
        let error = ImageRef::parse(text).expect_err(text);
        assert!(
            error
                .to_string()
                .starts_with(&format!("image reference `{text}` has an invalid ")),
            "{error}"
        );
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(cause.starts_with(source), "{text:?}: {cause}");
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
    }
    let error = ImageRef::parse("https://hub.example.com/app:1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "image reference `https://hub.example.com/app:1` starts with the scheme `https://`"
    );
    assert_eq!(
        error.hint(),
        "use `hub.example.com/app:1`: image references have no scheme"
    );
    assert_eq!(
        ImageRef::parse("").unwrap_err().to_string(),
        "image reference is empty"
    );
}

#[test]
fn a_tag_has_128_bytes_at_most() {
    assert!(Tag::parse("a".repeat(128)).is_ok());
    let error = Tag::parse("a".repeat(129)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 129 bytes long, but the limit is 128")
    );
    assert_eq!(error.hint(), "shorten it to 128 bytes");
}
