// Chosen files as a tree. What is in a closed folder is made when it is opened: there may be
// thousands.

import { copyOf } from "./dom.js";
import { count, say, size } from "./words.js";

/** A folder of entries, each with its `file` and `path`. `remove` is given those to take away. */
export class Folder {
  constructor(entries, maxFile, remove, path = "") {
    Object.assign(this, { entries, maxFile, remove, path });
  }

  /** The rows of the folders and files right in it; those folders that are `open` by their paths show theirs. */
  rows(open = new Set()) {
    const folders = new Map();
    const files = [];
    for (const entry of this.entries) {
      const rest = entry.path.slice(this.path.length);
      const at = rest.indexOf("/");
      if (at < 0) {
        files.push(entry);
        continue;
      }
      const path = this.path + rest.slice(0, at + 1);
      if (!folders.has(path)) folders.set(path, []);
      folders.get(path).push(entry);
    }
    return [...Array.from(folders, ([path, entries]) => this.folderRow(path, entries, open)), ...files.map(entry => this.fileRow(entry))];
  }

  folderRow(path, entries, open) {
    const item = copyOf("chosen-folder");
    const inner = new Folder(entries, this.maxFile, this.remove, path);
    const name = path.slice(this.path.length, -1);
    item.querySelector(".name").textContent = item.title = name;
    const over = entries.some(({ file }) => file.size > this.maxFile);
    item.classList.toggle("over-limit", over);
    const sum = entries.reduce((all, { file }) => all + file.size, 0);
    item.querySelector(".size").textContent = over ? say("too_large", { size: size(this.maxFile) }) : `${count("files", entries.length)} · ${size(sum)}`;
    this.removable(item, name, entries);
    const details = item.querySelector("details");
    const list = item.querySelector("ul");
    details.dataset.path = path;
    details.ontoggle = () => details.open && !list.firstChild && list.append(...inner.rows(open));
    if (open.has(path)) details.open = true;
    return item;
  }

  fileRow(entry) {
    const item = copyOf("chosen-row");
    const name = entry.path.slice(this.path.length);
    item.querySelector(".name").textContent = item.title = name;
    const over = entry.file.size > this.maxFile;
    item.classList.toggle("over-limit", over);
    item.querySelector(".size").textContent = over ? say("too_large", { size: size(this.maxFile) }) : size(entry.file.size);
    this.removable(item, name, [entry]);
    return item;
  }

  removable(item, name, entries) {
    const button = item.querySelector(".remove");
    button.ariaLabel = say("remove", { name });
    button.onclick = () => this.remove(entries);
  }
}
