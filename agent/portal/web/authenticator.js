// Setting an authenticator up: its secret as a picture and as letters, the code that shows that it was read, the recovery codes.

import { post } from "./api.js";
import { el } from "./dom.js";
import { codeField, form, passwordField, secrets } from "./form.js";

/** What fills the box; `onDone` gets the recovery codes. */
export async function authenticatorSetup(onDone) {
  const { secret, svg, problem } = await post("api/account/code/new");
  if (problem) return [el("p", { class: "form-error", role: "alert" }, problem)];
  const picture = el("img", { class: "qr", src: `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`, alt: "QR code for your authenticator app", width: "220", height: "220" });
  const password = passwordField("Your password", "code-password");
  const code = codeField("The code that it shows");
  const submit = async () => {
    const answer = await post("api/account/code", { secret, password: password.input.value, code: code.input.value.replaceAll(" ", "") });
    if (!answer.problem) await onDone(answer.recovery_codes);
    return answer.problem;
  };
  return [
    el("p", { class: "hint" }, "Scan this with your authenticator app, or type the key in."),
    picture,
    el("code", {}, secret.match(/.{4}/g).join(" ")),
    form("Turn on", submit, code, password),
  ];
}

export function recoveryCodes(codes) {
  return secrets(codes, "Your recovery codes. Keep them where your phone is not: they are shown this once.", "pinhole-recovery-codes.txt");
}
