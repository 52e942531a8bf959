/** The large file that the nginx peer serves. */
export const nginxFile = { name: "8MiB.bin", length: 8 * 1024 * 1024, seed: 8 };
