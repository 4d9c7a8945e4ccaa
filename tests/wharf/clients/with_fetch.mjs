// Sends files in one form with fetch and FormData, and reads the form back with formData().
import { readFile } from "node:fs/promises";
import assert from "node:assert";

const [base, ...names] = process.argv.slice(2);
const form = new FormData();
form.append("note", "café 🦀");
for (const name of names) form.append("file", new Blob([await readFile(name)]), name);
const answer = await fetch(base + "/upload", { method: "POST", body: form });
const text = await answer.text();
assert.equal(answer.status, 201, text);
const back = await (await fetch(`${base}/download/${JSON.parse(text).id}`)).formData();
assert.equal(back.get("note"), "café 🦀");
const files = back.getAll("file");
assert.equal(files.length, names.length);
for (const [i, name] of names.entries()) {
  assert.equal(files[i].name, name);
  assert.ok(Buffer.from(await files[i].arrayBuffer()).equals(await readFile(name)), name);
}
console.log(text);
