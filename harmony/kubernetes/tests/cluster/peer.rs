//! What the test pods run: one static program that behaves as its arguments say. Standard library only; the tests
//! compile it with rustc.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["crash", code] => {
            println!("reading the settings");
            eprintln!("fatal: the settings are wrong");
            std::process::exit(code.parse().unwrap());
        }
        ["say", text, code] => {
            println!("{text}");
            std::process::exit(code.parse().unwrap());
        }
        ["http", port] => serve(port, answer_http),
        // Serves for so many seconds, and ends with that code then.
        ["http", port, seconds, code] => {
            let (seconds, code) = (seconds.parse().unwrap(), code.parse().unwrap());
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(seconds));
                eprintln!("fatal: lost the database");
                std::process::exit(code);
            });
            serve(port, answer_http);
        }
        ["eat"] => {
            println!("loading the model");
            let mut eaten = Vec::new();
            loop {
                eaten.push(vec![1_u8; 1 << 20]);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        ["nats", port] => serve(port, answer_nats),
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        _ => panic!("unknown arguments {words:?}"),
    }
}

fn serve(port: &str, answer: fn(TcpStream) -> std::io::Result<()>) {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

/// `GET /ok` is answered with 200, `GET /flap` for two seconds with that and for two without, anything else with 503. The
/// body names the host, which is the pod.
fn answer_http(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let is_up = now.unwrap().as_secs() % 4 < 2;
    let status = if request.starts_with(b"GET /ok ") || request.starts_with(b"GET /flap ") && is_up {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    let body = format!("this is {}", std::env::var("HOSTNAME").unwrap_or_default());
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn answer_nats(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"INFO {\"server_id\":\"TEST\",\"max_payload\":1048576}\r\n")?;
    let mut heard = String::new();
    let mut bytes = [0; 512];
    while !heard.contains("PING\r\n") {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    stream.write_all(b"PONG\r\n")?;
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}
