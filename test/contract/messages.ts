/** What people are told: see test/messages. */
import { blocking } from "../messages/blocking.ts";
import { connecting } from "../messages/connect.ts";
import { connections } from "../messages/connections.ts";
import { dtls } from "../messages/dtls.ts";
import { handshakes } from "../messages/handshakes.ts";
import { loading } from "../messages/loading.ts";
import { objects } from "../messages/objects.ts";
import { options } from "../messages/options.ts";
import { sessions } from "../messages/sessions.ts";
import { starttls } from "../messages/starttls.ts";
import { tell } from "../messages/told.ts";
import { transports } from "../messages/transports.ts";

tell([
  options,
  handshakes,
  connections,
  starttls,
  dtls,
  transports,
  connecting,
  blocking,
  sessions,
  objects,
  loading,
]);
