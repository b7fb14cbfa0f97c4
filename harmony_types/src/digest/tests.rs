use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn bytes_and_text_agree() -> Result<(), DigestError> {
    let digest = Digest::parse(format!("sha256:{HEX}"))?;
    assert_eq!(digest.algorithm(), DigestAlgorithm::Sha256);
    assert_eq!(digest.hex(), HEX);
    assert_eq!(digest.short(), "e3b0c44298fc");
    let mut bytes = [0; 32];
    for (byte, index) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&HEX[index..index + 2], 16).unwrap();
    }
    assert_eq!(Digest::sha256_from_bytes(bytes), digest);

    let long = Digest::sha512_from_bytes([0xa5; 64]);
    assert_eq!(long.algorithm(), DigestAlgorithm::Sha512);
    assert_eq!(long.as_str().len(), Digest::MAX_LENGTH);
    assert_eq!(Digest::parse(long.as_str())?, long);
    Ok(())
}

#[test]
fn what_is_not_a_digest_is_refused_with_a_way_out() {
    let upper = format!("sha256:{}", HEX.to_uppercase());
    let twice = format!("sha256:{HEX}{HEX}");
    let short = "sha256:e3b0c44298fc";
    for (text, message, hint) in [
        ("", "digest is empty".to_owned(), "use `sha256:`"),
        (
            HEX,
            format!("digest `{HEX}` has no algorithm"),
            "add `sha256:` in front",
        ),
        (
            "latest",
            "digest `latest` has no algorithm".to_owned(),
            "use `sha256:`",
        ),
        (
            "md5:00",
            "digest `md5:00` uses the unknown algorithm `md5`".to_owned(),
            "use `sha256:`",
        ),
        (
            "SHA256:00",
            "digest `SHA256:00` uses the unknown algorithm `SHA256`".to_owned(),
            "use `sha256:`",
        ),
        (
            &upper,
            format!("digest `{upper}` has `E` at position 8, which is not a lower-case hex digit"),
            "lower case",
        ),
        (
            "sha256:0g",
            "digest `sha256:0g` has `g` at position 9, which is not a lower-case hex digit"
                .to_owned(),
            "64",
        ),
        (
            short,
            format!("digest `{short}` has 12 hex digits, but sha256 needs 64"),
            "cut off",
        ),
        (
            "sha512:",
            "digest `sha512:` has 0 hex digits, but sha512 needs 128".to_owned(),
            "cut off",
        ),
        (&twice, "digest `sha256:".to_owned(), "64"),
    ] {
        let error = Digest::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(&message), "{text:?}: {error}");
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
    }
}
