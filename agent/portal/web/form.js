// Parts of forms, shared by the pages about accounts.

import { download, el, icon, iconButton, setText } from "./dom.js";

/** A labelled input; `.input` holds its value. */
export function field(label, attributes = {}) {
  const id = `field-${attributes.name}`;
  const input = el("input", { id, type: "text", autocapitalize: "none", spellcheck: "false", ...attributes });
  const row = el("div", { class: "form-row" }, el("label", { for: id }, label), el("div", { class: "field" }, input));
  return Object.assign(row, { input });
}

/** A password that can be shown. `isNew` tells password managers to suggest one. */
export function passwordField(label, name, isNew = false) {
  const row = field(label, { name, type: "password", maxlength: "256", required: true, autocomplete: isNew ? "new-password" : "current-password" });
  const { input } = row;
  const toggle = () => {
    input.type = input.type === "password" ? "text" : "password";
    input.focus();
  };
  row.querySelector(".field").append(iconButton("eye", "Show password", toggle));
  return row;
}

/** The six digits of an authenticator. */
export function codeField(label = "Code of your authenticator") {
  return field(label, { name: "code", inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9 ]*", maxlength: "7" });
}

/** The same where a recovery code is taken too, as people write it. */
export function signInCodeField() {
  const row = codeField();
  const { input } = row;
  Object.assign(input, { pattern: "[0-9A-Za-z \\-]*", maxLength: 32 });
  const swap = el("button", { type: "button", class: "button small" }, "Use a recovery code");
  swap.addEventListener("click", () => {
    row.querySelector("label").textContent = "One of your recovery codes";
    input.inputMode = "text";
    input.value = "";
    swap.remove();
    input.focus();
  });
  row.append(swap);
  return row;
}

/** A choice; `options` are [value, words]. */
export function choice(label, name, options) {
  const id = `field-${name}`;
  const input = el("select", { id, name }, ...options.map(([value, words]) => el("option", { value }, words)));
  const row = el("div", { class: "form-row" }, el("label", { for: id }, label), el("div", { class: "field" }, input));
  return Object.assign(row, { input });
}

/**
 * A form with a button and a line for what went wrong. `submit` returns a problem in words, or null.
 * The button rests while it runs, so that nothing is sent twice.
 */
export function form(button, submit, ...rows) {
  const error = el("p", { class: "form-error", role: "alert" });
  const send = el("button", { type: "submit", class: "button primary" }, button);
  const onsubmit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    setText(error, "");
    const problem = await submit();
    send.disabled = false;
    setText(error, problem ?? "");
  };
  return Object.assign(el("form", { class: "form", onsubmit }, ...rows, error, send), { error, send });
}

/** What is shown once, such as a link, with a button that copies it. */
export function secret(text, words, label = "Link", symbol = "link") {
  const input = el("input", { type: "text", readonly: true, value: text, "aria-label": label, onfocus: () => input.select() });
  const copy = el("button", { type: "button", class: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    input.select();
    await navigator.clipboard?.writeText(text).catch(() => null);
    setText(copy, "Copied");
  });
  return el("div", { class: "secret-link", role: "status" }, icon(symbol), el("p", {}, words), el("div", { class: "copy-row" }, input, copy));
}

/** Several secrets that are shown once: to copy, or to keep as a file. */
export function secrets(list, words, file) {
  const text = `${list.join("\n")}\n`;
  const copy = el("button", { type: "button", class: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).catch(() => null);
    setText(copy, "Copied");
  });
  const save = el("button", { type: "button", class: "button", onclick: () => download(new Blob([text], { type: "text/plain" }), file) }, "Download");
  const items = el("ul", { class: "codes" }, ...list.map((one) => el("li", {}, el("code", {}, one))));
  return el("div", { class: "secret-link", role: "status" }, icon("link"), el("p", {}, words), items, el("div", { class: "copy-row" }, copy, save));
}

/** What was typed and chosen in a form goes over to one that was made anew, where that still has such a field. */
export function carryOver(before, after) {
  const nameOf = ({ name, type, value }) => (type === "checkbox" ? `${name} ${value}` : name);
  const fields = (form) => [...form.querySelectorAll("input[name], select[name]")];
  const was = new Map(fields(before).map((one) => [nameOf(one), one]));
  for (const one of fields(after)) {
    const old = was.get(nameOf(one));
    if (!old) continue;
    if (one.type === "checkbox") one.checked = old.checked;
    else if (one.tagName !== "SELECT" || [...one.options].some(({ value }) => value === old.value)) one.value = old.value;
  }
}

/** The address of a view of this dashboard. */
export function addressOf(hash) {
  return `${location.origin}${location.pathname}${hash}`;
}

/** The second press does it: one slip of the finger removes nobody. */
export function confirmed(button, act) {
  if (button.dataset.words) return act();
  button.dataset.words = button.textContent;
  button.textContent = "Press again to confirm";
  return setTimeout(() => {
    button.textContent = button.dataset.words;
    delete button.dataset.words;
  }, 4_000);
}
