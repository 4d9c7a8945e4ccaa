// Reads forms with busboy, and says what was in them.
const { createHash } = require("node:crypto");
const { createServer } = require("node:http");
const busboy = require("busboy");

createServer((request, answer) => {
  const parts = [];
  const sum = (content) => createHash("sha256").update(content).digest("hex");
  const form = busboy({ headers: request.headers, defParamCharset: "utf8" });
  form.on("field", (field, value) => {
    parts.push({ field, filename: "", type: "", size: Buffer.byteLength(value), sha256: sum(value) });
  });
  form.on("file", (field, stream, { filename, mimeType }) => {
    const part = { field, filename, type: mimeType, size: 0 };
    const hash = createHash("sha256");
    parts.push(part);
    stream.on("data", (chunk) => { hash.update(chunk); part.size += chunk.length; });
    stream.on("close", () => { part.sha256 = hash.digest("hex"); });
  });
  form.on("close", () => {
    const length = Number(request.headers["content-length"] ?? -1);
    const chunked = request.headers["transfer-encoding"] === "chunked";
    answer.setHeader("Content-Type", "application/json");
    answer.end(JSON.stringify({ parts, length, chunked }));
  });
  form.on("error", (error) => { answer.statusCode = 400; answer.end(String(error)); });
  request.pipe(form);
}).listen(0, "127.0.0.1", function () {
  console.log(`127.0.0.1:${this.address().port}`);
});
