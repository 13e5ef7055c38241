// One's passkeys on the page of one's account: listed, made, removed.

import { post } from "./api.js";
import { browserName } from "./browser.js";
import { el } from "./dom.js";
import { confirmed, field, form } from "./form.js";
import { moment } from "./format.js";
import { makePasskey, problemOf } from "./webauthn.js";

/** @param {() => Promise<void>} reload shows the account anew */
export function passkeysBox(account, reload) {
  const box = el("section", { class: "box" }, el("h2", {}, "Passkeys"), el("p", { class: "hint" }, "Sign in with your phone, computer or security key: by finger, face or PIN, without password and code. A new password leaves them as they are."));
  const error = el("p", { class: "form-error", role: "alert" });
  const remove = async (id) => {
    const { problem } = await post("api/account/passkeys/remove", { id });
    if (!problem) return reload();
    error.textContent = problem;
    return null;
  };
  const items = account.passkeys.map((one) => row(one, remove));
  if (items.length) box.append(el("ul", { class: "sessions", "aria-label": "Passkeys" }, ...items), error);
  const problem = problemOf(account);
  box.append(problem ? el("p", { class: "hint passkey-problem" }, problem) : addForm(reload));
  return box;
}

/** A form that has a passkey made, and then calls `onDone`. */
export function addForm(onDone) {
  const name = field("What to call it", { name: "passkey-name", maxlength: "64", required: true, autocomplete: "off", value: browserName(navigator.userAgent) });
  const submit = async () => {
    const problem = await makePasskey(name.input.value);
    if (!problem) await onDone();
    return problem;
  };
  return form("Add a passkey", submit, name);
}

function row({ id, name, created_at, used_at }, remove) {
  const times = ` added ${moment(created_at)}, ${used_at ? `last used ${moment(used_at)}` : "not used yet"}`;
  const button = el("button", { type: "button", class: "button small", "aria-label": `Remove passkey ${name}`, onclick: (event) => confirmed(event.target, () => remove(id)) }, "Remove");
  return el("li", {}, el("span", {}, el("strong", {}, name), el("span", { class: "hint" }, times)), button);
}
