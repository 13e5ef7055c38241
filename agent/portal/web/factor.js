// For who is signed in, and has less than their role asks for: the only way on is a second factor.

import { get } from "./api.js";
import { authenticatorSetup, recoveryCodes } from "./authenticator.js";
import { el } from "./dom.js";
import { form } from "./form.js";
import { addForm } from "./passkeys.js";
import { card } from "./signin.js";
import { problemOf, signByPasskey } from "./webauthn.js";

export class SecondFactorView {
  #onDone;

  constructor(onDone, onSignOut) {
    this.#onDone = onDone;
    this.heading = el("h1", { tabindex: "-1" }, "Set up a second factor");
    this.body = el("div", { class: "factor" });
    this.element = card(this.heading, this.body, el("button", { type: "button", class: "button wide", onclick: onSignOut }, "Sign out"));
    this.#load();
  }

  focus() {
    this.heading.focus();
  }

  close() {}

  async #load() {
    const [account, { company }] = await Promise.all([get("api/account"), get("api/ways")]);
    const { has_password: hasPassword, has_code: hasCode, passkeys, problem } = account;
    if (problem) return this.#show(el("p", { class: "form-error", role: "alert" }, problem));
    const canUsePasskeys = problemOf(account) === null;
    if (hasPassword && !hasCode && !passkeys.length) {
      const words = canUsePasskeys ? "Take a passkey, or an authenticator app on your phone" : "You need an authenticator app on your phone";
      return this.#show(
        el("p", { class: "hint" }, `Your role asks for more than a password. ${words}; then your cameras are here.`),
        ...(canUsePasskeys ? [el("h2", {}, "Passkey"), addForm(this.#onDone), el("h2", {}, "Authenticator")] : []),
        ...(await authenticatorSetup((codes) => this.#finish(codes))),
      );
    }
    if (passkeys.length && canUsePasskeys) {
      this.heading.textContent = "Show your passkey";
      return this.#show(el("p", { class: "hint" }, "Your role asks for more than a password."), this.#usePasskey());
    }
    // Their authenticator, or their company, was not asked: only a sign-in does that.
    const again = hasPassword ? "Sign out, and in again with your second factor." : "Sign in again with your company account, and with your second factor there.";
    return this.#show(
      el("p", { class: "hint" }, `Your role asks for more than what you signed in with. ${again}`),
      hasPassword ? null : el("a", { class: "button primary wide", href: "api/company" }, `Sign in with ${company ?? "your company account"}`),
    );
  }

  #usePasskey() {
    const submit = async () => {
      const { problem } = await signByPasskey("api/confirm/passkey");
      if (!problem) this.#onDone();
      return problem;
    };
    const use = form("Use your passkey", submit);
    use.send.classList.add("wide");
    return use;
  }

  #finish(codes) {
    this.heading.textContent = "Your second factor is on";
    const go = el("button", { type: "button", class: "button primary wide", onclick: this.#onDone }, "Go to your cameras");
    this.#show(recoveryCodes(codes), go);
    this.heading.focus();
  }

  #show(...parts) {
    this.body.replaceChildren(...parts.filter(Boolean));
  }
}
