// The sign-in page.

import { el, icon, iconButton, setText } from "./dom.js";

/** Calls `onSignedIn` once the portal has taken the password. */
export class SignInView {
  #onSignedIn;

  constructor(onSignedIn) {
    this.#onSignedIn = onSignedIn;
    this.input = el("input", {
      id: "password",
      type: "password",
      name: "password",
      autocomplete: "current-password",
      autocapitalize: "none",
      spellcheck: "false",
      maxlength: "256",
      required: true,
      "aria-describedby": "password-hint signin-error",
    });
    this.error = el("p", { id: "signin-error", class: "form-error", role: "alert" });
    this.button = el("button", { type: "submit", class: "button primary wide" }, "Sign in");
    this.element = el(
      "main",
      { class: "signin" },
      el(
        "form",
        { class: "signin-card", onsubmit: (event) => this.#submit(event) },
        el("div", { class: "brand large" }, icon("logo"), "Pinhole"),
        el("h1", {}, "Sign in to your cameras"),
        // Password managers file what they keep under a user name.
        el("input", { type: "text", name: "username", autocomplete: "username", value: "viewer", hidden: true }),
        el("label", { for: "password" }, "Password"),
        el("div", { class: "field" }, this.input, iconButton("eye", "Show password", () => this.#toggle())),
        this.error,
        this.button,
        el("p", { id: "password-hint", class: "hint" }, "The portal made the password at its first start. It is in the portal’s password file; the demo prints it."),
      ),
    );
  }

  focus() {
    this.input.focus();
  }

  close() {}

  #toggle() {
    this.input.type = this.input.type === "password" ? "text" : "password";
    this.input.focus();
  }

  async #submit(event) {
    event.preventDefault();
    this.button.disabled = true;
    setText(this.error, "");
    const problem = await signIn(this.input.value.trim());
    this.button.disabled = false;
    if (!problem) return this.#onSignedIn();
    setText(this.error, problem);
    this.input.select();
    this.input.focus();
  }
}

/** @returns {Promise<string | null>} what went wrong, in words, or null. */
async function signIn(password) {
  const answer = await fetch("api/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ password }),
  }).catch(() => null);
  if (!answer) return "The portal cannot be reached. Check your connection and try again.";
  if (answer.ok) return null;
  if (answer.status === 401) return "That is not the password. Check for typing errors.";
  if (answer.status === 429) return `Too many attempts. Wait ${answer.headers.get("Retry-After")} s, then try again.`;
  return `The portal refused (${answer.status}). Try again.`;
}
