// What a camera says within a session, as JSON. What it says elsewhere has come by the portal, which cleans it alike.

const UNPRINTABLE = /[^\P{C}\n\t]|[^\P{Z} ]/gu; // as agent/model/text.py: what turns a line's direction, or is no text

/** Its texts are fit to be shown; null where it is none, or longer. */
export function parseSaid(text, mostChars) {
  if (typeof text !== "string" || text.length > mostChars) return null;
  try {
    return JSON.parse(text, (_key, value) => (typeof value === "string" ? value.replace(UNPRINTABLE, "\ufffd") : value));
  } catch {
    return null; // nothing depends on one message
  }
}
