"""An app on pywa (PyPI): sends what stdin says, and reports which of its exception handlers ran."""

import json
import sys

import httpx
from pywa import WhatsApp
from pywa.errors import AccountLocked, WhatsAppError


def main(base_url):
    session = httpx.Client(timeout=30)
    app = WhatsApp(phone_id="0", token="EAAreal0parts", session=session, api_version=23.0)
    # The constructor points the session at graph.facebook.com.
    session.base_url = f"{base_url}/v23.0"
    for line in sys.stdin:
        message = json.loads(line)
        try:
            sent = app.send_message(to=message["to"], text=message["text"], sender=message["phone"])
            answer = {"ok": True, "wamid": sent.id}
        except AccountLocked as error:
            answer = failure("account_locked", error)
        except WhatsAppError as error:
            answer = failure("other", error)
        print(json.dumps(answer), flush=True)


def failure(handler, error):
    return {"ok": False, "handler": handler, "code": error.code, "trace": error.fbtrace_id or ""}


if __name__ == "__main__":
    main(sys.argv[1])
