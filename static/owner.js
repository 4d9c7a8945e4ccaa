// What the sender of an upload has on its page: the link, and changing and deleting it.

import { announce, base, copyText, keepable, passOn } from "./dom.js";
import { showDeadline } from "./ended.js";
import * as kept from "./kept.js";
import { offerOther } from "./other.js";
import { say, until } from "./words.js";

const sender = document.getElementById("sender");
const section = document.getElementById("manage");
const form = section.querySelector("form");
const trouble = section.querySelector(".trouble");

/** Brings the parts for the sender to life, and shows them to whom this browser knows as one. */
export function manage(heading) {
  const { id } = heading.dataset;
  const copy = sender.querySelector(".copy");
  const link = document.getElementById("link");
  copy.disabled = false;
  copy.onclick = () => copyText(copy, link.value, link);
  link.onfocus = () => link.select();
  passOn(sender.querySelector(".pass-on"), heading.textContent, link.value);
  keepable(section);
  offerOther(form.elements.wharf_expires_in);
  const own = kept.all().find(upload => upload.id === id);
  const listed = location.search === kept.LISTED;
  // The list has forgotten it since: the page is that of everybody.
  if (listed && !own) return location.replace(location.pathname);
  if (listed || document.getElementById("changed")) history.replaceState(null, "", location.pathname);
  if (own) {
    // This browser knows the token: nobody has to type it.
    section.querySelector(".token")?.remove();
    document.getElementById("claim")?.remove();
    sender.hidden = section.hidden = false;
  }
  form.onsubmit = event => {
    const { token } = form.elements;
    const known = own ?? (token && { id, token: token.value });
    // With a token in a cookie alone, which no script sees, the form goes as it is.
    if (!known) return;
    event.preventDefault();
    change(heading, known, event.submitter.classList.contains("danger"));
  };
}

async function change(heading, upload, deletes) {
  trouble.textContent = "";
  try {
    if (deletes) {
      await kept.remove(upload);
      return location.assign(`${base}/`);
    }
    const deadline = await kept.prolong(upload, form.elements.wharf_expires_in.value);
    showDeadline(heading, deadline);
    announce(say("prolonged", { what: heading.textContent, until: until(deadline) }));
  } catch (failure) {
    trouble.textContent = failure.text;
    form.elements.token?.focus();
  }
}
