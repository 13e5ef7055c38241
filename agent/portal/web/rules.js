// The editor of one rule: which cameras and events, when, how often, and where it is told.

import { post } from "./api.js";
import { el, icon } from "./dom.js";
import { choice, confirmed, field, form } from "./form.js";
import { moment } from "./format.js";

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const SEVERITIES = [["", "Nothing beside"], ["error", "Errors"], ["warning", "Warnings and errors"], ["info", "Everything"]];
const COOLDOWNS = [[0, "Tell each"], [60, "Not twice a minute"], [300, "Not twice in 5 minutes"], [900, "Not twice in 15 minutes"], [3600, "Not twice an hour"], [86400, "Not twice a day"]];
const DIGESTS = [[0, "At once"], [300, "Gathered for 5 minutes"], [900, "Gathered for 15 minutes"], [3600, "Gathered for an hour"], [86400, "Gathered for a day"]];
const AWAY = [[0, "At once"], [60, "After a minute"], [120, "After 2 minutes"], [600, "After 10 minutes"], [3600, "After an hour"]];
const ESCALATIONS = [[120, "2 minutes"], [300, "5 minutes"], [600, "10 minutes"], [1800, "30 minutes"], [3600, "An hour"]];
const MINUTE = 60;

const clock = (minute) => `${String(Math.floor(minute / MINUTE)).padStart(2, "0")}:${String(minute % MINUTE).padStart(2, "0")}`;
const minutesOf = (text) => {
  const [hours, minutes] = text.split(":").map(Number);
  return hours * MINUTE + minutes || 0;
};
const listOf = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

/** Boxes to tick, under one heading; `.values()` are those that are ticked. */
function checks(legend, name, options, chosen, hint = null) {
  const boxes = options.map(([value, words]) => {
    const input = el("input", { type: "checkbox", id: `${name}-${value}`, name, value, checked: chosen.includes(value) });
    return { value, input, label: el("label", { class: "check" }, input, words) };
  });
  const group = el("fieldset", { class: "rule-part" }, el("legend", {}, legend), hint && el("p", { class: "hint" }, hint), el("div", { class: "checks" }, ...boxes.map(({ label }) => label)));
  return Object.assign(group, { values: () => boxes.filter(({ input }) => input.checked).map(({ value }) => value), hidden: !options.length });
}

/** A choice whose value may be another than those offered. */
function selected(label, name, options, value) {
  const known = options.some(([one]) => String(one) === String(value));
  const row = choice(label, name, known ? options : [...options, [value, `${value} s`]]);
  row.input.value = String(value);
  return row;
}

/** @param rule what the portal has, or a new one without an id; `about` is what it may be made of. `data-edited` marks what is not saved. */
export function ruleRow(rule, about, reload, isOpen) {
  const { spec } = rule;
  const id = rule.id ?? "new";
  const isSnoozed = rule.snoozed_until > Date.now() / 1000;
  const name = field("Name", { name: `rule-name-${id}`, value: rule.name, maxlength: "60", required: true, autocomplete: "off" });
  const isOn = el("input", { type: "checkbox", id: `rule-on-${id}`, name: `rule-on-${id}`, checked: rule.is_on });
  const cameras = checks("Cameras", `rule-cameras-${id}`, about.cameras.map((one) => [one.id, one.name]), spec.cameras, "None ticked: every camera that you may watch.");
  const groups = checks("Groups of cameras", `rule-groups-${id}`, about.groups.map((one) => [one, one]), spec.groups);
  const kinds = checks("Events", `rule-kinds-${id}`, Object.entries(about.kinds), spec.kinds);
  const atLeast = selected("And of all others", `rule-least-${id}`, SEVERITIES, spec.at_least ?? "");
  const labels = field("Motion only of (person, vehicle …)", { name: `rule-labels-${id}`, value: spec.labels.join(", "), autocomplete: "off" });
  const zones = field("Motion only in these zones", { name: `rule-zones-${id}`, value: spec.zones.join(", "), autocomplete: "off" });
  const days = checks("Days", `rule-days-${id}`, DAYS.map((words, day) => [day, words]), spec.hours?.days ?? [0, 1, 2, 3, 4, 5, 6]);
  const begins = field("From", { name: `rule-from-${id}`, type: "time", value: clock(spec.hours?.begins ?? 0) });
  const ends = field("Until", { name: `rule-until-${id}`, type: "time", value: clock(spec.hours?.ends ?? 0) });
  const cooldown = selected("The same again", `rule-cooldown-${id}`, COOLDOWNS, spec.cooldown_s);
  const digest = selected("Told", `rule-digest-${id}`, DIGESTS, spec.digest_s);
  const away = selected("A camera that is offline", `rule-away-${id}`, AWAY, spec.offline_for_s);
  const channels = checks("Told where", `rule-channels-${id}`, about.channels.map((one) => [one.id, one.name]), spec.channels,
    about.channels.length ? null : "Nowhere so far: have this browser told, or add a channel, both above.");
  channels.hidden = false;
  const others = [...about.channels.map((one) => [one.id, one.name]), ...about.others.map((one) => [one.id, `${one.user}: ${one.name}`])];
  const escalate = selected("Where nobody looks", `rule-escalate-${id}`, [["", "Nobody else is told"], ...others.map(([value, words]) => [value, `Tell ${words}`])], spec.escalation?.channel ?? "");
  const after = selected("After", `rule-after-${id}`, ESCALATIONS, spec.escalation?.after_s ?? 600);

  const save = async () => {
    const [from, until, chosen] = [minutesOf(begins.input.value), minutesOf(ends.input.value), days.values()];
    const hours = from === until && chosen.length === 7 ? null : { days: chosen, begins: from, ends: until };
    const next = {
      ...spec, cameras: cameras.values(), groups: groups.values(), kinds: kinds.values(), at_least: atLeast.input.value || null,
      labels: listOf(labels.input.value), zones: listOf(zones.input.value), hours, zone: spec.zone,
      cooldown_s: Number(cooldown.input.value), digest_s: Number(digest.input.value), offline_for_s: Number(away.input.value),
      channels: channels.values(), escalation: escalate.input.value ? { channel: Number(escalate.input.value), after_s: Number(after.input.value) } : null,
    };
    const body = { name: name.input.value, is_on: isOn.checked, spec: next, ...(rule.id ? { id: rule.id } : {}) };
    const { problem } = await post("api/notify/rules", body);
    if (problem) return problem;
    delete row.dataset.edited;
    await reload();
    return null;
  };
  const act = async (path, body) => {
    await post(`api/notify/${path}`, { id: rule.id, ...body });
    await reload();
  };
  const editor = form("Save", save, name, cameras, groups, kinds, atLeast, labels, zones, days, begins, ends, cooldown, digest, away, channels, escalate, after,
    el("label", { class: "check" }, isOn, "This rule is on"));
  const acts = rule.id && el(
    "div",
    { class: "acts" },
    el("button", { type: "button", class: "button", onclick: () => act("snooze", { seconds: isSnoozed ? 0 : 3600 }) }, isSnoozed ? "End the snooze" : "Snooze for an hour"),
    el("button", { type: "button", class: "button danger", onclick: (event) => confirmed(event.target, () => act("rules/remove", {})) }, "Remove this rule"),
  );
  const untold = rule.untold && el("p", { class: "warning" }, icon("alert"), el("span", {}, rule.untold));
  const state = isSnoozed ? `snoozed until ${moment(rule.snoozed_until)}` : rule.is_on ? inWords(spec, about) : "off";
  const summary = el("summary", {}, el("strong", {}, rule.name || "A new rule"), el("span", { class: "hint" }, state));
  const row = el("li", { "data-rule": id, "data-edited": rule.id ? null : "" }, untold, el("details", { open: isOpen }, summary, el("div", { class: "editor rule" }, el("p", { class: "hint" }, `Times are of ${spec.zone}. Until before From is the next day.`), editor, acts)));
  editor.addEventListener("input", () => (row.dataset.edited = ""));
  return row;
}

function inWords({ kinds, at_least: atLeast, cameras, groups }, about) {
  const least = { error: "errors", warning: "warnings and errors", info: "everything" }[atLeast];
  const what = [...kinds.map((kind) => about.kinds[kind] ?? kind), least].filter(Boolean).join(", ") || "everything";
  const where = cameras.length + groups.length ? `${cameras.length + groups.length} chosen` : "all cameras";
  return `${what} · ${where}`;
}
