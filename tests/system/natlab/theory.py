# Which pairs of accesses can reach each other. SPDX-License-Identifier: LGPL-2.1-or-later
"""What follows from the NATs' behaviour (RFC 4787, RFC 5128) for two devices that each know the
other's external address as a STUN server saw it, probe it, and answer probes where they came from.
"""

from dataclasses import dataclass

from .nat import ADDRESS, ADDRESS_PORT, INDEPENDENT, TYPES

_ORDER = (INDEPENDENT, ADDRESS, ADDRESS_PORT)


@dataclass(frozen=True)
class Access:
    """Several routers seen as one: as hard to predict and as strict as the worst of them."""

    mapping: str
    filtering: str
    predictable: bool
    udp: bool

    @classmethod
    def of(cls, kind):
        routers = TYPES[kind].routers
        changing = [each for each in routers if each.mapping not in (None, INDEPENDENT)]
        return cls(max((each.mapping for each in changing), key=_ORDER.index, default=INDEPENDENT),
                   max((each.filtering for each in routers), key=_ORDER.index,
                       default=INDEPENDENT),
                   bool(changing) and all(each.ports == "sequential" for each in changing),
                   all(each.udp for each in routers))


@dataclass(frozen=True)
class Verdict:
    """Whether UDP gets through directly: by plain probing; by probing the ports that a sequential
    NAT will take next too; by many sockets on one side and guesses on the other (RFC 5128, section
    3.6, a matter of luck). `reason` says it in words."""

    plain: bool
    prediction: bool
    many_sockets: bool
    reason: str

    @property
    def best(self):
        """The mildest way that works, or None."""
        ways = ("plain", "prediction", "many_sockets")
        return next((way for way in ways if getattr(self, way)), None)


def _admits(there, sender):
    """Whether the external address that the STUN server saw of `there` lets a probe of `sender`
    in, as soon as `there` has probed too."""
    if there.filtering == INDEPENDENT:
        return True
    if there.mapping != INDEPENDENT:
        return False            # that one was for the server; probes leave from others
    return there.filtering == ADDRESS or sender.mapping == INDEPENDENT


def _predicted(there, sender):
    known = sender.mapping == INDEPENDENT or sender.predictable or there.filtering == ADDRESS
    return there.predictable and known


def _guessed(there, sender):
    return there.mapping != INDEPENDENT and (there.filtering == ADDRESS
                                             or sender.mapping == INDEPENDENT)


def direct(left, right):
    """The Verdict for two names of natlab.TYPES."""
    one, other = Access.of(left), Access.of(right)
    for name, each in ((left, one), (right, other)):
        if not each.udp:
            return Verdict(False, False, False, f"{name}: no UDP passes")
    ways = [(_admits(a, b), _predicted(a, b), _guessed(a, b)) for a, b in ((one, other),
                                                                           (other, one))]
    plain, prediction, guessed = (any(each) for each in zip(*ways))
    if plain:
        willing = left if ways[0][0] else right
        reason = f"a probe gets in at {willing}, and the answer goes back where it came from"
    else:
        changing = [name for name, each in ((left, one), (right, other))
                    if each.mapping != INDEPENDENT]
        reason = (f"{' and '.join(changing)}: another port for each peer, and the other side admits"
                  " only ports that it has sent to")
        if prediction:
            reason += "; the next port can be predicted"
        elif guessed:
            reason += "; the port can only be guessed"
    return Verdict(plain, plain or prediction, plain or prediction or guessed, reason)


def node_serves(node, left, right):
    """Whether a relay on a device with the access `node` can be punched from both devices."""
    return direct(node, left).plain and direct(node, right).plain


def table():
    """All pairs, for people: `+` plain, `p` by prediction, `m` by many sockets, `-` not at all."""
    signs = {"plain": "+", "prediction": "p", "many_sockets": "m", None: "-"}
    width = max(map(len, TYPES))
    lines = [" " * width + "  " + " ".join(f"{index:2}" for index in range(1, len(TYPES) + 1))]
    for index, left in enumerate(TYPES, 1):
        row = " ".join(f"{signs[direct(left, right).best]:>2}" for right in TYPES)
        lines.append(f"{left:>{width}}  {row}  {index}")
    return "\n".join(lines)
