// The first page: what its form does without this, done better.

import { upload } from "./card.js";
import * as chosen from "./chosen.js";
import { announce } from "./dom.js";
import * as drafts from "./drafts.js";
import { showIn } from "./history.js";
import { offerOther } from "./other.js";
import * as secret from "./secret.js";
import { say } from "./words.js";

const form = document.getElementById("form");
const note = document.getElementById("note");
const trouble = document.getElementById("form-trouble");
const button = document.getElementById("send");

form.addEventListener("submit", async event => {
  event.preventDefault();
  const empty = chosen.isEmpty() && !note.value.trim();
  trouble.textContent = empty ? say("nothing_chosen") : "";
  if (empty || !chosen.sendable() || button.disabled) return;
  button.disabled = true;
  const given = await secret.secret();
  button.disabled = false;
  if (given === null) return;
  const data = new FormData(form);
  const fields = [...data].filter(([name, value]) => name !== "file" && value !== "");
  upload({ files: chosen.take(), fields, secret: given }, secret.refused);
  drafts.clear();
});

// A text that is pasted beside the fields is one to be sent.
addEventListener("paste", event => {
  if (event.target.closest?.("input, textarea, select") || event.clipboardData?.files.length) return;
  const text = event.clipboardData?.getData("text/plain") ?? "";
  if (!text.trim()) return;
  event.preventDefault();
  note.value = [note.value, text].filter(Boolean).join("\n");
  note.dispatchEvent(new Event("input", { bubbles: true }));
  note.focus();
  announce(say("pasted"));
});
note.addEventListener("input", () => trouble.textContent = "");

for (const select of form.querySelectorAll("select")) offerOther(select);
drafts.remember(form);
showIn(document.getElementById("history"));
document.documentElement.dataset.ready = "";
