/** For TypeDoc: a document is called what its first heading says, which it need not say twice. */
import { Converter } from "typedoc";

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const [first] = document.content;
    const [heading, title] = /^# (.+)\n+/.exec(first?.text ?? "") ?? [];
    if (!title) return;
    document.name = title.replaceAll("`", "");
    first.text = first.text.slice(heading.length);
  });
}
