// The uploads made in this browser, kept in it alone, with the keys that delete them.

import { announce, base, copyLink, copyOf, keepable } from "./dom.js";
import { request } from "./transfer.js";
import { say, size, time, title as titleOf, until } from "./words.js";

const KEY = `wharf:${base}`;
/** The most that are kept. */
const MOST = 100;

/** All that are not over, newest first. */
export function all() {
  let list = [];
  try {
    list = JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch { /* not allowed here, or not what was kept */ }
  return list.filter(({ expires }) => !expires || new Date(expires) > Date.now());
}

function keep(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list.slice(0, MOST)));
  } catch { /* not allowed here: they are known until the page is left */ }
  document.dispatchEvent(new Event("kept"));
}

/** Keeps what the server answered to an upload. */
export function add(stored) {
  const { id, delete_token: token, created_at: created, expires_at: expires, size: bytes, file_count: files, title } = stored;
  keep([{ id, token, created, expires, bytes, title, name: stored.files[0]?.name, files }, ...all()]);
}

export const forget = id => keep(all().filter(upload => upload.id !== id));

/** Whether a request failed because there is no such upload. A 404 without the id of a request is not wharf's own: a proxy's, while the server is away. */
const isGone = failure => failure.code === "upload-not-found" && Boolean(failure.request);

/** Deletes an upload on the server. */
export async function remove({ id, token }) {
  try {
    await request("DELETE", `${base}/uploads/${id}`, { token });
  } catch (failure) {
    // Nothing is left of it: it has expired, or was deleted elsewhere.
    if (!isGone(failure)) throw failure;
  }
  forget(id);
}

/** Sets the deadline of an upload anew, and answers it. */
export async function prolong({ id, token }, expires_in) {
  const changed = await request("PATCH", `${base}/uploads/${id}`, { token, body: { expires_in } });
  keep(all().map(upload => upload.id === id ? { ...upload, expires: changed.expires_at } : upload));
  return changed.expires_at;
}

/** Shows the list in `section`, and keeps it up to date. */
export function showIn(section) {
  const rows = section.querySelector("ul");
  const known = new Map();
  const show = () => {
    const list = all();
    section.hidden = list.length === 0;
    const fresh = new Set(list.map(({ id }) => id));
    for (const [id, row] of known) {
      if (fresh.has(id)) continue;
      row.remove();
      known.delete(id);
    }
    for (const upload of list.reverse()) {
      if (!known.has(upload.id)) {
        known.set(upload.id, rowOf(upload));
        rows.prepend(known.get(upload.id));
      }
      const meta = known.get(upload.id).querySelector(".meta");
      meta.textContent = [size(upload.bytes), say("kept", { until: until(upload.expires) })].join(" · ");
      meta.title = say("sent_at", { time: time(upload.created) });
    }
  };
  document.addEventListener("kept", show);
  // Another window of the same browser.
  addEventListener("storage", show);
  show();
  // Where a secret is needed first, asking would have the browser ask for it.
  if ("readable" in section.dataset) check();
}

function rowOf(upload) {
  const row = copyOf("history-row");
  const find = selector => row.querySelector(selector);
  const what = upload.title ?? titleOf(upload.name, upload.files);
  const link = find("a");
  link.textContent = what;
  link.href = `${base}/uploads/${upload.id}`;
  find("summary").ariaLabel = say("manage_what", { what });
  const trouble = find(".trouble");
  const attempt = async work => {
    trouble.textContent = "";
    try {
      await work();
    } catch (failure) {
      trouble.textContent = failure.text;
    }
  };
  find(".copy").onclick = event => copyLink(event.target, link.href);
  find(".forget").onclick = () => forget(upload.id);
  find(".delete-it summary").ariaLabel = say("delete_what", { what });
  find(".delete-it .question").textContent = say("delete_sure", { what, size: size(upload.bytes) });
  keepable(row);
  find(".delete").onclick = () => attempt(async () => {
    await remove(upload);
    announce(say("deleted_what", { what }));
  });
  find(".prolong").onclick = () => attempt(async () => {
    const expires = await prolong(upload, find("select").value);
    announce(say("prolonged", { what, until: until(expires) }));
  });
  return row;
}

/** Learns what has changed elsewhere: forgets what the server has no more, and knows new deadlines. */
async function check() {
  for (const { id, expires } of all().slice(0, 20)) {
    try {
      const { expires_at } = await request("GET", `${base}/uploads/${id}`);
      if (expires_at !== expires) keep(all().map(upload => upload.id === id ? { ...upload, expires: expires_at } : upload));
    } catch (failure) {
      if (isGone(failure)) forget(id);
      else return;
    }
  }
}
