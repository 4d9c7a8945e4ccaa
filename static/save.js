// Saving all files of an upload, one after the other.

import { announce, base } from "./dom.js";
import { Failure } from "./transfer.js";
import { count, say } from "./words.js";

/** The least milliseconds between two files: Chromium drops what comes beyond ten a second. */
const PACE = 125;
/** How many files one click saves: after fifty in a row Chromium asks the reader again. */
const AT_ONCE = 40;
/** The largest file that the page itself fetches, in bytes: it is held by the browser meanwhile. */
const HELD = 1 << 30;

/** An answer that is what was asked for. */
async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Failure("lost");
  }
  if (!response.ok) throw Failure.of(response.status, await response.text().catch(() => ""));
  return response;
}

/** All of what comes, or a failure: what breaks off is no file. */
async function whole(read) {
  try {
    return await read();
  } catch {
    throw new Failure("lost");
  }
}

/** The files of the form. One form is one download, where downloads are counted. */
async function filesOf(id) {
  const response = await ask(`${base}/download/${id}`);
  const form = await whole(() => response.formData());
  return [...form.values()].filter(value => value instanceof File);
}

/** When the next file may be saved. */
let next = 0;

async function pace() {
  const wait = next - performance.now();
  if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait));
  next = performance.now() + PACE;
}

function click(href, name) {
  Object.assign(document.createElement("a"), { href, download: name }).click();
}

async function save(blob, name) {
  await pace();
  const address = URL.createObjectURL(blob);
  click(address, name);
  // The browser reads it some time after the click.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Fetches the file of a link, and saves it under the name that the page shows. */
async function fetchAndSave({ href, dataset: { bytes, name } }) {
  if (Number(bytes) > HELD) {
    // The browser fetches it by itself; whether it is there, it would not tell the page.
    await ask(href, { method: "HEAD" });
    await pace();
    return click(href, name);
  }
  const response = await ask(href);
  await save(await whole(() => response.blob()), name);
}

/** Has `button` save all files of the upload `id`; `limited` says that downloads are counted. */
export function saveWith(button, id, limited) {
  const links = [...document.querySelectorAll(".files a.take")];
  const trouble = document.getElementById("save-trouble");
  const state = document.getElementById("save-state");
  /** The files of a limited upload: they come once, and stay here until the page is left. */
  let held;
  /** How many are saved, and whether all were once. */
  let saved = 0;
  let complete = false;

  const all = () => held?.length ?? links.length;
  async function saveNext() {
    if (!held) return fetchAndSave(links[saved]);
    const file = held[saved];
    await save(file, held.length === links.length ? links[saved].dataset.name : file.name);
  }

  function show() {
    const left = all() - saved;
    complete ||= left === 0;
    state.textContent = left === 0 ? count("saved", saved) : saved ? say("saved_of", { n: saved, all: all() }) : "";
    button.textContent = saved && left ? count("save_next", Math.min(AT_ONCE, left)) : say("save_all");
    announce(state.textContent);
  }

  addEventListener("beforeunload", event => held && !complete && event.preventDefault());
  button.disabled = false;
  button.onclick = async () => {
    button.disabled = true;
    button.textContent = say("saving");
    trouble.textContent = "";
    try {
      if (limited) held ??= await filesOf(id);
      if (saved === all()) saved = 0;
      for (const end = Math.min(saved + AT_ONCE, all()); saved < end; saved += 1) {
        button.textContent = say("saving_of", { n: saved + 1, all: all() });
        await saveNext();
      }
    } catch (failure) {
      trouble.textContent = say("save_failed", { why: failure.text });
    }
    show();
    button.disabled = false;
  };
}
