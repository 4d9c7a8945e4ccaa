// The first page: what its form does without this, done better.

import { upload } from "./card.js";
import * as chosen from "./chosen.js";
import * as kept from "./kept.js";

const form = document.getElementById("form");

form.addEventListener("submit", event => {
  event.preventDefault();
  if (!chosen.sendable()) return;
  const data = new FormData(form);
  const fields = [...data].filter(([name, value]) => name !== "file" && value !== "");
  upload(chosen.take(), fields);
  for (const id of ["title", "from", "note"]) document.getElementById(id).value = "";
});

kept.showIn(document.getElementById("history"));
document.documentElement.dataset.ready = "";
