# What bench/ladder is made of. SPDX-License-Identifier: LGPL-2.1-or-later
"""channels, phones: the two kinds of ends. Each has `measure(way, round_trip, loss, count, say)`, which
makes a laboratory, calls `count` times and gives {"up", "media"} of each call, in ms of the worse end,
or {"why"} there was none. ways: which of them are measured, with which goals."""
