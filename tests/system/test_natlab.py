# The NAT laboratory is what it says. SPDX-License-Identifier: LGPL-2.1-or-later
"""Judged by coturn's tools and by a prober of RFC 5780, by counting packets, and by punching."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from natlab import TYPES, Nat, direct, node_serves
from natlab.nat import ADDRESS, ADDRESS_PORT, INDEPENDENT
from support.case import FULL, SystemTest
from support.coturn import Coturn
from support.labcase import InLaboratory
from support.process import Process, Timeout, wait_until
from support.puncher import punch

_HERE = os.path.dirname(os.path.abspath(__file__))
_STUN = os.path.join(_HERE, "support", "stun.py")
_TRAFFIC = os.path.join(_HERE, "support", "traffic.py")
_PORT = 7000
_KINDS = (INDEPENDENT, ADDRESS, ADDRESS_PORT)
_GRID = {f"m{m}-f{f}": Nat(mapping, filtering, hairpin=True)
         for m, mapping in enumerate(_KINDS) for f, filtering in enumerate(_KINDS)}


class LabTest(InLaboratory):
    def stun_server(self):
        self.server = self.lab.host("stun", addresses=2)
        Coturn(self.lab, self.server)

    def echo(self, host, address="0.0.0.0"):
        host.run([sys.executable, _TRAFFIC, "echo", address, str(_PORT)]).wait_log("ready")

    def ping(self, host, target, count=20, gap=0.01):
        """Round trips in ms, None for what was lost."""
        return json.loads(host.output([sys.executable, _TRAFFIC, "ping", target, str(_PORT),
                                       str(count), str(gap)]))


class Watch:
    """Tells what a STUN server sees of one socket that stays the same."""

    def __init__(self, host, server):
        self._process = host.run([sys.executable, _STUN, server.address, "3478", "watch"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def seen(self):
        self._process.popen.stdin.write(b"\n")
        self._process.popen.stdin.flush()
        answer = json.loads(self._process.popen.stdout.readline())
        return answer and tuple(answer)

    def stop(self):
        self._process.kill()
        self._process.popen.stdin.close()
        self._process.popen.stdout.close()


class TestTypes(LabTest):
    # What RFC 5780 must find: mapping, filtering, ports.
    _FOUND = {
        "open": ("none", INDEPENDENT, "preserved"),
        "firewall": ("none", ADDRESS_PORT, "preserved"),
        "full-cone": (INDEPENDENT, INDEPENDENT, "random"),
        "restricted": (INDEPENDENT, ADDRESS, "random"),
        "port-restricted": (INDEPENDENT, ADDRESS_PORT, "random"),
        "preserving": (INDEPENDENT, ADDRESS_PORT, "preserved"),
        "address-mapped": (ADDRESS, ADDRESS_PORT, "random"),
        "address-both": (ADDRESS, ADDRESS, "random"),
        "symmetric": (ADDRESS_PORT, ADDRESS_PORT, "random"),
        "sequential": (ADDRESS_PORT, ADDRESS_PORT, "sequential 1"),
        "double": (INDEPENDENT, ADDRESS_PORT, "random"),
        "double-symmetric": (ADDRESS_PORT, ADDRESS_PORT, "random"),
        "udp-blocked": None,
    }
    _WORDS = {"Endpoint Independent": INDEPENDENT, "Address Dependent": ADDRESS,
              "Address and Port Dependent": ADDRESS_PORT}

    def probe(self, hosts):
        """{host: (what our prober found, [mapping, filtering] as coturn's tool calls it, whether
        that saw a hairpin)}; all at once, for most of it is waiting."""
        address = self.server.address
        running = [(host, host.run([sys.executable, _STUN, address]),
                    host.run(["turnutils_natdiscovery", "-m", "-f", "-H", address]))
                   for host in hosts]
        found = {}
        for host, ours, theirs in running:
            self.assertEqual(ours.wait(120), 0, ours.log())
            theirs.wait(120)
            said = re.findall(r"NAT with (.*) (Mapping|Filtering)!", theirs.log())
            kinds = {what: self._WORDS[how] for how, what in said}
            found[host.name] = (json.loads(ours.log()),
                                [kinds.get("Mapping"), kinds.get("Filtering")],
                                "successful hairpinning" in theirs.log())
        return found

    def test_each_type_and_all_of_rfc_4787_are_what_they_say(self):
        self.assertEqual(set(self._FOUND), set(TYPES))
        self.stun_server()
        hosts = [self.lab.site(kind, kind) for kind in TYPES]
        routers = {**_GRID, "steps": Nat(ADDRESS_PORT, ports="sequential", step=3)}
        hosts += [self.lab.host(name, self.lab.router(f"{name}-router", nat))
                  for name, nat in routers.items()]
        found = self.probe(hosts)
        for kind, expected in self._FOUND.items():
            with self.subTest(kind):
                self.check_type(expected, *found[kind])
        for name, nat in _GRID.items():
            with self.subTest(name):
                self.check_router(nat, *found[name])
        self.assertEqual(found["steps"][0]["ports"], "sequential 3")

    def check_type(self, expected, ours, theirs, loop):
        if expected is None:
            self.assertEqual((ours, theirs), ({"udp": False}, [None, None]))
            return
        self.assertEqual((ours["mapping"], ours["filtering"], ours["ports"]), expected)
        # Their tool has no word for "no NAT".
        self.assertEqual(theirs, [expected[0].replace("none", INDEPENDENT), expected[1]])
        if expected[0] != "none":
            self.assertEqual((ours["hairpin"], loop), ("no", False))

    def check_router(self, nat, ours, theirs, loop):
        self.assertEqual([ours["mapping"], ours["filtering"]], [nat.mapping, nat.filtering])
        self.assertEqual(theirs, [nat.mapping, nat.filtering])
        # By the address that the server told, a filter must know the peer's to let it in.
        through = INDEPENDENT in (nat.mapping, nat.filtering)
        self.assertEqual(ours["hairpin"], "external source" if through else "no")
        # Their tool sends one way only.
        self.assertEqual(loop, nat.filtering == INDEPENDENT)

    def test_tcp_passes_where_udp_does_not(self):
        server = self.lab.host("server")
        self.echo(server)
        path = self.workspace.write("www/page", "through")
        server.run([sys.executable, "-m", "http.server", "8000"], cwd=os.path.dirname(path),
                   env={"PYTHONUNBUFFERED": "1"}).wait_log("Serving")
        blocked = self.lab.site("blocked", "udp-blocked")
        self.assertEqual(blocked.output(["curl", "-s", f"http://{server.address}:8000/page"]),
                         "through")
        self.assertEqual(set(self.ping(blocked, server.address, 5)), {None})


class TestPairs(LabTest):
    _SAMPLE = [("open", "symmetric"), ("firewall", "port-restricted"), ("firewall", "symmetric"),
               ("full-cone", "sequential"), ("restricted", "symmetric"),
               ("restricted", "address-mapped"), ("port-restricted", "port-restricted"),
               ("port-restricted", "symmetric"), ("preserving", "double"),
               ("address-both", "port-restricted"), ("symmetric", "symmetric"),
               ("double", "double"), ("full-cone", "double-symmetric"), ("open", "udp-blocked")]

    def setUp(self):
        super().setUp()
        self.stun_server()
        self._sites = {}

    def site(self, side, kind):
        """Two of a kind at most: a site serves many pairs, each with sockets of its own."""
        if (side, kind) not in self._sites:
            self._sites[side, kind] = self.lab.site(f"{side}-{kind}", kind)
        return self._sites[side, kind]

    def punch(self, left, right, ways, expected):
        return punch(self.lab, self.server, self.site("left", left), self.site("right", right),
                     ways, 8.0 if expected else 1.5)

    def check(self, left, right, ways, expected, said):
        """Both reached each other, or neither; returns after how many ms they did."""
        with self.subTest(f"{left} and {right} {ways}"):
            self.assertEqual([each["reached"] is not None for each in said], [expected] * 2,
                             direct(left, right).reason)
        return [each["ms"] for each in said if each["reached"]]

    def test_pairs_reach_each_other_as_theory_says(self):
        kinds = list(TYPES)
        pairs = self._SAMPLE
        if FULL:
            pairs = [(left, right) for index, left in enumerate(kinds) for right in kinds[index:]]
        for left, right in pairs:
            self.assertEqual(direct(left, right).plain, direct(right, left).plain)
            self.site("left", left), self.site("right", right)
        plain = ("plain", "plain")
        took = []
        # Several at once, for most of it is waiting.
        with ThreadPoolExecutor(4) as pool:
            said = pool.map(lambda pair: self.punch(*pair, plain, direct(*pair).plain), pairs)
            for (left, right), both in zip(pairs, said):
                took += self.check(left, right, plain, direct(left, right).plain, both)
        print(f"# {len(pairs)} pairs; reached after {statistics.median(took):.1f} ms (median), "
              f"{max(took):.1f} ms (worst)")

    def test_sequential_ports_can_be_predicted(self):
        peers = TYPES if FULL else ("port-restricted", "sequential", "symmetric")
        for peer in peers:
            ways, expected = ("prediction", "prediction"), direct("sequential", peer).prediction
            self.check("sequential", peer, ways, expected,
                       self.punch("sequential", peer, ways, expected))

    def test_many_sockets_find_a_random_port(self):
        # 256 sockets and 2048 guesses miss in 3 of 10,000 runs.
        pairs = [("symmetric", "port-restricted")]
        if FULL:
            pairs += [("double-symmetric", "firewall"), ("address-mapped", "preserving"),
                      ("address-both", "symmetric")]
        for left, right in pairs:
            self.assertTrue(direct(left, right).many_sockets)
            ways = ("open", "guess")
            self.check(left, right, ways, True, self.punch(left, right, ways, True))


class TestTheory(SystemTest):
    # RFC 5128 and the literature on punching, by hand: can one probe the other plainly?
    _KNOWN = ("open", "full-cone", "restricted", "port-restricted", "symmetric")
    _PLAIN = {"open": "+++++", "full-cone": "+++++", "restricted": "+++++",
              "port-restricted": "++++-", "symmetric": "+++--"}

    def test_what_the_books_say(self):
        for left, row in self._PLAIN.items():
            self.assertEqual("".join("+" if direct(left, right).plain else "-"
                                     for right in self._KNOWN), row, left)

    def test_way_and_reason(self):
        self.assertEqual(direct("symmetric", "port-restricted").best, "many_sockets")
        self.assertEqual(direct("sequential", "sequential").best, "prediction")
        self.assertIsNone(direct("symmetric", "symmetric").best)
        self.assertIsNone(direct("open", "udp-blocked").best)
        self.assertIn("no UDP", direct("open", "udp-blocked").reason)
        self.assertIn("symmetric", direct("symmetric", "firewall").reason)

    def test_a_node_serves_whom_it_reaches(self):
        self.assertTrue(node_serves("restricted", "symmetric", "symmetric"))
        self.assertFalse(node_serves("port-restricted", "symmetric", "open"))
        self.assertTrue(node_serves("port-restricted", "port-restricted", "firewall"))
        self.assertFalse(node_serves("udp-blocked", "open", "open"))


class TestConditions(LabTest):
    def setUp(self):
        super().setUp()
        self.left = self.lab.site("left", "port-restricted")
        self.right = self.lab.host("right")
        self.echo(self.right)

    def test_delay(self):
        self.left.link.delay(0.005)
        self.left.place.link.delay(0.015)
        self.right.link.delay(0.02)
        took = self.ping(self.left, self.right.address, 40)
        self.assertNotIn(None, took)
        self.assertGreaterEqual(min(took), 80)
        print(f"# 80 ms set: {min(took):.2f} to {max(took):.2f}, {statistics.median(took):.2f}")
        if FULL:
            self.assertLess(statistics.median(took), 100)
        for link in (self.left.link, self.left.place.link, self.right.link):
            link.delay(0)
        self.assertLess(min(self.ping(self.left, self.right.address)), 80)

    def test_a_line_with_delay_carries_tcp_whole(self):
        self.left.link.delay(0.005)
        data = os.urandom(2_000_000)
        path = self.workspace.file("www/page")
        with open(path, "wb") as file:
            file.write(data)
        self.right.run([sys.executable, "-m", "http.server", "8000"], cwd=os.path.dirname(path),
                       env={"PYTHONUNBUFFERED": "1"}).wait_log("Serving")
        got = self.workspace.file("got")
        self.left.output(["curl", "-s", "-o", got, f"http://{self.right.address}:8000/page"])
        with open(got, "rb") as file:
            self.assertEqual(file.read(), data)

    def test_pause_holds_packets_and_resume_lets_them_go(self):
        self.ping(self.left, self.right.address, 1)             # the neighbours know each other now
        sent = self.lab.counters(self.left)["eth0"]["tx"][0]
        passed = self.lab.counters(self.left.place)["wan"]["tx"][0]
        self.left.link.pause()
        pinging = self.left.run([sys.executable, _TRAFFIC, "ping", self.right.address, str(_PORT),
                                 "10", "0.01"])
        wait_until(lambda: self.lab.counters(self.left)["eth0"]["tx"][0] >= sent + 10,
                   what="10 packets")
        self.assertEqual(self.lab.counters(self.left.place)["wan"]["tx"][0], passed)
        self.left.link.resume()
        pinging.wait()
        self.assertNotIn(None, json.loads(pinging.log()))

    def test_loss(self):
        count = 1000
        for up, down in ((0.1, 0.0), (0.0, 0.3)):
            with self.subTest(up=up, down=down):
                self.left.link.loss(up, down)
                arrived = self.lab.capture(self.right)
                took = self.ping(self.left, self.right.address, count, 0.0005)
                there = len(arrived.stop().udp(outgoing=False))
                back = count - took.count(None)
                # Five standard deviations.
                self.assertAlmostEqual(there, count * (1 - up), delta=48)
                self.assertAlmostEqual(back, there * (1 - down), delta=73)
                if up == 0:
                    self.assertEqual(there, count)
                else:
                    self.assertEqual(back, there)
        self.left.link.loss(0)
        self.assertNotIn(None, self.ping(self.left, self.right.address))

    def test_rate(self):
        self.left.link.rate(400_000, 0)
        arrived = self.lab.capture(self.right, "eth0")
        # Five times what passes, for about a second.
        self.left.output([sys.executable, _TRAFFIC, "send", self.right.address, str(_PORT), "250",
                          "0.004", "1000"])
        wait_until(lambda: self._still(self.right), what="the queue to drain")
        taken = arrived.stop().udp(outgoing=False)
        span = taken[-1].time - taken[0].time
        passed = sum(len(each.payload) + 42 for each in taken) * 8
        print(f"# 400 kbit/s set: {passed / span / 1000:.0f} kbit/s, {len(taken)} of 250 packets")
        self.assertLess(len(taken), 250)
        # What the bucket holds may pass at once.
        self.assertLess(passed, 400_000 * span * 1.05 + 8 * 4000 + 8 * 1042)
        self.assertGreater(len(taken), 5)
        if FULL:
            self.assertGreater(passed, 400_000 * span * 0.8)
        self.left.link.rate(0)
        self.assertNotIn(None, self.ping(self.left, self.right.address, 100, 0.001))

    def _still(self, host):
        """Whether nothing has come for as long as the longest queue lasts."""
        before = self.lab.counters(host)["eth0"]["rx"][0]
        self.ping(self.lab.hosts["right"], "127.0.0.1", 10)
        return self.lab.counters(host)["eth0"]["rx"][0] == before

    def test_counters_and_captures_count_the_same(self):
        before = self.lab.counters(self.right)["eth0"]["rx"]
        self.ping(self.left, self.right.address, 1)             # the neighbours know each other now
        taken = self.lab.capture(self.right, "eth0")
        at_start = self.lab.counters(self.right)["eth0"]["rx"]
        self.assertGreater(at_start[0], before[0])
        self.left.output([sys.executable, _TRAFFIC, "send", self.right.address, str(_PORT), "50",
                          "0.001", "500"])
        counted = wait_until(lambda: self._arrived(at_start, 50), what="50 packets")
        packets = taken.stop().udp(outgoing=False)
        self.assertEqual(len(packets), 50)
        self.assertEqual({len(each.payload) for each in packets}, {500})
        self.assertEqual({each.source for each in packets}, {self.left.place.address})
        self.assertEqual({each.target_port for each in packets}, {_PORT})
        self.assertGreaterEqual(counted[1] - at_start[1], 50 * 542)
        self.assertEqual(len(taken.udp(outgoing=True)), 50)

    def _arrived(self, since, count):
        now = self.lab.counters(self.right)["eth0"]["rx"]
        return now if now[0] >= since[0] + count else None

    def test_unplugged_and_switched_off(self):
        carrier = "cat /sys/class/net/eth0/carrier"
        unplugged = self.left.link.unplug, self.left.link.plug
        for off, on, delay in ((*unplugged, 0), (self.left.down, self.left.up, 0),
                               (*unplugged, 0.001)):
            self.left.link.delay(delay)
            off()
            self.assertEqual(set(self.ping(self.left, self.right.address, 3)), {None})
            on()
            self.assertNotIn(None, self.ping(self.left, self.right.address, 3))
        self.left.link.unplug()
        self.assertEqual(self.left.output(["sh", "-c", carrier]).strip(), "0")

    def test_every_program_of_a_host_can_be_killed(self):
        self.lab.kill(self.right)
        self.assertEqual(set(self.ping(self.left, self.right.address, 3)), {None})


class TestChanges(LabTest):
    def setUp(self):
        super().setUp()
        self.stun_server()

    def test_a_host_moves_from_one_network_to_another(self):
        home = self.lab.router("home", Nat())
        mobile = self.lab.router("mobile", Nat(ADDRESS_PORT))
        phone = self.lab.host("phone", home)
        watch = self.start(Watch(phone, self.server))
        inside = phone.address
        self.assertEqual(watch.seen()[0], home.address)
        phone.move(mobile)
        self.assertNotEqual(phone.address, inside)
        self.assertEqual(watch.seen()[0], mobile.address)
        self.assertNotIn(inside, phone.output(["ip", "addr"]))
        phone.move(self.lab.internet)
        self.assertEqual(watch.seen()[0], phone.address)

    def test_addresses_change_in_their_place(self):
        phone = self.lab.site("phone", "port-restricted")
        watch = self.start(Watch(phone, self.server))
        before = watch.seen()
        self.assertEqual(before[0], phone.place.address)
        phone.place.readdress()
        after = watch.seen()
        self.assertEqual(after[0], phone.place.address)
        self.assertNotEqual(after[0], before[0])
        inside = phone.address
        phone.readdress()
        self.assertNotEqual(phone.address, inside)
        self.assertEqual(watch.seen()[0], phone.place.address)

    def test_a_firewall_takes_its_network_along(self):
        phone = self.lab.site("phone", "firewall")
        watch = self.start(Watch(phone, self.server))
        self.assertEqual(watch.seen()[0], phone.address)
        phone.place.readdress()
        self.assertEqual(watch.seen()[0], phone.address)

    def test_mappings_are_flushed_and_run_out(self):
        steady = self.lab.site("steady", "port-restricted")
        brief = self.lab.host("brief", self.lab.router("brief-router", Nat(lifetime=2)))
        watch, other = (self.start(Watch(each, self.server)) for each in (steady, brief))
        first, fleeting = watch.seen(), other.seen()
        self.assertEqual(watch.seen(), first)
        wait_until(lambda: not self._tracked(brief.place), what="a mapping to run out")
        self.assertNotEqual(other.seen(), fleeting)
        self.assertEqual(watch.seen(), first)
        steady.place.flush()
        again = watch.seen()
        self.assertEqual(again[0], first[0])
        self.assertNotEqual(again[1], first[1])

    def _tracked(self, router):
        return ("udp" in self.lab.script("conntrack -L 2>/dev/null", router)
                or "expires" in self.lab.script("nft list map ip nat out", router))


class TestIPv6(LabTest):
    ipv6 = True

    def test_who_reaches_whom(self):
        public = self.lab.host("public")
        walled = self.lab.site("walled", "symmetric")
        inner = self.lab.site("inner", "double")
        free = self.lab.host("free", self.lab.router("free-router", Nat(open6=True)))
        hosts = (public, walled, inner, free)
        for each in hosts:
            self.echo(each, "::")
        pairs = [(one, other) for one in hosts for other in hosts if one is not other]
        with ThreadPoolExecutor(4) as pool:
            reached = pool.map(lambda pair: None not in self.ping(pair[0], pair[1].address6, 2),
                               pairs)
            for (one, other), through in zip(pairs, reached):
                self.assertEqual(through, other in (public, free), f"{one} to {other}")
        # And by IPv4 all the same.
        self.echo(public)
        self.assertNotIn(None, self.ping(inner, public.address))

    def test_a_carrier_numbers_its_customers_anew(self):
        public, inner = self.lab.host("public"), self.lab.site("inner", "double")
        self.echo(public, "::")
        before = inner.address6
        inner.place.place.readdress()
        self.assertNotEqual(inner.address6, before)
        self.assertNotIn(None, self.ping(inner, public.address6))
        inner.move(self.lab.internet)
        taken = self.lab.capture(public)
        self.assertNotIn(None, self.ping(inner, public.address6))
        self.assertEqual({each.source for each in taken.stop().udp(outgoing=False)},
                         {inner.address6})


class TestGone(SystemTest):
    # Opens a laboratory with all that lingers: a program that has left its parent, and a line.
    _PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from natlab import Lab, Unavailable
from support.coturn import Coturn
try:
    lab = Lab()
except Unavailable as reason:
    print(json.dumps({"unavailable": str(reason)}), flush=True)
    sys.exit()
server = lab.host("stun", addresses=2)
Coturn(lab, server)
hosts = [lab.site(kind, kind) for kind in sys.argv[2:]]
running = [host.run([sys.executable, sys.argv[1] + "/support/stun.py", server.address])
           for host in hosts]
found = {host.name: each.wait() or json.loads(each.log()) for host, each in zip(hosts, running)}
host = lab.host("last")
host.link.delay(0.001)
host.run(["setsid", "--fork", "sleep", "1000"]).wait()
print(json.dumps({"pid": lab.pid, "found": found, "uid": os.getuid()}), flush=True)
sys.stdin.readline()
lab.stop()
print(json.dumps({"left": os.path.exists(lab.workspace.path)}), flush=True)
"""

    _MAPPINGS = {"port-restricted": INDEPENDENT, "symmetric": ADDRESS_PORT}

    def open_lab(self, prefix=(), kinds=()):
        # A copy that everybody may read.
        home = self.workspace.file("copy")
        os.chmod(self.workspace.path, 0o755)
        # What a program that is killed cannot tidy up goes with our own files.
        temporary = os.path.dirname(self.workspace.file("tmp", "x"))
        os.chmod(temporary, 0o777)
        for each in ("natlab", "support"):
            shutil.copytree(os.path.join(_HERE, each), os.path.join(home, each),
                            ignore=shutil.ignore_patterns("__pycache__"))
        program = self.start(Process("program", [*prefix, sys.executable, "-c", self._PROGRAM, home,
                                      *kinds], self.workspace.file("program.log"), cwd="/",
                                     env={"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": temporary},
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.addCleanup(program.popen.stdout.close)
        self.addCleanup(program.popen.stdin.close)
        line = program.popen.stdout.readline()
        self.assertTrue(line, program.log())
        said = json.loads(line)
        if "unavailable" in said:
            self.skipTest(f"no laboratory for this user: {said['unavailable']}")
        # Held open, for the kernel soon gives the number of one that is gone to another.
        self._held = {}
        for name in ("pid", "net", "mnt"):
            self._held[name] = os.open(f"/proc/{said['pid']}/ns/{name}", os.O_RDONLY)
            self.addCleanup(os.close, self._held[name])
        self.assertTrue(self.inside())
        self.assertEqual(set(said["found"]), set(kinds))
        for kind in kinds:
            self.assertEqual(said["found"][kind]["mapping"], self._MAPPINGS[kind])
            self.assertEqual(said["found"][kind]["filtering"], ADDRESS_PORT)
        return program, said

    def inside(self):
        """The processes that are in its namespaces, but for those that have ended and wait for
        their parent to look."""
        held = {name: os.stat(each).st_ino for name, each in self._held.items()}
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    ended = file.read().rpartition(") ")[2].startswith("Z")
                if not ended and any(os.stat(f"/proc/{pid}/ns/{name}").st_ino == number
                                     for name, number in held.items()):
                    found.append(pid)
            except OSError:
                pass
        return found

    @staticmethod
    def _command(pid):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return f"{pid}: {file.read()}".replace("\0", " ")

    def check_gone(self):
        try:
            wait_until(lambda: not self.inside(), what="the laboratory's end")
        except Timeout:
            self.fail("\n".join(map(self._command, self.inside())))
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            self.assertNotIn("/run/netns/stun", mounts.read())

    def test_after_its_end_nothing_is_left(self):
        before = sorted(os.listdir("/sys/class/net"))
        program, _ = self.open_lab()
        self.assertEqual(sorted(os.listdir("/sys/class/net")), before)
        program.popen.stdin.write(b"\n")
        program.popen.stdin.flush()
        self.assertEqual(json.loads(program.popen.stdout.readline()), {"left": False})
        self.assertEqual(program.wait(), 0)
        self.check_gone()

    def test_nothing_is_left_of_a_program_that_was_killed(self):
        program, _ = self.open_lab()
        program.send_signal(signal.SIGKILL)
        program.wait()
        self.check_gone()

    def test_an_ordinary_user_may_have_one(self):
        prefix = []
        if os.geteuid() == 0:
            prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
        program, said = self.open_lab(prefix, list(self._MAPPINGS))
        self.assertNotEqual(said["uid"], 0)
        program.popen.stdin.write(b"\n")
        program.popen.stdin.flush()
        program.wait()
        self.check_gone()
