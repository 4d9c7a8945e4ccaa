// The page of an upload: what is left of it, looking at files, and more for who sent it.

import { copyText } from "./dom.js";
import { watch } from "./ended.js";
import { filterWith } from "./filter.js";
import { lookAt } from "./gallery.js";
import { manage } from "./owner.js";
import { fillIn, standIn } from "./thumbs.js";
import { say, time } from "./words.js";

const heading = document.getElementById("upload");

for (const element of document.querySelectorAll("time")) element.textContent = time(element.dateTime);
watch(heading);

const copy = document.getElementById("copy-text");
if (copy) {
  const note = document.getElementById("message");
  copy.disabled = false;
  copy.onclick = () => copyText(copy, note.textContent, note);
}

const filter = document.getElementById("filter");
if (filter) filterWith(filter, document.getElementById("files"));

for (const picture of document.querySelectorAll(".look-at img")) standIn(picture);
fillIn(document.querySelectorAll(".thumb[data-small]"));
lookAt(() => document.querySelectorAll(".look-at"));

// Sound and films tell their length when they are looked at, not all at once.
document.addEventListener("toggle", ({ target }) => {
  const media = target.open && target.matches(".look") && target.querySelector("audio, video");
  if (media) media.preload = "metadata";
}, true);

manage(heading);
document.documentElement.dataset.ready = "";
