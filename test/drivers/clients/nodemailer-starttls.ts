import type { Client } from "../kit.ts";
import { refuse, talk } from "./nodemailer.ts";

export default {
  talk: (to, facts) => talk(to, false, facts),
  refuse: (to) => refuse(to, false),
} satisfies Client;
