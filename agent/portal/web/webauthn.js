// Passkeys in this browser: it makes them, and has them sign (Web Authentication level 3).

import { post, send } from "./api.js";

/** Of `api/account`: why there are no passkeys here, in words, or null where there are. */
export function problemOf({ passkey_origin: origin, passkey_problem: problem }) {
  if (!origin) return problem;
  if (origin !== location.origin) return `Passkeys work at this portal’s own address: open ${origin}`;
  return window.PublicKeyCredential ? null : "This browser has no passkeys. Use a current one.";
}

/** Of `api/ways`: whether passkeys of this portal work in this page. */
export const works = (origin) => problemOf({ passkey_origin: origin }) === null;

/** Has a passkey made and kept by this name. Returns a problem in words, or null. */
export async function makePasskey(name) {
  const options = await post("api/account/passkeys/options");
  if (options.problem) return options.problem;
  const user = { ...options.user, id: bytesOf(options.user.id) };
  const publicKey = { ...options, user, challenge: bytesOf(options.challenge), excludeCredentials: options.excludeCredentials.map(known) };
  let made;
  try {
    made = await navigator.credentials.create({ publicKey });
  } catch (error) {
    return error.name === "InvalidStateError" ? "You have a passkey on this device already." : wordsFor(error);
  }
  const { clientDataJSON, attestationObject } = made.response;
  const response = { clientDataJSON: textOf(clientDataJSON), attestationObject: textOf(attestationObject), transports: made.response.getTransports?.() ?? [] };
  return (await post("api/account/passkeys", { name, credential: encoded(made, response) })).problem;
}

/**
 * Has a passkey sign what `path` asks for. Returns what the portal answers; `code` is "no-passkey" where nobody signed.
 * @param {CredentialRequestOptions} how such as `mediation` and `signal`
 */
export async function signByPasskey(path, how = {}) {
  const options = await send(`${path}/options`, {});
  if (options.problem) return options;
  const publicKey = { ...options, challenge: bytesOf(options.challenge), allowCredentials: options.allowCredentials.map(known) };
  let signed;
  try {
    signed = await navigator.credentials.get({ publicKey, ...how });
  } catch (error) {
    return { code: "no-passkey", problem: wordsFor(error) };
  }
  const { clientDataJSON, authenticatorData, signature, userHandle } = signed.response;
  const response = { clientDataJSON: textOf(clientDataJSON), authenticatorData: textOf(authenticatorData), signature: textOf(signature), userHandle: userHandle && textOf(userHandle) };
  const answer = await send(path, { credential: encoded(signed, response) });
  // Whoever keeps it may forget it, so that it is offered no more.
  if (answer.code === "unknown-passkey") PublicKeyCredential.signalUnknownCredential?.({ rpId: options.rpId, credentialId: signed.id }).catch(() => null);
  return answer;
}

function wordsFor({ name, message }) {
  if (name === "NotAllowedError" || name === "AbortError") return "No passkey was used: it was cancelled, or took too long.";
  return `No passkey was used: ${message}`;
}

const known = (one) => ({ ...one, id: bytesOf(one.id) });

const encoded = ({ id, type }, response) => JSON.stringify({ id, rawId: id, type, response });

function bytesOf(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

function textOf(buffer) {
  const text = btoa(String.fromCharCode(...new Uint8Array(buffer)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
