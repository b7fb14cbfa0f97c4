use super::*;

#[test]
fn components_are_taken_apart_and_joined() -> Result<(), RepositoryError> {
    let repository = Repository::parse("team/web_1/my__app-x.y")?;
    assert_eq!(
        repository.components().collect::<Vec<_>>(),
        ["team", "web_1", "my__app-x.y"]
    );
    assert_eq!(repository.name(), "my__app-x.y");
    assert_eq!(
        repository.parent().as_ref().map(Repository::as_str),
        Some("team/web_1")
    );
    let single = Repository::parse("team")?;
    assert_eq!(single.parent(), None);
    assert_eq!(single.join("a/b")?.as_str(), "team/a/b");
    assert_eq!(
        single.join("/b").unwrap_err().to_string(),
        "repository `team//b` has `/` at position 5, where a letter or digit is required"
    );
    Ok(())
}

#[test]
fn what_is_not_a_repository_is_refused_with_a_way_out() {
    for (text, message, hint) in [
        ("", "repository is empty", "team/my-app"),
        (
            "/",
            "repository `/` has `/` at position 1, where",
            "team/my-app",
        ),
        (
            "/a",
            "repository `/a` has `/` at position 1, where",
            "team/my-app",
        ),
        (
            "a/",
            "repository `a/` has `/` at position 2, where",
            "team/my-app",
        ),
        (
            "a//b",
            "repository `a//b` has `/` at position 2, where",
            "team/my-app",
        ),
        (
            "team/My-App",
            "repository `team/My-App` has `M` at position 6, which is not allowed",
            "`team/my-app`",
        ),
        (
            "team/app.",
            "repository `team/app.` has `.` at position 9, where",
            "team/my-app",
        ),
        (
            "team/-app",
            "repository `team/-app` has `-` at position 6, where",
            "team/my-app",
        ),
        (
            "te am/app",
            "repository `te am/app` has ` ` at position 3, which",
            "team/my-app",
        ),
        (
            "a.._b",
            "repository `a.._b` has `.` at position 3, where",
            "team/my-app",
        ),
        (
            "team/ñ",
            "repository `team/ñ` has `ñ` at position 6, which",
            "team/my-app",
        ),
    ] {
        let error = Repository::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(message), "{text:?}: {error}");
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
    }
    assert!(Repository::parse("a".repeat(255)).is_ok());
    let error = Repository::parse("a".repeat(256)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is 256 bytes long, but the limit is 255")
    );
    assert_eq!(error.hint(), "shorten it to 255 bytes");
}
