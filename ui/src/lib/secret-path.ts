// What a secret's path may be, as the server has it.
const PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MOST_PARTS = 6;

export const SECRET_PATH_RULE = `One to ${MOST_PARTS} parts with / between; each begins with a letter or a digit, then letters, digits, dots, hyphens and underscores.`;

export function isSecretPath(path: string): boolean {
  const parts = path.split("/");
  return parts.length <= MOST_PARTS && parts.every((part) => PART.test(part));
}
