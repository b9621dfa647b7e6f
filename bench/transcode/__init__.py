# What bench/codecs is made of. SPDX-License-Identifier: LGPL-2.1-or-later
