// The ways in: sign in, choose a password with a one-time link, or find that a link is good no more.

import { get, post } from "./api.js";
import { el, icon, setText } from "./dom.js";
import { field, form, passwordField, signInCodeField } from "./form.js";
import { signByPasskey, works } from "./webauthn.js";

/** A challenge lives for five minutes. */
const LISTEN_MS = 240_000;

const COMPANY_PROBLEMS = {
  "no-account": "There is no account for you here yet. Ask an administrator to add it.",
  "no-name": "Your company account does not tell your name here. Ask an administrator.",
  unverified: "Your company account has no verified e-mail address.",
  taken: "Your name here belongs to another account. Ask an administrator.",
  disabled: "Your account is disabled. Ask an administrator.",
  "no-factor": "Your role here asks for a second factor, and your company account was used without one. Turn it on there.",
  "not-begun": "That sign-in took too long, or was begun elsewhere. Try again.",
  unreachable: "Your company’s sign-in cannot be reached.",
};

/** Calls `onSignedIn` with what the portal says of us once it has let us in. */
export class SignInView {
  #onSignedIn;

  constructor(onSignedIn, companyProblem = null, problem = null) {
    this.#onSignedIn = onSignedIn;
    this.user = field("User name", { name: "username", autocomplete: "username", maxlength: "128", required: true });
    this.password = passwordField("Password", "password");
    this.code = signInCodeField();
    this.code.hidden = true;
    this.form = form("Sign in", () => this.#submit(), this.user, this.password, this.code);
    this.form.send.classList.add("wide");
    this.others = el("div", { class: "company", hidden: true });
    this.element = card(el("h1", {}, "Sign in to your cameras"), this.form, this.others);
    if (companyProblem) setText(this.form.error, COMPANY_PROBLEMS[companyProblem] ?? "Your company’s sign-in did not let you in.");
    if (problem) setText(this.form.error, problem);
    this.#offerOthers();
  }

  focus() {
    this.user.input.focus();
  }

  close() {
    this.#stopListening();
  }

  async #submit() {
    const body = { user: this.user.input.value.trim(), password: this.password.input.value };
    if (!this.code.hidden) body.code = this.code.input.value.replaceAll(" ", "");
    const answer = await post("api/login", body);
    const { code, problem } = answer;
    if (!problem) {
      this.#onSignedIn(answer);
      return null;
    }
    const wantsCode = code === "code-needed";
    if (wantsCode) this.code.hidden = false;
    const input = this.code.hidden ? this.password.input : this.code.input;
    input.select();
    input.focus();
    return wantsCode ? "" : problem;
  }

  async #offerOthers() {
    const { company, passkeys } = await get("api/ways");
    if (!this.element.isConnected) return;
    const ways = [];
    if (works(passkeys)) {
      ways.push(el("button", { type: "button", class: "button wide", onclick: (event) => this.#usePasskey(event.target) }, "Sign in with a passkey"));
      this.user.input.autocomplete = "username webauthn";
      this.#listen();
    }
    if (company) ways.push(el("a", { class: "button wide", href: "api/company" }, `Sign in with ${company}`));
    if (!ways.length) return;
    this.others.hidden = false;
    this.others.replaceChildren(el("span", { class: "or" }, "or"), ...ways);
  }

  async #usePasskey(button) {
    this.#stopListening(); // a browser asks for one at a time
    button.disabled = true;
    setText(this.form.error, "");
    const answer = await signByPasskey("api/passkey");
    button.disabled = false;
    if (!this.#isIn(answer)) this.#listen();
  }

  /** Where a browser can, it offers passkeys as it fills in the user name; one of them may be chosen at any time. */
  async #listen() {
    const listening = (this.listening = new AbortController());
    const isAble = await PublicKeyCredential.isConditionalMediationAvailable?.();
    if (!isAble || listening !== this.listening) return;
    const timer = setTimeout(() => listening.abort(), LISTEN_MS);
    const answer = await signByPasskey("api/passkey", { mediation: "conditional", signal: listening.signal });
    clearTimeout(timer);
    if (listening !== this.listening) return;
    const isRefused = answer.code !== "no-passkey" && !this.#isIn(answer) && answer.status === 401;
    if (isRefused || listening.signal.aborted) this.#listen(); // with a new challenge
  }

  #stopListening() {
    this.listening?.abort();
    this.listening = null;
  }

  #isIn(answer) {
    if (answer.problem) setText(this.form.error, answer.problem);
    else this.#onSignedIn(answer);
    return !answer.problem;
  }
}

/** A one-time link: choose a password, and be signed in. */
export class WelcomeView {
  #token;
  #onSignedIn;

  constructor(token, onSignedIn) {
    this.#token = token;
    this.#onSignedIn = onSignedIn;
    this.body = el("div", {}, el("p", { class: "hint" }, "Looking at your link …"));
    this.element = card(el("h1", {}, "Choose your password"), this.body);
    this.#look();
  }

  focus() {}

  close() {}

  async #look() {
    const { user, problem } = await post("api/welcome/look", { token: this.#token });
    if (problem) {
      this.body.replaceChildren(el("p", { class: "form-error", role: "alert" }, problem), el("a", { class: "button wide", href: "#/" }, "Sign in"));
      return;
    }
    const name = field("User name", { name: "username", autocomplete: "username", value: user, readonly: true });
    const password = passwordField("New password, 12 characters or more", "password", true);
    const code = signInCodeField();
    code.hidden = true;
    const submit = async () => {
      const body = { token: this.#token, password: password.input.value };
      if (!code.hidden) body.code = code.input.value.replaceAll(" ", "");
      const answer = await post("api/welcome", body);
      if (!answer.problem) {
        this.#onSignedIn(answer);
        return null;
      }
      const wantsCode = answer.code === "code-needed";
      if (wantsCode) code.hidden = false;
      if (!code.hidden) code.input.focus();
      return wantsCode ? "" : answer.problem;
    };
    const choose = form("Save and sign in", submit, name, password, code);
    choose.send.classList.add("wide");
    this.body.replaceChildren(choose);
    password.input.focus();
  }
}

/** A share link that has expired or was revoked. */
export class NoticeView {
  constructor(title, text) {
    this.heading = el("h1", { tabindex: "-1" }, title);
    this.element = card(this.heading, el("p", { class: "hint" }, text));
  }

  focus() {
    this.heading.focus();
  }

  close() {}
}

export function card(...children) {
  return el("main", { class: "signin" }, el("div", { class: "signin-card" }, el("div", { class: "brand large" }, icon("logo"), "Pinhole"), ...children));
}
