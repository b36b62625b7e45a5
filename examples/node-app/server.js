// A shop front that shows what a server app needs so that no request is dropped: it listens
// where it is told, says when it is healthy, and on SIGTERM finishes what it has begun.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

const VERSION = "1";
const port = Number(process.env.PORT);
const streams = new Set();
let stopping = false;

if (!Number.isInteger(port) || port < 1) {
  console.error("PORT must hold the port to listen on");
  process.exit(2);
}

const routes = {
  "GET /": front,
  "GET /healthz": health,
  "GET /version": (_, response) => json(response, 200, { app: "shop", version: VERSION }),
  "GET /events": events,
  "POST /upload": upload,
};

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (stopping) response.setHeader("Connection", "close");
  const route = routes[`${request.method} ${url.pathname}`];
  if (route) route(request, response, url);
  else json(response, 404, { error: "no such page" });
});

// The router keeps its connections open and decides when they end.  With Node's own 5 seconds
// a connection could be closed just as the next request is sent on it.
server.keepAliveTimeout = 0;

server.listen(port, "127.0.0.1", () => {
  console.log(`shop ${VERSION} listens on ${port}`);
});

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);

function front(_, response) {
  const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title></head>
<body><h1>Shop</h1><p>Version ${VERSION}</p></body>
</html>
`;
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": Buffer.byteLength(page),
  });
  response.end(page);
}

function health(_, response) {
  json(response, stopping ? 503 : 200, { ok: !stopping });
}

// An event every 200 ms: GET /events?for=3 ends by itself after three seconds.
function events(_, response, url) {
  const seconds = Number(url.searchParams.get("for") ?? Infinity);
  const ends = Date.now() + seconds * 1000;
  let number = 0;
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const timer = setInterval(() => {
    number += 1;
    response.write(`id: ${number}\ndata: {"version": "${VERSION}"}\n\n`);
    if (Date.now() >= ends) response.end();
  }, 200);
  streams.add(response);
  response.on("close", () => {
    clearInterval(timer);
    streams.delete(response);
  });
}

// Takes a body of any length, however slowly it comes, and says what arrived.
function upload(request, response) {
  const hash = createHash("sha256");
  let bytes = 0;
  request.on("data", (chunk) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  request.on("end", () => json(response, 200, { bytes, sha256: hash.digest("hex") }));
}

function json(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}

// No new connections; requests under way are finished, endless streams are ended cleanly.
function stop() {
  if (stopping) return;
  stopping = true;
  console.log("shop is stopping");
  server.close(() => process.exit(0));
  // What is busy now becomes idle later.
  setInterval(() => server.closeIdleConnections(), 50);
  for (const response of streams) response.end();
}
