// serve WHO UDP-PORT: Rust's listeners, dual stack, IPv4 alone and UDP, on wildcards.
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::thread::spawn;

fn serve(who: String, at: &str) -> std::thread::JoinHandle<()> {
    let listener = TcpListener::bind(at).expect(at);
    spawn(move || {
        for stream in listener.incoming() {
            let mut s = stream.unwrap();
            let local = s.local_addr().unwrap().ip().to_canonical();
            write!(s, "{} {}", who, local).unwrap();
        }
    })
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let who = args[1].clone();
    let u = UdpSocket::bind(format!("[::]:{}", args[2])).expect("udp");
    let w = who.clone();
    spawn(move || {
        let mut b = [0; 100];
        while let Ok((_, peer)) = u.recv_from(&mut b) {
            u.send_to(w.as_bytes(), peer).unwrap();
        }
    });
    serve(who.clone(), "[::]:7021");
    let last = serve(who, "0.0.0.0:7022");
    println!("rust is ready");
    last.join().unwrap();
}
