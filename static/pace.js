// How fast an upload goes, and how long it takes still.

import { say, size, span } from "./words.js";

/** How much an old rate counts beside a new one, each second. */
const SMOOTH = 0.7;
/** After so many milliseconds without so many bytes it stands still. */
const STILL = 5000;
const STEP = 1024;

export class Pace {
  constructor(whole) {
    const now = performance.now();
    Object.assign(this, { whole, done: 0, all: false, rate: 0, measured: { at: now, done: 0 }, moved: { at: now, done: 0 } });
  }

  /** Is told the bytes that have gone, and whether that is all. */
  at(done, all) {
    const now = performance.now();
    if (Math.abs(done - this.moved.done) >= STEP) this.moved = { at: now, done };
    Object.assign(this, { done, all });
    const seconds = (now - this.measured.at) / 1000;
    if (seconds < 0.5) return;
    const rate = (done - this.measured.done) / seconds;
    const weight = this.rate ? SMOOTH ** seconds : 0;
    this.rate = this.rate * weight + rate * (1 - weight);
    this.measured = { at: now, done };
  }

  get stalled() {
    return !this.all && performance.now() - this.moved.at >= STILL;
  }

  /** What is said of it. */
  text() {
    if (this.all) return say("finishing");
    if (this.stalled) return say("stalled", { span: span((performance.now() - this.moved.at) / 1000) });
    if (!(this.rate > 0)) return "";
    return `${say("rate", { size: size(Math.round(this.rate)) })} · ${say("left", { span: span((this.whole - this.done) / this.rate) })}`;
  }
}
