#!/usr/bin/python3
# The demo: one real call, told as it happens, and checked.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""alice is two ffmpeg programs (a push and a pull terminal), bob is baresip, a SIP phone. Each step
is told when it has really happened: when junctor says so, or when a client saw or heard it."""

import argparse
import os
import re
import shutil
import signal
import statistics
import sys
import threading
import time
import wave

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import media, rtmp, tones  # noqa: E402
from support.baresip import Baresip  # noqa: E402
from support.junctor import BUILD, SOURCE, Junctor  # noqa: E402
from support.process import Workspace, wait_until  # noqa: E402

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE, DORA_TONE = 440, 1000, 700


class Story:
    """What is told, with the time since the beginning, and what was found wrong."""

    def __init__(self):
        self.began = time.monotonic()
        self.wrong = []
        self.colour = sys.stdout.isatty()
        self._lock = threading.Lock()

    def tell(self, text, at=None):
        with self._lock:
            print(f"{(at or time.monotonic()) - self.began:7.2f} s  {text}", flush=True)

    def title(self, text):
        with self._lock:
            print(f"\n{text}", flush=True)

    def check(self, good, text):
        mark = ("\033[32m✓\033[0m" if good else "\033[31m✗\033[0m") if self.colour else \
            ("ok" if good else "WRONG")
        if not good:
            self.wrong.append(text)
        with self._lock:
            print(f"   {mark} {text}", flush=True)
        return good


class LogFollower:
    """Tells the lines of junctor's log that matter, as they come."""

    def __init__(self, story, path):
        self.terminal = "pull"  # the one that connects now
        self.accepted = {"pull": [], "push": []}
        self._story, self._path = story, path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with open(self._path, encoding="utf-8", errors="replace") as file:
            rest = ""
            while True:
                text = file.read()
                if not text:
                    if self._stop.wait(0.02):
                        return
                    continue
                *lines, rest = (rest + text).split("\n")
                for line in lines:
                    self._line(line)

    def _line(self, line):
        found = CHECK.search(line)
        if found:
            self.accepted[self.terminal].append(found["stage"])
            self._story.tell(f"{self.terminal} terminal, check {len(self.accepted[self.terminal])} "
                             f"of 3: {found['stage']} as {found['who']}: accepted")

    def stop(self):
        self._stop.set()
        self._thread.join(1)


CHECK = re.compile(r"rtmp \S+ \w+ (?P<stage>connect|createStream|publish/play) as (?P<who>\S+): "
                   r"accepted")


def milliseconds(values):
    if not values:
        return "not measured"
    ordered = sorted(values)
    worst = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{statistics.median(values) * 1000:.0f} ms (worst {worst * 1000:.0f} ms)"


def phone_losses(log):
    """{"audio": lost, "video": lost} of what the phone received, from its own closing report."""
    result = {}
    for medium in ("audio", "video"):
        found = re.search(rf"^{medium}\s+Transmit:\s+Receive:.*?^lost:\s+\S+\s+(\S+)", log,
                          re.MULTILINE | re.DOTALL)
        if found and found.group(1).lstrip("-").isdigit():
            result[medium] = int(found.group(1))
    return result


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("   " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)))
        if number == 0:
            print("   " + "  ".join("-" * width for width in widths))


def save_wav(path, samples, rate):
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())


class Demo:
    def __init__(self, options):
        self.options = options
        self.story = Story()
        self.workspace = Workspace("junctor-demo-")
        self.running = []

    def start(self, thing):
        self.running.append(thing)
        return thing

    def stop_all(self):
        for thing in reversed(self.running):
            try:
                thing.stop()
            except (AssertionError, OSError) as error:
                self.story.check(False, f"clean end: {error}")
        self.running.clear()

    def run(self):
        story = self.story
        story.title("Starting")
        self.junctor = self.start(Junctor(self.workspace))
        story.tell(f"junctor serves: RTMP on port {self.junctor.rtmp_port}, SIP on "
                   f"{self.junctor.sip_port}, HTTP on {self.junctor.http_port} "
                   f"(pid {self.junctor.pid})")
        self.follower = self.start(LogFollower(story, self.junctor.process.log_path))
        self.alice, self.bob_account = self.junctor.account("alice"), self.junctor.account("bob")
        story.tell("accounts alice and bob are made")
        self.bob = self.start(Baresip(self.workspace, "bob", frequency=BOB_TONE, answer="manual",
                                      registrar=self.junctor.sip_address,
                                      password=self.bob_account.password))
        self.bob.wait_registered()
        story.tell("bob's phone (baresip) has registered")

        story.title("Alice calls bob")
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: len(self.follower.accepted["pull"]) >= 3, 20,
                   "the three checks of the pull terminal")
        self.follower.terminal = "push"
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url("bob"),
                                               frequency=ALICE_TONE))
        wait_until(lambda: len(self.follower.accepted["push"]) >= 3, 20,
                   "the three checks of the push terminal")
        self.id = self.junctor.find_call("alice")
        story.tell(f"call {self.id} from alice to bob has begun: INVITE is on its way")
        rang = self.bob.wait_event("CALL_INCOMING")
        story.tell("bob's phone rings", rang)
        self.junctor.wait_state(self.id, "ringing")
        wait_until(lambda: self.pull.pictures() > 0, 15, "a ring picture at the player")
        story.tell("alice's player shows the ring picture", self.pull.frames[0][0])
        wait_until(lambda: tones.loudness(self.pull.heard()[-4000:]) > 100, 15,
                   "the ring tone at the player")
        story.tell("alice's player sounds the ring tone")
        time.sleep(1.5)  # people let it ring
        self.ring_pictures = self.pull.pictures()

        story.title("Bob answers")
        self.bob.answer()
        answered = self.bob.wait_event("CALL_ESTABLISHED")
        story.tell("bob has answered", answered)
        self.junctor.wait_state(self.id, "answered")
        before = self.junctor.process.usage()
        talk_from = time.monotonic()
        seen, _ = self.pull.wait_picture(BOB)
        story.tell(f"alice sees bob, {(seen - answered) * 1000:.0f} ms after the answer", seen)
        self.pull.wait_tone(BOB_TONE, 0.3)
        story.tell(f"alice hears bob ({BOB_TONE} Hz)")
        shot = wait_until(self.good_snapshot, 15, "a picture of alice at the phone")
        story.tell("bob sees alice", shot[2])
        wait_until(lambda: self.phone_hears(0.3), 15, "alice's tone at the phone")
        story.tell(f"bob hears alice ({ALICE_TONE} Hz)")
        self.talk(talk_from)
        self.talked = time.monotonic() - talk_from
        after = self.junctor.process.usage()
        self.cpu = (after.cpu - before.cpu) / self.talked
        self.threads = after.threads
        self.memory = after.rss
        self.call = self.junctor.call(self.id)
        if self.options.keep:
            self.keep()
        self.talk_end = time.monotonic()

        story.title("Alice hangs up")
        self.push.stop()
        story.tell("alice's push terminal has stopped")
        story.tell("bob's phone has got BYE", self.bob.wait_event("CALL_CLOSED"))
        self.record = self.junctor.wait_ended(self.id)
        story.tell(f"the call is over: {self.record['reason']}")
        self.pull.process.wait(15)
        story.tell("alice's player has been told, and has ended")
        self.bob.stop()
        self.junctor.stop()
        story.tell("junctor has shut down cleanly")

    def good_snapshot(self):
        shot = self.bob.snapshot(guard=2)
        if shot:
            mark = media.mark_of(shot[0])
            if mark and mark[0] == ALICE:
                return mark, shot[0], shot[1]
        return None

    def phone_hears(self, seconds):
        samples, rate = self.bob.heard()
        last = samples[-int(rate * seconds):]
        return len(last) >= int(rate * seconds) and \
            tones.strength(last, rate, ALICE_TONE) > 0.5

    def talk(self, since):
        """Lets them talk, and looks at the phone's picture meanwhile."""
        self.snapshots = []
        while time.monotonic() - since < self.options.seconds:
            shot = self.bob.snapshot()
            if shot:
                self.snapshots.append(shot)
            left = max(0, self.options.seconds - (time.monotonic() - since))
            if sys.stdout.isatty():
                print(f"\r           they talk, {left:2.0f} s left ", end="", flush=True)
            time.sleep(0.12)
        if sys.stdout.isatty():
            print("\r" + " " * 40 + "\r", end="")
        self.story.tell(f"they talked for {self.options.seconds} s")

    def output(self, name):
        return os.path.join(self.options.output, name)

    def keep(self):
        """Leaves the call alone until Ctrl-C. Who looks on has accounts of his own, so that nothing
        he does takes a stream of alice or bob over."""
        self.follower.stop()  # the story is alice's and bob's; others come now
        junctor = self.junctor
        you, carol, dora = (junctor.account(name) for name in ("you", "carol", "dora"))
        phone = self.start(Baresip(self.workspace, "dora", frequency=DORA_TONE,
                                   registrar=junctor.sip_address, password=dora.password))
        phone.wait_registered()
        self.story.title("The call goes on. Watch it, or make one of your own, on this machine:")
        print(f"""
   what alice sees   {self.alice.pull_url()}
                     (VLC: Media, Open Network Stream; or ffplay)

   a call by you to dora, whose phone (baresip) answers by itself:
   player, first     {you.pull_url()}
   OBS               server    {junctor.rtmp_base}?token={you.token}
                     key       you?to=dora

   or to a softphone of your own:
   softphone         account   sip:carol@{junctor.sip_address}
                     password  {carol.password}
   OBS               the same server, with the key you?to=carol

   HTTP API          http://127.0.0.1:{junctor.http_port}/api/v1/calls
                     bearer token in {junctor.data_dir}/admin-token
   log               {junctor.process.log_path}

   Ctrl-C ends it.""", flush=True)
        done = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: done.set())
        while not done.wait(0.5):
            if not self.junctor.process.running():
                raise AssertionError("junctor has ended:\n" + self.junctor.process.tail())
        self.story.began = time.monotonic()

    # --- what arrived -------------------------------------------------------------------------

    def judge(self):
        story = self.story
        story.title("What arrived")
        for role in ("push", "pull"):
            story.check(self.follower.accepted[role] == ["connect", "createStream",
                                                         "publish/play"],
                        f"three checks of the {role} terminal, each answered with success")
        story.check(self.ring_pictures > 5, f"ring picture at the player ({self.ring_pictures} "
                                            "pictures before the answer)")
        marks = [(media.mark_of(path), path, at) for path, at in self.snapshots]
        good = [entry for entry in marks if entry[0] and entry[0][0] == ALICE]
        story.check(len(good) >= 5 and len(good) == len(marks),
                    f"picture at the phone is alice's: {len(good)} of {len(marks)} snapshots bear "
                    "her mark")
        likeness = 0.0
        if good:
            mark, path, _ = good[-1]
            likeness = media.ssim(path, self.push.picture.frame(mark[1]))
            shutil.copy(path, self.output("alice-at-the-phone.png"))
            media.save_png(self.push.picture.frame(mark[1]), self.output("alice-as-sent.png"))
        story.check(likeness > 0.9, f"and is the frame that was sent: SSIM {likeness:.3f}")
        self.judge_player()
        samples, rate = self.bob.heard()
        stretch = tones.longest_with_tone(samples, rate, ALICE_TONE)
        story.check(stretch > 0.6 * self.talked,
                    f"sound at the phone is alice's: {ALICE_TONE} Hz for {stretch:.1f} s unbroken")
        save_wav(self.output("alice-at-the-phone.wav"), samples, rate)
        story.check(self.record["reason"] == "caller-hangup",
                    f"the record says why it ended: {self.record['reason']}")
        self.report(good)

    def judge_player(self):
        story = self.story
        seen = self.pull.seen(BOB)
        counters = [counter for _, counter in seen]
        self.missing_pictures = counters[-1] - counters[0] + 1 - len(set(counters)) \
            if counters else 0
        story.check(len(seen) > 25 and counters == sorted(counters),
                    f"picture at the player is bob's: {len(seen)} pictures bear his mark, "
                    f"{self.missing_pictures} missing")
        path = self.output("bob-at-the-player.png")
        times = media.packets(self.pull.recording, "v")
        if times:  # the recording begins with the ring
            media.picture_at(self.pull.recording, 0.5, self.output("ringing-at-the-player.png"))
        likeness = 0.0
        if times and media.picture_at(self.pull.recording, max(0, times[-1][0] - 1), path):
            mark = media.mark_of(path)
            if mark and mark[0] == BOB:
                likeness = media.ssim(path, self.bob.picture.frame(mark[1]))
                media.save_png(self.bob.picture.frame(mark[1]), self.output("bob-as-sent.png"))
        story.check(likeness > 0.9, f"and is the frame that was sent: SSIM {likeness:.3f}")
        first = seen[0][0] + 0.5 if seen else 0
        heard = self.pull.heard(since=first, until=self.talk_end)
        stretch = tones.longest_with_tone(heard, self.pull.RATE, BOB_TONE)
        story.check(stretch > 0.6 * self.talked,
                    f"sound at the player is bob's: {BOB_TONE} Hz for {stretch:.1f} s unbroken")
        save_wav(self.output("all-that-the-player-heard.wav"), self.pull.heard(), self.pull.RATE)

    def report(self, shots):
        plan = {(s["direction"], s["medium"]): s for s in self.call["plan"]}

        def codecs(direction, medium):
            step = plan.get((direction, medium))
            if not step:
                return "none"
            how = "transcoded" if step["transcoded"] else "passed through"
            return f"{step['from']} → {step['to']}, {how}"

        losses = phone_losses(self.bob.process.log())
        to_phone = [at - self.push.camera.given[mark[1]] for mark, _, at in shots
                    if mark[1] in self.push.camera.given]
        to_player = self.pull.latencies(self.bob.camera, BOB)
        record = self.record
        self.story.title("Figures")
        table([
            ("", "alice → bob", "bob → alice"),
            ("video", codecs("caller-to-callee", "video"), codecs("callee-to-caller", "video")),
            ("audio", codecs("caller-to-callee", "audio"), codecs("callee-to-caller", "audio")),
            ("latency, camera to screen", milliseconds(to_phone), milliseconds(to_player)),
            ("lost packets, video", losses.get("video", "not told"), record["video"]["lost"]),
            ("lost packets, audio", losses.get("audio", "not told"), record["audio"]["lost"]),
            ("packets, video", record["video"]["sent_packets"],
             record["video"]["received_packets"]),
            ("packets, audio", record["audio"]["sent_packets"],
             record["audio"]["received_packets"]),
        ])
        print(f"\n   junctor: {self.cpu * 100:.1f} % of one core during the call, "
              f"{self.threads} threads, {self.memory / 1e6:.1f} MB")
        print("   Latency is from the frame's hand-over to the encoding client until the other "
              "client has decoded it: both clients' own delay is in it.")
        print(f"   Pictures and sound: {self.options.output}")
        for medium, count in losses.items():
            self.story.check(count == 0, f"no {medium} packet lost on the way to the phone")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--output", default=os.path.join(SOURCE, "out", "demo"))
    options = parser.parse_args()
    if not os.path.exists(os.path.join(BUILD, "orchestrator", "junctor")):
        print("demo: junctor is not built; run scripts/setup", file=sys.stderr)
        return 1
    os.makedirs(options.output, exist_ok=True)
    demo = Demo(options)
    try:
        demo.run()
        demo.judge()
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    except AssertionError as error:
        demo.story.check(False, str(error))
        demo.workspace.keep = True
    finally:
        demo.stop_all()
        if demo.story.wrong:
            demo.workspace.keep = True
            print(f"   logs: {demo.workspace.path}")
        demo.workspace.close()
    if demo.story.wrong:
        print(f"\nThe demo failed: {len(demo.story.wrong)} of its checks went wrong.")
        return 1
    print("\nThe demo went well: each saw and heard the other.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
