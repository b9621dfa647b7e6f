# sfurelay's choices and feedback among real clients. SPDX-License-Identifier: LGPL-2.1-or-later
"""GStreamer's own elements number packets, tell levels and names of layers, and give feedback about
what arrives; `sfurelay` goes by that, and gives feedback of its own."""

import array
import functools

from support.case import FULL, SystemTest
from support.junctor import environment
from support.labcase import InLaboratory
from support.ports import HOST
from support.process import Process, Timeout, wait_until
from support.relaypeer import NUMBERS, RATE, RelayPeer
from support.tones import strength


def add_leg(peer, remote, **options):
    return peer.ask(leg="relay", remote=remote, options={**NUMBERS, **options})["leg"]


class N5_TransportFeedback(InLaboratory):
    LINK = 500_000                                  # bit/s, of the receiver
    SENT = 1200                                     # kbit/s

    def setUp(self):
        super().setUp()
        self.hosts = {name: self.lab.host(name) for name in ("relay", "sender", "receiver")}
        self.hosts["receiver"].link.delay(0.02)
        self.peers = {name: self.start(RelayPeer(functools.partial(host.run, env=environment())))
                      for name, host in self.hosts.items()}
        relay = self.peers["relay"]
        port = relay.ask(relay="relay", address=self.hosts["relay"].address)["port"]
        self.legs = {}
        picture = {"ssrc": 7, "kbits": self.SENT, "extensions": {"transport-cc": None}}
        for name, what in (("receiver", {}), ("sender", {"noise": 25, "pictures": [picture]})):
            address = self.hosts[name].address
            made = self.peers[name].ask(**{name: name}, address=address,
                                        to=f"{self.hosts['relay'].address}:{port}", **what)
            self.legs[name] = add_leg(relay, f"{address}:{made['port']}")
        relay.ask(route="relay", **{"from": self.legs["sender"], "to": self.legs["receiver"]})
        for name in ("receiver", "sender"):
            self.peers[name].ask(play=name)

    def estimate(self):
        """As a share of what the receiver's link carries while it is limited."""
        stats = self.peers["relay"].ask(stats="relay", leg=self.legs["receiver"])
        return stats["estimate"] / self.LINK

    def own_way_is_free(self):
        """By what the sender was told last, while the receiver misses half of it."""
        heard = self.peers["sender"].ask(report="sender")["heard"]
        return heard.get("packets-sent", 0) == heard.get("packets-recv") and \
            heard["bitrate-recv"] > 1.5 * self.LINK

    def test_the_estimate_follows_the_link_and_the_sender_hears_of_its_own(self):
        wait_until(lambda: self.estimate() > 1.5, what="an estimate of the free link", every=0.1)
        self.hosts["receiver"].link.rate(0, self.LINK)
        seen = []

        def settled():
            seen.append(round(self.estimate(), 2))
            return len(seen) > 12 and all(0.4 <= each <= 1.3 for each in seen[-12:])
        try:
            wait_until(settled, 20, "estimates near the link's rate", every=0.2)
        except Timeout as timeout:
            self.fail(f"{timeout}, but {seen} of it")
        wait_until(self.own_way_is_free, what="the sender to hear that all arrives at the relay")
        self.hosts["receiver"].link.rate(0, 0)
        # By 8 % a second.
        enough = 1.5 if FULL else 1.15 * seen[-1]
        wait_until(lambda: self.estimate() > enough, 30, "the estimate to rise", every=0.1)


class AroundARelay(SystemTest):
    """No tests of its own; a relay, and around it ends in one program."""

    def setUp(self):
        super().setUp()
        self.peer = self.start(RelayPeer(lambda argv, **options: Process(
            "ends", argv, self.workspace.file("ends.log"), env=environment(), **options)))
        self.port = self.peer.ask(relay="relay", address=HOST)["port"]

    def end(self, kind, name, options=None, **what):
        """Makes one, which waits yet; returns its leg."""
        made = self.peer.ask(**{kind: name}, address=HOST, to=f"{HOST}:{self.port}", **what)
        return add_leg(self.peer, f"{HOST}:{made['port']}", **(options or {}))

    def route(self, sender, receiver):
        self.assertTrue(self.peer.ask(route="relay", **{"from": sender, "to": receiver})["done"])

    def begin(self, *names):
        for name in names:
            self.peer.ask(play=name)

    def report(self, name):
        """Packets by SSRC (which JSON makes a string), pictures, sounds."""
        said = self.peer.ask(report=name)
        return said["packets"], said["pictures"], said["sounds"]

    def look(self, name, ssrc, identity, width, count=10):
        """Waits until `name` sees pictures of this source alone, and looks at so many: all decode,
        each follows the one before. Returns of what sources packets came meanwhile."""
        def alone():
            pictures = self.report(name)[1]
            return pictures and {each["ssrc"] for each in pictures} == {ssrc}
        wait_until(alone, 20, f"pictures of {ssrc} alone at {name}", every=0.4)
        packets, pictures = set(), []

        def enough():
            came, seen, _ = self.report(name)
            packets.update(map(int, came))
            pictures.extend(seen)
            return len(pictures) >= count
        wait_until(enough, 20, f"{count} pictures at {name}", every=0.2)
        self.assertEqual({(each["ssrc"], each["width"]) for each in pictures}, {(ssrc, width)})
        marks = [each["mark"] for each in pictures]
        first = marks[0] and marks[0][1]
        self.assertEqual(marks, [[identity, first + at] for at in range(len(marks))])
        return packets


class N5_LastN(AroundARelay):
    # Identity, tone and loudness. The first leg is not the loudest.
    PEOPLE = {"alice": (21, 440, 0.02), "bob": (22, 700, 0.1), "carol": (23, 1100, 0.005)}

    def setUp(self):
        super().setUp()
        legs = [self.end("sender", name, identity=identity,
                         pictures=[{"ssrc": 100 + identity, "kbits": 200}],
                         sound={"ssrc": 200 + identity, "tone": tone, "volume": volume,
                                "extensions": {"audio-level": None}})
                for name, (identity, tone, volume) in self.PEOPLE.items()]
        self.receiver = self.end("receiver", "dave", {"last-n": 1})
        for leg in legs:
            self.route(leg, self.receiver)
        self.begin("dave", *self.PEOPLE)

    def check(self, name):
        """The picture of this one alone, and the sound of all."""
        identity = self.PEOPLE[name][0]
        packets = self.look("dave", 100 + identity, identity, 320)
        sounds = {200 + each[0] for each in self.PEOPLE.values()}
        self.assertEqual(packets, {100 + identity, *sounds})
        self.assertEqual(self.peer.ask(stats="relay", leg=self.receiver)["pictures"], 1)
        heard = self.report("dave")[2]
        for identity, tone, _ in self.PEOPLE.values():
            samples = array.array("h", bytes.fromhex(heard[str(200 + identity)]))
            self.assertGreater(strength(samples, RATE, tone), 0.9, tone)

    def test_the_loudest_is_seen_and_all_are_heard(self):
        self.check("bob")
        self.peer.ask(set="carol", element="voice", property="volume", value=0.8)
        self.check("carol")


class N5_Layers(AroundARelay):
    LOW, HIGH, IDENTITY = 31, 32, 30

    def setUp(self):
        super().setUp()
        self.sender = self.end("sender", "alice", identity=self.IDENTITY, pictures=[
            {"ssrc": self.LOW, "kbits": 100, "width": 160, "height": 90,
             "extensions": {"mid": "v", "rid": "low"}},
            {"ssrc": self.HIGH, "kbits": 400, "extensions": {"mid": "v", "rid": "high"}}])
        self.drop_high(True)
        self.receiver("bob")
        self.begin("alice")

    def drop_high(self, drop):
        self.peer.ask(set="alice", element=f"valve-{self.HIGH}", property="drop", value=drop)

    def receiver(self, name):
        self.route(self.sender, self.end("receiver", name))
        self.begin(name)

    def test_a_receiver_gets_one_layer_which_it_keeps(self):
        self.assertEqual(self.look("bob", self.LOW, self.IDENTITY, 160), {self.LOW})
        self.drop_high(False)
        # Once both are there and their rates known, the better one is what the next one gets.
        wait_until(lambda: self.peer.ask(report="alice")["sent"].get(str(self.HIGH), 0) > 20,
                   what="a second layer", every=0.1)
        self.receiver("carol")
        self.assertEqual(self.look("carol", self.HIGH, self.IDENTITY, 320), {self.HIGH})
        self.assertEqual(self.look("bob", self.LOW, self.IDENTITY, 160), {self.LOW})
