// The statistics over the picture.

import { Sparkline, el, setText } from "./dom.js";
import { RateGraph } from "./graph.js";
import { bitrate, count, duration, frameRate, gigabytes, milliseconds, moment, percent, place, size } from "./format.js";
import { NATS } from "./words.js";

const PATHS = { host: "Direct, same network", srflx: "Direct, over the internet", relay: "Relayed by TURN" };

const RECORDING = { recording: "Runs", waiting: "Waits for an event", failed: "Failed" };

const ROWS = [
  ["path", "Path", (s) => (s.path ? [PATHS[s.path], `${s.path} · ${s.protocol ?? "?"}`] : ["–", ""])],
  ["stream", "Stream", (s) => streamOf(s.device)],
  ["latency", "Latency", (s) => [milliseconds(s.latencyMs), "camera to screen"]],
  ["rtt", "Round trip", (s) => [milliseconds(s.rttMs), ""]],
  ["link", "Target", (s) => [bitrate(s.device?.target_bps), "for this link"]],
  ["sent", "Sent", (s) => [bitrate(s.device?.sent_bps), s.device?.encoder_bps ? `encoder ${bitrate(s.device.encoder_bps)}` : ""]],
  ["bitrate", "Received", (s) => [bitrate(s.bitrateBps), ""]],
  ["queue", "Queue", (s) => [milliseconds(s.device?.queue_ms), s.device?.dropped_frames ? `${count(s.device.dropped_frames, "frame", "frames")} dropped` : ""]],
  ["fps", "Frames", (s) => [frameRate(s.fps), s.freezes ? count(s.freezes, "freeze", "freezes") : "no freezes"]],
  ["loss", "Packet loss", (s) => [percent(s.loss), ""]],
  ["size", "Picture", (s) => [size(s.width, s.height), "H.264"]],
  ["buffer", "Jitter buffer", (s) => [milliseconds(s.jitterBufferMs), ""]],
  ["first", "First picture", (s) => [milliseconds(s.firstPictureMs), "after the click"]],
  ["camera", "Camera", (s) => [s.device?.camera_kind ?? "–", s.device ? `${audience(s.device.viewers ?? 0)} · up ${duration(s.device.uptime_s)}` : ""]],
];

function audience(viewers) {
  return viewers > 1 ? `you and ${count(viewers - 1, "other", "others")}` : "only you";
}

const STREAMS = { main: "Main", preview: "Preview" };

function streamOf(device) {
  if (!device?.stream) return ["–", ""];
  const isHeld = device.wanted && device.wanted !== device.stream;
  return [STREAMS[device.stream] ?? device.stream, isHeld ? "the link carries no more" : ""];
}

/** A row that shows what the camera has said, once it has. */
function said(key, label) {
  const cell = { value: el("span", { class: "value" }), note: el("span", { class: "note" }) };
  cell.row = el("div", { class: "row", "data-stat": key, hidden: true }, el("dt", {}, label), el("dd", {}, cell.value, cell.note));
  return cell;
}

export class Overlay {
  #cells = new Map();
  #lines = { latency: new Sparkline() };
  #graph = new RateGraph();

  constructor() {
    const list = el("dl", {});
    for (const [key, label] of ROWS) {
      const cell = { value: el("span", { class: "value" }), note: el("span", { class: "note" }) };
      cell.row = el("div", { class: "row", "data-stat": key }, el("dt", {}, label), el("dd", {}, cell.value, cell.note, this.#lines[key]?.element));
      this.#cells.set(key, cell);
      list.append(cell.row);
    }
    this.nat = said("nat", "Network");
    this.place = said("place", "Place");
    this.record = said("record", "Recording");
    list.append(this.nat.row, this.place.row, this.record.row);
    this.faults = el("ul", { class: "faults", "aria-label": "Faults of the camera", hidden: true });
    this.element = el("section", { class: "overlay", "aria-label": "Statistics", tabindex: "0", hidden: true }, el("h2", {}, "Statistics"), this.#graph.element, list, this.faults);
    this.update({}, false);
  }

  toggle() {
    this.element.hidden = !this.element.hidden;
    return !this.element.hidden;
  }

  /** @param {object | undefined} health what the camera's doctor says; undefined before it has looked. */
  updateHealth(health) {
    this.nat.row.hidden = !health;
    setText(this.nat.value, NATS[health?.nat] ?? health?.nat ?? "");
    setText(this.nat.note, health?.is_carrier ? "behind carrier NAT" : "");
    const faults = health?.faults ?? [];
    this.faults.hidden = !faults.length;
    this.faults.replaceChildren(...faults.map((fault) => el("li", {}, el("strong", {}, fault.message), fault.advice ? ` ${fault.advice}` : "")));
  }

  /** @param {object | undefined} gnss where the camera is; undefined where it has no receiver, or for a guest. */
  updatePlace(gnss) {
    this.place.row.hidden = !gnss;
    if (!gnss) return;
    const { state, since, satellites } = gnss;
    setText(this.place.value, place(gnss));
    const words = { fix: satellites ? count(satellites, "satellite", "satellites") : "", searching: `no fix since ${moment(since)}`, absent: gnss.problem };
    setText(this.place.note, words[state] ?? state);
  }

  /** @param {object | undefined} record what the camera records; undefined for a guest, or an older camera. */
  updateRecording(record) {
    this.record.row.hidden = !record || record.state === "off";
    if (this.record.row.hidden) return;
    const { state, mode, cause = "", problem, used_bytes: used, cap_bytes: cap, oldest_at: oldest } = record;
    setText(this.record.value, RECORDING[state] ?? state);
    const why = state === "recording" ? cause.replaceAll(",", ", ") || mode : "";
    const room = cap ? `${gigabytes(used)} of ${gigabytes(cap)}` : "";
    setText(this.record.note, problem || [why, room, oldest ? `since ${moment(oldest)}` : ""].filter(Boolean).join(" · "));
  }

  update(stats, hasStamp) {
    for (const [key, , read] of ROWS) {
      const [value, note] = read(stats);
      setText(this.#cells.get(key).value, value);
      setText(this.#cells.get(key).note, note);
    }
    this.#cells.get("latency").row.hidden = !hasStamp;
    if (stats.bitrateBps !== undefined) this.#graph.push(stats.device?.target_bps, stats.bitrateBps);
    this.#lines.latency.push(stats.latencyMs);
  }
}
