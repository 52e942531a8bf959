# What `npm test` runs the Worker with, in workerd. `wrangler dev` and `wrangler deploy` make such a file by themselves.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    # Nothing but this machine, for the tests.
    (name = "internet", network = (allow = ["private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "worker", esModule = embed "worker.js"),
    (name = "openssl.wasm", wasm = embed "openssl.wasm"),
  ],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "CA", fromEnvironment = "CA"),
    (name = "HOST", fromEnvironment = "HOST"),
    (name = "PORT", fromEnvironment = "PORT"),
  ],
);
