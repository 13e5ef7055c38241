// A camera as the portal says it: its id, since when it came or went, and its state in sections.

/** Where a portal of before there were sections says the same: one may still answer while several are updated. */
const PLACES = {
  portal: { name: "name", online: "online", calls_itself: "calls_itself", own_viewers: "own_viewers", watching: "watching" },
  agent: { version: "version" },
  camera: { state: "camera", kind: "camera_kind", problem: "problem", has_stamp: "has_stamp" },
  viewers: { count: "viewers" },
};

/** A message's device, with sections whoever said it. */
export function readDevice(said) {
  if (said.sections) return said;
  const { id, since, health, release } = said;
  const sections = { streams: Object.fromEntries(said.streams.map((stream) => [stream.name, stream])), health, release };
  for (const [section, places] of Object.entries(PLACES)) {
    sections[section] = Object.fromEntries(Object.entries(places).map(([field, key]) => [field, said[key]]));
  }
  return { id, since, sections };
}

export const nameOf = (device) => device.sections.portal.name;
export const isOnline = (device) => device.sections.portal.online;

/** The stream by which a camera's size is told. */
export const streamOf = ({ sections: { streams } }) => streams?.main ?? streams?.preview;
