"""Reads lines KIND PORT ADDR... and prints what the server there says, a line a kind and port."""
import socket
import sys


def ask(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as s:
        s.settimeout(30)
        try:
            s.connect((address, port))
            if kind == "udp":
                s.send(b"?")
                return s.recv(100).decode() + " " + address
            if kind == "http":
                s.send(b"GET / HTTP/1.0\r\n\r\n")
            said = b""
            while chunk := s.recv(4096):
                said += chunk
        except OSError as e:
            return type(e).__name__ + " " + address
    who, local = said.decode().split()[-2:]
    local = local.split("%")[0]
    packed = [socket.inet_pton(family, a) for a in (local, address)]
    return f"{who} {address}" if packed[0] == packed[1] else f"{who} {address} shown as {local}"


for line in sys.stdin:
    kind, port, *addresses = line.split()
    print(kind, port, *(ask(kind, a, int(port)) for a in addresses), flush=True)
