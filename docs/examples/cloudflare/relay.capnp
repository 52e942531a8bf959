# What `npm test` runs the relay with, in workerd. `wrangler dev` and `wrangler deploy` make such a file by themselves.
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
  modules = [(name = "relay", esModule = embed "relay.js")],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "PLACES", fromEnvironment = "PLACES"),
    (name = "TOKEN", fromEnvironment = "TOKEN"),
  ],
);
