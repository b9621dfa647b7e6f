# What the documents say is run. SPDX-License-Identifier: LGPL-2.1-or-later
"""A block of README.md or docs/elements/*.md that begins with ```sh or ```python and follows
`<!-- test: PEERS; CLAIMS -->` is run as it stands, but for its addresses: ports become free ones,
the same for the same number, sip:bob@192.0.2.7 becomes a phone, nobody is asked in place of
stun.example.org; and what needs a screen or loudspeakers is replaced. PEERS are separated by commas: `phone`, `push URL`, `play URL`, `the next block`, which is run
beside it. So are CLAIMS, which are looked at in their order: `the phone|player sees|hears the
phone|pusher`, `it prints TEXT`, `it matches REGEX`, `the next block matches REGEX`, `the phone hangs
up`, `it ends` (once its pusher has), `the next block ends`."""
import glob
import os
import re
import sys

from support import rtmp
from support.baresip import Baresip
from support.elements import IDENTITIES, PHONE, PUSHER, TONES, ElementsTest
from support.junctor import SOURCE, Junctor
from support.ports import HOST, free_port
from support.process import wait_until

ELEMENTS = ("rtmpauthsrc", "rtmpplaysink", "sipcallsink", "stunpunch", "sfurelay", "mediawatchdog",
            "picturedec", "picturefit", "soundfit")
BLOCK = re.compile(r"<!-- test: (?P<peers>[^;]*);(?P<claims>.*?)-->\s*"
                   r"```(?P<language>sh|python)\n(?P<command>.*?)```"
                   r"(?P<rest>.*?(?=```sh\n|\Z)(?:```sh\n(?P<next>.*?)```)?)", re.DOTALL)


def documents():
    return [os.path.join(SOURCE, "README.md"),
            *sorted(glob.glob(os.path.join(SOURCE, "docs", "elements", "*.md")))]


def listed(text):
    return [part.strip() for part in re.split(r",\s", text) if part.strip()]


def documented_lines():
    """(document, number, peers, claims, language, command, next command) of each tested block."""
    for path in documents():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        number = at = 0
        while found := BLOCK.search(text, at):
            at, number = found.start("rest"), number + 1
            yield (os.path.basename(path).removesuffix(".md"), number, listed(found["peers"]),
                   listed(found["claims"]), found["language"], found["command"], found["next"])


class E_Documents(ElementsTest):
    def test_each_line_is_tested(self):
        tested = {command for *_, command, _ in documented_lines()} | \
            {following for *_, peers, _, _, _, following in documented_lines()
             if "the next block" in peers}
        for path in documents():
            with open(path, encoding="utf-8") as file:
                blocks = re.findall(r"```(sh|python)\n(.*?)```", file.read(), re.DOTALL)
            for language, block in blocks:
                if language == "python" or "gst-launch-1.0 " in block:
                    with self.subTest(document=os.path.basename(path), block=block[:70]):
                        self.assertIn(block, tested)

    def test_each_element_has_a_tested_line(self):
        tested = {document for document, *_ in documented_lines()}
        for element in ELEMENTS:
            with self.subTest(element=element):
                self.assertIn(element, tested)

    def check_program(self, command):
        """One without peers."""
        command = re.sub(r"\bstun-server=\S+ ", "", self.moved(command))
        program = self.workspace.write("program.py", command)
        return self.run_line(f"{sys.executable} {program}")

    def check_line(self, peers, claims, language, command, following):
        self.ports = {}
        if language == "python":
            self.process = self.check_program(command)
            for claim in claims:
                self.check_claim(claim)
            return
        if not re.search(r"\bport=", command):
            command = re.sub(r"\brtmp(authsrc|playsink)\b", r"\g<0> port=1935", command)
        if "phone" in peers:
            command = command.replace("sip:bob@192.0.2.7", self.make_phone().uri)
        self.process = self.run_line(self.moved(command))
        for port in self.ports.values():
            self.port_open(int(port))
        for peer in peers:
            kind, _, url = peer.partition(" ")
            if kind == "push":
                self.make_push(self.moved(url))
            elif kind == "play":
                self.player = self.start(rtmp.FfmpegPull(self.workspace, self.moved(url)))
            elif peer == "the next block":
                self.following = self.run_line(self.moved(following), "next.log")
            elif peer != "phone":
                self.fail(f"nobody knows such a peer: {peer}")
        for claim in claims:
            self.check_claim(claim)

    def moved(self, text):
        """The same text with its ports, hosts and sinks replaced."""
        def port(number):
            return self.ports.setdefault(number, str(free_port()))
        text = re.sub(r"\bport=(\d+)", lambda m: "port=" + port(m[1]), text)
        text = re.sub(r"(rtmp://)[^/:\s]+(?::(\d+))?/",
                      lambda m: f"{m[1]}{HOST}:{port(m[2] or '1935')}/", text)
        return re.sub(r"\bauto(video|audio)sink\b", "fakesink sync=true", text)

    def check_claim(self, claim):
        found = re.fullmatch(r"the (phone|player) (sees|hears) the (phone|pusher)", claim)
        word, _, pattern = claim.partition(" matches ")
        if found:
            self.check_media(*found.groups())
        elif claim.startswith("it prints "):
            self.process.wait_log(re.escape(claim.removeprefix("it prints ")), 20)
        elif word in ("it", "the next block") and pattern:
            (self.process if word == "it" else self.following).wait_log(pattern, 20)
        elif claim == "the phone hangs up":
            self.phone.hangup()
        elif claim == "it ends":
            if self.push is not None:
                self.push.stop()
            self.assertEqual(self.process.wait(30), 0, self.process.tail())
        elif claim == "the next block ends":
            self.assertEqual(self.following.wait(30), 0, self.following.tail())
        else:
            self.fail(f"nobody knows how to check: {claim}")

    def check_media(self, who, how, whom):
        if who == "phone":
            if how == "sees":
                self.phone_sees(IDENTITIES[whom])
            else:
                self.phone_hears(TONES[whom])
        elif how == "sees":
            self.player.wait_picture(IDENTITIES[whom])
        else:
            self.player.wait_tone(TONES[whom])


def _add_documents():
    for document, number, *rest in documented_lines():
        def test(self, rest=rest):
            self.check_line(*rest)
        setattr(E_Documents, f"test_{document}_{number}", test)


_add_documents()


class E_CallPasted(ElementsTest):
    """The launch line of a call, as the program shows it, makes the same call without the program."""

    def test_the_line_of_a_call_runs_in_gst_launch(self):
        junctor = self.start(Junctor(self.workspace))
        alice, bob = junctor.account("alice"), junctor.account("bob")
        self.phone = self.start(Baresip(self.workspace, "bob", frequency=TONES["phone"],
                                        registrar=junctor.sip_address, password=bob.password))
        self.phone.wait_registered()
        pull = self.start(rtmp.FfmpegPull(self.workspace, alice.pull_url(), name="pull-call"))
        push = self.start(rtmp.FfmpegPush(self.workspace, alice.push_url("bob"),
                                          log_name="push-call.log"))
        identifier = junctor.find_call("alice")
        self.phone.wait_event("CALL_ESTABLISHED")
        junctor.wait_state(identifier, "answered")
        pull.wait_picture(PHONE)
        shown = self.shown_with_its_plan(junctor, identifier)
        line = junctor.call(identifier)["launch"]
        self.assertIn(line, [text.removeprefix("gst-launch-1.0 ").strip()
                             for text in shown.splitlines()])
        for secret in (alice.token, alice.password, bob.password):
            self.assertNotIn(secret, shown)
        push.stop()
        junctor.wait_ended(identifier)
        self.phone.wait_event("CALL_CLOSED")
        junctor.stop()

        # No secret is in it: TOKEN stands for alice's, and is the token of the pasted line.
        self.assertIn("token=TOKEN", line)
        process = self.run_line("gst-launch-1.0 -m " + line)
        self.port_open(junctor.rtmp_port)
        url = f"{junctor.rtmp_base}?token=TOKEN/alice"
        player = self.start(rtmp.FfmpegPull(self.workspace, url))
        self.push = self.start(rtmp.FfmpegPush(self.workspace, url))
        self.phone.wait_event("CALL_ESTABLISHED", count=2)
        player.wait_picture(PHONE)
        player.wait_tone(TONES["phone"])
        self.phone_sees(PUSHER)
        self.phone_hears(TONES["pusher"])
        self.phone.hangup()
        self.assertEqual(process.wait(20), 0, process.tail())

    def shown_with_its_plan(self, junctor, identifier):
        """What `junctor calls ID` prints: every step of the plan, why, what it is expected to cost,
        and how long each route of it takes."""
        def printed():
            plan = junctor.call(identifier)["plan"]
            status, shown = junctor.command("calls", identifier)
            self.assertEqual(status, 0, shown)
            settled = "\nlatency in " in shown and plan == junctor.call(identifier)["plan"]
            return settled and (plan, shown)
        plan, shown = wait_until(printed, 20, "a plan that stays and its latency", every=0.3)
        lines = shown.splitlines()
        self.assertEqual({(step["direction"], step["medium"]) for step in plan},
                         {(direction, medium)
                          for direction in ("caller-to-callee", "callee-to-caller")
                          for medium in ("audio", "video")})
        self.assertTrue(any(step["cpu_percent"] > 0 for step in plan), plan)
        for step in plan:
            self.assertRegex(step["reason"], r"^[A-Z].*\.$")
            cost = f" About {step['cpu_percent']:g} % of a core." if step["cpu_percent"] else ""
            self.assertIn(f"  {step['direction']} {step['medium']}: {step['from']} -> {step['to']}, "
                          f"{step['reason']}{cost}", lines)
        at = lines.index("latency in the last seconds: median, 99th percentile, most, in ms")
        figures = r"\w+ \d+\.\d\d, \d+\.\d\d, \d+\.\d\d"
        self.assertRegex(lines[at + 1],
                         rf"^  (caller|callee)-to-\w+ (audio|video): {figures}(; {figures})*$")
        return shown
