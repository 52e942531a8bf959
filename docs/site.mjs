/** For TypeDoc: a document is called what its first heading says. */
import { Converter } from "typedoc";

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const [, title] = /^# (.+)/.exec(document.content[0]?.text ?? "") ?? [];
    if (title) document.name = title.replaceAll("`", "");
  });
}
