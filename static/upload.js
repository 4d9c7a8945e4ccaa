// The page of an upload: copying, saving all files at once, changes by who sent it from here.

import { announce, base, copyLink, keepable } from "./dom.js";
import * as kept from "./kept.js";
import { saveWith } from "./save.js";
import { say, time, until } from "./words.js";

const heading = document.getElementById("upload");
const { id, expires } = heading.dataset;

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

const save = document.getElementById("save");
if (save) saveWith(save, id, "limited" in heading.dataset);

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

keepable(document.getElementById("manage"));
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
      const deadline = await kept.prolong(own, form.elements.wharf_expires_in.value);
      showDeadline(deadline);
      announce(say("prolonged", { what: heading.textContent, until: until(deadline) }));
    } catch (failure) {
      trouble.textContent = failure.text;
    }
  };
}
document.documentElement.dataset.ready = "";
