// The files that are chosen and not yet sent: by the fields, by drag and drop, by pasting.

import { announce, base } from "./dom.js";
import { Folder } from "./folder.js";
import { count, say, size } from "./words.js";

const form = document.getElementById("form");
const place = document.getElementById("chosen");
const input = document.getElementById("files");
const folder = document.getElementById("folder");
const leftOut = place.querySelector(".left-out");
const limit = name => Number(form.dataset[name]) || Infinity;
const [maxFile, maxRequest, maxFiles] = ["maxFileSize", "maxRequestSize", "maxFiles"].map(limit);

/** What systems put into folders for themselves, and nobody wants to send. */
const STRAY = new Set([".DS_Store", "Thumbs.db"]);

/** How many are chosen: a browser does not let a page keep them when it is left. */
const COUNT = `wharf-chosen:${base}`;
const remembered = work => {
  try {
    return work(sessionStorage);
  } catch { /* not allowed here: nobody is reminded */ }
};

let files = [];
let stray = [];

/** What is to be sent, which is none's any more then. */
export function take() {
  const taken = files;
  files = [];
  stray = [];
  show();
  return taken;
}

export const isEmpty = () => files.length === 0;

/** Why it cannot be sent, if it cannot. */
function obstacle() {
  if (files.length > maxFiles) return say("too_many", { n: maxFiles });
  if (sum() > maxRequest) return say("too_large_together", { size: size(maxRequest) });
  return "";
}

const sum = () => files.reduce((all, { file }) => all + file.size, 0);

/** Whether it may be sent; says why not, where it may not. */
export const sendable = () => !obstacle() && files.every(({ file }) => file.size <= maxFile);

const removers = () => [...place.querySelectorAll(".remove")];

function remove(entries) {
  const at = removers().indexOf(document.activeElement);
  const gone = new Set(entries);
  files = files.filter(entry => !gone.has(entry));
  show();
  const left = removers();
  (left[Math.min(at, left.length - 1)] ?? input).focus();
}

function show() {
  const open = new Set(Array.from(place.querySelectorAll("details[open]"), ({ dataset }) => dataset.path));
  const root = new Folder(files, maxFile, remove);
  place.querySelector("ul").replaceChildren(...root.rows(open));
  place.hidden = files.length === 0 && stray.length === 0;
  place.querySelector(".sum").textContent = `${count("files", files.length)} · ${size(sum())}`;
  place.querySelector(".trouble").textContent = obstacle();
  remembered(storage => storage.setItem(COUNT, files.length));
  leftOut.textContent = stray.length ? say("left_out", { files: count("files", stray.length), names: [...new Set(stray)].join(", ") }) : "";
}

const lost = Number(remembered(storage => storage.getItem(COUNT)));
remembered(storage => storage.removeItem(COUNT));
if (lost) document.getElementById("form-trouble").textContent = say("choose_again", { files: count("files", lost) });

const byPath = (a, b) => a.path.localeCompare(b.path, undefined, { numeric: true });

/** Adds files, each with the path it is sent under. */
export function add(more) {
  if (more.length === 0) return;
  // A browser lists a folder in any order.
  if (more.some(({ path }) => path.includes("/"))) more.sort(byPath);
  for (const entry of more) {
    const at = entry.path.lastIndexOf("/");
    const name = entry.path.slice(at + 1);
    if (at >= 0 && STRAY.has(name)) stray.push(name);
    else files.push(entry);
  }
  document.getElementById("form-trouble").textContent = "";
  show();
  announce(`${say("ready")}: ${count("files", files.length)}, ${size(sum())}`);
}

const ofInput = list => Array.from(list, file => ({ file, path: file.webkitRelativePath || file.name }));

for (const field of [input, folder]) {
  field.onchange = () => {
    add(ofInput(field.files));
    field.value = "";
  };
}
place.querySelector(".clear").onclick = () => {
  take();
  input.focus();
};
// The scripts hold what is chosen, the field is empty then.
input.required = false;
addEventListener("beforeunload", event => files.length && event.preventDefault());

/** The files under an entry of a drop, with their paths in it. */
async function filesUnder(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.slice(1) }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A folder is told in pieces.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    for (const entry of entries) found.push(...await filesUnder(entry));
  }
}

async function filesOf(data) {
  // The entries must be taken before the first wait: the list is emptied then.
  const entries = Array.from(data.items, item => item.kind === "file" && item.webkitGetAsEntry()).filter(Boolean);
  if (entries.length === 0) return ofInput(data.files);
  return (await Promise.all(entries.map(filesUnder))).flat();
}

let depth = 0;
const carriesFiles = event => event.dataTransfer?.types.includes("Files");
const dragging = on => document.body.classList.toggle("dragging", on);
addEventListener("dragenter", event => carriesFiles(event) && dragging(++depth > 0));
addEventListener("dragleave", event => carriesFiles(event) && dragging(--depth > 0));
addEventListener("dragover", event => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
addEventListener("drop", async event => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  depth = 0;
  dragging(false);
  add(await filesOf(event.dataTransfer));
});
addEventListener("paste", event => {
  const pasted = ofInput(event.clipboardData?.files ?? []);
  // Browsers call every picture of the clipboard image.png.
  const now = new Date();
  const clock = new Date(now - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  add(pasted.map(({ file, path }) => ({ file, path: path === "image.png" ? `${clock}.png` : path })));
  if (pasted.length) event.preventDefault();
});
