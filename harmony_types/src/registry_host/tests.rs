use super::*;

#[test]
fn hosts_and_ports_are_taken_apart() -> Result<(), RegistryHostError> {
    for (text, host, port, loopback) in [
        ("docker.io", "docker.io", None, false),
        (
            "registry.example.com:5000",
            "registry.example.com",
            Some(5000),
            false,
        ),
        ("registry:443", "registry", Some(443), false),
        ("localhost", "localhost", None, true),
        ("localhost:5000", "localhost", Some(5000), true),
        ("127.0.0.1:65535", "127.0.0.1", Some(65535), true),
        ("127.8.9.1", "127.8.9.1", None, true),
        ("10.0.0.1", "10.0.0.1", None, false),
        ("[::1]:5000", "[::1]", Some(5000), true),
        ("[::1]", "[::1]", None, true),
        ("[2001:db8::7]:1", "[2001:db8::7]", Some(1), false),
        ("0.example.com", "0.example.com", None, false),
        ("a--b.example", "a--b.example", None, false),
        // a resolver decides about these, so they get no plain HTTP
        (
            "registry.localhost:80",
            "registry.localhost",
            Some(80),
            false,
        ),
        (
            "localhost.example.com",
            "localhost.example.com",
            None,
            false,
        ),
        (
            "127.0.0.1.example.com",
            "127.0.0.1.example.com",
            None,
            false,
        ),
    ] {
        let registry = RegistryHost::parse(text)?;
        assert_eq!((registry.host(), registry.port()), (host, port), "{text}");
        assert_eq!(registry.is_loopback(), loopback, "{text}");
        assert_eq!(registry.as_str(), text);
    }
    Ok(())
}

#[test]
fn an_ipv6_address_has_one_spelling() -> Result<(), RegistryHostError> {
    assert_eq!(
        RegistryHost::parse("[0:0::0001]:443")?,
        RegistryHost::parse("[::1]:443")?
    );
    assert_eq!(
        RegistryHost::parse("[2001:DB8::A]")?.as_str(),
        "[2001:db8::a]"
    );
    Ok(())
}

#[test]
fn what_is_not_a_host_is_refused_with_a_way_out() {
    let label = "a".repeat(64);
    let long_label = format!("{label}.example");
    let long_name = vec!["a".repeat(63); 4].join(".");
    for (text, message, hint) in [
        ("", "registry host `` is empty", "registry.example.com"),
        (
            ":5000",
            "registry host `:5000` is empty",
            "registry.example.com",
        ),
        (
            "registry",
            "registry host `registry` is a single word without a port",
            "`registry:443`",
        ),
        (
            "https://hub.example.com/",
            "registry host `https://hub.example.com/` starts with the scheme `https://`",
            "use `hub.example.com`",
        ),
        (
            "hub.example.com/team",
            "registry host `hub.example.com/team` has a path after the host",
            "use `hub.example.com`",
        ),
        (
            "Hub.example.com",
            "registry host `Hub.example.com` has `H` at position 1, which is not allowed",
            "`hub.example.com`",
        ),
        (
            "user@hub.example.com",
            "registry host `user@hub.example.com` has `@` at position 5",
            "credentials",
        ),
        (
            "hub_1.example.com",
            "registry host `hub_1.example.com` has `_` at position 4",
            "use a host such as",
        ),
        (
            "-hub.example.com",
            "registry host `-hub.example.com` has `-` at position 1, where",
            "use a host",
        ),
        (
            "hub-.example.com",
            "registry host `hub-.example.com` has `.` at position 5, where",
            "use a host",
        ),
        (
            "hub..example.com",
            "registry host `hub..example.com` has `.` at position 5, where",
            "use a host",
        ),
        (
            "hub.example.com.",
            "registry host `hub.example.com.` has `.` at position 16, where",
            "use a host",
        ),
        (
            "hub.example.com:",
            "registry host `hub.example.com:` has the port ``, which",
            ":5000",
        ),
        (
            "hub.example.com:0",
            "registry host `hub.example.com:0` has the port `0`, which",
            ":5000",
        ),
        (
            "hub.example.com:65536",
            "registry host `hub.example.com:65536` has the port `65536`",
            ":5000",
        ),
        (
            "hub.example.com:0443",
            "registry host `hub.example.com:0443` has the port `0443`",
            ":5000",
        ),
        (
            "hub.example.com:+443",
            "registry host `hub.example.com:+443` has the port `+443`",
            ":5000",
        ),
        (
            "hub.example.com:1:2",
            "registry host `hub.example.com:1:2` has the port `1:2`",
            ":5000",
        ),
        (
            "256.1.1.1",
            "registry host `256.1.1.1` looks like an IP address but is not a valid one",
            "IPv4",
        ),
        (
            "1.2.3",
            "registry host `1.2.3` looks like an IP address but is not a valid one",
            "IPv4",
        ),
        ("::1", "registry host `::1` is empty", "[::1]:5000"),
        (
            "[::1",
            "registry host `[::1` looks like an IP address but is not a valid one",
            "brackets",
        ),
        (
            "[::1]5000",
            "registry host `[::1]5000` looks like an IP address but is not a valid one",
            "brackets",
        ),
        (
            "[fe80::1%eth0]",
            "registry host `[fe80::1%eth0]` looks like an IP address but is not a valid one",
            "brackets",
        ),
        (
            "[::ffff:127.0.0.1]",
            "registry host `[::ffff:127.0.0.1]` looks like an IP address but is not a valid one",
            "IPv4",
        ),
        (&long_label, "registry host `aaaa", "use a host"),
        (&long_name, "registry host `aaaa", "use a host"),
        (
            "hub.example.com\u{1b}[0m",
            "registry host `hub.example.com\\u{1b}[0m` has `\\u{1b}` at position 16",
            "use",
        ),
    ] {
        let error = RegistryHost::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(message), "{text:?}: {error}");
        assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
    }
    assert!(
        RegistryHost::parse(&long_name)
            .unwrap_err()
            .to_string()
            .ends_with("is 255 bytes long, but the limit is 253")
    );
    assert!(
        RegistryHost::parse(&long_label)
            .unwrap_err()
            .to_string()
            .ends_with("is 64 bytes long, but the limit is 63")
    );
}
