"""peer.py DIR: another machine's servers, that tell who asks: HTTP (/who, else files of DIR), DNS, and pings on stdout.

DNS: "me" is the address that asks, "peer" are this machine's.
"""
import http.server
import os
import socket
import struct
import sys
import threading

PEER = {socket.AF_INET: "10.1.2.200", socket.AF_INET6: "2001:db8::200"}


def say(*words):
    """One write a line: print() makes two, and the threads' lines would mix."""
    os.write(1, (" ".join(words) + "\n").encode())


def shown(address):
    return address.replace("::ffff:", "")


class Http(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/who":
            return super().do_GET()
        said = (shown(self.client_address[0]) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, form, *words):
        say("http", shown(self.client_address[0]), form % words)


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def answer(question, client):
    """question: a query as it came. The record that was asked for, or none."""
    end = 12
    labels = []
    while question[end]:
        labels.append(question[end + 1:end + 1 + question[end]].decode())
        end += 1 + question[end]
    kind = struct.unpack("!H", question[end + 1:end + 3])[0]
    family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
    mine = socket.AF_INET6 if ":" in client else socket.AF_INET
    address = PEER.get(family) if labels[0] == "peer" else client if family == mine else None
    records = b""
    if address:
        packed = socket.inet_pton(family, address)
        records = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(packed)) + packed
    return question[:2] + b"\x84\x00" + struct.pack("!HHHH", 1, len(records) > 0, 0, 0) + question[12:end + 5] + records


def dns(s):
    while True:
        question, client = s.recvfrom(512)
        s.sendto(answer(question, shown(client[0])), client)


def pings(s, echo, header):
    while True:
        packet, client = s.recvfrom(2000)
        if packet[header] == echo:
            say("ping", client[0])


os.chdir(sys.argv[1])
for family, address in PEER.items():
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, 53))
    threading.Thread(target=dns, args=(s,)).start()
threading.Thread(target=pings, args=(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1), 8, 20)).start()
threading.Thread(target=pings, args=(socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58), 128, 0)).start()
http_server = Server(("::", 80), Http)
say("ready")
http_server.serve_forever()
