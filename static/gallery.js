// The pictures of an upload, large, one after the other.

import { copyOf } from "./dom.js";
import { say } from "./words.js";

/** How far a finger goes to turn the page, in pixels. */
const SWIPE = 50;

/** Has the links of `pictures()` open their pictures here. */
export function lookAt(pictures) {
  addEventListener("click", event => {
    const link = event.target.closest?.(".look-at");
    // Another window is asked for with a key.
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const links = [...pictures()].filter(link => link.offsetParent);
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
    this.take = find(".take");
    find(".close").onclick = () => this.dialog.close();
    for (const [selector, step] of [[".before", -1], [".after", 1]]) {
      find(selector).onclick = () => this.go(step);
      find(selector).hidden = links.length < 2;
    }
    this.dialog.onclose = () => {
      this.dialog.remove();
      this.links[this.at].focus();
    };
    const rtl = () => document.dir === "rtl" ? -1 : 1;
    this.dialog.onkeydown = ({ key }) => {
      const step = { ArrowLeft: -rtl(), ArrowRight: rtl() }[key];
      if (step) this.go(step);
    };
    // A click beside the picture.
    find(".stage").onclick = event => event.target.className === "stage" && this.dialog.close();
    let start;
    this.picture.onpointerdown = event => start = event.pointerType === "touch" && event.isPrimary ? event.clientX : undefined;
    this.picture.onpointerup = ({ clientX }) => {
      const way = clientX - (start ?? clientX);
      if (Math.abs(way) > SWIPE) this.go(way > 0 ? -rtl() : rtl());
    };
    this.picture.onload = () => this.dialog.classList.remove("loading");
  }

  show() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.go(0);
  }

  go(step) {
    const { length } = this.links;
    this.at = (this.at + step + length) % length;
    const link = this.links[this.at];
    const name = link.closest("[data-name]").dataset.name;
    this.dialog.classList.add("loading");
    this.picture.src = link.href;
    this.picture.alt = name;
    this.name.textContent = name;
    this.place.textContent = length > 1 ? say("of", { done: this.at + 1, whole: length }) : "";
    this.take.href = link.href.replace(/\?inline=1$/, "");
    // The next is there when it is asked for.
    if (length > 1) new Image().src = this.links[(this.at + (step || 1) + length) % length].href;
  }
}
