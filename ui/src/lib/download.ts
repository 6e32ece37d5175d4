/** Follows a same-origin link as a download, so that the cookie goes with it and nothing is held in memory. */
export function download(href: string, name: string): void {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}
