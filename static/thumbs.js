// Small pictures of large ones. A camera puts one of its own into each JPEG, near the beginning
// (Exif 2.3, section 4.5.5): it is a hundredth of the whole.

/** The bytes of a file in which the small picture is looked for. */
const HEAD = 64 << 10;
/** How many are fetched at once. */
const AT_ONCE = 4;
/** When it is tried again where the line was lost, in milliseconds. */
const AGAIN = 10_000;

/** The tags of Exif that are read. */
const ORIENTATION = 0x112;
const [AT, LENGTH] = [0x201, 0x202];
/** How the small picture is turned, by the orientation of the large one. */
const TURNS = { 3: 180, 6: 90, 8: 270 };

/** Fills the places of pictures that come into view. */
export function fillIn(places) {
  const waiting = [];
  let fetching = 0;
  const next = async () => {
    if (fetching === AT_ONCE || !waiting.length) return;
    fetching += 1;
    const place = waiting.shift();
    // What is no picture keeps the letters in its place.
    await fill(place).catch(failure => failure instanceof TypeError && setTimeout(() => watcher.observe(place), AGAIN));
    fetching -= 1;
    next();
  };
  const watcher = new IntersectionObserver(entries => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      waiting.push(target);
      next();
    }
  }, { rootMargin: "300px" });
  for (const place of places) watcher.observe(place);
}

/** Watches a picture of the page: what is none, whatever it is called, leaves no hole. */
export function standIn(picture) {
  const { src, alt } = picture;
  const replace = () => {
    const link = picture.parentElement;
    if (picture.className === "preview") return link.parentElement.remove();
    link.className = "thumb";
    link.ariaLabel = alt;
    link.replaceChildren(/\.([^.]{1,4})$/.exec(alt)?.[1].toUpperCase() ?? "");
  };
  const failed = async () => {
    try {
      await fetch(src, { method: "HEAD" });
      replace();
    } catch {
      // The line is lost, and the picture is one still.
      setTimeout(() => picture.src = src, AGAIN);
    }
  };
  picture.onerror = failed;
  if (picture.complete && picture.naturalWidth === 0 && picture.currentSrc) failed();
}

async function fill(place) {
  const picture = new Image();
  picture.alt = "";
  const { small: kind } = place.dataset;
  const small = kind !== "other" && await embedded(place.href);
  if (small) {
    picture.src = URL.createObjectURL(small.blob);
    picture.onload = () => URL.revokeObjectURL(picture.src);
    if (TURNS[small.orientation]) picture.style.rotate = `${TURNS[small.orientation]}deg`;
  } else {
    // Where each byte is dear, a picture is loaded when it is looked at.
    const { saveData, effectiveType } = navigator.connection ?? {};
    if (kind === "inside" || saveData || /2g/.test(effectiveType)) return;
    picture.src = place.href;
  }
  await picture.decode();
  place.replaceChildren(picture);
}

/** The small picture in a JPEG, if it has one. */
async function embedded(url) {
  const response = await fetch(url, { headers: { Range: `bytes=0-${HEAD - 1}` } });
  if (response.status !== 206) return response.body?.cancel();
  const view = new DataView(await response.arrayBuffer());
  try {
    return ofJpeg(view);
  } catch {
    // It ends within what was to be read.
  }
}

function ofJpeg(view) {
  if (view.getUint16(0) !== 0xffd8) return;
  for (let at = 2; ;) {
    const marker = view.getUint16(at);
    if (marker === 0xffe1 && view.getUint32(at + 4) === 0x45786966) return ofExif(view, at + 10);
    if (marker < 0xffe0 || marker > 0xfffe) return;
    at += 2 + view.getUint16(at + 2);
  }
}

function ofExif(view, start) {
  const little = view.getUint16(start) === 0x4949;
  const short = at => view.getUint16(start + at, little);
  const long = at => view.getUint32(start + at, little);
  const directory = at => {
    const tags = new Map();
    const end = at + 2 + 12 * short(at);
    // A value of type 3 is a short.
    for (let entry = at + 2; entry < end; entry += 12) tags.set(short(entry), short(entry + 2) === 3 ? short(entry + 8) : long(entry + 8));
    return { tags, next: long(end) };
  };
  const main = directory(long(4));
  if (!main.next) return;
  const { tags } = directory(main.next);
  const [at, length] = [tags.get(AT), tags.get(LENGTH)];
  if (!at || !length) return;
  const bytes = new Uint8Array(view.buffer, start + at, length);
  return { blob: new Blob([bytes], { type: "image/jpeg" }), orientation: main.tags.get(ORIENTATION) };
}
