// The statistics over the picture.

import { Sparkline, el, setText } from "./dom.js";
import { bitrate, count, duration, frameRate, milliseconds, percent, size } from "./format.js";

const PATHS = { host: "Direct, same network", srflx: "Direct, over the internet", relay: "Relayed by TURN" };

const ROWS = [
  ["path", "Path", (s) => (s.path ? [PATHS[s.path], `${s.path} · ${s.protocol ?? "?"}`] : ["–", ""])],
  ["latency", "Latency", (s) => [milliseconds(s.latencyMs), "camera to screen"]],
  ["rtt", "Round trip", (s) => [milliseconds(s.rttMs), ""]],
  ["bitrate", "Bit rate", (s) => [bitrate(s.bitrateBps), s.device?.encoder_bps ? `encoder ${bitrate(s.device.encoder_bps)}` : ""]],
  ["fps", "Frames", (s) => [frameRate(s.fps), s.freezes ? count(s.freezes, "freeze", "freezes") : "no freezes"]],
  ["loss", "Packet loss", (s) => [percent(s.loss), ""]],
  ["size", "Picture", (s) => [size(s.width, s.height), "H.264"]],
  ["buffer", "Jitter buffer", (s) => [milliseconds(s.jitterBufferMs), ""]],
  ["first", "First picture", (s) => [milliseconds(s.firstPictureMs), "after the click"]],
  ["camera", "Camera", (s) => [s.device?.camera_kind ?? "–", s.device ? `${count(s.device.viewers ?? 0, "viewer", "viewers")} · up ${duration(s.device.uptime_s)}` : ""]],
];

export class Overlay {
  #cells = new Map();
  #lines = { bitrate: new Sparkline(), latency: new Sparkline() };

  constructor() {
    const list = el("dl", {});
    for (const [key, label] of ROWS) {
      const cell = { value: el("span", { class: "value" }), note: el("span", { class: "note" }) };
      cell.row = el("div", { class: "row", "data-stat": key }, el("dt", {}, label), el("dd", {}, cell.value, cell.note, this.#lines[key]?.element));
      this.#cells.set(key, cell);
      list.append(cell.row);
    }
    this.element = el("section", { class: "overlay", "aria-label": "Statistics", hidden: true }, el("h2", {}, "Statistics"), list);
    this.update({}, false);
  }

  toggle() {
    this.element.hidden = !this.element.hidden;
    return !this.element.hidden;
  }

  update(stats, hasStamp) {
    for (const [key, , read] of ROWS) {
      const [value, note] = read(stats);
      setText(this.#cells.get(key).value, value);
      setText(this.#cells.get(key).note, note);
    }
    this.#cells.get("latency").row.hidden = !hasStamp;
    this.#lines.bitrate.push(stats.bitrateBps);
    this.#lines.latency.push(stats.latencyMs);
  }
}
