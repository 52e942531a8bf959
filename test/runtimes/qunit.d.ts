/** QUnit's events, which its types lack. */
interface QUnit {
  on(event: "error", listener: (error: unknown) => void): void;
  on(event: "runEnd", listener: () => void): void;
}
