// What the scripts say, in the language of the page, and how numbers and times are written.

const { lang: language, dir: direction } = document.documentElement;
const words = (await import(`./words/${language}.js`)).default;

const primary = tag => tag.split("-")[0].toLowerCase();
const known = tag => /^[a-z]{2,3}(-[a-z\d]{2,8})*$/i.test(tag);
const own = navigator.languages.find(tag => known(tag) && primary(tag) === primary(language));

/**
 * How numbers and times are written: as the reader's browser is set, where that is the language of
 * the page. Digits are 0 to 9, as they are in the names, links and sizes around them.
 */
export const locale = new Intl.Locale(own ?? language, { numberingSystem: "latn" }).toString();
const plurals = new Intl.PluralRules(language);
const numbers = [0, 1].map(maximumFractionDigits => new Intl.NumberFormat(locale, { maximumFractionDigits, useGrouping: "min2" }));

const other = direction === "rtl" ? /[a-z]/i : /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;
/** A text in its own direction of writing (UAX 9), where it may be another than that of the page. */
export const isolate = text => other.test(text) ? `\u2068${text}\u2069` : text;

const place = value => typeof value === "number" ? numbers[0].format(value) : isolate(value);
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => place(values[key] ?? ""));

/** The text of `key` with its places filled in. */
export const say = (key, values = {}) => fill(words[key], values);

/** So many of what `key` names, in the form that the language has for the number. */
export const count = (key, n, values) => fill(words[key][plurals.select(n)] ?? words[key].other, { ...values, n });

/** Title and advice for the code of an error. */
export const problem = code => words.problems[code] ?? { title: words.problem, advice: words.problem_advice };

const units = words.units.split(" ");

/** A size for people: three digits, in powers of 1024, as the server counts them. */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && value < 99.95 ? 1 : 0;
  return `${numbers[digits].format(value)} ${units[unit]}`;
}

/** About so many seconds. */
export function span(seconds) {
  if (seconds < 90) return count("seconds", Math.max(1, Math.round(seconds)));
  if (seconds < 90 * 60) return count("minutes", Math.round(seconds / 60));
  if (seconds < 48 * 3600) return count("hours", Math.round(seconds / 3600));
  return count("days", Math.round(seconds / 86_400));
}

const clock = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

/** A time in the reader's own zone. */
export const time = text => clock.format(new Date(text));

/** Until when something is kept. */
export const until = expires => expires ? say("until", { time: time(expires) }) : say("until_deleted");

/** How long something is kept from now on. */
export function left(expires) {
  if (!expires) return say("kept", { until: say("until_deleted") });
  return say("expires_in", { span: span(Math.max(0, new Date(expires) - Date.now()) / 1000) });
}

/** What an upload of so many files is called, after the first of them. */
export function title(name, files) {
  if (files === 0) return say("text_only");
  return files === 1 ? name : count("and_more", files - 1, { name });
}
