import type { Client } from "../kit.ts";
import { refuse, talk } from "./imapflow.ts";

export default {
  talk: (to, facts) => talk(to, false, facts),
  refuse: (to) => refuse(to, false),
} satisfies Client;
