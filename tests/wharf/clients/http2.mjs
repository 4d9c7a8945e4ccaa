// One client over HTTP/2: node http2.mjs ORIGIN WHAT PATH
import { createHash } from "node:crypto";
import http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";

const [origin, what, path] = process.argv.slice(2);
const client = http2.connect(origin, { settings: { initialWindowSize: 65535 } });

/** Reads 16 KiB every 200 ms, for `seconds`, and then the rest. */
async function read(stream, seconds) {
  const digest = createHash("sha256");
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    await sleep(200);
    const piece = stream.read(16384);
    if (piece) digest.update(piece);
    else if (stream.destroyed) throw new Error("the stream was cut");
  }
  for await (const piece of stream) digest.update(piece);
  return digest.digest("hex");
}

const tasks = {
  /** Sends a fifth of a file, and takes it back with the code that says there is no error. */
  async cut() {
    const stream = client.request({ ":method": "PUT", ":path": path, "content-length": 5000 });
    stream.write(Buffer.alloc(1000, "x"));
    await sleep(300);
    stream.destroy();
    await sleep(300);
  },
  /** Asks for a change with the method and the headers in JSON, and takes that back when it is told to. */
  async reset() {
    const { body = "", ...headers } = JSON.parse(process.argv[5]);
    const stream = client.request({ ":path": path, ...headers });
    stream.on("error", () => {});
    stream.end(body);
    await new Promise(told => process.stdin.once("data", told));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await new Promise(closed => stream.once("close", closed));
    // The connection lives on.
    const other = client.request({ ":path": "/healthz" });
    await new Promise(answered => other.once("response", answered));
    process.stdin.destroy();
  },
  /** Reads slowly. */
  async slow() {
    console.log(await read(client.request({ ":path": path }), 5));
  },
  /** Reads slowly, beside an answer that nobody reads. */
  async beside() {
    const unread = client.request({ ":path": path });
    await new Promise(begun => unread.once("response", begun));
    console.log(await read(client.request({ ":path": path }), 5));
  },
  /** Sends a file slowly, beside an answer that nobody reads; the unread one ends alone. */
  async upload() {
    const unread = client.request({ ":path": path });
    await new Promise(begun => unread.once("response", begun));
    const reset = new Promise(ended => unread.once("close", () => ended(unread.rstCode)));
    const status = await put("/files/beside.bin", {}, 16);
    // RFC 9113 section 7: CANCEL is 8.
    console.log(`${status} ${await reset}`);
  },
  /** What is answered beside an answer that nobody reads. */
  async answered() {
    const unread = client.request({ ":path": path });
    await new Promise(begun => unread.once("response", begun));
    const pieces = [];
    for await (const piece of client.request({ ":path": path })) pieces.push(piece);
    console.log(Buffer.concat(pieces).toString());
  },
  /** Reads all; how much it was. */
  async whole() {
    let bytes = 0;
    for await (const piece of client.request({ ":path": path })) bytes += piece.length;
    console.log(bytes);
  },
  /** Sends a file without waiting for the 100 that it asks for. */
  async expect() {
    console.log(await put(path, { expect: "100-continue" }, 2));
  },
};

/** The status of a file that is sent in so many pieces, one each 250 ms. */
async function put(path, headers, pieces) {
  const stream = client.request({ ":method": "PUT", ":path": path, ...headers });
  const status = new Promise(answered => stream.once("response", head => answered(head[":status"])));
  for (let piece = 0; piece < pieces; piece++) {
    stream.write(Buffer.alloc(1000, "x"));
    await sleep(250);
  }
  stream.end();
  stream.resume();
  return status;
}

await tasks[what]();
client.destroy();
