// The pictures of an upload, large, one after the other.

import { copyOf } from "./dom.js";
import { say } from "./words.js";

/** How far a finger goes to turn the page, in pixels. */
const SWIPE = 50;
/** When a picture that did not come is tried again, in milliseconds. */
const AGAIN = 4000;

const nameOf = link => link.ariaLabel || link.querySelector("img").alt;

/** Has the links of `pictures()` open their pictures here. */
export function lookAt(pictures) {
  addEventListener("click", event => {
    const link = event.target.closest?.(".look-at");
    // Another window is asked for with a key.
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // Those in closed folders are among them, those that were searched away are not.
    const links = [...pictures()].filter(link => !link.closest("[hidden]"));
    new Gallery(links, links.indexOf(link)).show();
  });
}

class Gallery {
  constructor(links, at) {
    Object.assign(this, { links, at });
    this.dialog = copyOf("gallery");
    const find = selector => this.dialog.querySelector(selector);
    this.picture = find("img");
    this.name = find(".name");
    this.place = find(".place");
    this.trouble = find(".trouble");
    this.take = find(".take");
    find(".close").onclick = () => this.dialog.close();
    for (const [selector, step] of [[".before", -1], [".after", 1]]) {
      find(selector).onclick = () => this.go(step);
      find(selector).hidden = links.length < 2;
    }
    this.dialog.onclose = () => {
      clearTimeout(this.timer);
      this.dialog.remove();
      const link = this.links[this.at];
      for (let folder = link.closest("details"); folder; folder = folder.parentElement.closest("details")) folder.open = true;
      link.focus();
    };
    const rtl = () => document.dir === "rtl" ? -1 : 1;
    this.dialog.onkeydown = ({ key }) => {
      const step = { ArrowLeft: -rtl(), ArrowRight: rtl() }[key];
      if (step) this.go(step);
    };
    // A click beside the picture.
    const stage = find(".stage");
    stage.onclick = event => event.target === stage && this.dialog.close();
    let start;
    stage.onpointerdown = event => start = event.pointerType === "touch" && event.isPrimary ? event.clientX : undefined;
    stage.onpointerup = ({ clientX }) => {
      const way = clientX - (start ?? clientX);
      if (Math.abs(way) > SWIPE) this.go(way > 0 ? -rtl() : rtl());
    };
    this.picture.onload = () => {
      this.dialog.classList.remove("loading", "lost");
      this.trouble.textContent = "";
      // The next is there when it is asked for.
      if (links.length > 1) new Image().src = this.beside(this.way).href;
    };
    this.picture.onerror = () => {
      this.dialog.classList.add("lost");
      this.trouble.textContent ||= say("picture_lost");
      this.timer = setTimeout(() => this.load(), AGAIN);
    };
  }

  beside(step) {
    const { length } = this.links;
    return this.links[(this.at + step + length) % length];
  }

  show() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.go(0);
  }

  go(step) {
    const { length } = this.links;
    const link = this.beside(step);
    this.at = this.links.indexOf(link);
    this.way = step || 1;
    const name = nameOf(link);
    this.picture.alt = name;
    this.name.textContent = name;
    this.place.textContent = length > 1 ? say("of", { done: this.at + 1, whole: length }) : "";
    this.take.href = link.href.replace(/\?inline=1$/, "");
    this.trouble.textContent = "";
    this.dialog.classList.remove("lost");
    this.load();
  }

  load() {
    clearTimeout(this.timer);
    this.dialog.classList.add("loading");
    this.picture.src = this.links[this.at].href;
  }
}
