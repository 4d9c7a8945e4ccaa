// "Sent from this browser": the list of what is kept, one line each.

import { announce, base, copyOf, copyText, keepable, passOn } from "./dom.js";
import * as kept from "./kept.js";
import { offerOther } from "./other.js";
import { left, say, size, time, title as titleOf, until } from "./words.js";

/** From so many on they can be searched. */
const SEARCHED = 8;

/** Shows the list in `section`, and keeps it up to date. */
export function showIn(section) {
  const rows = section.querySelector("ul");
  const filter = section.querySelector("input");
  const known = new Map();
  const search = () => {
    const word = filter.value.trim().toLocaleLowerCase();
    for (const row of known.values()) row.hidden = !row.querySelector(".name").textContent.toLocaleLowerCase().includes(word);
  };
  const show = () => {
    const list = kept.all();
    section.hidden = list.length === 0;
    filter.hidden = list.length < SEARCHED;
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
      meta.textContent = [upload.files ? size(upload.bytes) : "", left(upload.expires)].filter(Boolean).join(" · ");
      meta.title = `${say("sent_at", { time: time(upload.created) })}, ${say("kept", { until: until(upload.expires) })}`;
    }
    if (!filter.hidden) search();
  };
  filter.oninput = search;
  document.addEventListener("kept", show);
  // Another window of the same browser.
  addEventListener("storage", show);
  show();
  // Where a secret is needed first, asking would have the browser ask for it.
  if ("readable" in section.dataset) kept.check();
}

function rowOf(upload) {
  const row = copyOf("history-row");
  const find = selector => row.querySelector(selector);
  const what = upload.title ?? titleOf(upload.name, upload.files);
  const link = find("a");
  link.textContent = link.title = what;
  const page = new URL(`${base}/uploads/${upload.id}`, location).href;
  link.href = page + kept.LISTED;
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
  find(".copy").onclick = event => copyText(event.target, page);
  passOn(find(".pass-on"), what, page);
  find(".forget").onclick = () => kept.forget(upload.id);
  find(".delete-it summary").ariaLabel = say("delete_what", { what });
  find(".delete-it .question").textContent = say("delete_sure", { what, size: size(upload.bytes) });
  keepable(row);
  find(".delete").onclick = () => attempt(async () => {
    await kept.remove(upload);
    announce(say("deleted_what", { what }));
  });
  const select = find("select");
  offerOther(select);
  find(".prolong").onclick = () => attempt(async () => {
    const expires = await kept.prolong(upload, select.value);
    announce(say("prolonged", { what, until: until(expires) }));
  });
  return row;
}
