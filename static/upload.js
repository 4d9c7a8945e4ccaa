// The page of an upload: copying, saving all files at once, changes by who sent it from here.

import { announce, base, copyLink } from "./dom.js";
import * as kept from "./kept.js";
import { Failure } from "./transfer.js";
import { count, say, time, until } from "./words.js";

const heading = document.getElementById("upload");
const { id, bytes, expires } = heading.dataset;
/** The most that is fetched as one form, in bytes: all of it is held by the browser meanwhile. */
const WHOLE = 1 << 30;

for (const element of document.querySelectorAll("time")) element.textContent = time(element.dateTime);
const showDeadline = expires => {
  for (const element of document.querySelectorAll(".until")) element.textContent = until(expires);
};
showDeadline(expires);

const copy = document.querySelector(".copy");
const link = document.getElementById("link");
copy.disabled = false;
copy.onclick = () => copyLink(copy, link.value, link);
link.onfocus = () => link.select();

function click(href, name) {
  const anchor = Object.assign(document.createElement("a"), { href, download: name });
  anchor.click();
}

/** Fetches the whole form in one request and saves its files. */
async function saveForm() {
  let response;
  try {
    response = await fetch(`${base}/download/${id}`);
  } catch {
    throw new Failure("lost");
  }
  if (!response.ok) throw Failure.of(response.status, await response.text());
  let form;
  try {
    form = await response.formData();
  } catch {
    throw new Failure("lost");
  }
  const files = [...form.values()].filter(value => value instanceof File);
  for (const file of files) {
    const address = URL.createObjectURL(file);
    click(address, file.name);
    // The browser reads it some time after the click.
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }
  return files.length;
}

/** Has the browser fetch one file after the other. */
function saveEach() {
  const links = document.querySelectorAll(".files .about a");
  for (const { href } of links) click(href, "");
  return links.length;
}

const save = document.getElementById("save");
if (save) {
  const label = save.textContent;
  const trouble = document.getElementById("save-trouble");
  save.disabled = false;
  save.onclick = async () => {
    save.disabled = true;
    save.textContent = say("saving");
    trouble.textContent = "";
    try {
      // One form is one download, where downloads are counted.
      const whole = "limited" in heading.dataset || Number(bytes) <= WHOLE;
      announce(count("saved", whole ? await saveForm() : saveEach()));
    } catch (failure) {
      trouble.textContent = say("save_failed", { why: failure.text });
    }
    save.textContent = label;
    save.disabled = false;
  };
}

// What cannot be shown leaves no hole.
for (const picture of document.querySelectorAll("img.thumb, img.preview")) {
  const replace = () => {
    if (picture.className === "preview") {
      const summary = picture.closest("details")?.querySelector("summary");
      if (summary) summary.textContent = say("details");
      return (picture.closest(".alone") ?? picture).remove();
    }
    const place = Object.assign(document.createElement("span"), { className: "thumb", textContent: picture.dataset.ending });
    picture.replaceWith(place);
  };
  picture.onerror = replace;
  if (picture.complete && picture.naturalWidth === 0) replace();
}

if (document.getElementById("changed")) history.replaceState(null, "", location.pathname);

const own = kept.all().find(upload => upload.id === id);
if (own) {
  // This browser knows the token: nobody has to type it.
  const manage = document.getElementById("manage");
  manage.querySelector(".token")?.remove();
  manage.querySelector("summary").textContent = say("manage");
  const trouble = manage.querySelector(".trouble");
  const form = manage.querySelector("form");
  form.onsubmit = async event => {
    event.preventDefault();
    trouble.textContent = "";
    try {
      if (event.submitter.classList.contains("danger")) {
        await kept.remove(own);
        return location.assign(`${base}/`);
      }
      const deadline = await kept.prolong(own, form.elements.expires_in.value);
      showDeadline(deadline);
      announce(say("prolonged", { what: heading.textContent, until: until(deadline) }));
    } catch (failure) {
      trouble.textContent = failure.text;
    }
  };
}
document.documentElement.dataset.ready = "";
