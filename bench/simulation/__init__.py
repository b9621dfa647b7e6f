# A simulation of the NAT ladder. SPDX-License-Identifier: LGPL-2.1-or-later
"""assumptions: what is fed in, each with its source. behaviour: who reaches whom, from the theory of
the NAT laboratory. world: clients, their calls of a day, nodes. ladder: the day, call by call.
findings: what came out. plots, document: the same for people."""
