/** A browser as people call it: the User-Agent names many others beside. */
export function browserName(agent) {
  const program = [["Edg", "Edge"], ["OPR", "Opera"], ["Firefox", "Firefox"], ["Chrome", "Chrome"], ["Safari", "Safari"], ["aiohttp", "Pinhole’s command line"]].find(([mark]) => agent.includes(mark));
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "Mac"], ["Linux", "Linux"]].find(([mark]) => agent.includes(mark));
  return [program?.[1] ?? "A browser", system && `on ${system[1]}`].filter(Boolean).join(" ");
}
