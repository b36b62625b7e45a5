// A server app made with npm packages: express for pages and events, ws for sockets.

const http = require("node:http");
const express = require("express");
const { WebSocketServer } = require("ws");

const VERSION = "version-0";
const app = express();

app.get("/healthz", (_, response) => response.json({ ok: true }));
app.get("/", (_, response) => response.send(`<h1>Chat</h1><p>${VERSION}</p>`));
app.get("/events", (request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  let number = 0;
  const timer = setInterval(() => response.write(`data: ${VERSION} ${++number}\n\n`), 100);
  request.on("close", () => clearInterval(timer));
});
app.post("/upload", (request, response) => {
  let bytes = 0;
  request.on("data", (piece) => (bytes += piece.length));
  request.on("end", () => response.json({ bytes, version: VERSION }));
});

const server = http.createServer(app);
server.keepAliveTimeout = 0;
const sockets = new WebSocketServer({ server, path: "/socket" });
sockets.on("connection", (socket) => {
  socket.on("message", (text) => socket.send(`${VERSION}: ${text}`));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => {
  console.log("asked to stop");
  server.close(() => process.exit(0));
});
