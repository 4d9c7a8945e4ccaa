// What is left of an upload: the time, and the downloads where they are counted. A page that stays
// open says it truly.

import { announce, base } from "./dom.js";
import { request } from "./transfer.js";
import { left, say, until } from "./words.js";

/** When the server is asked after a download has begun, in seconds: a use is counted at its end. */
const AFTER = [1, 3, 8, 20, 60, 180];

/** Shows the deadline of the upload. */
export function showDeadline(heading, expires) {
  heading.dataset.expires = expires ?? "";
  for (const element of document.querySelectorAll(".until")) element.textContent = until(expires);
  const shown = document.getElementById("expires");
  if (shown) Object.assign(shown, { textContent: left(expires), title: until(expires) });
}

/** Takes a link away that would lead to nothing. */
function close(link) {
  link.removeAttribute("href");
  link.classList.add("ended");
  link.ariaDisabled = "true";
}

/** Keeps what the page says of the upload true. */
export function watch(heading) {
  const { id } = heading.dataset;
  const limited = "limited" in heading.dataset;
  const expires = () => heading.dataset.expires;
  let timers = [];

  function end(why) {
    document.querySelectorAll(".take").forEach(close);
    for (const element of document.querySelectorAll(".left")) element.textContent = "0";
    const over = document.getElementById("over");
    over.textContent = why;
    over.hidden = false;
    timers.forEach(clearTimeout);
  }

  async function ask() {
    let record;
    try {
      record = await request("GET", `${base}/uploads/${id}`);
    } catch (failure) {
      if (failure.code === "upload-not-found") end(say(limited ? "over_used" : "over_gone"));
      return;
    }
    if (record.expires_at !== (expires() || null)) showDeadline(heading, record.expires_at);
    if (record.max_downloads === null) return;
    const text = say("left_of", { n: record.downloads_left, max: record.max_downloads });
    for (const element of document.querySelectorAll(".left")) {
      if (element.textContent === text) continue;
      element.textContent = text;
      announce(`${say("downloads_left")}: ${text}`);
    }
    const over = record.files.filter(file => file.downloads_left === 0).map(({ url }) => new URL(url).pathname);
    for (const link of document.querySelectorAll("a.take[href]")) {
      // The archive has all files or is none.
      const all = over.length && link.closest(".main-actions");
      if (!all && !over.includes(link.pathname)) continue;
      close(link);
      const meta = link.querySelector(".meta");
      if (meta) meta.textContent += ` · ${say("used_up")}`;
    }
  }

  addEventListener("click", event => {
    if (!event.target.closest?.("a.take")) return;
    // A link that is over does nothing, and says nothing by itself.
    timers.forEach(clearTimeout);
    timers = (limited ? AFTER : [0]).map(seconds => setTimeout(ask, seconds * 1000));
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && (limited || expires())) ask();
  });

  showDeadline(heading, expires());
  setInterval(() => {
    if (!expires()) return;
    if (new Date(expires()) <= Date.now()) end(say("over_gone"));
    else document.getElementById("expires").textContent = left(expires());
  }, 5000);
}
