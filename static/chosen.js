// The files that are chosen and not yet sent: by the fields, by drag and drop, by pasting.

import { announce, copyOf } from "./dom.js";
import { count, say, size } from "./words.js";

const form = document.getElementById("form");
const place = document.getElementById("chosen");
const rows = place.querySelector("ul");
const input = document.getElementById("files");
const folder = document.getElementById("folder");
const limit = name => Number(form.dataset[name]) || Infinity;
const [maxFile, maxRequest, maxFiles] = ["maxFileSize", "maxRequestSize", "maxFiles"].map(limit);

let files = [];

/** What is to be sent, which is none's any more then. */
export function take() {
  const taken = files;
  files = [];
  show();
  return taken;
}

/** Why it cannot be sent, if it cannot. */
function obstacle() {
  if (files.length > maxFiles) return say("too_many", { n: maxFiles });
  if (sum() > maxRequest) return say("too_large_together", { size: size(maxRequest) });
  return "";
}

const sum = () => files.reduce((all, { file }) => all + file.size, 0);

/** Whether it may be sent; says why not, where it may not. */
export const sendable = () => !obstacle() && files.every(({ file }) => file.size <= maxFile);

function row(entry) {
  const item = copyOf("chosen-row");
  item.querySelector(".name").textContent = item.title = entry.path;
  const over = entry.file.size > maxFile;
  item.classList.toggle("over-limit", over);
  item.querySelector(".size").textContent = over ? say("too_large", { size: size(maxFile) }) : size(entry.file.size);
  const remove = item.querySelector(".remove");
  remove.ariaLabel = say("remove", { name: entry.path });
  remove.onclick = () => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    files.splice(files.indexOf(entry), 1);
    item.remove();
    (next?.querySelector("button") ?? input).focus();
    update();
  };
  return item;
}

function show() {
  rows.replaceChildren(...files.map(row));
  update();
}

function update() {
  place.hidden = files.length === 0;
  place.querySelector(".sum").textContent = `${count("files", files.length)} · ${size(sum())}`;
  place.querySelector(".trouble").textContent = obstacle();
  // The form may be sent without the field, which is always emptied.
  input.required = files.length === 0;
}

/** Adds files, each with the path it is sent under. */
export function add(more) {
  if (more.length === 0) return;
  files.push(...more);
  rows.append(...more.map(row));
  update();
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
addEventListener("paste", event => add(ofInput(event.clipboardData?.files ?? [])));
