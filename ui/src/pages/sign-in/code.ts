/** A secret in a fragment (`#code=…`) or in a whole pasted link; null where there is none. */
function secretFrom(text: string, name: string): string | null {
  const hash = text.indexOf("#");
  if (hash < 0) return null;
  return new URLSearchParams(text.slice(hash + 1)).get(name) || null;
}

/** The one-time code of a sign-in link. */
export const codeFrom = (text: string) => secretFrom(text, "code");

/** The code of an invitation, with which its holder chooses a password. */
export const invitationFrom = (text: string) => secretFrom(text, "invitation");
