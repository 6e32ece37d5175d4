// Ray and progress bars colour their output for terminals. A log view shows the words without the codes.
// eslint-disable-next-line no-control-regex
const CODES = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

export function withoutAnsi(text: string): string {
  return text.includes("\u001b") ? text.replace(CODES, "") : text;
}
