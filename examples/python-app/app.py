"""A shop front that shows what a server app needs so that no request is dropped.

It listens where it is told, says when it is healthy, and on SIGTERM finishes what it has begun.
Standard library only.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

VERSION = "1"

stopping = threading.Event()
under_way = 0
changed = threading.Condition()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.serve({"/": front, "/healthz": health, "/version": version, "/events": events})

    def do_POST(self):
        self.serve({"/upload": upload})

    def serve(self, routes):
        global under_way
        with changed:
            under_way += 1
        try:
            url = urlsplit(self.path)
            if stopping.is_set():
                self.close_connection = True
            routes.get(url.path, missing)(self, parse_qs(url.query))
        except ConnectionError:
            self.close_connection = True
        finally:
            with changed:
                under_way -= 1
                changed.notify_all()

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, status, value):
        self.answer(status, "application/json", json.dumps(value).encode())

    def log_message(self, format, *args):
        """Say nothing for each request; the router counts them."""


def front(handler, query):
    page = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title></head>
<body><h1>Shop</h1><p>Version {VERSION}</p></body>
</html>
"""
    handler.answer(200, "text/html; charset=utf-8", page.encode())


def health(handler, query):
    up = not stopping.is_set()
    handler.answer_json(200 if up else 503, {"ok": up})


def version(handler, query):
    handler.answer_json(200, {"app": "shop", "version": VERSION})


def missing(handler, query):
    handler.close_connection = True  # a body that nobody has read may follow
    handler.answer_json(404, {"error": "no such page"})


def events(handler, query):
    """An event every 200 ms: GET /events?for=3 ends by itself after three seconds."""
    ends = time.monotonic() + float(query.get("for", ["inf"])[0])
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Cache-Control", "no-store")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    number = 0
    while time.monotonic() < ends and not stopping.wait(0.2):
        number += 1
        event = f'id: {number}\ndata: {{"version": "{VERSION}"}}\n\n'.encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
    handler.wfile.write(b"0\r\n\r\n")


def upload(handler, query):
    """Take a body, however slowly it comes, and say what arrived."""
    digest = hashlib.sha256()
    arrived = 0
    for piece in body(handler):
        arrived += len(piece)
        digest.update(piece)
    handler.answer_json(200, {"bytes": arrived, "sha256": digest.hexdigest()})


def body(handler):
    """The request's body in pieces: of the length it names, or in chunks."""
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        yield from pieces(handler, int(handler.headers.get("Content-Length", 0)))
        return
    while size := int(handler.rfile.readline(100).split(b";")[0], 16):
        yield from pieces(handler, size)
        handler.rfile.readline(3)
    while handler.rfile.readline(1000) not in (b"\r\n", b""):
        pass


def pieces(handler, left):
    while left > 0:
        piece = handler.rfile.read1(min(left, 65536))
        if not piece:
            raise ConnectionResetError("the body ended early")
        left -= len(piece)
        yield piece


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


def main():
    try:
        port = int(os.environ["PORT"])
    except (KeyError, ValueError):
        sys.exit("PORT must hold the port to listen on")
    server = Server(("127.0.0.1", port), Handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop(server))
    print(f"shop {VERSION} listens on {port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    print("shop is stopping", flush=True)
    server.server_close()
    with changed:
        changed.wait_for(lambda: under_way == 0)


def stop(server):
    """No new connections; requests under way are finished, endless streams are ended cleanly."""
    stopping.set()  # no print here: a signal may have interrupted one
    threading.Thread(target=server.shutdown, daemon=True).start()


if __name__ == "__main__":
    main()
