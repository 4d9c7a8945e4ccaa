// What is written and not yet sent: it is there again after a change of the language, or a reload.

import { base } from "./dom.js";

const KEY = `wharf-draft:${base}`;
const FIELDS = ["title", "from", "note", "expires_in", "max_downloads"];
const field = id => document.getElementById(id);

/** Writes down what the fields hold. */
function keep() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(FIELDS.map(id => field(id).value)));
  } catch { /* not allowed here: it is lost with the page */ }
}

/** Has the fields remembered from now on, after what is remembered of them is back. */
export function remember(form) {
  try {
    JSON.parse(sessionStorage.getItem(KEY))?.forEach((value, at) => {
      const place = field(FIELDS[at]);
      const offered = !place.options || [...place.options].some(option => option.value === value);
      if (value && offered) place.value = value;
    });
  } catch { /* nothing that was kept here */ }
  if (field("title").value) field("title").closest("details").open = true;
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);
}

/** Empties what is written for one upload alone; the sender's name is the next one's too. */
export function clear() {
  for (const id of ["title", "note"]) field(id).value = "";
  keep();
}
