// Who did what and when: the newest first, by day; narrowed by date, person, camera and topic; as a file too.

import { get } from "./api.js";
import { el, table } from "./dom.js";
import { choice, field, form } from "./form.js";

const PAGE = 100;
const DAY_S = 86_400;
const TOPICS = [
  ["", "All but previews"],
  ["everything", "Everything"],
  ["watching", "Watching"],
  ["previews", "Previews"],
  ["sign-in", "Signing in"],
  ["accounts", "Accounts"],
  ["links", "Share links"],
  ["cameras", "Cameras"],
  ["commands", "Commands"],
  ["notifications", "Notifications"],
  ["refusals", "Refusals"],
];
const WORDS = {
  watch: "began to watch",
  "watch-end": "stopped watching",
  preview: "saw previews",
  "watch-refused": "was not let watch",
  "sign-in": "signed in",
  "sign-in-failed": "failed to sign in",
  "sign-out": "signed out",
  "password-set": "set a password",
  "code-set": "turned an authenticator on",
  "code-removed": "turned an authenticator off",
  "recovery-renewed": "made new recovery codes",
  "recovery-used": "used a recovery code",
  "passkey-added": "added a passkey",
  "passkey-removed": "removed a passkey",
  "passkey-copied": "had a passkey refused that may be copied",
  "signed-out-others": "signed out other browsers",
  "user-added": "added a user",
  "user-changed": "changed a user",
  "user-removed": "removed a user",
  "link-made": "made a password link",
  "group-set": "set a group",
  "group-removed": "removed a group",
  "link-shared": "shared a camera",
  "link-revoked": "revoked a link",
  "link-opened": "opened a link",
  "key-made": "made a signing key",
  "key-retired": "retired a signing key",
  "claim-made": "made a claim code",
  enrolled: "let a camera in",
  "enrol-refused": "a camera was not let in",
  refused: "was refused",
  "audit-broken": "found the audit log changed",
  renamed: "renamed a camera",
  revoked: "shut a camera out",
  "look-asked": "had cameras look for a release",
  "recording-saved": "saved a recording from the store",
  "sms-made": "made a command to send by SMS",
  commanded: "told a camera",
  "command-done": "had a camera do",
  "command-failed": "had a camera fail to do",
  "command-refused": "was not let command",
  "rule-set": "set a rule for notifications",
  "rule-removed": "removed a rule for notifications",
  "rule-snoozed": "snoozed notifications",
  "channel-added": "added a channel for notifications",
  "channel-removed": "removed a channel for notifications",
  "channel-opened": "let others go on to a channel",
  "channel-closed": "lets nobody go on to a channel any more",
  "entries-lost": "lost entries",
};
const HEADS = ["When", "Who", "What", "Camera", "From", "Details"];

export class AuditPage {
  #last = null;
  #day = "";

  constructor({ cameras }) {
    this.cameras = cameras;
    this.since = field("From", { name: "audit-since", type: "date" });
    this.until = field("To", { name: "audit-until", type: "date" });
    this.user = field("User", { name: "audit-user", autocomplete: "off", placeholder: "anybody" });
    this.device = choice("Camera", "audit-device", [["", "Every camera"], ...cameras().map(({ id, name }) => [id, name])]);
    this.about = choice("About", "audit-about", TOPICS);
    this.rows = el("tbody", {});
    this.none = el("p", { class: "hint", role: "status", hidden: true }, "Nothing was noted that fits.");
    this.more = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.#add() }, "Older");
    this.save = el("a", { class: "button", download: "" }, "Export as CSV");
    const filter = form("Show", () => this.load(), this.since, this.until, this.user, this.device, this.about);
    filter.classList.add("inline");
    this.element = el("div", {}, filter, el("div", { class: "look" }, this.save), table("audit", "Audit log", HEADS, this.rows), this.none, this.more);
  }

  async load() {
    this.#last = null;
    this.#day = "";
    this.rows.replaceChildren();
    this.save.href = `api/audit.csv?${this.#query()}`;
    return this.#add();
  }

  /** Days are this browser's own. */
  #query() {
    const day = (row) => (row.input.value ? new Date(`${row.input.value}T00:00`).getTime() / 1000 : null);
    const [since, until] = [day(this.since), day(this.until)];
    const asked = { user: this.user.input.value.trim(), device: this.device.input.value, about: this.about.input.value, since, until: until && until + DAY_S };
    return new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
  }

  async #add() {
    const query = this.#query();
    query.set("limit", PAGE);
    if (this.#last) query.set("before", this.#last);
    const { entries, problem } = await get(`api/audit?${query}`);
    if (problem) return problem;
    for (const entry of entries) this.#append(entry);
    this.none.hidden = this.rows.childElementCount > 0;
    this.more.hidden = entries.length < PAGE;
    return null;
  }

  #append({ id, at, actor, action, device, address, detail }) {
    this.#last = id;
    const when = new Date(at * 1000);
    const day = when.toLocaleDateString([], { dateStyle: "full" });
    if (day !== this.#day) this.rows.append(el("tr", { class: "day" }, el("th", { colspan: HEADS.length, scope: "colgroup" }, day)));
    this.#day = day;
    const name = this.cameras().find((camera) => camera.id === device)?.name ?? device;
    const who = actor.replace(/^link:/, "guest ");
    const cells = [when.toLocaleTimeString([], { timeStyle: "medium" }), who, WORDS[action] ?? action, name, address, detail];
    this.rows.append(el("tr", {}, ...cells.map((words) => el("td", {}, words))));
  }
}
