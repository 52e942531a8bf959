declare module "cloudflare:sockets" {
  export const connect: import("wassl/dialers/cloudflare").CloudflareConnectLike;
}
