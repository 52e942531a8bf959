/** What a build says of itself, on standard error. */

/** @param {string} text */
export const say = (text) => console.error(`   ${text}`);

/**
 * A stage announces itself, and how long it took.
 *
 * @param {string} name
 * @param {string} [of]
 * @returns {(outcome?: string) => void} to be called at its end
 */
export function stage(name, of) {
  console.error(`== ${name}${of ? `: ${of}` : ""}`);
  const began = performance.now();
  return (outcome = "done") =>
    say(`${name}: ${outcome} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
