// Who did what and when; the newest first.

import { get } from "./api.js";
import { el } from "./dom.js";
import { field, form } from "./form.js";

const PAGE = 100;
const WORDS = {
  watch: "began to watch",
  "watch-end": "stopped watching",
  "sign-in": "signed in",
  "sign-in-failed": "failed to sign in",
  "sign-out": "signed out",
  "password-set": "set a password",
  "code-set": "turned an authenticator on",
  "code-removed": "turned an authenticator off",
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
  "look-asked": "had cameras look for a release",
  "entries-lost": "lost entries",
};

export class AuditPage {
  #last = null;

  constructor({ cameras }) {
    this.cameras = cameras;
    this.user = field("User", { name: "audit-user", autocomplete: "off" });
    this.device = field("Camera id", { name: "audit-device", autocomplete: "off" });
    this.rows = el("tbody", {});
    this.more = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.#add() }, "Older");
    const filter = form("Show", () => this.load(), this.user, this.device);
    filter.classList.add("inline");
    const head = el("thead", {}, el("tr", {}, ...["When", "Who", "What", "Camera", "From", "Details"].map((words) => el("th", { scope: "col" }, words))));
    this.element = el("div", {}, filter, el("div", { class: "scroll" }, el("table", { class: "audit" }, head, this.rows)), this.more);
  }

  async load() {
    this.#last = null;
    this.rows.replaceChildren();
    return this.#add();
  }

  async #add() {
    const query = new URLSearchParams({ limit: PAGE, user: this.user.input.value.trim(), device: this.device.input.value.trim() });
    if (this.#last) query.set("before", this.#last);
    const { entries, problem } = await get(`api/audit?${query}`);
    if (problem) return problem;
    for (const { id, at, actor, action, device, address, detail } of entries) {
      this.#last = id;
      const name = this.cameras().find((camera) => camera.id === device)?.name ?? device;
      const when = new Date(at * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
      this.rows.append(el("tr", {}, ...[when, actor, WORDS[action] ?? action, name, address, detail].map((words) => el("td", {}, words))));
    }
    this.more.hidden = entries.length < PAGE;
    return null;
  }
}
