// One upload on its way: its card on the page, from the first byte to the link.

import { announce, base, copyLink, copyOf } from "./dom.js";
import * as kept from "./kept.js";
import { send } from "./transfer.js";
import { say, size, span, title } from "./words.js";

/** How much an old rate counts beside a new one, each second. */
const SMOOTH = 0.7;
/** Parts of which listeners are told, in percent. */
const TOLD = 25;
/** How often it is tried again without being asked, and the longest wait for that, in seconds. */
const TRIES = 5;
const LONGEST = 300;

const underWay = new Set();
addEventListener("beforeunload", event => underWay.size && event.preventDefault());

/** Sends files and text fields, and shows what becomes of it. */
export function upload(files, fields) {
  const card = new Card(files, fields);
  document.getElementById("transfers").prepend(card.element);
  card.start();
  card.element.focus({ preventScroll: true });
  card.element.scrollIntoView({ block: "nearest" });
}

class Card {
  constructor(files, fields) {
    Object.assign(this, { files, fields });
    this.size = files.reduce((sum, { file }) => sum + file.size, 0);
    this.what = title(files[0]?.path, files.length);
    this.element = copyOf("transfer-card");
    this.find(".what").textContent = this.what;
    this.element.ariaLabel = this.what;
    this.whole = this.find("progress.whole");
    this.whole.ariaLabel = say("progress", { what: this.what });
    let start = 0;
    this.parts = files.map(({ file, path }) => {
      const row = copyOf("part-row");
      row.querySelector(".name").textContent = row.title = path;
      row.querySelector(".size").textContent = size(file.size);
      const bar = row.querySelector("progress");
      bar.ariaLabel = say("progress", { what: path });
      start += file.size;
      return { row, bar, start: start - file.size, end: start };
    });
    this.find(".parts ul").append(...this.parts.map(({ row }) => row));
    this.find(".parts").hidden = files.length === 0;
    this.find(".cancel").onclick = () => this.abort.abort();
    this.find(".retry").onclick = () => {
      this.tries = 0;
      this.start();
      this.element.focus();
    };
    this.find(".dismiss").onclick = () => {
      this.stopWaiting();
      underWay.delete(this);
      this.element.remove();
      document.getElementById("files").focus();
    };
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /** Shows one of: sending, waiting, done, failed, cancelled. */
  state(name, text) {
    this.element.className = `card transfer is-${name}`;
    this.find(".state").textContent = text;
    this.find(".cancel").hidden = name !== "sending";
    this.find(".retry").hidden = name === "sending" || name === "done";
    this.find(".dismiss").hidden = name === "sending";
    this.find(".trouble").hidden = name !== "failed" && name !== "waiting";
    this.find(".open").hidden = this.find(".result").hidden = name !== "done";
  }

  async start() {
    this.stopWaiting();
    this.abort = new AbortController();
    this.last = { at: performance.now(), done: 0 };
    this.rate = 0;
    this.told = 0;
    this.state("sending", say("sending"));
    this.progress(0, false);
    announce(say("announce_sending", { what: this.what }));
    underWay.add(this);
    try {
      const progress = (done, all) => this.progress(done, all);
      this.done(await send(`${base}/upload`, this.files, this.fields, progress, this.abort.signal));
    } catch (failure) {
      if (failure) this.failed(failure);
      else this.cancelled();
    } finally {
      if (!this.timer) underWay.delete(this);
    }
  }

  progress(done, all) {
    this.whole.value = this.size ? done / this.size : Number(all);
    for (const { bar, start, end } of this.parts) {
      const value = end > start ? Math.min(Math.max((done - start) / (end - start), 0), 1) : Number(done >= end);
      if (bar.value !== value) bar.value = value;
    }
    const now = performance.now();
    const seconds = (now - this.last.at) / 1000;
    if (seconds >= 0.5) {
      const rate = (done - this.last.done) / seconds;
      const weight = this.rate ? SMOOTH ** seconds : 0;
      this.rate = this.rate * weight + rate * (1 - weight);
      this.last = { at: now, done };
    }
    this.find(".amount").textContent = say("of", { done: size(Math.round(done)), whole: size(this.size) });
    let pace = "";
    if (all) pace = say("finishing");
    else if (this.rate > 0) {
      pace = `${say("rate", { size: size(Math.round(this.rate)) })} · ${say("left", { span: span((this.size - done) / this.rate) })}`;
    }
    this.find(".pace").textContent = pace;
    const percent = Math.floor(this.whole.value * 100 / TOLD) * TOLD;
    if (percent > this.told && percent < 100) {
      this.told = percent;
      announce(say("announce_part", { what: this.what, n: percent }));
    }
  }

  done(stored) {
    this.progress(this.size, true);
    this.state("done", say("sent"));
    this.find(".amount").textContent = size(this.size);
    this.find(".pace").textContent = say("stored");
    const page = `${base}/uploads/${stored.id}`;
    this.find(".open").href = page;
    const link = this.find(".link");
    link.value = new URL(page, location.href).href;
    link.ariaLabel = say("link_to", { what: this.what });
    const copy = this.find(".copy");
    copy.onclick = () => copyLink(copy, link.value, link);
    this.files = [];
    announce(say("announce_sent", { what: this.what }));
    kept.add(stored);
  }

  failed({ message, advice, detail, request, wait }) {
    this.tries = (this.tries ?? 0) + 1;
    const waits = wait > 0 && wait <= LONGEST && this.tries <= TRIES;
    const name = waits ? "waiting" : "failed";
    this.state(name, say(name));
    if (waits) this.progress(0, false);
    this.find(".pace").textContent = "";
    const trouble = this.find(".trouble");
    trouble.children[0].textContent = message;
    trouble.children[1].textContent = advice;
    trouble.children[2].textContent = [detail, request && say("request", { id: request })].filter(Boolean).join(" · ");
    const again = waits ? this.wait(wait) : "";
    announce(`${this.what}: ${say("failed")}. ${message}. ${again || advice}`);
  }

  /** Counts the seconds down to the next attempt. It is said aloud once, and shown each second. */
  wait(seconds) {
    const end = Date.now() + seconds * 1000;
    const text = () => say("again_in", { span: span(Math.ceil((end - Date.now()) / 1000)) });
    const pace = this.find(".pace");
    this.timer = setInterval(() => {
      if (Date.now() >= end) this.start();
      else if (pace.textContent !== text()) pace.textContent = text();
    }, 250);
    return pace.textContent = text();
  }

  stopWaiting() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  cancelled() {
    this.state("cancelled", say("cancelled"));
    this.find(".pace").textContent = say("cancelled_more");
    announce(`${this.what}: ${say("cancelled")}. ${say("cancelled_more")}`);
  }
}
