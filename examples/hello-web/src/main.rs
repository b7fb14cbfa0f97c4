//! A web server of a few lines, which knows nothing of Harmony. Its deploy crate is `hello-deploy`, beside it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080")?;
    for connection in listener.incoming() {
        let mut connection = connection?;
        let request = BufReader::new(&connection)
            .lines()
            .next()
            .transpose()?
            .unwrap_or_default();
        let body = format!("hello: {request}\n");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // A client that went away is no reason to end.
        let _ = connection.write_all(format!("{head}{body}").as_bytes());
    }
    Ok(())
}
