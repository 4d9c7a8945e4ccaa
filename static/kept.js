// The uploads made in this browser, kept in it alone, with the keys that delete them.

import { base } from "./dom.js";
import { Failure, request } from "./transfer.js";

const KEY = `wharf:${base}`;
/** The most that are kept. */
const MOST = 100;

/** The query with which a page of an upload in the list has its sender's parts from the beginning. */
export const LISTED = "?listed";

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

/** Whether the upload is there. The server does not tell a wrong token from none to delete. */
async function isThere(id) {
  try {
    await request("GET", `${base}/uploads/${id}`);
    return true;
  } catch {
    return false;
  }
}

/** A change of an upload with its token. */
async function change(method, { id, token }, body) {
  try {
    return await request(method, `${base}/uploads/${id}`, { token, body });
  } catch (failure) {
    if (isGone(failure) && await isThere(id)) throw new Failure("wrong-token");
    throw failure;
  }
}

/** Deletes an upload on the server. */
export async function remove(upload) {
  try {
    await change("DELETE", upload);
  } catch (failure) {
    // Nothing is left of it: it has expired, or was deleted elsewhere.
    if (!isGone(failure)) throw failure;
  }
  forget(upload.id);
}

/** Sets the deadline of an upload anew, and answers it. */
export async function prolong(upload, expires_in) {
  const { expires_at } = await change("PATCH", upload, { expires_in });
  const list = all();
  const known = list.find(({ id }) => id === upload.id);
  if (known) {
    known.expires = expires_at;
    keep(list);
  }
  return expires_at;
}

/** Learns what has changed elsewhere: forgets what the server has no more, and knows new deadlines. */
export async function check() {
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
