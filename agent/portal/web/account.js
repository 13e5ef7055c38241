// One's own account: password, passkeys, authenticator, other browsers.

import { get, post } from "./api.js";
import { authenticatorSetup, recoveryCodes } from "./authenticator.js";
import { browserName } from "./browser.js";
import { el, setText } from "./dom.js";
import { form, passwordField } from "./form.js";
import { moment } from "./format.js";
import { passkeysBox } from "./passkeys.js";

export class AccountPage {
  constructor({ me }) {
    this.me = me;
    this.element = el("div", { class: "panels" });
  }

  async load() {
    const account = await get("api/account");
    if (account.problem) return this.element.replaceChildren(el("p", { class: "form-error" }, account.problem));
    const role = account.role ? `${account.role} of every camera` : "what is granted, camera by camera";
    const who = el("section", { class: "box" }, el("h2", {}, account.user), el("p", { class: "hint" }, `Your role: ${role}.`), this.#others(account.sessions));
    const own = account.has_password ? [this.#password(), passkeysBox(account, () => this.load()), this.#code(account)] : [];
    return this.element.replaceChildren(who, ...own);
  }

  #others(sessions) {
    const count = sessions.length;
    const words = el("p", { class: "hint" }, count > 1 ? `You are signed in in ${count} browsers.` : "You are signed in in this browser alone.");
    if (count < 2) return words;
    const items = sessions.map((one) => this.#session(one));
    const submit = async () => {
      const { problem } = await post("api/account/sign-out-others");
      if (!problem) this.load();
      return problem;
    };
    return el("div", {}, words, el("ul", { class: "sessions", "aria-label": "Browsers" }, ...items), form("Sign out the others", submit));
  }

  #session({ id, browser, address, created_at, seen_at, own }) {
    const times = `from ${address}, since ${moment(created_at)}, ${own ? "this browser" : `last seen ${moment(seen_at)}`}`;
    const end = async () => {
      await post("api/account/sessions/end", { id });
      this.load();
    };
    const button = own ? null : el("button", { type: "button", class: "button small", "aria-label": `Sign out ${browserName(browser)}`, onclick: end }, "Sign out");
    return el("li", {}, el("span", { title: browser }, el("strong", {}, browserName(browser)), el("span", { class: "hint" }, ` ${times}`)), button);
  }

  #password() {
    const old = passwordField("Your password now", "old");
    const next = passwordField("New password, 12 characters or more", "new", true);
    const done = el("p", { class: "form-done", role: "status" });
    const submit = async () => {
      setText(done, "");
      const { problem } = await post("api/account/password", { old: old.input.value, new: next.input.value });
      if (problem) return problem;
      old.input.value = next.input.value = "";
      setText(done, "Saved. Your other browsers are signed out.");
      return null;
    };
    return el("section", { class: "box" }, el("h2", {}, "Password"), form("Change password", submit, old, next), done);
  }

  #code({ has_code: hasCode, must_have_code: mustHaveCode, recovery_codes: left }) {
    const box = el("section", { class: "box" }, el("h2", {}, "Authenticator"));
    if (hasCode && mustHaveCode) {
      const change = el("button", { type: "button", class: "button", onclick: () => this.#showCode(box) }, "Change to another phone");
      box.append(el("p", { class: "hint" }, "On: signing in asks for a code of your authenticator app. Your role asks for it, so it stays on."), change, this.#recovery(left));
      return box;
    }
    if (hasCode) {
      const password = passwordField("Your password", "code-password");
      const submit = () => this.#send("api/account/code/remove", { password: password.input.value });
      box.append(el("p", { class: "hint" }, "On: signing in asks for a code of your authenticator app."), form("Turn off", submit, password), this.#recovery(left));
      return box;
    }
    const begin = el("button", { type: "button", class: "button", onclick: () => this.#showCode(box) }, "Set up");
    box.append(el("p", { class: "hint" }, "Off. With an authenticator app on your phone, a stolen password alone lets nobody in."), begin);
    return box;
  }

  #recovery(left) {
    const password = passwordField("Your password", "recovery-password");
    const made = el("div", {});
    const submit = async () => {
      const { recovery_codes, problem } = await post("api/account/code/recovery", { password: password.input.value });
      if (problem) return problem;
      password.input.value = "";
      made.replaceChildren(recoveryCodes(recovery_codes));
      return null;
    };
    const words = `Recovery codes stand for your phone, each once: ${left} ${left === 1 ? "is" : "are"} left. New ones void those before.`;
    return el("div", {}, el("h3", {}, "Recovery codes"), el("p", { class: "hint" }, words), form("Make new codes", submit, password), made);
  }

  async #showCode(box) {
    const onDone = async (codes) => {
      await this.load();
      this.element.append(el("section", { class: "box" }, el("h2", {}, "Recovery codes"), recoveryCodes(codes)));
    };
    box.replaceChildren(el("h2", {}, "Authenticator"), ...(await authenticatorSetup(onDone)));
    box.querySelector("input")?.focus();
  }

  async #send(path, body) {
    const { problem } = await post(path, body);
    if (!problem) await this.load();
    return problem;
  }
}
