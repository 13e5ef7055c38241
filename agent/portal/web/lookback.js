// Looking back at what a camera recorded: a timeline, and what a player has.

import { get, segment } from "./api.js";
import { commandDevice } from "./commands.js";
import { announce, el, iconButton, setText, tool } from "./dom.js";
import { SaveClip } from "./export.js";
import { Sheets } from "./sheets.js";
import { Stored } from "./stored.js";
import { Timeline, exactly } from "./timeline.js";

const FIRST_S = 6 * 3600;
const DAY_S = 86_400;
const AHEAD = 0.02; // of the stretch, so that now is not at its very rim
const SCRUB_MS = 200;
const ASK_MS = 500;
const FRESH_MS = 15_000;
const MAX_PAGES = 20;
const EVENT_LEAD_S = 3;
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, -4, -16];
const WIDTHS = [["86400", "Day"], ["21600", "6 hours"], ["3600", "Hour"], ["600", "10 min"]];
const CAUSES = { motion: "Motion", command: "Recorded by hand" };

const now = () => Date.now() / 1000;
const speedName = (speed) => (speed < 0 ? `${-speed}× back` : `${speed}×`);

/** Events: "change" where what is shown is no longer live, or live again. */
export class LookBack extends EventTarget {
  #device;
  #viewer;
  #may = null;
  #isAsking = false;
  #at = null;
  /** Where it stands, as the camera last said; null while it is live. */
  #state = "";
  #speed = 1;
  /** Whether it was told to go on. */
  #isRunning = false;
  #wanted = null;
  /** Where to go on when the session is another. */
  #saidAt = 0;
  #scrubbed = 0;
  #pointed = null;
  /** A time that a link asked for. */
  #asked = null;
  #oldestAt = 0;
  #timers = [];
  /** The stretch that is asked for, and the one that is shown: as from and until. */
  #loading = "";
  #loaded = "";

  constructor(device, viewer) {
    super();
    this.#device = device;
    this.#viewer = viewer;
    this.timeline = new Timeline();
    this.sheets = new Sheets((times, near) => viewer.command("sheet", { times, near_s: near }));
    this.tile = el("div", { class: "lookback-tile", hidden: true, "aria-hidden": "true" });
    this.tileTime = el("span", {});
    this.tileWhat = el("span", { class: "lookback-tile-what" });
    this.tile.append(this.tileTime, this.tileWhat);
    this.button = tool("history", "Look back", () => this.#toggle(), { title: "What was recorded (r)", "aria-pressed": "false", hidden: true });
    this.words = el("output", { class: "lookback-time" }, "Live");
    this.what = el("span", { class: "lookback-what" });
    this.play = iconButton("pause", "Pause", () => this.#playOrPause(), { title: "Pause (Space)" });
    this.live = el("button", { type: "button", class: "button lookback-live", onclick: () => this.#goLive(), title: "Back to the live picture (l)" }, "Live");
    this.speed = el("select", { "aria-label": "Speed", onchange: () => this.#setSpeed(Number(this.speed.value)) }, ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === 1 }, speedName(speed))));
    this.width = el("select", { "aria-label": "Shown", onchange: () => this.timeline.zoom(Number(this.width.value)) }, ...WIDTHS.map(([seconds, name]) => el("option", { value: seconds, selected: seconds === String(FIRST_S) }, name)));
    this.day = el("input", { type: "date", "aria-label": "Day", onchange: () => this.#showDay() });
    this.save = new SaveClip(device, viewer, () => this.#at);
    this.stored = new Stored(device, this.timeline);
    this.said = el("p", { class: "lookback-said", role: "status" });
    const buttons = el(
      "div",
      { class: "lookback-buttons", role: "group", "aria-label": "Player" },
      iconButton("event-back", "Event before", () => this.#toEvent(-1), { title: "Event before ([)" }),
      iconButton("step-back", "Picture before", () => this.#step(-1), { title: "Picture before (,)" }),
      this.play,
      iconButton("step-on", "Next picture", () => this.#step(1), { title: "Next picture (.)" }),
      iconButton("event-on", "Next event", () => this.#toEvent(1), { title: "Next event (])" }),
      this.speed,
      this.live,
    );
    const top = el("div", { class: "lookback-top" }, this.words, this.what, buttons, el("div", { class: "lookback-range" }, this.day, this.width));
    this.element = el("section", { class: "lookback", "aria-label": "Looking back", hidden: true }, top, this.said, this.timeline.element, this.save.element, this.stored.element, this.tile);
    this.timeline.addEventListener("seek", ({ detail }) => this.#onSeek(detail));
    this.timeline.addEventListener("hover", ({ detail }) => this.#onHover(detail));
    this.timeline.addEventListener("range", () => this.#load());
  }

  /** Whether recorded pictures are shown. */
  get isBack() {
    return this.#at !== null;
  }

  /** Pictures come when somebody asks for them, and not all the time. */
  get isStill() {
    return this.isBack && (this.#state !== "playing" || this.#speed > 2 || this.#speed < 0);
  }

  /** @param {object | undefined} section what the camera says of its recordings, and of what it sends to the store. */
  update(section, upload) {
    this.#oldestAt = section?.oldest_at ?? 0;
    const hasAny = Boolean(section) && (section.mode !== "off" || section.oldest_at > 0);
    this.stored.update(upload);
    if (hasAny && this.#may === null && !this.#isAsking) this.#ask();
    this.button.hidden = !(hasAny && this.#may);
    this.#openAsked();
    if (section?.problem) setText(this.said, section.problem);
  }

  /** Its session may be another, which begins with the live picture. */
  onViewer() {
    const { phase } = this.#viewer.state;
    this.#openAsked();
    if (this.isBack && ["asking", "retrying"].includes(phase)) {
      this.#wanted = this.#at;
      this.#set(null, "");
    } else if (this.#wanted !== null && phase === "playing") {
      const at = this.#wanted;
      this.#wanted = null;
      this.#go(at, this.#speed);
    }
  }

  /** Open it at an event, of which a message or the list of events told; once the picture is there. */
  open(at) {
    this.#asked = at;
    this.#openAsked();
  }

  onKey(event) {
    if (this.button.hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "r") return this.#toggle(), true;
    const keys = { " ": () => this.#playOrPause(), l: () => this.#goLive(), ",": () => this.#step(-1), ".": () => this.#step(1), "[": () => this.#toEvent(-1), "]": () => this.#toEvent(1) };
    // A button has its own way with the space bar.
    if (this.element.hidden || !keys[event.key] || (event.key === " " && event.target.closest?.("button, select, input"))) return false;
    event.preventDefault();
    keys[event.key]();
    return true;
  }

  close() {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
  }

  async #ask() {
    this.#isAsking = true;
    const { commands, problem } = await get(`api/devices/${segment(this.#device)}/commands`);
    this.#isAsking = false;
    if (problem) return; // the next word of the camera asks again
    this.#may = commands.some(({ name }) => name === "recordings");
    this.button.hidden = !this.#may;
    this.#openAsked();
  }

  #openAsked() {
    const at = this.#asked;
    if (at === null || this.button.hidden || this.#viewer.state.phase !== "playing") return;
    this.#asked = null;
    if (this.element.hidden) this.#toggle();
    this.width.value = "3600";
    this.timeline.show(at - 1800, at + 1800);
    this.#go(at - EVENT_LEAD_S, 1);
  }

  #toggle() {
    this.element.hidden = !this.element.hidden;
    this.button.setAttribute("aria-pressed", String(!this.element.hidden));
    this.close();
    this.dispatchEvent(new Event("change"));
    if (this.element.hidden) return this.isBack && this.#goLive();
    const wide = this.#firstWidth();
    this.timeline.show(now() - wide * (1 - AHEAD), now() + wide * AHEAD);
    this.width.value = String(wide);
    this.#timers = [setInterval(() => this.#tick(), ASK_MS), setInterval(() => this.#load(true), FRESH_MS)];
    this.timeline.element.focus({ preventScroll: true });
  }

  /** No wider than needed for what there is: of a camera that began to record a minute ago, that minute. */
  #firstWidth() {
    const seconds = WIDTHS.map(([width]) => Number(width)).filter((width) => width <= FIRST_S);
    return seconds.findLast((width) => this.#oldestAt > now() - width * (1 - AHEAD)) ?? FIRST_S;
  }

  /** What there is in the stretch that is shown. */
  async #load(isAgain = false) {
    const { from, until } = this.timeline;
    this.stored.load(from, until); // which needs no camera
    const asked = `${Math.floor(from)} ${Math.ceil(until)}`;
    if (asked === this.#loading) return;
    this.#loading = ""; // what is still to come is of another stretch
    const isNew = asked !== this.#loaded;
    if (!isNew && !(isAgain && until > now() - 60)) return;
    this.#loading = asked;
    this.day.value = isoDay(this.#at ?? Math.min(until, now()) - 1);
    const [spans, events] = [[], []];
    let next = Math.max(0, from);
    for (let page = 0; page < MAX_PAGES && next !== null; page += 1) {
      const told = await commandDevice(this.#device, "recordings", { arguments: { from_at: next, until_at: until, limit: 200, stream: "main" } });
      if (asked !== this.#loading) return; // another stretch is shown by now
      if (!told.ok) {
        this.#loading = this.#loaded = ""; // it is asked for again
        return setText(this.said, told.problem ?? told.message ?? told.code);
      }
      spans.push(...told.value.spans);
      events.push(...told.value.events);
      next = told.value.more_from ?? null;
    }
    [this.#loading, this.#loaded] = ["", asked];
    if (isNew) setText(this.said, spans.length ? "" : "Nothing is recorded of this time.");
    for (const event of events) event.words = CAUSES[event.cause] ?? event.cause;
    this.timeline.fill(spans, events);
    const words = await this.#wordsOf(from, until);
    for (const event of events) event.words = words.get(event.event) ?? event.words;
  }

  /** What was seen, as the portal knows it, by the events' ids: a camera's list of recordings has the ids alone. */
  async #wordsOf(from, until) {
    const asked = { device: this.#device, kind: "motion", since: Math.max(0, from), until, limit: 200 };
    const { events } = await get(`api/events?${new URLSearchParams(asked)}`);
    return new Map((events ?? []).map(({ event_id: id, message }) => [id, message]));
  }

  #showDay() {
    const start = new Date(`${this.day.value}T00:00`).getTime() / 1000;
    if (!Number.isFinite(start)) return;
    this.width.value = String(DAY_S);
    this.timeline.show(start, start + DAY_S);
  }

  /** What was seen then, above the hand. */
  #onHover(place) {
    this.#pointed = place;
    const { from, until, spans, element } = this.timeline;
    const isRecorded = place && spans.some(({ start, end }) => place.at >= start && place.at <= end);
    const tile = isRecorded ? this.sheets.tile(place.at, until - from, () => this.#pointed && this.#onHover(this.#pointed)) : null;
    this.tile.hidden = !tile;
    if (!tile) return;
    const left = Math.min(element.clientWidth - tile.width, Math.max(0, place.x - tile.width / 2));
    this.tile.style.cssText = `left:${element.offsetLeft + left}px;width:${tile.width}px;height:${tile.height}px;background:url("${tile.url}") -${tile.x}px -${tile.y}px`;
    setText(this.tileTime, exactly(place.at));
    setText(this.tileWhat, this.timeline.eventAt(place.at)?.words ?? "");
  }

  #onSeek({ at, isDragged }) {
    if (!isDragged) return this.#go(Math.min(at, now()), this.#speed);
    const due = performance.now();
    setText(this.words, exactly(at));
    if (due - this.#scrubbed < SCRUB_MS) return;
    this.#scrubbed = due;
    this.#go(Math.min(at, now()), 0, true);
  }

  /** Show that time; small pictures while a hand looks for it. */
  async #go(at, speed, small = false) {
    const name = this.isBack ? "seek" : "play";
    const isFirst = !this.isBack;
    if (isFirst) this.#set(at, "seeking");
    const told = await this.#tell(name, { at, speed, small });
    if (told.ok) this.#set(at, "seeking");
    else if (isFirst || told.code === "is-live") this.#set(null, "");
  }

  async #tell(name, wish = {}) {
    this.#isRunning = Boolean(wish.speed);
    const told = await this.#viewer.command(name, wish);
    this.#saidAt = performance.now();
    setText(this.said, told.ok ? "" : told.message || told.code);
    if (told.ok) this.#viewer.askStats();
    return told;
  }

  #playOrPause() {
    if (!this.isBack) return this.#go(now() - 1, 0); // stop the live picture
    return this.#tell("seek", { speed: this.#isRunning ? 0 : this.#speed });
  }

  #setSpeed(speed) {
    this.#speed = speed;
    if (this.isBack) this.#tell("seek", { speed });
  }

  async #step(pictures) {
    if (!this.isBack) await this.#go(now() - 2, 0);
    await this.#tell("step", { pictures });
  }

  #toEvent(way) {
    const at = this.#at ?? now();
    const starts = this.timeline.events.map(({ start }) => start);
    const found = way > 0 ? starts.find((start) => start - EVENT_LEAD_S > at + 1) : starts.findLast((start) => start - EVENT_LEAD_S < at - 2);
    if (found === undefined) return announce(way > 0 ? "No event after this in what is shown" : "No event before this in what is shown");
    this.#go(found - EVENT_LEAD_S, this.#speed);
  }

  async #goLive() {
    if (!this.isBack) return;
    await this.#tell("live");
    this.#set(null, "");
  }

  #tick() {
    if (!this.isBack) return this.timeline.point(null);
    this.#viewer.askStats();
    const { playback, receivedAt } = this.#viewer.deviceStats ?? {};
    if (!(receivedAt > this.#saidAt)) return;
    if (playback) this.#set(playback.at, playback.state);
    else this.#set(null, ""); // the right is gone, or the card
  }

  #set(at, state) {
    const wasBack = this.isBack;
    [this.#at, this.#state] = [at, state];
    this.timeline.point(at);
    this.stored.point(at);
    setText(this.words, at === null ? "Live" : exactly(at));
    setText(this.what, state === "ended" ? "Nothing newer" : this.timeline.eventAt(at)?.words ?? "");
    this.what.title = this.what.textContent; // which may be cut
    const [name, label] = at === null || this.#isRunning ? ["pause", "Pause"] : ["play", "Play"];
    if (this.play.getAttribute("aria-label") !== label) {
      this.play.setAttribute("aria-label", label);
      this.play.title = `${label} (Space)`;
      this.play.querySelector("use").setAttribute("href", `#icon-${name}`);
    }
    this.live.disabled = at === null;
    if (wasBack !== this.isBack) this.dispatchEvent(new Event("change"));
  }
}

function isoDay(unixSeconds) {
  const day = new Date(unixSeconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}
