/** How the page looks, as far as a program can tell. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";

/** Nothing sticks out sideways, nothing covers anything, and all text is dark enough on its ground. */
export async function checkLayout(page: Page, state: string): Promise<void> {
  const [scrollWidth, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok((scrollWidth ?? 0) <= (width ?? 0), `${state}: ${scrollWidth} px wide in ${width} px`);
  const findings = await page.evaluate(findBadContrast);
  assert.deepEqual(findings, [], `${state}: text that is hard to read`);
  const small = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, summary")]
      .filter((element) => element.checkVisibility())
      .map((element) => ({ box: element.getBoundingClientRect(), name: element.textContent || element.id }))
      .filter(({ box }) => box.height < 20 || box.width < 24)
      .map(({ name }) => name),
  );
  assert.deepEqual(small, [], `${state}: too small to hit`);
}

/**
 * Runs in the page. Every visible piece of text whose contrast with the colour behind it is below what WCAG 2 AA asks
 * for (1.4.3): 4.5, and 3 for large text. Switched-off controls are exempt.
 */
function findBadContrast(): string[] {
  const canvas = document.createElement("canvas");
  canvas.width = 1;
  canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return ["no canvas"];
  const findings = new Set<string>();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent?.trim() ?? "";
    if (element === null || words === "" || !element.checkVisibility()) continue;
    if (element.closest("button:disabled, .unseen, script, noscript, option") !== null) continue;
    // From the outermost ground inwards, painted one over the other; then the text on top of it.
    const layers: string[] = [];
    for (let at: Element | null = element; at !== null; at = at.parentElement)
      layers.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(element);
    const luminances: number[] = [];
    for (const paint of [["white", ...layers], [style.color]]) {
      for (const colour of paint) {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
      }
      const linear = [...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)].map((value) =>
        value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
      );
      luminances.push(0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0));
    }
    luminances.sort((a, b) => b - a);
    const contrast = ((luminances[0] ?? 0) + 0.05) / ((luminances[1] ?? 0) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (isLarge ? 3 : 4.5)) findings.add(`${contrast.toFixed(2)} "${words.slice(0, 40)}"`);
  }
  return [...findings];
}

/** How many different colours an image has: a blank one has one. The page only counts. */
export async function countColours(page: Page, png: Buffer): Promise<number> {
  return await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context?.drawImage(bitmap, 0, 0);
    const data = context?.getImageData(0, 0, bitmap.width, bitmap.height).data;
    return new Set(new Uint32Array(data?.buffer ?? new ArrayBuffer(0))).size;
  }, png.toString("base64"));
}
