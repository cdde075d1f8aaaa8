// An app on @kapso/whatsapp-cloud-api (npm): sends what stdin says, and reports what its error handling decided.
// Arguments: the folder with node_modules, the base URL.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [modules, baseUrl] = process.argv.slice(2);
const { GraphApiError, WhatsAppClient } = createRequire(join(modules, "package.json"))("@kapso/whatsapp-cloud-api");
const client = new WhatsAppClient({ accessToken: "EAAreal0parts", baseUrl, graphVersion: "v23.0" });

async function send({ phone, to, text }) {
  try {
    const sent = await client.messages.sendText({ phoneNumberId: phone, to, body: text });
    return { ok: true, wamid: sent.messages[0].id };
  } catch (error) {
    if (!(error instanceof GraphApiError)) throw error;
    // The SDK's advice is what an app acts upon: a lock is not to be tried again.
    const locked = error.code === 131031 && error.category === "integrity" && error.retry.action === "do_not_retry";
    return { ok: false, handler: locked ? "account_locked" : "other", code: error.code, trace: error.fbtraceId ?? "" };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await send(JSON.parse(line))));
}
