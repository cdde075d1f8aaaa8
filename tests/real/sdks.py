"""Third-party SDKs send through sendfuse: what they do when Meta locks a number must not change when sendfuse says it."""

import json
import subprocess
import threading

from stack import DEADLINE, Failed, check

TO = "+16505551234"
BURST = 5
"""Sends made while the breaker is open; none may arrive."""


class Client:
    """An app built on one SDK: it reads `{"phone","to","text"}` by the line and answers each with what the SDK did.

    The answer is `{"ok":true,"wamid"}` or `{"ok":false,"handler","code","trace"}`; `handler` names the branch of the
    SDK's own error handling that was taken.
    """

    def __init__(self, name, command, base_url):
        self.name = name
        command = [str(part) for part in [*command, base_url]]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, phone):
        """One text message from the phone."""
        message = {"phone": phone, "to": TO, "text": "Your order is on its way."}
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()
        hung = threading.Timer(DEADLINE, self.child.kill)
        hung.start()
        line = self.child.stdout.readline()
        hung.cancel()
        if not line:
            raise Failed(f"{self.name} ended with status {self.child.wait()} (-9: no answer in {DEADLINE:.0f} s)")
        return json.loads(line)

    def stop(self):
        """Ends the app."""
        self.child.stdin.close()
        self.child.wait(10)


def run(stack, client, phone, sibling, say):
    """Both kinds of lock, each to its end, with one SDK."""
    passes(client, phone)
    passes(client, sibling)
    check(stack.arrived(phone) == 1, f"one send should have reached Meta, not {stack.arrived(phone)}")
    say(f"{client.name}: sends pass")

    stack.lock(phone, "sync403")
    from_meta = client.send(phone)
    check(not from_meta["ok"], "Meta's refusal should be the SDK's error")
    check(not from_meta["trace"].startswith("sendfuse-"), f"this answer should be Meta's: {from_meta}")
    check(from_meta["handler"] == "account_locked", f"not the SDK's handler for 131031: {from_meta}")
    held_back(stack, client, phone, sibling, "response", from_meta, say)
    recovers(stack, client, phone, say)

    stack.lock(phone, "async")
    passes(client, phone)
    held_back(stack, client, phone, sibling, "webhook", from_meta, say)
    recovers(stack, client, phone, say)


def passes(client, phone):
    """A send that succeeds."""
    answer = client.send(phone)
    check(answer["ok"] and answer["wamid"].startswith("wamid."), f"a send of {phone} should pass: {answer}")


def held_back(stack, client, phone, sibling, source, from_meta, say):
    """The breaker opens; sends of the phone stay here and look to the app as Meta's own refusal did."""
    opened = stack.wait_for_state(phone, "open")
    check(opened["reason"]["source"] == source, f"opened by {source}, not by {opened['reason']}")
    arrived = stack.arrived(phone)
    answers = [client.send(phone) for _ in range(BURST)]
    still = stack.breaker(phone)
    check(still["generation"] == opened["generation"], f"the breaker moved on by itself: {still}")
    for answer in answers:
        check(not answer["ok"], f"an open breaker let a send through: {answer}")
        check(answer["trace"].startswith("sendfuse-"), f"this answer should be sendfuse's own: {answer}")
        for part in ("handler", "code"):
            check(answer[part] == from_meta[part], f"{part} differs from Meta's: {answer}, {from_meta}")
    check(stack.arrived(phone) == arrived, f"{stack.arrived(phone) - arrived} sends reached Meta after the trip")
    passes(client, sibling)
    say(f"{client.name}: lock by {source}: {BURST} sends held back, none arrived, same handler; the other number flows")


def recovers(stack, client, phone, say):
    """Meta lifts the lock: health says so, a trial's delivery proves it, sends flow."""
    stack.unlock(phone)
    stack.wait_for_state(phone, "half_open")
    passes(client, phone)
    stack.wait_for_state(phone, "closed")
    arrived = stack.arrived(phone)
    for _ in range(3):
        passes(client, phone)
    check(stack.arrived(phone) == arrived + 3, "every send should arrive again")
    say(f"{client.name}: unlocked: health, a delivered trial, and sends flow")
