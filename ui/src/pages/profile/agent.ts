/** What a browser calls itself, in two words; other texts as they are. */
export function agentName(agent: string): string {
  if (!agent.startsWith("Mozilla/")) return agent;
  const browser = /(?:Edg|OPR|Firefox|HeadlessChrome|Chrome|Version)\/(\d+)/.exec(agent);
  const names: Record<string, string> = { Edg: "Edge", OPR: "Opera", HeadlessChrome: "Chrome", Version: "Safari" };
  const word = browser?.[0].split("/")[0] ?? "";
  const edge = /Edg\/(\d+)/.exec(agent) ?? /OPR\/(\d+)/.exec(agent);
  const found = edge ? [names[edge[0].split("/")[0] ?? ""], edge[1]] : [names[word] ?? word, browser?.[1]];
  const system = /Windows|Android|iPhone|iPad|Mac OS X|Linux/.exec(agent)?.[0].replace("Mac OS X", "macOS");
  return [found.filter(Boolean).join(" ") || "A browser", system ? `on ${system}` : ""].filter(Boolean).join(" ");
}
