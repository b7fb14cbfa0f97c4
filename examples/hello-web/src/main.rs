//! A small web server that does not depend on Harmony. `hello-deploy` is its deploy crate.

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
        // A disconnected client is not a reason to exit.
        let _ = connection.write_all(format!("{head}{body}").as_bytes());
    }
    Ok(())
}
