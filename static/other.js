// Choices beside those of a list: a last one, "other…", for a number of one's own.

import { announce } from "./dom.js";
import { say } from "./words.js";

/** The units of a time, by the letters that the server knows: their seconds and their words. */
const UNITS = { m: [60, "unit_m"], h: [3600, "unit_h"], d: [86_400, "unit_d"], w: [604_800, "unit_w"] };

/**
 * Adds the choice to a `<select>`. A time has a unit, a count has none. The value of the choice
 * itself becomes what is typed, so that the form is sent as if it had been in the list.
 */
export function offerOther(select) {
  const option = new Option(say("other_choice"), "");
  option.dataset.other = "";
  select.append(option);
  const timed = select.name === "wharf_expires_in";
  const most = Number(select.dataset.most) || Infinity;
  const number = Object.assign(document.createElement("input"), { type: "number", min: 1, step: 1, value: timed ? 2 : 5, inputMode: "numeric", ariaLabel: say("number") });
  const unit = Object.assign(document.createElement("select"), { ariaLabel: say("unit") });
  for (const [letter, [, word]] of Object.entries(UNITS)) unit.append(new Option(say(word), letter));
  unit.value = "w";
  const place = document.createElement("span");
  place.className = "own";
  place.append(number, ...timed ? [unit] : []);
  const changed = () => {
    const count = Math.floor(number.value);
    const seconds = timed ? count * UNITS[unit.value][0] : 0;
    const trouble = !(count >= 1) ? say("number_wrong") : seconds > most ? say("time_too_long") : "";
    number.setCustomValidity(trouble);
    option.value = trouble ? "" : `${count}${timed ? unit.value : ""}`;
  };
  number.oninput = unit.onchange = changed;
  select.addEventListener("change", () => {
    const other = select.selectedOptions[0] === option;
    if (!other) {
      number.setCustomValidity("");
      return place.remove();
    }
    select.after(place);
    changed();
    number.focus();
    number.select();
    announce(say("number"));
  });
}
