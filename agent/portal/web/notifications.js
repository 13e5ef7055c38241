// How one is told of what happens: this browser, other channels, rules, and what was told of late.

import { get, post } from "./api.js";
import { announce, el, icon, refill, setText } from "./dom.js";
import { carryOver, choice, confirmed, field, form, secret } from "./form.js";
import { count, moment } from "./format.js";
import { hindrance, ownSubscription, switchOff, switchOn } from "./push.js";
import { ruleRow } from "./rules.js";

const SNOOZES = [["0", "Not snoozed"], ["3600", "For an hour"], ["14400", "For 4 hours"], ["43200", "For 12 hours"], ["86400", "For a day"], ["604800", "For a week"]];
const STATES = { waiting: "waits", sent: "told", failed: "not told", dropped: "not needed" };
const KINDS = { push: "Browser", mail: "Mail", webhook: "Webhook", service: "Service" };

export class NotificationsPage {
  #own = null;

  constructor({ cameras }) {
    this.cameras = cameras;
    this.problem = el("p", { class: "form-error", role: "alert" });
    this.here = el("section", { class: "box" });
    this.channels = el("ul", { class: "rows", "aria-label": "Channels" });
    this.said = el("div", {});
    this.adding = el("div", { class: "panels" });
    this.rules = el("ul", { class: "rows", "aria-label": "Rules" });
    this.snooze = choice("Snooze all rules", "snooze-all", SNOOZES);
    this.snooze.input.addEventListener("change", () => this.#act("snooze", { seconds: Number(this.snooze.input.value) }));
    this.told = el("ol", { class: "event-list", "aria-label": "Told of late" });
    this.add = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.#addRule() }, "Add a rule");
    this.element = el(
      "div", { class: "panels wide notifications" }, this.problem, this.here,
      el("h2", {}, "Rules"), this.rules, el("div", { class: "acts" }, this.add, this.snooze),
      el("h2", {}, "Other channels"), this.channels, this.said, this.adding,
      el("h2", {}, "Told of late"), this.told,
    );
  }

  async load() {
    const [page, own] = await Promise.all([get("api/notify"), ownSubscription().catch(() => null)]);
    setText(this.problem, page.problem ?? "");
    if (page.problem) return;
    this.page = page;
    this.#own = page.channels.find((one) => one.key === own?.key) ?? null;
    this.#showHere();
    const channels = page.channels.map((one) => this.#channel(one));
    carryOver(this.channels, el("div", {}, ...channels)); // a code that is half typed
    refill(this.channels, channels);
    if (!page.channels.length) this.channels.replaceChildren(el("li", { class: "hint row-line" }, "There is none yet."));
    if (!this.adding.childElementCount) this.adding.replaceChildren(...this.#forms());
    this.#showRules();
    const rests = Math.min(...page.rules.map((one) => one.snoozed_until), Infinity) - page.now;
    if (!(rests > 0)) this.snooze.input.value = "0";
    this.snooze.hidden = !page.rules.length;
    this.add.hidden = false;
    refill(this.told, page.deliveries.map((one) => this.#delivery(one)));
    if (!page.deliveries.length) this.told.replaceChildren(el("li", { class: "hint" }, "Nothing was told yet."));
  }

  #showHere() {
    const words = el("p", { class: "hint" });
    const said = el("p", { class: "form-done", role: "status" });
    const error = el("p", { class: "form-error", role: "alert" });
    const button = (label, act, kind = "") => {
      const made = el("button", { type: "button", class: `button ${kind}` }, label);
      made.addEventListener("click", async () => {
        made.disabled = true;
        setText(error, (await act()) ?? "");
        made.disabled = false;
      });
      return made;
    };
    const change = async (act) => {
      const problem = await act();
      if (problem) return problem;
      await this.load();
      this.here.querySelector("button")?.focus();
      return null;
    };
    const acts = el("div", { class: "acts" });
    const why = this.#own ? null : hindrance();
    if (why) setText(words, why);
    else if (this.#own) {
      setText(words, "This browser is told what your rules say, also while no page of Pinhole is open.");
      const test = async () => {
        const problem = await this.#test(this.#own.id);
        setText(said, problem ? "" : "Sent: it should show in a moment.");
        return problem;
      };
      acts.append(button("Send a test", test, "primary"), button("Stop telling me here", () => change(async () => void (await switchOff()))));
    } else {
      setText(words, "One tap: errors and motion at your cameras, on this device. The rule can be changed below.");
      acts.append(button("Tell me on this device", () => change(() => switchOn(this.page.push_key)), "primary"));
    }
    this.here.replaceChildren(el("h2", {}, "This device"), words, acts, said, error);
  }

  async #test(id) {
    const { problem } = await post("api/notify/channels/test", { id });
    const kept = this.here.contains(document.activeElement) ? document.activeElement : null;
    const page = await get("api/notify");
    if (!page.problem) refill(this.told, page.deliveries.map((one) => this.#delivery(one)));
    kept?.focus();
    return problem;
  }

  #channel(one) {
    const error = el("p", { class: "form-error", role: "alert" }, one.error && `${one.failing_since ? `Since ${moment(one.failing_since)}: ` : ""}${one.error}`);
    const said = el("p", { class: "form-done", role: "status" });
    const test = el("button", { type: "button", class: "button small", "aria-label": `Test ${one.name}` }, "Test");
    test.addEventListener("click", async () => {
      test.disabled = true;
      const problem = await this.#test(one.id);
      test.disabled = false;
      setText(error, problem ?? "");
      setText(said, problem ? "" : "Sent.");
    });
    const remove = () => this.#act("channels/remove", { id: one.id });
    const open = el("input", { type: "checkbox", id: `open-${one.id}`, checked: one.is_open });
    open.addEventListener("change", () => this.#act("channels/open", { id: one.id, is_open: open.checked }));
    const state = one.sent_at ? `last told ${moment(one.sent_at)}` : "nothing told yet";
    const words = el("div", {}, el("strong", {}, one.name), el("p", { class: "hint" }, `${KINDS[one.kind] ?? one.kind} · ${one.shown} · ${state}`), one.is_confirmed ? null : this.#code(one), el("label", { class: "check" }, open, "Others may have me told here where nobody looks"), error, said);
    const acts = el("div", { class: "acts" }, one.is_confirmed ? test : null, el("button", { type: "button", class: "button small danger", "aria-label": `Remove ${one.name}`, onclick: (event) => confirmed(event.target, remove) }, "Remove"));
    return el("li", { class: "row-line" }, words, acts);
  }

  #code(one) {
    const code = field("The code that was mailed there", { name: `mail-code-${one.id}`, inputmode: "numeric", maxlength: "12", required: true, autocomplete: "one-time-code" });
    return form("Confirm", () => this.#send("mail/confirm", { id: one.id, code: code.input.value }), code);
  }

  #forms() {
    const { has_mail: hasMail, has_services: hasServices } = this.page;
    const box = (title, hint, content) => el("section", { class: "box" }, el("h3", {}, title), el("p", { class: "hint" }, hint), content);
    const name = (kind) => field("Name", { name: `${kind}-name`, maxlength: "60", required: true, autocomplete: "off" });
    const [hookName, serviceName] = [name("webhook"), name("service")];
    const hook = field("Address", { name: "webhook-url", type: "url", maxlength: "2000", required: true, placeholder: "https://", autocomplete: "off" });
    const address = field("Address", { name: "mail-address", type: "email", maxlength: "254", required: true, autocomplete: "email" });
    const service = field("Apprise address", { name: "service-url", maxlength: "1000", required: true, placeholder: "ntfys://ntfy.example.org/cameras", autocomplete: "off" });
    const addHook = async () => {
      const made = await post("api/notify/webhook", { name: hookName.input.value, url: hook.input.value });
      if (made.problem) return made.problem;
      this.said.replaceChildren(secret(made.secret, `The secret of ${hookName.input.value}, with which its receiver checks our signature. It is shown here once.`, "Secret", "link"));
      hookName.input.value = hook.input.value = "";
      await this.load();
      return null;
    };
    return [
      hasMail ? box("Mail", "A code is mailed there first.", form("Add the address", () => this.#send("mail", { address: address.input.value }, address), address)) : null,
      box("Webhook", "Your own program is told by https, signed.", form("Add the webhook", addHook, hookName, hook)),
      hasServices ? box("Another service", "ntfy, Telegram, Signal and others, by their Apprise address.", form("Add the service", () => this.#send("service", { name: serviceName.input.value, url: service.input.value }, serviceName, service), serviceName, service)) : null,
    ].filter(Boolean);
  }

  /** What is edited and not saved stays as it is: anything else on the page may have it shown anew. */
  #showRules(isAdding = false) {
    const about = { ...this.page, cameras: this.cameras() };
    const before = new Map([...this.rules.querySelectorAll("[data-rule]")].map((row) => [row.dataset.rule, row]));
    const isNew = isAdding || before.get("new")?.dataset.edited !== undefined;
    const rows = [...this.page.rules, ...(isNew ? [this.#newRule()] : [])].map((rule) => {
      const old = before.get(String(rule.id ?? "new"));
      const row = ruleRow(rule, about, () => this.load(), old ? old.querySelector("details").open : rule.id === null);
      if (old?.dataset.edited !== undefined) {
        carryOver(old, row);
        row.dataset.edited = "";
      }
      return row;
    });
    refill(this.rules, rows.length ? rows : [el("li", { class: "hint row-line" }, "There is no rule yet, so nothing is told.")]);
  }

  #newRule() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
    const spec = { cameras: [], groups: [], kinds: ["motion"], at_least: "error", labels: [], zones: [], hours: null, zone, cooldown_s: 60, digest_s: 0, offline_for_s: 120, channels: this.page.channels.map(({ id }) => id), escalation: null };
    return { id: null, name: "", is_on: true, snoozed_until: 0, spec };
  }

  #addRule() {
    this.#showRules(true);
    this.rules.querySelector("[data-rule=new] input")?.focus();
  }

  #delivery({ kind, state, channel, events, more, created_at: at, error, attempts }) {
    const names = new Map(this.cameras().map(({ id, name }) => [id, name]));
    const all = events.length + more;
    const title = kind === "test" ? "Test" : kind === "confirm" ? "Code" : all > 1 ? count(all, "event", "events") : `${names.get(events[0]?.device) ?? events[0]?.device}: ${events[0]?.title}`;
    const tries = state === "waiting" && attempts ? `, after ${count(attempts, "try", "tries")}` : "";
    const severity = { failed: "error", sent: "info" }[state] ?? "warning";
    return el("li", { "data-severity": severity }, icon(state === "failed" ? "alert" : "bell"), el("strong", {}, kind === "escalation" ? `${title} (nobody had looked)` : title), el("time", { datetime: new Date(at * 1000).toISOString() }, moment(at)), el("p", {}, `${channel}: ${STATES[state] ?? state}${tries}${error ? `. ${error}` : ""}`));
  }

  async #act(path, body) {
    const { problem } = await post(`api/notify/${path}`, body);
    setText(this.problem, problem ?? "");
    if (!problem) announce("Done");
    await this.load();
  }

  async #send(path, body, ...fields) {
    const { problem } = await post(`api/notify/${path}`, body);
    if (problem) return problem;
    for (const one of fields) one.input.value = "";
    await this.load();
    return null;
  }
}
