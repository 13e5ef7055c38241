// Who changes what others may do is asked for the password again, where that was long ago.

import { get, send } from "./api.js";
import { el } from "./dom.js";
import { form, passwordField } from "./form.js";

/** Resolves to whether the user has shown who they are. */
export async function confirmAgain() {
  const [{ has_password: hasPassword }, { company }] = await Promise.all([get("api/account"), get("api/ways")]);
  return new Promise((resolve) => {
    const password = passwordField("Your password", "confirm-password");
    const cancel = el("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
    let isConfirmed = false;
    const submit = async () => {
      const { problem } = await send("api/confirm", { password: password.input.value });
      if (problem) return problem;
      isConfirmed = true;
      dialog.close();
      return null;
    };
    const anew = el("a", { class: "button primary", href: "api/company" }, `Sign in with ${company ?? "your company account"} again`);
    const words = hasPassword ? "You signed in a while ago, and this changes what others may do." : "You signed in a while ago, and this changes what others may do: sign in again, then repeat it.";
    const onclose = () => {
      dialog.remove();
      resolve(isConfirmed);
    };
    const dialog = el("dialog", { class: "confirm box", "aria-labelledby": "confirm-title", onclose }, el("h2", { id: "confirm-title" }, "Is it you?"), el("p", { class: "hint" }, words), hasPassword ? form("Confirm", submit, password) : anew, cancel);
    document.body.append(dialog);
    dialog.showModal();
  });
}
