/** The name of the method that `using` calls, also in an engine that has not got it (see src/engine.ts). */
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");
