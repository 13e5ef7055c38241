// Small pictures of recorded times, a dozen in one sheet, asked for where somebody points.

const TILES = 12;
const COLUMNS = 4;
const STEPS_S = [2, 5, 10, 30, 60, 120, 300, 600];
const ACROSS = 60; // tiles over what is shown: more than fit beside each other
const MAX_SHEETS = 60;
const AGAIN_MS = 10_000;

/** `ask(times, nearS)` has the camera make a sheet: `{ok, value}`. */
export class Sheets {
  #ask;
  #sheets = new Map();
  #isAsking = false;

  constructor(ask) {
    this.#ask = ask;
  }

  /** The tile for a time where `shownS` seconds are shown: `{url, x, y, width, height, sheetWidth}`, or null until there is one. */
  tile(at, shownS, onCome) {
    const step = STEPS_S.find((seconds) => seconds >= shownS / ACROSS) ?? STEPS_S.at(-1);
    const number = Math.floor(at / step);
    const block = Math.floor(number / TILES);
    const key = `${step} ${block}`;
    const sheet = this.#sheets.get(key);
    if (!sheet || (!sheet.url && Date.now() - sheet.asked > AGAIN_MS)) this.#fetch(key, step, block, onCome);
    const place = number - block * TILES;
    if (!sheet?.url || sheet.taken[place] == null) return null;
    return { url: sheet.url, x: (place % COLUMNS) * sheet.width, y: Math.floor(place / COLUMNS) * sheet.height, width: sheet.width, height: sheet.height };
  }

  /** One at a time: who points on meanwhile gets what is under the hand then. */
  async #fetch(key, step, block, onCome) {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#sheets.set(key, { asked: Date.now() });
    if (this.#sheets.size > MAX_SHEETS) this.#sheets.delete(this.#sheets.keys().next().value);
    const last = Date.now() / 1000;
    const times = Array.from({ length: TILES }, (_, i) => Math.min(last, (block * TILES + i) * step + step / 2));
    const told = await this.#ask(times, Math.max(step, 10));
    this.#isAsking = false;
    if (told.ok) {
      const { jpeg, taken, tile_width_px: width, tile_height_px: height } = told.value;
      // What is yet to be recorded is asked for again.
      const isWhole = (block + 1) * TILES * step < last;
      this.#sheets.set(key, { url: `data:image/jpeg;base64,${jpeg}`, taken, width, height, asked: Date.now() });
      if (!isWhole) setTimeout(() => this.#sheets.delete(key), AGAIN_MS);
    }
    onCome();
  }
}
