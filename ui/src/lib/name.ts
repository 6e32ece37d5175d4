// What a name may be, as the server has it.
const NAME = /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/;

export const NAME_MAX = 40;
export const NAME_RULE = `A small letter first, then small letters, digits and hyphens, no hyphen last; ${NAME_MAX} characters at most.`;

export function isName(text: string): boolean {
  return NAME.test(text);
}
