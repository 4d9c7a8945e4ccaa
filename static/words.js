// What the scripts say, in the language of the page, and how numbers and times are written.

const language = document.documentElement.lang;
const words = (await import(`./words/${language.startsWith("zh") ? "zh" : "en"}.js`)).default;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");

/** The text of `key` with its places filled in. */
export const say = (key, values = {}) => fill(words[key], values);

/** So many of what `key` names. */
export const count = (key, n) => fill(words[key][n === 1 ? 0 : 1], { n });

/** Title and advice for the code of an error. */
export const problem = code => words.problems[code] ?? { title: words.problem, advice: words.problem_advice };

/** A size for people: three digits, in powers of 1024, as the server writes it. */
export function size(bytes) {
  let value = bytes;
  let unit = "B";
  for (const larger of ["KiB", "MiB", "GiB", "TiB"]) {
    if (value < 999.5) break;
    value /= 1024;
    unit = larger;
  }
  const digits = unit !== "B" && value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits).replace(".0", "")} ${unit}`;
}

/** About so many seconds. */
export function span(seconds) {
  if (seconds < 90) return count("seconds", Math.max(1, Math.round(seconds)));
  if (seconds < 90 * 60) return count("minutes", Math.round(seconds / 60));
  return count("hours", Math.round(seconds / 3600));
}

const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** A time in the reader's own zone. */
export const time = text => clock.format(new Date(text));

/** Until when something is kept. */
export const until = expires => expires ? say("until", { time: time(expires) }) : say("until_deleted");

/** What an upload of so many files is called, after the first of them. */
export function title(name, files) {
  if (files === 0) return say("text_only");
  return files === 1 ? name : say("and_more", { name, more: files - 1 });
}
