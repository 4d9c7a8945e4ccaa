// One upload on its way: its card on the page, from the first byte to the link.

import { announce, base, copyOf, copyText, passOn } from "./dom.js";
import * as kept from "./kept.js";
import { Pace } from "./pace.js";
import { Failure, send } from "./transfer.js";
import { say, size, span, title } from "./words.js";

/** Parts of which listeners are told, in percent. */
const TOLD = 25;
/** How often it is tried again where the server said when, and the longest wait for that, in seconds. */
const TRIES = 5;
const LONGEST = 300;
/** The pauses before it is tried again after a lost connection, in seconds; the last is for all further ones. */
const PAUSES = [2, 5, 10, 20, 40, 60];
/** After so many lost connections it is left to the person. */
const LOST_TRIES = 20;
/** The most files that are listed with a bar each. */
const MOST_PARTS = 1000;

const underWay = new Set();
addEventListener("beforeunload", event => underWay.size && event.preventDefault());
addEventListener("online", () => underWay.forEach(card => card.lost && card.start()));

/** Sends files and text fields, and shows what becomes of it. `refused` is told of a secret that is not taken. */
export function upload(form, refused) {
  const card = new Card(form, refused);
  document.getElementById("transfers").prepend(card.element);
  card.start();
  card.element.focus({ preventScroll: true });
  card.element.scrollIntoView({ block: "nearest" });
}

/** The folder that all files are in. */
function folderOf(files) {
  const [folder, rest] = files[0]?.path.split("/", 2) ?? [];
  if (files.length > 1 && rest !== undefined && files.every(({ path }) => path.startsWith(`${folder}/`))) return folder;
}

class Card {
  constructor(form, refused) {
    Object.assign(this, { form, refused, tries: 0, losses: 0, pause: 0, parts: [] });
    const { files, fields } = form;
    this.size = files.reduce((sum, { file }) => sum + file.size, 0);
    const named = fields.find(([name]) => name === "wharf_title");
    this.folder = folderOf(files);
    this.what = named?.[1] ?? this.folder ?? title(files[0]?.file.name, files.length);
    this.element = copyOf("transfer-card");
    this.find(".what").textContent = this.what;
    this.element.ariaLabel = this.what;
    this.whole = this.find("progress.whole");
    this.whole.ariaLabel = say("progress", { what: this.what });
    const parts = this.find(".parts");
    parts.hidden = files.length < 2 || files.length > MOST_PARTS;
    parts.ontoggle = () => {
      if (parts.open && !this.parts.length) this.listParts();
    };
    this.find(".cancel").onclick = () => this.abort.abort();
    this.find(".retry").onclick = () => {
      this.tries = this.losses = this.pause = 0;
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

  /** Lists the files with a bar each. */
  listParts() {
    let start = 0;
    this.parts = this.form.files.map(({ file, path }) => {
      const row = copyOf("part-row");
      row.querySelector(".name").textContent = row.title = path;
      row.querySelector(".size").textContent = size(file.size);
      const bar = row.querySelector("progress");
      bar.ariaLabel = say("progress", { what: path });
      start += file.size;
      return { row, bar, start: start - file.size, end: start };
    });
    this.find(".parts ul").append(...this.parts.map(({ row }) => row));
    this.showParts();
  }

  showParts() {
    const done = this.pace.done;
    for (const { bar, start, end } of this.parts) {
      const value = end > start ? Math.min(Math.max((done - start) / (end - start), 0), 1) : Number(done >= end);
      if (bar.value !== value) bar.value = value;
    }
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
    this.pace = new Pace(this.size);
    this.told = 0;
    this.state("sending", say("sending"));
    this.progress(0, false);
    // What stands still tells nothing by itself.
    const clock = setInterval(() => this.showPace(), 1000);
    announce(say("announce_sending", { what: this.what }));
    underWay.add(this);
    try {
      const progress = (done, all) => this.progress(done, all);
      this.done(await send(`${base}/upload`, this.form, progress, this.abort.signal));
    } catch (failure) {
      if (failure instanceof Failure) this.failed(failure);
      else this.cancelled();
    } finally {
      clearInterval(clock);
      if (!this.timer) underWay.delete(this);
    }
  }

  progress(done, all) {
    // A line that carries something again is no longer to be waited for as long.
    if (done > this.size / 20) this.pause = 0;
    this.pace.at(done, all);
    this.whole.value = this.size ? done / this.size : Number(all);
    this.showParts();
    this.find(".amount").textContent = this.size ? say("of", { done: size(Math.round(done)), whole: size(this.size) }) : "";
    this.showPace();
    const percent = Math.floor(this.whole.value * 100 / TOLD) * TOLD;
    if (percent > this.told && percent < 100) {
      this.told = percent;
      announce(say("announce_part", { what: this.what, n: percent }));
    }
  }

  showPace() {
    const place = this.find(".pace");
    const text = this.pace.text();
    if (place.textContent !== text) place.textContent = text;
    this.element.classList.toggle("is-stalled", this.pace.stalled);
  }

  done(stored) {
    this.progress(this.size, true);
    this.state("done", say("sent"));
    this.find(".amount").textContent = this.size ? size(this.size) : "";
    this.find(".pace").textContent = say("stored");
    const page = `${base}/uploads/${stored.id}`;
    this.find(".open").href = page + kept.LISTED;
    const link = this.find(".link");
    link.value = new URL(page, location.href).href;
    link.ariaLabel = say("link_to", { what: this.what });
    link.onfocus = () => link.select();
    const copy = this.find(".copy");
    copy.onclick = () => copyText(copy, link.value, link);
    passOn(this.find(".pass-on"), this.what, link.value);
    this.find(".parts").hidden = true;
    this.form = undefined;
    announce(say("announce_sent", { what: this.what }));
    kept.add({ ...stored, title: stored.title ?? this.folder });
  }

  /** How long to wait before it is tried again, in seconds; nothing where that is no use. */
  again({ code, wait }) {
    this.lost = code === "lost";
    if (!this.lost) this.tries += 1;
    else this.losses += 1;
    if (this.tries > TRIES || this.losses > LOST_TRIES || wait > LONGEST) return;
    if (wait > 0) return wait;
    if (!this.lost && code !== "away") return;
    this.pause = Math.min(this.pause + 1, PAUSES.length);
    return PAUSES[this.pause - 1];
  }

  failed(failure) {
    const { code, message, advice, detail, request } = failure;
    const pause = this.again(failure);
    const name = pause ? "waiting" : "failed";
    this.state(name, say(name));
    if (pause) this.progress(0, false);
    this.find(".pace").textContent = "";
    const trouble = this.find(".trouble");
    trouble.children[0].textContent = message;
    trouble.children[1].textContent = pause && this.lost ? say("lost_again") : advice;
    trouble.children[2].textContent = [detail, request && say("request", { id: request })].filter(Boolean).join(" · ");
    const again = pause ? this.wait(pause) : "";
    announce(`${this.what}: ${say("failed")}. ${message}. ${again || advice}`);
    if (["missing-secret", "bad-secret", "missing-scope"].includes(code)) this.refused();
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
    this.lost = false;
  }

  cancelled() {
    this.state("cancelled", say("cancelled"));
    this.find(".pace").textContent = say("cancelled_more");
    announce(`${this.what}: ${say("cancelled")}. ${say("cancelled_more")}`);
  }
}
