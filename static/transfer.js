// Requests, and errors in words. An upload goes by XMLHttpRequest, which alone tells how far it
// has come.

import { problem } from "./words.js";

/** Why a request failed: `code` is the server's, or one of the page's own. */
export class Failure extends Error {
  constructor(code, detail = "", request = "", wait = 0) {
    const { title, advice } = problem(code);
    super(title);
    Object.assign(this, { code, advice, detail, request, wait });
  }

  /** All of it in one line. */
  get text() {
    return [`${this.message}.`, this.advice].join(" ");
  }

  /**
   * The failure that an answer tells, with its `Retry-After`. What a proxy answers is known by its
   * status alone.
   */
  static of(status, text, after) {
    const wait = seconds(after);
    try {
      const { code, detail, request_id } = JSON.parse(text);
      if (code) return new Failure(code, detail, request_id, wait);
    } catch { /* no problem document */ }
    const codes = { 401: "missing-secret", 403: "missing-scope", 404: "no-such-route", 408: "body-stalled", 413: "limit-exceeded", 502: "away", 503: "away", 504: "away", 507: "no-space" };
    return new Failure(codes[status] ?? "", `HTTP ${status}`, "", wait);
  }
}

/** How long a `Retry-After` says to wait, in seconds; it is a number of them or a date (RFC 9110 section 10.2.3). */
function seconds(after) {
  if (!after) return 0;
  const time = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  return Math.max(time || 0, 0);
}

/** A request whose answer is JSON, or nothing. */
export async function request(method, url, { token, body } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let response, text;
  try {
    response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
    text = await response.text();
  } catch {
    throw new Failure("unreachable");
  }
  if (!response.ok) throw Failure.of(response.status, text, response.headers.get("Retry-After"));
  return text ? JSON.parse(text) : null;
}

/** Whether all files are still what was chosen; a browser sends nothing of one that is not. */
async function readable(files) {
  try {
    for (const { file } of files) await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/**
 * Sends `files` and the text `fields` as one form, with a secret if there is one. `progress` is
 * given the bytes of all files that have gone, and whether that is all. Fails with a `Failure`, or
 * with null when `signal` ended it.
 */
export function send(url, { files, fields, secret }, progress, signal) {
  const form = new FormData();
  // Fields first: who reads the form as it comes knows them when the files begin.
  for (const [name, value] of fields) form.append(name, value);
  for (const { file, path } of files) form.append("file", file, path);
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", url);
    call.setRequestHeader("Accept", "application/json");
    if (secret) call.setRequestHeader("Authorization", `Bearer ${secret}`);
    call.upload.onprogress = ({ loaded, total }) => progress(total ? size * loaded / total : 0, loaded === total);
    call.onload = () => {
      try {
        if (call.status === 201) return resolve(JSON.parse(call.responseText));
      } catch { /* it is not wharf's answer */ }
      reject(Failure.of(call.status, call.responseText, call.getResponseHeader("Retry-After")));
    };
    call.onerror = async () => reject(new Failure(await readable(files) ? "lost" : "unreadable"));
    call.onabort = () => reject(null);
    signal.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}
