# N6: the element's ICE over a relay. SPDX-License-Identifier: LGPL-2.1-or-later
"""`stunpunch ice=true` takes a TURN server's address where there is no other way."""
import json

from support.channelpeer import Peer, join
from support.coturn import Coturn
from support.junctor import environment
from support.labcase import InLaboratory
from support.process import wait_until


class N6_Ice(InLaboratory):
    def test_rfc_8445_over_a_relay_where_there_is_no_direct_way(self):
        server = self.lab.host("stun", addresses=2)
        coturn = self.start(Coturn(self.lab, server, relay=True))
        peers = [self.start(Peer(self.lab.site(name, "symmetric"), environment()))
                 for name in ("left", "right")]
        for name, turn in (("with", {"turn-server": coturn.relay_url}), ("without", {})):
            join(*peers, name, server.address, timeout=10000 if turn else 2000,
                 properties={"ice": True, **turn})
        for peer in peers:
            self.assertEqual(peer.wait("with", "up", "failed")["is"], "up", peer.errors)
            self.assertEqual(peer.report("with")["stats"]["rung"], "relay")
            self.assertTrue(any("typ relay" in line for line in self.named(peer, "with")))
        wait_until(lambda: all(peer.report("with")["arrived"] > 20 for peer in peers), 20,
                   "packets both ways", every=0.1)
        for peer in peers:
            self.assertEqual(peer.wait("without", "up", "failed")["is"], "failed")
            self.assertFalse(any("typ relay" in line for line in self.named(peer, "without")))

    @staticmethod
    def named(peer, name):
        """The candidates that it has told."""
        return [line for text in peer.strings[name]
                for line in json.loads(text).get("candidates", [])]
