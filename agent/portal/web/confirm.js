// Who changes who may come in or do what is asked again who they are, where that was long ago.

import { get, send } from "./api.js";
import { el, setText } from "./dom.js";
import { form, passwordField } from "./form.js";
import { problemOf, signByPasskey } from "./webauthn.js";

/** Resolves to whether the user has shown who they are. */
export async function confirmAgain() {
  const [account, { company }] = await Promise.all([get("api/account"), get("api/ways")]);
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
    const byPasskey = async () => {
      const { problem } = await signByPasskey("api/confirm/passkey");
      setText(byPassword.error, problem ?? "");
      if (problem) return;
      isConfirmed = true;
      dialog.close();
    };
    const byPassword = form("Confirm", submit, password);
    const passkey = account.passkeys?.length && !problemOf(account) ? el("button", { type: "button", class: "button", onclick: byPasskey }, "Use a passkey") : null;
    const anew = el("a", { class: "button primary", href: "api/company" }, `Sign in with ${company ?? "your company account"} again`);
    const words = account.has_password ? "You signed in a while ago, and this changes who may do what." : "You signed in a while ago, and this changes who may do what: sign in again, then repeat it.";
    const onclose = () => {
      dialog.remove();
      resolve(isConfirmed);
    };
    const dialog = el("dialog", { class: "confirm box", "aria-labelledby": "confirm-title", onclose }, el("h2", { id: "confirm-title" }, "Is it you?"), el("p", { class: "hint" }, words), ...(account.has_password ? [byPassword, passkey] : [anew]), cancel);
    document.body.append(dialog);
    dialog.showModal();
  });
}
