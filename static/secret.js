// The password of a server where sending needs one: asked for and checked before the first byte, and
// kept until the window is closed.

import { announce, base } from "./dom.js";
import { Failure } from "./transfer.js";
import { say } from "./words.js";

const KEY = `wharf-secret:${base}`;
const place = document.getElementById("secret");
const field = place?.querySelector("input");

function kept() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function keep(secret) {
  try {
    if (secret) sessionStorage.setItem(KEY, secret);
    else sessionStorage.removeItem(KEY);
  } catch { /* not allowed here: it is typed again */ }
}

/** Whether the server lets the secret send. */
async function opens(secret) {
  let about;
  try {
    const headers = { Accept: "application/json", Authorization: `Bearer ${secret}` };
    const response = await fetch(`${base}/`, { headers });
    if (!response.ok) throw 0;
    about = await response.json();
  } catch {
    throw new Failure("unreachable");
  }
  return about.scopes.includes("upload");
}

/** Says what is wrong about what is in the field. */
function ask(trouble) {
  field.ariaInvalid = trouble ? "true" : null;
  place.querySelector(".trouble").textContent = trouble;
  field.focus();
}

if (place) {
  field.value = kept();
  field.oninput = () => place.querySelector(".trouble").textContent = "";
}

/**
 * The secret to send with, "" where none is needed. Null where a person has to give one first, who
 * is told so.
 */
export async function secret() {
  if (!place) return "";
  const given = field.value.trim();
  if (!given) return ask(say("secret_missing")), null;
  try {
    if (!await opens(given)) {
      keep("");
      return ask(say("secret_wrong")), null;
    }
  } catch (failure) {
    return ask(failure.text), null;
  }
  keep(given);
  field.ariaInvalid = null;
  announce(say("secret_right"));
  return given;
}

/** Forgets a secret that the server no longer takes. */
export function refused() {
  if (!place) return;
  keep("");
  ask(say("secret_wrong"));
}
