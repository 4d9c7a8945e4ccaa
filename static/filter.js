// Searching the files of an upload by their names.

import { announce } from "./dom.js";
import { count } from "./words.js";

/** Has the field show only the files in `list` whose names have its words in them. */
export function filterWith(field, list) {
  const rows = Array.from(list.querySelectorAll(".file-row"), row => ({ row, text: textOf(row) }));
  const folders = [...list.querySelectorAll(".folder-row")].reverse();
  const first = new Map(folders.map(folder => [folder, folder.firstElementChild.open]));
  field.disabled = false;
  field.oninput = () => {
    const words = field.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every(word => text.includes(word));
      if (!row.hidden) found += 1;
    }
    // From the inside out: a folder is there where anything in it is.
    for (const folder of folders) {
      folder.hidden = !folder.querySelector(":scope > details > ul > li:not([hidden])");
      folder.firstElementChild.open = words.length ? !folder.hidden : first.get(folder);
    }
    announce(count("files", found));
  };
}

/** The name of a file with those of its folders. */
function textOf(row) {
  const parts = [row.querySelector(".name").textContent];
  for (let folder = row.parentElement.closest(".folder-row"); folder; folder = folder.parentElement.closest(".folder-row")) {
    parts.push(folder.querySelector("summary .name").textContent);
  }
  return parts.join("/").toLocaleLowerCase();
}
